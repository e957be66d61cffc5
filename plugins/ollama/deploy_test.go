package ollama

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/plugins/ollama/ollamatest"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

// deployed is a deployment to a stand-in for Ollama.
type deployed struct {
	*plugintest.Deployed
	t      *testing.T
	server *ollamatest.Server
	args   map[string]any
}

func deploy(t *testing.T) *deployed {
	t.Helper()
	s := ollamatest.Start(t)
	d := &deployed{t: t, server: s, args: map[string]any{"name": "support", "base_url": s.URL}}
	d.Deployed = plugintest.Deploy(t, testPlugin(), plugintest.Case{Kind: plugin.KindDeploy, Type: "ollama", Args: d.args})
	return d
}

// model makes files the artifact to deploy.
func (d *deployed) model(format string, files map[string]string) {
	d.t.Helper()
	dir, sum := d.t.TempDir(), sha256.New()
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			d.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			d.t.Fatal(err)
		}
	}
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for name := range files {
			if !yield(name + files[name]) {
				return
			}
		}
	}) {
		sum.Write([]byte(name))
	}
	d.Set("artifact", plugintest.Model{Format: format, Dir: dir})
	d.Digests["artifact"] = "sha256:" + hex.EncodeToString(sum.Sum(nil))
}

// answers checks what clients get.
func (d *deployed) answers(want string) {
	d.t.Helper()
	if got, err := d.server.Ask("support", "Hello."); err != nil || got != want {
		d.t.Fatalf("support answers %q, %v, not %q", got, err, want)
	}
}

// refused checks why a plan and an apply fail.
func (d *deployed) refused(want string) {
	d.t.Helper()
	if _, err := d.Plan(); err == nil || !strings.Contains(err.Error(), want) {
		d.t.Errorf("plan: %v, not %q", err, want)
	}
	if err := d.Apply(); err == nil || !strings.Contains(err.Error(), want) {
		d.t.Errorf("apply: %v, not %q", err, want)
	}
	if writes, _ := d.server.Writes(); writes != nil {
		d.t.Errorf("it was refused, but it changed the server: %q", writes)
	}
}

// gguf3 returns a file that begins like a model in GGUF.
func gguf3(content string) string {
	var b bytes.Buffer
	b.WriteString("GGUF")
	for _, v := range []any{uint32(3), uint64(1), uint64(0)} {
		_ = binary.Write(&b, binary.LittleEndian, v)
	}
	return b.String() + content
}

// tensors returns an empty file in the format safetensors, and more content.
func tensors(content string) string {
	return "\x02\x00\x00\x00\x00\x00\x00\x00{}" + content
}

func sum(content string) string {
	s := sha256.Sum256([]byte(content))
	return "sha256:" + hex.EncodeToString(s[:])
}

func answer(contents ...string) string {
	var parts []string
	for _, c := range contents {
		parts = append(parts, ollamatest.Weights(sum(c)))
	}
	return strings.Join(parts, " ")
}

// llama returns a model as transformers saves it.
func llama(weights string) map[string]string {
	return map[string]string{
		"config.json":       `{"architectures": ["LlamaForCausalLM"], "hidden_size": 64, "num_hidden_layers": 2}`,
		"model.safetensors": tensors(weights), "tokenizer.json": "{}", "quern.json": "{}", "curves/loss.json": "{}",
	}
}

// withAdapter returns a model with an adapter.
func withAdapter(weights, adapter string) map[string]string {
	files := llama(weights)
	files["adapter/adapter_config.json"], files["adapter/adapter_model.safetensors"] = `{"r": 8}`, tensors(adapter)
	return files
}

