package vllm

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/quern-dev/quern/plugins/provider"
	"github.com/quern-dev/quern/sdk/go/host/parallel"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// replica is one vLLM.
type replica struct{ *provider.Server }

func replicas(a *args, endpoints []string) []*replica {
	key := a.Key(keyVariable)
	var all []*replica
	for _, address := range endpoints {
		all = append(all, &replica{provider.NewServer(address, a.Headers, key)})
	}
	return all
}

// model is a model as vLLM lists it.
type model struct {
	ID     string `json:"id"`
	Root   string `json:"root"`   // where it was loaded from
	Parent string `json:"parent"` // the base model of an adapter
}

// models are a replica's models by name.
type models map[string]*model

func (m models) bases() []string {
	var found []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if m[name].Parent == "" {
			found = append(found, name)
		}
	}
	return found
}

// patience is how long a replica may take to list its models.
const patience = 10 * time.Second

func (r *replica) models(ctx context.Context) (models, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var listed struct {
		Data []*model `json:"data"`
	}
	if err := r.Call(ctx, http.MethodGet, "/v1/models", nil, &listed); err != nil {
		return nil, fmt.Errorf("list the models of %s: %w", r.URL, err)
	}
	found := models{}
	for _, m := range listed.Data {
		found[m.ID] = m
	}
	return found, nil
}

// load loads an adapter, in place of another one of the same name if replace is
// true.
func (r *replica) load(ctx context.Context, name, folder string, replace bool) error {
	body := map[string]any{"lora_name": name, "lora_path": folder}
	if replace {
		body["load_inplace"] = true
	}
	err := r.Call(ctx, http.MethodPost, "/v1/load_lora_adapter", body, nil)
	if err == nil {
		return nil
	}
	hint := ""
	switch text := err.Error(); {
	case provider.Absent(err) && strings.Contains(text, "Not Found"):
		hint = "\nStart vLLM with --enable-lora and the variable VLLM_ALLOW_RUNTIME_LORA_UPDATING=True."
	case replace && strings.Contains(text, "already been loaded"):
		hint = "\nThis vLLM cannot replace an adapter in place. Set alias to false, or update vLLM."
	}
	return fmt.Errorf("load %s on %s from %s: %w%s", name, r.URL, folder, err, hint)
}

// unload unloads an adapter, if it is loaded.
func (r *replica) unload(ctx context.Context, name string) error {
	err := r.Call(ctx, http.MethodPost, "/v1/unload_lora_adapter", map[string]any{"lora_name": name}, nil)
	if err != nil && !provider.Absent(err) {
		return fmt.Errorf("unload %s from %s: %w", name, r.URL, err)
	}
	return nil
}

// prove asks an adapter.
func (r *replica) prove(ctx context.Context, name string, p *provider.Proof) error {
	request := map[string]any{"model": name, "temperature": 0, "max_tokens": p.MaxTokens, "stream": false}
	call := "/v1/chat/completions"
	if p.Raw {
		call, request["prompt"] = "/v1/completions", p.Prompt
	} else {
		request["messages"] = []map[string]string{{"role": llm.User, "content": p.Prompt}}
	}
	var got struct {
		Choices []struct {
			Text    string `json:"text"`
			Message struct {
				Content   string `json:"content"`
				Reasoning string `json:"reasoning_content"`
			} `json:"message"`
		} `json:"choices"`
	}
	if err := r.Call(ctx, http.MethodPost, call, request, &got); err != nil {
		return fmt.Errorf("ask %s on %s: %w", name, r.URL, err)
	}
	answer := ""
	for _, c := range got.Choices {
		answer += c.Text + c.Message.Content
		if p.Expect == "" {
			answer += c.Message.Reasoning
		}
	}
	return p.Judge(name+" on "+r.URL, answer)
}

