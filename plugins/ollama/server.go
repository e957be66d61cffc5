package ollama

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/quern-dev/quern/plugins/provider"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// ollama is a server whose models are changed.
type ollama struct{ *provider.Server }

// model is a model as Ollama lists it.
type model struct {
	Name     string    `json:"name"`
	Digest   string    `json:"digest"` // of its manifest
	Modified time.Time `json:"modified_at"`
}

// models are a server's models by name.
type models map[string]*model

func (s *ollama) models(ctx context.Context) (models, error) {
	var listed struct {
		Models []*model `json:"models"`
	}
	if err := s.Call(ctx, http.MethodGet, "/api/tags", nil, &listed); err != nil {
		return nil, fmt.Errorf("list the models of Ollama at %s: %w", s.URL, err)
	}
	found := models{}
	for _, m := range listed.Models {
		found[m.Name] = m
	}
	return found, nil
}

// versions returns the versions of a model, starting with the newest one.
func (m models) versions(of string) []*model {
	var found []*model
	for name, v := range m {
		if isVersion(of, name) {
			found = append(found, v)
		}
	}
	slices.SortFunc(found, func(a, b *model) int {
		return cmp.Or(b.Modified.Compare(a.Modified), cmp.Compare(a.Name, b.Name))
	})
	return found
}

// foreign reports whether a model exists that quern did not create: quern's are
// copies of versions.
func (m models) foreign(name string) bool {
	return m[name] != nil && !slices.ContainsFunc(m.versions(name), func(v *model) bool { return v.Digest == m[name].Digest })
}

// ensure creates the version, unless it exists, and returns its digest.
func (s *ollama) ensure(ctx context.Context, n notes, i *source, existing models) (string, error) {
	if v := existing[n.Version]; v != nil {
		return v.Digest, nil
	}
	for _, f := range i.all() {
		if err := s.upload(ctx, f); err != nil {
			return "", fmt.Errorf("upload %s to Ollama at %s: %w", f.Name, s.URL, err)
		}
	}
	if err := s.create(ctx, n, i); err != nil {
		return "", fmt.Errorf("create %s in Ollama at %s: %w", n.Version, s.URL, err)
	}
	// Ollama has reported success for models that it did not create.
	after, err := s.models(ctx)
	if err != nil {
		return "", err
	}
	if after[n.Version] == nil {
		return "", fmt.Errorf("%s was not created\nOllama at %s reported success, but does not list the model. Its log says why.", n.Version, s.URL)
	}
	return after[n.Version].Digest, nil
}

// upload sends a file, unless the server has it.
func (s *ollama) upload(ctx context.Context, f plugin.File) error {
	path := "/api/blobs/" + f.Digest
	err := s.Call(ctx, http.MethodHead, path, nil, nil)
	if err == nil || !provider.Absent(err) {
		return err
	}
	content, err := os.Open(f.Path)
	if err != nil {
		return err
	}
	defer content.Close()
	return s.Call(ctx, http.MethodPost, path, &provider.Upload{Content: content, Size: f.Size}, nil)
}

// create makes a model of files that the server has.
func (s *ollama) create(ctx context.Context, n notes, i *source) error {
	resp, err := s.Send(ctx, http.MethodPost, "/api/create", struct {
		Model    string            `json:"model"`
		Files    map[string]string `json:"files,omitempty"`
		Adapters map[string]string `json:"adapters,omitempty"`
		options
	}{n.Version, digests(i.files), digests(i.adapter), n.Options})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var last struct{ Status, Error string }
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		last.Status, last.Error = "", ""
		if err := json.Unmarshal(lines.Bytes(), &last); err != nil {
			return fmt.Errorf("read Ollama's progress: %w", err)
		}
		if last.Error != "" {
			return &llm.CallError{Message: last.Error}
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read Ollama's progress: %w", err)
	}
	if last.Status != "success" {
		return fmt.Errorf("it stopped after %q", last.Status)
	}
	return nil
}

// digests returns the digests of files by name.
func digests(files []plugin.File) map[string]string {
	found := map[string]string{}
	for _, f := range files {
		found[f.Name] = f.Digest
	}
	return found
}