func TestAModelIsCreatedUpdatedAndDestroyed(t *testing.T) {
	d := deploy(t)
	d.model("gguf", map[string]string{"model.gguf": gguf3("one"), "quern.json": "{}"})
	if action, _ := d.Planned(); action != plugin.ActionCreate {
		t.Fatal(action)
	}
	d.MustApply()
	d.answers(answer(gguf3("one")))
	writes, sent := d.server.Writes()
	if want := []string{"POST /api/blobs/" + sum(gguf3("one")), "POST /api/create", "POST /api/copy"}; !slices.Equal(writes, want) || sent != int64(len(gguf3("one"))) {
		t.Errorf("%q, %d bytes", writes, sent)
	}
	first := d.Value().GetAttr("version").AsString()
	if names := d.server.Names(); !slices.Equal(names, []string{"support:latest", first}) {
		t.Errorf("%q", names)
	}

	// Nothing to do.
	if action, changes := d.Planned(); action != plugin.ActionNone || changes != "" {
		t.Errorf("%v %s", action, changes)
	}
	d.MustApply()
	if writes, _ := d.server.Writes(); writes != nil {
		t.Errorf("a second apply changed the server: %q", writes)
	}

	// Other options need no upload.
	d.Set("system", "Be brief.")
	d.Set("parameters", map[string]any{"num_ctx": 8192, "stop": []string{"<|im_end|>"}})
	if action, changes := d.Planned(); action != plugin.ActionUpdate || changes != `system:  -> Be brief.; parameters:  -> {"num_ctx":8192,"stop":["<|im_end|>"]}` {
		t.Errorf("%v %s", action, changes)
	}
	d.MustApply()
	made := d.server.Model("support")
	if made.Request.System != "Be brief." || made.Request.Parameters["num_ctx"] != 8192.0 {
		t.Errorf("%+v", made.Request)
	}
	if _, sent := d.server.Writes(); sent != 0 {
		t.Errorf("%d bytes were sent again", sent)
	}
	if names := d.server.Names(); len(names) != 2 || slices.Contains(names, first) {
		t.Errorf("the old version is left: %q", names)
	}

	// Other weights.
	before := d.Digests["artifact"]
	d.model("gguf", map[string]string{"model.gguf": gguf3("two")})
	if action, changes := d.Planned(); action != plugin.ActionUpdate || changes != "artifact: "+before+" -> "+d.Digests["artifact"] {
		t.Errorf("%v %s", action, changes)
	}
	d.MustApply()
	d.answers(answer(gguf3("two")))

	// Another name.
	d.Set("name", "team/helper:small")
	if action, changes := d.Planned(); action != plugin.ActionReplace || changes != "name: support:latest -> team/helper:small" {
		t.Errorf("%v %s", action, changes)
	}
	if err := d.Delete(); err != nil {
		t.Fatal(err)
	}
	if names := d.server.Names(); len(names) != 0 {
		t.Errorf("%q are left", names)
	}
	if err := d.Delete(); err != nil {
		t.Errorf("deleted again: %v", err)
	}
	if err := d.Read(); err != nil || d.Value() != cty.NilVal {
		t.Errorf("after the deletion: %v %v", d.Value(), err)
	}
}

func TestSafetensorsAndAdaptersAreImported(t *testing.T) {
	d := deploy(t)
	d.model("hf", llama("base"))
	d.MustApply()
	d.answers(answer(tensors("base")))
	files := slices.Sorted(func(yield func(string) bool) {
		for name := range d.server.Model("support").Request.Files {
			if !yield(name) {
				return
			}
		}
	})
	if !slices.Equal(files, []string{"config.json", "model.safetensors", "tokenizer.json"}) {
		t.Errorf("%q", files)
	}
	d.server.Writes()

	// An adapter with its base: the server has the base already.
	d.model("hf-adapter", withAdapter("base", "tuned"))
	d.MustApply()
	d.answers(answer(tensors("base"), tensors("tuned")))
	if _, sent := d.server.Writes(); sent != int64(len(`{"r": 8}`)+len(tensors("tuned"))) {
		t.Errorf("%d bytes were sent", sent)
	}

	// An adapter on a model of the server.
	other := deploy(t)
	other.server = d.server
	other.Set("base_url", d.server.URL)
	other.Set("name", "other")
	other.Set("from", "support")
	other.model("hf-adapter", withAdapter("not sent", "more"))
	other.MustApply()
	if r := d.server.Model("other").Request; r.From != "support" || len(r.Files) != 0 || len(r.Adapters) != 2 {
		t.Errorf("%+v", r)
	}
	wide := withAdapter("", "")
	wide["config.json"] = strings.Replace(wide["config.json"], "64", "128", 1)
	other.server.Writes()
	other.model("hf-adapter", wide)
	other.refused("Its llama.embedding_length is 64, but the base model of the adapter has 128")
}

