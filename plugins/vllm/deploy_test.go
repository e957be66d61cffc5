package vllm

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/plugins/vllm/vllmtest"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

// deployed is a deployment to stand-ins for replicas of vLLM.
type deployed struct {
	*plugintest.Deployed
	t        *testing.T
	root     string
	replicas []*vllmtest.Server
	args     map[string]any
}

func deploy(t *testing.T, replicas int) *deployed {
	t.Helper()
	d := &deployed{t: t, root: t.TempDir(), args: map[string]any{"name": "support", "path": "adapters", "drain": "0s"}}
	d.Deployed = plugintest.Deploy(t, Plugin("0.1.0"), plugintest.Case{Type: "vllm", Args: d.args, Dir: d.root})
	for range replicas {
		d.replicas = append(d.replicas, vllmtest.Start(t))
	}
	d.endpoints(d.replicas...)
	d.adapter("one")
	return d
}

func (d *deployed) endpoints(replicas ...*vllmtest.Server) {
	var addresses []string
	for _, r := range replicas {
		addresses = append(addresses, r.URL)
	}
	d.Set("endpoints", addresses)
}

// adapter makes an adapter with weights the artifact to deploy.
func (d *deployed) adapter(weights string) {
	d.files("hf-adapter", map[string]string{"adapter/adapter_config.json": `{"peft_type": "LORA", "r": 8}`, "adapter/adapter_model.safetensors": weights, "config.json": "{}"})
}

func (d *deployed) files(format string, files map[string]string) {
	d.t.Helper()
	dir := d.t.TempDir()
	digest := ""
	for _, name := range slices.Sorted(maps.Keys(files)) {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			d.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(files[name]), 0o644); err != nil {
			d.t.Fatal(err)
		}
		digest += vllmtest.Weights(name + files[name])
	}
	d.Set("artifact", plugintest.Model{Format: format, Dir: dir})
	d.Digests["artifact"] = "sha256:" + (digest + strings.Repeat("0", 64))[:64]
}

// fails applies, and checks why that fails.
func (d *deployed) fails(want string) {
	d.t.Helper()
	if err := d.Apply(); err == nil || !strings.Contains(err.Error(), want) {
		d.t.Fatalf("%v, not %q", err, want)
	}
}

func (d *deployed) unchanged() {
	d.t.Helper()
	if action, changes := d.Planned(); action != plugin.ActionNone || changes != "" {
		d.t.Errorf("planned %v: %s", action, changes)
	}
}

// changes returns what changed on each replica.
func (d *deployed) changes() (all []int) {
	for _, r := range d.replicas {
		all = append(all, len(r.Changes()))
	}
	return all
}

func (d *deployed) value(name string) string { return d.Value().GetAttr(name).AsString() }

// answers checks what clients get from all replicas.
func (d *deployed) answers(model, weights string) {
	d.t.Helper()
	for _, r := range d.replicas {
		if got, err := r.Ask(model); err != nil || got != vllmtest.Weights(weights) {
			d.t.Errorf("%s answers %q, %v, not that of %q", model, got, err, weights)
		}
	}
}

