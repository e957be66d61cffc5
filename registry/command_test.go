package registry_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quern-dev/quern/registry"
)

func (p *place) write(name, text string) {
	p.t.Helper()
	path := filepath.Join(p.root, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		p.t.Fatal(err)
	}
}

// digest returns the digest of plugin acme as a plan would contain it.
func (p *place) digest(options registry.Options) string {
	p.t.Helper()
	r := p.open(options)
	if _, err := r.ConfigSchema("acme"); err != nil {
		p.t.Fatal(err)
	}
	if !r.Development("acme") {
		p.t.Error("the plugin is not under development")
	}
	return r.Describe()["acme"].Digest
}

func TestTheFolderOfACommandIsItsVersion(t *testing.T) {
	p := newPlace(t)
	p.program(filepath.Join(p.root, "tools", "quern-plugin-acme"), "")
	p.write("plugins/acme/pyproject.toml", "")
	p.write("plugins/acme/src/acme/main.py", "")
	p.write("data.csv", "a")
	options := p.options(registry.Requirement{Name: "acme", Command: []string{"tools/quern-plugin-acme", "plugins/acme/src/acme/main.py"}})
	// The first argument with a folder is the program itself.
	first := p.digest(options)
	p.write("tools/help.py", "")
	second := p.digest(options)
	if second == first {
		t.Error("a new file next to the program changes nothing")
	}
	options.Required[0].Command = []string{filepath.Join(p.root, "tools", "quern-plugin-acme"), "plugins/acme/src/acme/main.py"}
	first = p.digest(options)
	for _, file := range []string{"data.csv", "tools/help.py", "plugins/acme/tests/test_main.py", "plugins/acme/.venv/lib/x.py", "main.quern.hcl"} {
		p.write(file, "changed")
		if got := p.digest(options); got != first {
			t.Errorf("%s changes the plugin", file)
		}
	}
	for _, file := range []string{"plugins/acme/words.txt", "plugins/acme/src/acme/main.py", "plugins/acme/uv.lock"} {
		p.write(file, "changed")
		got := p.digest(options)
		if got == first {
			t.Errorf("%s does not change the plugin", file)
		}
		first = got
	}
}

func TestNextToTheConfigurationOnlySourceFilesCount(t *testing.T) {
	p := newPlace(t)
	p.program(filepath.Join(p.root, ".tools", "quern-plugin-acme"), "")
	p.write("plugin.py", "")
	p.write("words.txt", "")
	options := p.options(registry.Requirement{Name: "acme", Command: []string{filepath.Join(p.root, ".tools", "quern-plugin-acme"), "plugin.py", "words.txt"}})
	first := p.digest(options)
	p.write("data.csv", "changed")
	p.write("other.txt", "changed")
	if got := p.digest(options); got != first {
		t.Error("data changes the plugin")
	}
	for _, file := range []string{"plugin.py", "words.txt", "helper.py", "lib/more.py", "requirements.txt", "pyproject.toml"} {
		p.write(file, "changed")
		got := p.digest(options)
		if got == first {
			t.Errorf("%s does not change the plugin", file)
		}
		first = got
	}
}

func TestACommandIsStartedButNotLocked(t *testing.T) {
	p := newPlace(t)
	p.program(filepath.Join(p.root, "tools", "quern-plugin-acme"), "")
	p.write("tools/version", "0.3.0")
	required := registry.Requirement{Name: "acme", Command: []string{"./tools/quern-plugin-acme"}}
	pinned := p.init(p.options(required), false)
	if len(pinned) != 1 || pinned[0].Version != "0.3.0" || pinned[0].Change != "under development: ./tools/quern-plugin-acme" {
		t.Errorf("got %+v", pinned)
	}
	if _, err := os.Stat(filepath.Join(p.root, registry.LockFile)); err == nil {
		t.Errorf("locked:\n%s", p.lockFile())
	}
	r, diags := registry.Open(t.Context(), p.options(required))
	defer r.Close()
	if len(diags) != 1 || !strings.Contains(diags[0].Detail, "acme: ./tools/quern-plugin-acme") {
		t.Errorf("got %v", diags)
	}
	for command, want := range map[string]string{"./tools/none": "Relative paths start from", "quern-no-such-program": "in no folder of PATH"} {
		required.Command = []string{command}
		p.refused(p.options(required), registry.InitOptions{}, want)
		if _, diags := registry.Open(t.Context(), p.options(required)); !hasError(diags, want) {
			t.Errorf("got %v, want %q", diags, want)
		}
	}
	required.Command = []string{"false"}
	p.refused(p.options(required), registry.InitOptions{}, "ended before it was ready")
}
