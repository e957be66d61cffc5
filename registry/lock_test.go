package registry_test

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/registry"
)

func (p *place) lockFile() string {
	p.t.Helper()
	b, err := os.ReadFile(filepath.Join(p.root, registry.LockFile))
	if err != nil {
		p.t.Fatal(err)
	}
	return string(b)
}

func (p *place) writeLock(text string) {
	p.t.Helper()
	if err := os.WriteFile(filepath.Join(p.root, registry.LockFile), []byte(text), 0o644); err != nil {
		p.t.Fatal(err)
	}
}

// refused expects an init that fails with a message and leaves the lock file as
// it is.
func (p *place) refused(options registry.Options, how registry.InitOptions, want string) {
	p.t.Helper()
	before, _ := os.ReadFile(filepath.Join(p.root, registry.LockFile))
	_, diags := registry.Init(p.t.Context(), options, how)
	if !hasError(diags, want) {
		p.t.Errorf("got %v, want %q", diags, want)
	}
	if after, _ := os.ReadFile(filepath.Join(p.root, registry.LockFile)); string(after) != string(before) {
		p.t.Errorf("the lock file was changed to:\n%s", after)
	}
}

func TestOnlyAnUpgradeAcceptsAChangedProgram(t *testing.T) {
	p := newPlace(t)
	p.install("1.0.0")
	required := registry.Requirement{Name: "acme"}
	p.init(p.options(required), false)
	p.program(filepath.Join(p.plugins, "acme_1.0.0", "quern-plugin-acme"), "other bytes")
	p.refused(p.options(required), registry.InitOptions{}, "does not match the lock file")
	if up := p.init(p.options(required), true); up[0].Change != "digest changed" {
		t.Errorf("got %+v", up)
	}
	p.open(p.options(required))
	if n := strings.Count(p.lockFile(), "sha256:"); n != 1 {
		t.Errorf("%d digests are locked:\n%s", n, p.lockFile())
	}
}

func TestOnlyAnUpgradeAcceptsAnotherVersion(t *testing.T) {
	p := newPlace(t)
	p.install("1.0.0")
	required := registry.Requirement{Name: "acme"}
	p.init(p.options(required), false)
	p.install("1.1.0")
	if err := os.RemoveAll(filepath.Join(p.plugins, "acme_1.0.0")); err != nil {
		t.Fatal(err)
	}
	p.refused(p.options(required), registry.InitOptions{}, "Locked plugin version is missing")
	if up := p.init(p.options(required), true); up[0].Change != "from 1.0.0" {
		t.Errorf("got %+v", up)
	}
	narrower := registry.Requirement{Name: "acme", Version: "< 1.1"}
	p.refused(p.options(narrower), registry.InitOptions{}, "is not allowed")
}

func TestTheVersionIsTheOneThatTheProgramReports(t *testing.T) {
	p := newPlace(t)
	p.install("1.0.0")
	if err := os.Rename(filepath.Join(p.plugins, "acme_1.0.0"), filepath.Join(p.plugins, "acme_2.0.0")); err != nil {
		t.Fatal(err)
	}
	required := registry.Requirement{Name: "acme"}
	p.refused(p.options(required), registry.InitOptions{}, "reports version 1.0.0, but its folder is named after version 2.0.0")

	// A lock file that gives the program's digest another version.
	p = newPlace(t)
	p.install("1.0.0")
	p.init(p.options(required), false)
	p.writeLock(strings.Replace(p.lockFile(), `"1.0.0"`, `"1.0.1"`, 1))
	p.refused(p.options(required), registry.InitOptions{}, "reports version 1.0.0")
	r := p.open(p.options(required))
	if _, err := r.ConfigSchema("acme"); err == nil || !strings.Contains(err.Error(), "reports version 1.0.0") {
		t.Errorf("got %v", err)
	}
}