// folders returns the names in the shared folder.
func (d *deployed) folders() []string {
	entries, err := os.ReadDir(filepath.Join(d.root, "adapters"))
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestAnAdapterIsLoadedUpdatedAndUnloaded(t *testing.T) {
	d := deploy(t, 2)
	if action, _ := d.Planned(); action != plugin.ActionCreate {
		t.Fatal(action)
	}
	d.MustApply()
	first := d.value("model")
	d.answers(first, "one")
	d.changes()
	d.unchanged()
	d.MustApply()
	if n := d.changes(); !slices.Equal(n, []int{0, 0}) {
		t.Errorf("a second apply made %v changes", n)
	}

	before := d.Digests["artifact"]
	d.adapter("two")
	if action, changes := d.Planned(); action != plugin.ActionUpdate || changes != "artifact: "+before+" -> "+d.Digests["artifact"] {
		t.Errorf("%v %s", action, changes)
	}
	d.MustApply()
	second := d.value("model")
	d.answers(second, "two")
	d.answers(first, "one") // for clients that do not know the new name yet
	d.adapter("three")
	d.MustApply()
	third := d.value("model")
	d.answers(third, "three")
	want := []string{second, third}
	slices.Sort(want)
	for _, r := range d.replicas {
		if names := r.Names(); !slices.Equal(names, want) {
			t.Errorf("%q are loaded, not %q", names, want)
		}
	}
	if got := d.folders(); !slices.Equal(got, want) {
		t.Errorf("%q are left, not %q", got, want)
	}
	d.unchanged()

	d.Set("keep", 1)
	if action, changes := d.Planned(); action != plugin.ActionUpdate || changes != "keep: 2 -> 1" {
		t.Errorf("%v %s", action, changes)
	}
	d.MustApply()
	if names := d.replicas[0].Names(); !slices.Equal(names, []string{third}) {
		t.Errorf("%q", names)
	}
	d.Set("name", "helper")
	if action, _ := d.Planned(); action != plugin.ActionReplace {
		t.Error(action)
	}
	if err := d.Delete(); err != nil {
		t.Fatal(err)
	}
	if names := d.replicas[1].Names(); len(names) != 0 || len(d.folders()) != 0 {
		t.Errorf("%q and %q are left", names, d.folders())
	}
	if err := d.Read(); err != nil || d.Value() != cty.NilVal {
		t.Errorf("after the deletion: %v %v", d.Value(), err)
	}
}

func TestAReplicaThatRestartedGetsItsAdapterBack(t *testing.T) {
	for _, alias := range []bool{false, true} {
		d := deploy(t, 3)
		d.Set("alias", alias)
		d.MustApply()
		model, digest := d.value("model"), d.Digests["artifact"]
		d.replicas[1].Restart()
		want := fmt.Sprintf("artifact: %s (%s does not serve %s) -> %s", digest, d.replicas[1].URL, d.value("version"), digest)
		if action, changes := d.Planned(); action != plugin.ActionUpdate || changes != want {
			t.Errorf("%v %s", action, changes)
		}
		d.changes()
		d.MustApply()
		d.answers(model, "one")
		if n := d.changes(); n[0] != 0 || n[1] == 0 || n[2] != 0 {
			t.Errorf("%v changes", n)
		}
		d.unchanged()
	}
}

func TestDriftIsSeenAndRestored(t *testing.T) {
	d := deploy(t, 2)
	d.Set("alias", true)
	d.MustApply()
	version := d.value("version")
	for what, change := range map[string]func(){
		"serves another adapter as support": func() { d.replicas[0].Put("support", "/elsewhere/"+version) },
		"folder " + version + " was deleted": func() {
			if err := os.RemoveAll(filepath.Join(d.root, "adapters", version)); err != nil {
				t.Fatal(err)
			}
		},
	} {
		change()
		if action, changes := d.Planned(); action != plugin.ActionUpdate || !strings.Contains(changes, what) {
			t.Errorf("%s: %v %s", what, action, changes)
		}
		d.MustApply()
		d.answers("support", "one")
		d.unchanged()
	}
	d.replicas[1].Stop()
	if action, changes := d.Planned(); action != plugin.ActionUpdate || !strings.Contains(changes, d.replicas[1].URL+" does not answer") {
		t.Errorf("%v %s", action, changes)
	}
	d.fails("no connection")
	// It is gone for good.
	d.endpoints(d.replicas[0])
	d.MustApply()
	d.unchanged()
}

func TestAllReplicasOrNoneGetTheNewAdapter(t *testing.T) {
	for name, c := range map[string]struct {
		broken func(*vllmtest.Server)
		want   string
	}{
		"it does not load":        {func(s *vllmtest.Server) { s.LoadError = "LoRA rank 64 is greater than max_lora_rank 16." }, "LoRA rank 64 is greater than max_lora_rank 16."},
		"it does not answer":      {func(s *vllmtest.Server) { s.Mute = true }, "does not answer"},
		"it cannot load":          {func(s *vllmtest.Server) { s.Static = true }, "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True"},
		"the folder is not there": {func(s *vllmtest.Server) { s.Mount, s.Folder = "/elsewhere", "/elsewhere" }, "No adapter found for"},
	} {
		for _, alias := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, alias %v", name, alias), func(t *testing.T) {
				d := deploy(t, 3)
				d.Set("alias", alias)
				d.MustApply()
				model := d.value("model")
				before := d.replicas[0].Names()
				d.adapter("two")
				c.broken(d.replicas[2])
				began := time.Now()
				d.fails(c.want)
				if took := time.Since(began); took > 5*time.Second {
					t.Errorf("the rollback took %s", took)
				}
				d.replicas[2].Mute = false
				d.answers(model, "one")
				for _, r := range d.replicas {
					if names := r.Names(); !slices.Equal(names, before) {
						t.Errorf("%q are loaded, not %q", names, before)
					}
				}
				if left := d.folders(); len(left) != 1 {
					t.Errorf("%q are left", left)
				}
			})
		}
	}
	t.Run("an alias cannot be replaced", func(t *testing.T) {
		d := deploy(t, 3)
		d.Set("alias", true)
		d.MustApply()
		d.adapter("two")
		d.replicas[1].Old = true
		d.fails("cannot replace an adapter in place")
		d.answers("support", "one")
	})
	t.Run("another replica is slow", func(t *testing.T) {
		d := deploy(t, 3)
		d.MustApply()
		d.adapter("two")
		d.replicas[0].LoadError = "out of memory"
		d.replicas[1].Hold = make(chan struct{})
		began := time.Now()
		d.fails("out of memory")
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("the rollback took %s", took)
		}
		close(d.replicas[1].Hold)
		d.answers(d.value("model"), "one")
	})
	t.Run("the first time", func(t *testing.T) {
		d := deploy(t, 2)
		d.Set("alias", true)
		d.Set("expect", "something else")
		d.fails("does not answer as expected")
		if names := d.replicas[0].Names(); len(names) != 0 {
			t.Errorf("%q are loaded", names)
		}
	})
}