// facts is what Ollama says about a model.
type facts struct {
	Capabilities []string       `json:"capabilities"`
	Info         map[string]any `json:"model_info"`
}

func (s *ollama) show(ctx context.Context, name string) (*facts, error) {
	found := &facts{}
	return found, s.Call(ctx, http.MethodPost, "/api/show", map[string]any{"model": name}, found)
}

// prove asks a model.
func (s *ollama) prove(ctx context.Context, name string, p *provider.Proof) error {
	found, err := s.show(ctx, name)
	if err != nil {
		return fmt.Errorf("look at %s in Ollama at %s: %w", name, s.URL, err)
	}
	if slices.Contains(found.Capabilities, "embedding") && !slices.Contains(found.Capabilities, "completion") {
		return s.proveEmbedding(ctx, name, p)
	}
	var got struct {
		Response string `json:"response"`
		Thinking string `json:"thinking"`
	}
	err = s.Call(ctx, http.MethodPost, "/api/generate", map[string]any{
		"model": name, "prompt": p.Prompt, "raw": p.Raw, "stream": false,
		"options": map[string]any{"temperature": 0, "seed": 0, "num_predict": p.MaxTokens},
	}, &got)
	if err != nil {
		return fmt.Errorf("ask %s in Ollama at %s: %w", name, s.URL, err)
	}
	if p.Expect == "" {
		got.Response += got.Thinking
	}
	return p.Judge(name, got.Response)
}

func (s *ollama) proveEmbedding(ctx context.Context, name string, p *provider.Proof) error {
	if p.Expect != "" {
		return &plugin.ArgumentError{Argument: "expect", Err: fmt.Errorf("%s computes embeddings, which have no text\nOmit expect.", name)}
	}
	var got struct {
		Embeddings [][]float32 `json:"embeddings"`
	}
	if err := s.Call(ctx, http.MethodPost, "/api/embed", map[string]any{"model": name, "input": p.Prompt}, &got); err != nil {
		return fmt.Errorf("ask %s in Ollama at %s: %w", name, s.URL, err)
	}
	if len(got.Embeddings) == 0 || len(got.Embeddings[0]) == 0 {
		return p.Judge(name, "")
	}
	return nil
}

// point makes the name a copy of the version, unless it is one.
func (s *ollama) point(ctx context.Context, n notes) error {
	before, err := s.models(ctx)
	if err != nil {
		return err
	}
	if m := before[n.Name]; m != nil && m.Digest == n.Served {
		return nil
	}
	if err := s.Call(ctx, http.MethodPost, "/api/copy", map[string]any{"source": n.Version, "destination": n.Name}, nil); err != nil {
		return fmt.Errorf("copy %s to %s in Ollama at %s: %w", n.Version, n.Name, s.URL, err)
	}
	after, err := s.models(ctx)
	if err != nil {
		return err
	}
	if m := after[n.Name]; m == nil || m.Digest != n.Served {
		return fmt.Errorf("%s is not a copy of %s in Ollama at %s\nSomeone else may have changed it at the same time. Apply again.", n.Name, n.Version, s.URL)
	}
	return nil
}

// prune deletes versions beyond the number to keep.
func (s *ollama) prune(ctx context.Context, n notes) error {
	all, err := s.models(ctx)
	if err != nil {
		return err
	}
	kept := int64(1) // the current one
	for _, v := range all.versions(n.Name) {
		if v.Name == n.Version {
			continue
		}
		if kept++; kept <= n.Keep {
			continue
		}
		err = errors.Join(err, s.remove(ctx, v.Name))
	}
	return err
}

// remove deletes a model, if it exists.
func (s *ollama) remove(ctx context.Context, name string) error {
	err := s.Call(ctx, http.MethodDelete, "/api/delete", map[string]any{"model": name}, nil)
	if err != nil && !provider.Absent(err) {
		return fmt.Errorf("delete %s in Ollama at %s: %w", name, s.URL, err)
	}
	return nil
}