func TestWhatOllamaCannotTakeIsRefusedWhilePlanning(t *testing.T) {
	for name, c := range map[string]struct {
		format string
		files  map[string]string
		change func(map[string]string)
		want   string
	}{
		"another format":          {"acme/v1", map[string]string{"a": "b"}, nil, "a model in the format acme/v1 cannot be imported"},
		"not GGUF":                {"gguf", map[string]string{"a.gguf": "PK\x03\x04 and more than a header"}, nil, `it begins with "PK\x03\x04" instead of "GGUF"`},
		"a short file":            {"gguf", map[string]string{"a.gguf": "GG"}, nil, "read its header"},
		"an old version":          {"gguf", map[string]string{"a.gguf": strings.Replace(gguf3(""), "\x03", "\x01", 1)}, nil, "its GGUF version is 1"},
		"no tensors":              {"gguf", map[string]string{"a.gguf": "GGUF\x03" + strings.Repeat("\x00", 30)}, nil, "it has no tensors"},
		"no GGUF file":            {"gguf", map[string]string{"a.bin": "GGUF"}, nil, "no file that ends in .gguf"},
		"no config":               {"hf", llama(""), func(f map[string]string) { delete(f, "config.json") }, "the model has no config.json"},
		"no weights":              {"hf", llama(""), func(f map[string]string) { delete(f, "model.safetensors") }, "no file ends in .safetensors"},
		"no tokenizer":            {"hf", llama(""), func(f map[string]string) { delete(f, "tokenizer.json") }, "neither tokenizer.json nor tokenizer.model"},
		"an unknown architecture": {"hf", llama(""), func(f map[string]string) { f["config.json"] = `{"architectures": ["GPT2LMHeadModel"]}` }, `the architecture "GPT2LMHeadModel" cannot be imported`},
		"an adapter for another":  {"hf-adapter", withAdapter("", ""), func(f map[string]string) { f["config.json"] = `{"architectures": ["Qwen2ForCausalLM"]}` }, "Merge the adapter into its base"},
		"half an adapter":         {"hf-adapter", withAdapter("", ""), func(f map[string]string) { delete(f, "adapter/adapter_config.json") }, "the adapter has no adapter_config.json"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.change != nil {
				c.change(c.files)
			}
			d := deploy(t)
			d.model(c.format, c.files)
			d.refused(c.want)
		})
	}
	t.Run("from without an adapter", func(t *testing.T) {
		d := deploy(t)
		d.model("gguf", map[string]string{"model.gguf": gguf3("one")})
		d.Set("from", "base")
		d.refused("from is for adapters")
	})
	t.Run("a base that is not there", func(t *testing.T) {
		d := deploy(t)
		d.model("hf-adapter", withAdapter("", ""))
		d.Set("from", "base")
		d.refused("model 'base' not found")
	})
}

func TestArgumentsAreChecked(t *testing.T) {
	for name, c := range map[string]struct {
		value any
		want  string
	}{
		"name": {"a b", "is not a valid name"}, "base_url": {"ollama:11434", "is not a valid address"}, "keep": {0, "must be at least 1"},
		"parameters": {"x", "is not an object"}, "max_tokens": {0, "must be at least 1"}, "prompt": {"", "The prompt is empty"},
	} {
		d := deploy(t)
		d.model("gguf", map[string]string{"model.gguf": gguf3("one")})
		d.Set(name, c.value)
		got, err := plugintest.Prepare(t, testPlugin(), plugintest.Case{Kind: plugin.KindDeploy, Type: "ollama", Args: d.args})
		if err != nil || len(got.Errors) != 1 || got.Errors[0].Argument != name || !strings.Contains(got.Errors[0].Text, c.want) {
			t.Errorf("%s: %+v %v, not %q", name, got, err, c.want)
		}
	}
}