func TestNoRequestFailsDuringUpdates(t *testing.T) {
	d := deploy(t, 3)
	d.Set("alias", true)
	d.Set("keep", 1)
	d.Set("drain", "50ms")
	for _, r := range d.replicas {
		r.Latency = 2 * time.Millisecond
	}
	d.MustApply()
	var requests, failures atomic.Int64
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for i, r := range d.replicas {
		for range 4 {
			clients.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					requests.Add(1)
					if _, err := r.Ask("support"); err != nil {
						failures.Add(1)
						t.Errorf("replica %d: %v", i, err)
						return
					}
				}
			})
		}
	}
	for n := range 6 {
		d.adapter(fmt.Sprint("weights ", n))
		d.MustApply()
		d.answers("support", fmt.Sprint("weights ", n))
	}
	close(stop)
	clients.Wait()
	t.Logf("%d requests, %d failed", requests.Load(), failures.Load())
	if requests.Load() < 100 || failures.Load() > 0 {
		t.Errorf("%d requests, %d failed", requests.Load(), failures.Load())
	}
}

func TestClientsOfVersionsAreNotInterrupted(t *testing.T) {
	d := deploy(t, 2)
	d.Set("drain", "300ms")
	d.MustApply()
	var model atomic.Value // what quern's output names
	model.Store(d.value("model"))
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for _, r := range d.replicas {
		for range 4 {
			clients.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					if _, err := r.Ask(model.Load().(string)); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
	}
	for n := range 6 {
		d.adapter(fmt.Sprint("weights ", n))
		d.MustApply()
		model.Store(d.value("model"))
	}
	close(stop)
	clients.Wait()
}

func TestReplicasAreAddedAndRemoved(t *testing.T) {
	d := deploy(t, 3)
	d.Set("alias", true)
	d.endpoints(d.replicas[0], d.replicas[1])
	d.MustApply()
	d.endpoints(d.replicas[1], d.replicas[2])
	if action, changes := d.Planned(); action != plugin.ActionUpdate || !strings.HasPrefix(changes, "endpoints: ") {
		t.Errorf("%v %s", action, changes)
	}
	d.MustApply()
	if names := d.replicas[0].Names(); len(names) != 0 {
		t.Errorf("%q are left on a replica that is not listed any more", names)
	}
	d.replicas = d.replicas[1:]
	d.answers("support", "one")
	d.unchanged()
}

func TestReplicasMaySeeTheFolderElsewhere(t *testing.T) {
	d := deploy(t, 1)
	d.replicas[0].Mount, d.replicas[0].Folder = "/mnt", filepath.Join(d.root, "adapters")
	d.Set("mount", "/mnt")
	d.Set("alias", true)
	d.MustApply()
	d.answers("support", "one")
	if got, want := d.value("folder"), "/mnt/"+d.value("version"); got != want {
		t.Errorf("%q, not %q", got, want)
	}
	// Another folder is an update.
	d.Set("path", "more")
	d.replicas[0].Folder = filepath.Join(d.root, "more")
	if action, changes := d.Planned(); action != plugin.ActionUpdate || changes != "path: adapters -> more" {
		t.Errorf("%v %s", action, changes)
	}
	d.MustApply()
	d.answers("support", "one")
	if left := d.folders(); len(left) != 0 {
		t.Errorf("%q are left in the old folder", left)
	}
	d.unchanged()
}

func TestAForeignAdapterIsNotReplaced(t *testing.T) {
	d := deploy(t, 2)
	d.Set("alias", true)
	d.replicas[1].Put("support", "/elsewhere")
	if _, err := d.Plan(); err == nil || !strings.Contains(err.Error(), "that quern did not load") {
		t.Error(err)
	}
	d.fails("that quern did not load")
	if n := d.changes(); !slices.Equal(n, []int{0, 0}) {
		t.Errorf("%v changes", n)
	}
}

func TestAReplicaThatIsGoneDoesNotBlockDestroy(t *testing.T) {
	d := deploy(t, 2)
	d.MustApply()
	d.replicas[0].Stop()
	if err := d.Delete(); err != nil {
		t.Fatal(err)
	}
	if names := d.replicas[1].Names(); len(names) != 0 {
		t.Errorf("%q", names)
	}
}

func TestWhatVLLMCannotServeIsRefusedWhilePlanning(t *testing.T) {
	config := func(text string) map[string]string {
		return map[string]string{"adapter/adapter_config.json": text, "adapter/adapter_model.safetensors": "w"}
	}
	for name, c := range map[string]struct {
		format string
		files  map[string]string
		want   string
	}{
		"a whole model":        {"hf", map[string]string{"config.json": "{}"}, "a model in the format hf is not an adapter"},
		"no weights":           {"hf-adapter", map[string]string{"adapter/adapter_config.json": "{}"}, "the adapter has no adapter_model.safetensors"},
		"another kind":         {"hf-adapter", config(`{"peft_type": "IA3"}`), `its type is "IA3"`},
		"DoRA":                 {"hf-adapter", config(`{"peft_type": "LORA", "use_dora": true}`), "it uses DoRA"},
		"a bias":               {"hf-adapter", config(`{"peft_type": "LORA", "bias": "all"}`), `its bias is "all"`},
		"whole layers":         {"hf-adapter", config(`{"peft_type": "LORA", "modules_to_save": ["lm_head"]}`), "it contains whole layers: lm_head"},
		"an unreadable config": {"hf-adapter", config(`{`), "read adapter_config.json"},
	} {
		t.Run(name, func(t *testing.T) {
			d := deploy(t, 1)
			d.files(c.format, c.files)
			if _, err := d.Plan(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, not %q", err, c.want)
			}
			d.fails(c.want)
		})
	}
	t.Run("another base", func(t *testing.T) {
		d := deploy(t, 1)
		d.Set("base", "meta-llama/Llama-3.2-1B")
		if _, err := d.Plan(); err == nil || !strings.Contains(err.Error(), "does not serve the base model meta-llama/Llama-3.2-1B\nIt serves base.") {
			t.Error(err)
		}
		d.Set("base", vllmtest.Base)
		d.MustApply()
	})
}

func TestArgumentsAreChecked(t *testing.T) {
	for name, c := range map[string]struct {
		value any
		want  string
	}{
		"name": {"a/b", "is not a valid name"}, "path": {"", "The path is empty"}, "mount": {"mnt", "is not an absolute path"},
		"keep": {0, "must be at least 1"}, "drain": {"soon", "is not a duration"}, "max_tokens": {0, "must be at least 1"},
		"endpoints": {[]string{"10.0.0.1:8000"}, "is not a valid address"},
	} {
		d := deploy(t, 1)
		d.Set(name, c.value)
		got, err := plugintest.Prepare(t, Plugin("0.1.0"), plugintest.Case{Type: "vllm", Args: d.args})
		if err != nil || len(got.Errors) != 1 || got.Errors[0].Argument != name || !strings.Contains(got.Errors[0].Text, c.want) {
			t.Errorf("%s: %+v %v, not %q", name, got, err, c.want)
		}
	}
}