// unloadFrom unloads the versions that are not kept and, unless it stays, the
// alias.
func (n *notes) unloadFrom(ctx context.Context, r *replica, kept []string, alias bool) error {
	found, err := r.models(ctx)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		old := n.isVersion(name) && !slices.Contains(kept, name) || !alias && name == n.Name && n.owns(found[name])
		if !old {
			continue
		}
		if err := r.unload(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// owns reports whether quern loaded an adapter: it is a version's folder.
func (n *notes) owns(m *model) bool {
	return m.Parent != "" && n.isVersion(m.Root[strings.LastIndex(m.Root, "/")+1:])
}

// ignoreUnreachable returns nil for the error of a replica that does not exist
// any more. Its adapters went with it.
func ignoreUnreachable(err error) error {
	var failure *llm.CallError
	if errors.As(err, &failure) && failure.Unreachable() {
		return nil
	}
	return err
}

// rollout brings a version to all replicas, or to none.
type rollout struct {
	*notes
	loading  []bool // by replica: whether it was told to load the version
	replicas []*replica
	proof    *provider.Proof
}

// undoPatience is how long the replicas may take to return to the old version.
const undoPatience = 4 * time.Second

// do returns an error if a replica could not get the version, and whether all
// replicas are then as they were.
func (o *rollout) do(ctx context.Context) (undone bool, err error) {
	before := make([]models, len(o.replicas))
	o.loading = make([]bool, len(o.replicas))
	err = o.each(func(i int, r *replica) (err error) {
		if before[i], err = r.models(ctx); err != nil {
			return err
		}
		return o.free(r, before[i])
	})
	if err != nil {
		return true, err
	}
	err = o.bringAll(ctx, before)
	if err == nil && o.Alias {
		err = o.each(func(i int, r *replica) error { return o.point(ctx, r, before[i]) })
	}
	if err == nil {
		return false, nil
	}
	undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoPatience)
	defer cancel()
	left := o.each(func(i int, r *replica) error { return o.undo(undo, r, before[i], o.loading[i]) })
	return left == nil, errors.Join(err, left)
}

// bringAll loads the version on all replicas. The first failure ends it at once.
func (o *rollout) bringAll(ctx context.Context, before []models) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	err := o.each(func(i int, r *replica) error {
		m := before[i][o.version()]
		o.loading[i] = m == nil
		err := o.bring(ctx, r, m)
		if err != nil {
			cancel(err)
		}
		return err
	})
	if err != nil {
		return context.Cause(ctx)
	}
	return nil
}

// each does something with all replicas at once, and returns the errors of all.
func (o *rollout) each(do func(int, *replica) error) error {
	errs := make([]error, len(o.replicas))
	group := parallel.New(len(o.replicas))
	for i, r := range o.replicas {
		group.Go(func() error {
			errs[i] = do(i, r)
			return nil
		})
	}
	return errors.Join(group.Wait(), errors.Join(errs...))
}

// free returns an error if a replica serves an adapter that quern did not load
// under the name.
func (n *notes) free(r *replica, found models) error {
	if m := found[n.Name]; n.Alias && m != nil && !n.owns(m) {
		return &plugin.ArgumentError{Argument: "name", Err: fmt.Errorf(
			"%s serves a model %s that quern did not load\nUnload it, or choose another name.", r.URL, n.Name)}
	}
	return nil
}

// bring loads the version, unless it is loaded, and asks it.
func (o *rollout) bring(ctx context.Context, r *replica, m *model) error {
	folder := o.folder(o.version())
	if m == nil || m.Root != folder {
		if err := r.load(ctx, o.version(), folder, m != nil); err != nil {
			return err
		}
	}
	return r.prove(ctx, o.version(), o.proof)
}

// point makes the alias name the version.
func (o *rollout) point(ctx context.Context, r *replica, before models) error {
	folder := o.folder(o.version())
	m := before[o.Name]
	if m != nil && m.Root == folder {
		return nil
	}
	return r.load(ctx, o.Name, folder, m != nil)
}

// undo returns a replica to what it served before.
func (o *rollout) undo(ctx context.Context, r *replica, before models, loading bool) error {
	now, err := r.models(ctx)
	if err != nil {
		return ignoreUnreachable(err)
	}
	was, is := before[o.Name], now[o.Name]
	if o.Alias && is != nil && (was == nil || was.Root != is.Root) {
		if was == nil {
			err = r.unload(ctx, o.Name)
		} else {
			err = r.load(ctx, o.Name, was.Root, true)
		}
	}
	if loading {
		// vLLM unloads it when it has been loaded, if that is still going on.
		err = errors.Join(err, r.unload(ctx, o.version()))
	}
	return err
}