func TestAVersionThatDoesNotAnswerIsNotServed(t *testing.T) {
	d := deploy(t)
	d.model("gguf", map[string]string{"model.gguf": gguf3("one")})
	d.Set("expect", answer(gguf3("one")))
	d.MustApply()
	old := d.server.Names()

	d.model("gguf", map[string]string{"model.gguf": gguf3("two")})
	if err := d.Apply(); err == nil || !strings.Contains(err.Error(), "does not answer as expected") {
		t.Fatal(err)
	}
	d.answers(answer(gguf3("one")))
	if names := d.server.Names(); !slices.Equal(names, old) {
		t.Errorf("%q are left", names)
	}
	d.Set("expect", nil)
	d.server.Answer = func(model, prompt string) string { return "" }
	if err := d.Apply(); err == nil || !strings.Contains(err.Error(), "does not answer\n") {
		t.Fatal(err)
	}
	d.server.Answer = nil

	d.server.CreateError = "LoRA adapters are no longer supported"
	if err := d.Apply(); err == nil || !strings.Contains(err.Error(), "LoRA adapters are no longer supported") {
		t.Fatal(err)
	}
	d.server.CreateError, d.server.Forgets = "", true
	if err := d.Apply(); err == nil || !strings.Contains(err.Error(), "reported success, but does not list the model") {
		t.Fatal(err)
	}
	d.server.Forgets = false
	d.answers(answer(gguf3("one")))
	if action, _ := d.Planned(); action != plugin.ActionUpdate {
		t.Error(action)
	}
	d.MustApply()
	d.answers(answer(gguf3("two")))
}

func TestWhatSomeoneElseChangesIsSeenAndRestored(t *testing.T) {
	d := deploy(t)
	d.model("gguf", map[string]string{"model.gguf": gguf3("one")})
	d.MustApply()
	version := d.Value().GetAttr("version").AsString()
	for what, change := range map[string]func(){
		"support:latest was deleted":                 func() { d.server.Remove("support") },
		"support:latest was changed by someone else": func() { d.server.Put("support") },
		version + " was deleted":                     func() { d.server.Remove(version) },
	} {
		change()
		digest := d.Digests["artifact"]
		if action, changes := d.Planned(); action != plugin.ActionUpdate || changes != "artifact: "+digest+" ("+what+") -> "+digest {
			t.Errorf("%s: %v %s", what, action, changes)
		}
		d.server.Writes()
		d.MustApply()
		if _, sent := d.server.Writes(); sent != 0 {
			t.Errorf("%s: %d bytes were sent again", what, sent)
		}
		d.answers(answer(gguf3("one")))
		if action, changes := d.Planned(); action != plugin.ActionNone {
			t.Errorf("after %s: %v %s", what, action, changes)
		}
	}
	// Someone else's model is not deleted.
	d.server.Put("support")
	if err := d.Delete(); err != nil {
		t.Fatal(err)
	}
	if names := d.server.Names(); !slices.Equal(names, []string{"support:latest"}) {
		t.Errorf("%q", names)
	}
}

func TestAForeignModelIsNotOverwritten(t *testing.T) {
	d := deploy(t)
	d.server.Put("support")
	d.model("gguf", map[string]string{"model.gguf": gguf3("one")})
	d.refused("that quern did not create")
}

func TestOldVersionsAreKept(t *testing.T) {
	d := deploy(t)
	d.Set("keep", 2)
	for _, content := range []string{"one", "two", "three"} {
		d.model("gguf", map[string]string{"model.gguf": gguf3(content)})
		d.MustApply()
	}
	if names := d.server.Names(); len(names) != 3 {
		t.Errorf("%q", names)
	}
	d.Set("keep", 1)
	if action, changes := d.Planned(); action != plugin.ActionUpdate || changes != "keep: 2 -> 1" {
		t.Errorf("%v %s", action, changes)
	}
	d.MustApply()
	if names := d.server.Names(); len(names) != 2 {
		t.Errorf("%q", names)
	}
	d.answers(answer(gguf3("three")))
}