func TestSourcesWithTheSameLastPartAreTwoPlugins(t *testing.T) {
	p := newPlace(t)
	ours := registry.Requirement{Name: "acme", Source: "example.com/acme"}
	theirs := registry.Requirement{Name: "other", Source: "example.org/quern-plugin-acme"}
	p.install("1.0.0")
	p.refused(p.options(ours, theirs), registry.InitOptions{}, "only in a folder named after its source: "+filepath.Join("example.org", "quern-plugin-acme"))
	for folder, version := range map[string]string{"example.com/acme": "1.0.0", "example.org/quern-plugin-acme/2.0.0": "2.0.0"} {
		dir := filepath.Join(p.plugins, filepath.FromSlash(folder))
		p.program(filepath.Join(dir, "quern-plugin-acme"), folder)
		if err := os.WriteFile(filepath.Join(dir, "version"), []byte(version), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	pinned := p.init(p.options(ours, theirs), false)
	if len(pinned) != 2 || pinned[0].Version != "1.0.0" || pinned[1].Version != "2.0.0" || pinned[0].Path == pinned[1].Path {
		t.Fatalf("got %+v", pinned)
	}
	r := p.open(p.options(ours, theirs))
	if _, err := r.ConfigSchema("acme"); err != nil {
		t.Error(err)
	}
	if _, err := r.ConfigSchema("other"); err != nil {
		t.Error(err)
	}
	if d := r.Describe(); d["acme"].Digest == d["other"].Digest {
		t.Errorf("one program serves both: %+v", d)
	}
}

func TestEachPlatformHasItsDigest(t *testing.T) {
	p := newPlace(t)
	p.install("1.0.0")
	required := registry.Requirement{Name: "acme"}
	pinned := p.init(p.options(required), false)
	here := runtime.GOOS + "_" + runtime.GOARCH
	elsewhere := strings.Replace(p.lockFile(), here, "plan9_mips", 1)
	p.writeLock(elsewhere)
	if _, diags := registry.Open(context.Background(), p.options(required)); !hasError(diags, "no digest of plugin \"acme\" for "+here) {
		t.Errorf("got %v", diags)
	}
	p.refused(p.options(required), registry.InitOptions{ReadOnly: true}, "-lockfile=readonly")
	if again := p.init(p.options(required), false); again[0].Change != "digest added for "+here {
		t.Errorf("got %+v", again)
	}
	for _, want := range []string{"plan9_mips", here} {
		if !strings.Contains(p.lockFile(), want) {
			t.Errorf("%s is missing from:\n%s", want, p.lockFile())
		}
	}
	p.open(p.options(required))

	// A lock file of quern 0.1 has a list.
	p.writeLock("plugin \"acme\" {\n  source  = \"acme\"\n  version = \"1.0.0\"\n  digests = [\"" + pinned[0].Digest + "\", \"sha256:00\"]\n}\n")
	p.open(p.options(required))
	if again := p.init(p.options(required), false); again[0].Change != "unchanged" || !strings.Contains(p.lockFile(), `"sha256:00"`) {
		t.Errorf("got %+v and:\n%s", again, p.lockFile())
	}
	if up := p.init(p.options(required), true); up[0].Version != "1.0.0" || strings.Contains(p.lockFile(), `"sha256:00"`) {
		t.Errorf("got %+v and:\n%s", up, p.lockFile())
	}
}

func TestInitAndPlanAgreeOnReservedNames(t *testing.T) {
	p := newPlace(t)
	p.program(filepath.Join(p.plugins, "quern-plugin-sql"), "sql")
	for _, name := range []string{"sql", "builtin"} {
		required := registry.Requirement{Name: name}
		p.refused(p.options(required), registry.InitOptions{}, "comes with quern")
		if _, diags := registry.Open(context.Background(), p.options(required)); !hasError(diags, "comes with quern") {
			t.Errorf("got %v", diags)
		}
	}
}

func TestADevelopmentOverrideTakesPrecedenceOverTheLockFile(t *testing.T) {
	p := newPlace(t)
	p.install("1.0.0")
	required := registry.Requirement{Name: "acme", Source: "example.com/acme", Version: "~> 1.0"}
	p.init(p.options(required), false)
	before := p.lockFile()
	work := t.TempDir()
	p.program(filepath.Join(work, "quern-plugin-acme"), "work in progress")
	options := p.options(required)
	options.DevOverrides = map[string]string{"example.com/acme": work}
	r, diags := registry.Open(context.Background(), options)
	t.Cleanup(r.Close)
	if len(diags) != 1 || diags.HasErrors() || !strings.Contains(diags[0].Detail, "example.com/acme: "+work) {
		t.Errorf("got %v", diags)
	}
	if _, err := r.ConfigSchema("acme"); err != nil {
		t.Fatal(err)
	}
	if got := r.Describe()["acme"]; got.Version != "0.0.1" || !r.Development("acme") {
		t.Errorf("got %+v", got)
	}
	if pinned := p.init(options, true); len(pinned) != 0 || p.lockFile() != before {
		t.Errorf("init pinned %+v:\n%s", pinned, p.lockFile())
	}
	options.DevOverrides["example.com/acme"] = t.TempDir()
	if _, diags := registry.Open(context.Background(), options); !hasError(diags, "Development override not found") {
		t.Errorf("got %v", diags)
	}
}

func TestPinsAreSortedAndSurviveAnInit(t *testing.T) {
	p := newPlace(t)
	p.install("1.0.0")
	required := registry.Requirement{Name: "acme"}
	p.init(p.options(required), false)
	set := func(add, remove plan.Pins, want ...registry.Pin) {
		t.Helper()
		changed, diags := registry.SetPins(p.root, add, remove, false)
		if diags.HasErrors() || !slices.Equal(changed, want) {
			t.Errorf("got %+v, %v, want %+v", changed, diags, want)
		}
	}
	set(plan.Pins{"b": {"y": "2", "x@main": "1"}, "a": {"z": "3"}}, nil,
		registry.Pin{Plugin: "a", Name: "z", After: "3"}, registry.Pin{Plugin: "b", Name: "x@main", After: "1"}, registry.Pin{Plugin: "b", Name: "y", After: "2"})
	p.init(p.options(required), true)
	const want = "pins = {\n  a = {\n    z = \"3\"\n  }\n  b = {\n    \"x@main\" = \"1\"\n    y        = \"2\"\n  }\n}\n"
	if !strings.HasSuffix(p.lockFile(), want) {
		t.Errorf("got:\n%s", p.lockFile())
	}
	set(plan.Pins{"b": {"y": "2", "x@main": "4"}}, plan.Pins{"a": {"z": "3"}, "b": {"y": "2"}},
		registry.Pin{Plugin: "a", Name: "z", Before: "3"}, registry.Pin{Plugin: "b", Name: "x@main", Before: "1", After: "4"})
	if got := p.open(p.options(required)).Pins(); len(got["a"]) != 0 || got["b"]["x@main"] != "4" {
		t.Errorf("got %v", got)
	}
	before := p.lockFile()
	if _, diags := registry.SetPins(p.root, plan.Pins{"b": {"new": "5"}}, nil, true); !hasError(diags, "Pins are missing") || p.lockFile() != before {
		t.Errorf("got %v and:\n%s", diags, p.lockFile())
	}
}
