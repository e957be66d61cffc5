package registry_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/registry"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// The test program plays all the programs: by its arguments the built-in
// plugin, by its name any other.
func TestMain(m *testing.M) {
	name, isPlugin := strings.CutPrefix(filepath.Base(os.Args[0]), "quern-plugin-")
	switch {
	case isPlugin:
		version, err := os.ReadFile(filepath.Join(filepath.Dir(os.Args[0]), "version"))
		if err != nil {
			version = []byte("0.0.1")
		}
		typ := name + "_echo"
		if name == "sql" {
			typ = name
		}
		plugin.Serve(offer(name, string(version), plugin.KindTransform, typ))
	case len(os.Args) == 2 && os.Args[1] == "serve-plugin":
		plugin.Serve(offer("builtin", "9.9.9", plugin.KindTransform, "filter"))
	case len(os.Args) == 3 && os.Args[1] == "serve-plugin":
		plugin.Serve(offer(os.Args[2], "9.9.9", plugin.KindLabel, os.Args[2]))
	default:
		os.Exit(m.Run())
	}
}

func offer(name, version, kind, typ string) plugin.Plugin {
	config := &struct {
		Colour string `quern:"colour" oneof:"red,green" doc:"Of the answer."`
	}{}
	return plugin.Plugin{
		Name: name, Version: version, Config: config,
		Configure: func(context.Context, string) error {
			if config.Colour == "blue" {
				return plugin.ArgumentErrorf("colour", "blue is out")
			}
			if config.Colour == "key" {
				return plugin.ArgumentErrorf("colour", "%s sees %d bytes", name, len(os.Getenv("OPENAI_API_KEY")))
			}
			return nil
		},
		Types: []plugin.Type{plugin.NewMapper(plugin.Info{Kind: kind, Name: typ, Doc: "Passes rows on. No more.", BehaviorVersion: 1}, echo{})},
	}
}

type echoArgs struct {
	Input plugin.Dataset           `quern:"input,required" doc:"What is passed on."`
	Where plugin.Column            `quern:"where" type:"bool"`
	Marks map[string]plugin.Column `quern:"marks"`
	Times int                      `quern:"times" default:"1"`
	Rules []struct {
		Name string `quern:"name,label"`
		Cut  bool   `quern:"cut"`
	} `quern:"rule,block" doc:"A rule."`
}

type echo struct{}

func (echo) Prepare(_ context.Context, p *plugin.Prepare[echoArgs]) error {
	p.KeepInput("input")
	return nil
}
func (echo) Map(context.Context, *echoArgs, *plugin.Batch) error { return nil }

// place is a folder with a quern program and a root module.
type place struct {
	t                  *testing.T
	root, bin, plugins string
}

func newPlace(t *testing.T) *place {
	p := &place{t: t, root: t.TempDir(), bin: t.TempDir(), plugins: t.TempDir()}
	p.program(filepath.Join(p.bin, "quern"), "")
	return p
}

// program puts a program at a path. Its salt makes its digest its own.
func (p *place) program(path, salt string) {
	p.t.Helper()
	b, err := os.ReadFile(os.Args[0])
	if err != nil {
		p.t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		p.t.Fatal(err)
	}
	_ = os.Remove(path)
	if err := os.WriteFile(path, append(b, salt...), 0o755); err != nil {
		p.t.Fatal(err)
	}
}

// install puts a version of plugin acme into the plugins' folder.
func (p *place) install(version string) {
	dir := filepath.Join(p.plugins, "acme_"+version)
	p.program(filepath.Join(dir, "quern-plugin-acme"), version)
	if err := os.WriteFile(filepath.Join(dir, "version"), []byte(version), 0o644); err != nil {
		p.t.Fatal(err)
	}
}

func (p *place) options(required ...registry.Requirement) registry.Options {
	return registry.Options{
		Root: p.root, Version: "0.1.0", CacheDir: filepath.Join(p.root, ".quern", "cache"), Required: required,
		Program: filepath.Join(p.bin, "quern"), Vendors: []string{}, Search: []string{p.plugins},
	}
}

func (p *place) open(options registry.Options) *registry.Registry {
	p.t.Helper()
	r, diags := registry.Open(context.Background(), options)
	if diags.HasErrors() {
		p.t.Fatal(diags)
	}
	p.t.Cleanup(r.Close)
	return r
}

func (p *place) init(options registry.Options, upgrade bool) []registry.Pinned {
	p.t.Helper()
	pinned, diags := registry.Init(p.t.Context(), options, registry.InitOptions{Upgrade: upgrade})
	if diags.HasErrors() {
		p.t.Fatal(diags)
	}
	return pinned
}

func hasError(diags hcl.Diagnostics, text string) bool {
	return slices.ContainsFunc(diags, func(d *hcl.Diagnostic) bool {
		return strings.Contains(d.Summary+": "+d.Detail, text)
	})
}

func TestBuiltinTypesAreFoundByName(t *testing.T) {
	p := newPlace(t)
	r := p.open(p.options())
	typ, name, err := r.Type("transform", "filter", "")
	if err != nil || name != registry.Builtin || typ.Name != "filter" {
		t.Fatalf("got %v, %q, %v", typ, name, err)
	}
	for request, want := range map[[3]string]string{
		{"transform", "fliter", ""}:        `Did you mean "filter"?`,
		{"label", "filter", ""}:            `there is a transform type of that name`,
		{"transform", "acme_ocr", ""}:      `required_plugins`,
		{"transform", "sql", ""}:           "quern-plugin-sql",
		{"transform", "filter", "bultin"}:  `Did you mean "builtin"?`,
		{"transform", "fliter", "builtin"}: `Did you mean "filter"?`,
	} {
		if _, _, err := r.Type(request[0], request[1], request[2]); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: got %v, want %s", request, err, want)
		}
	}
}

func TestOnlyTheVendorsOwnPluginSeesItsKey(t *testing.T) {
	t.Setenv("OPENAI_API_KEY", "12345")
	p := newPlace(t)
	options := p.options()
	options.Vendors = nil // those of quern
	r := p.open(options)
	for name, want := range map[string]string{"openai": "sees 5 bytes", "anthropic": "sees 0 bytes", registry.Builtin: "sees 0 bytes"} {
		r.SetConfig(name, cty.ObjectVal(map[string]cty.Value{"colour": cty.StringVal("key")}))
		r.SetEnvironment(name, []string{"QUERN_TEST_OTHER"})
		if _, err := r.Client(t.Context(), name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", name, err, want)
		}
	}
}

func TestABundledProgramServesItsType(t *testing.T) {
	p := newPlace(t)
	p.program(filepath.Join(p.bin, "quern-plugin-sql"), "sql")
	r := p.open(p.options())
	if _, name, err := r.Type("transform", "sql", ""); err != nil || name != "sql" {
		t.Errorf("got %q, %v", name, err)
	}
	if got := r.TypeNames("transform"); !slices.Equal(got, []string{"filter", "sql"}) {
		t.Errorf("got %v", got)
	}
}

// A package manager may link the program from a folder of its own.
func TestABundledProgramIsNextToTheProgramThatALinkNames(t *testing.T) {
	p := newPlace(t)
	p.program(filepath.Join(p.bin, "quern-plugin-sql"), "sql")
	options := p.options()
	options.Program = filepath.Join(t.TempDir(), "quern")
	if err := os.Symlink(filepath.Join(p.bin, "quern"), options.Program); err != nil {
		t.Fatal(err)
	}
	if _, name, err := p.open(options).Type("transform", "sql", ""); err != nil || name != "sql" {
		t.Errorf("got %q, %v", name, err)
	}
}

func TestACachedSchemaStartsNoProcess(t *testing.T) {
	p := newPlace(t)
	first := p.open(p.options())
	if _, _, err := first.Type("transform", "filter", ""); err != nil {
		t.Fatal(err)
	}
	first.Close()
	// A program that can't run any more, with the same size, time and inode,
	// shows whether it is started.
	program := filepath.Join(p.bin, "quern")
	info, err := os.Stat(program)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(program, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("no program"), 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(program, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	second := p.open(p.options())
	if _, _, err := second.Type("transform", "filter", ""); err != nil {
		t.Errorf("the schema was not taken from the cache: %s", err)
	}
	if _, err := second.Client(t.Context(), registry.Builtin); err == nil {
		t.Error("the ruined program was started")
	}
}

func TestADamagedCacheIsRecreated(t *testing.T) {
	p := newPlace(t)
	p.open(p.options()).TypeNames("transform")
	files, err := filepath.Glob(filepath.Join(p.root, ".quern", "cache", "*", "*.pb"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	if err := os.WriteFile(files[0], []byte("\x01damaged"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := p.open(p.options()).TypeNames("transform"); !slices.Equal(got, []string{"filter"}) {
		t.Errorf("got %v", got)
	}
}

func TestAPluginIsStartedOnceAndRestartedAfterItEnds(t *testing.T) {
	p := newPlace(t)
	r := p.open(p.options())
	if err := r.SetConfig(registry.Builtin, cty.ObjectVal(map[string]cty.Value{"colour": cty.StringVal("red")})); err != nil {
		t.Fatal(err)
	}
	a, err := r.Client(t.Context(), registry.Builtin)
	if err != nil {
		t.Fatal(err)
	}
	b, err := r.Client(t.Context(), registry.Builtin)
	if err != nil || a != b {
		t.Fatalf("got another process: %v", err)
	}
	a.Kill()
	c, err := r.Client(t.Context(), registry.Builtin)
	if err != nil || c == a || c.Exited() {
		t.Errorf("got the old process or none: %v", err)
	}
}

func TestABlockThatThePluginRefusesIsAnError(t *testing.T) {
	p := newPlace(t)
	r := p.open(p.options())
	if err := r.SetConfig(registry.Builtin, cty.ObjectVal(map[string]cty.Value{"colour": cty.StringVal("blue")})); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Client(t.Context(), registry.Builtin); err == nil || !strings.Contains(err.Error(), "blue is out") {
		t.Errorf("got %v", err)
	}
}

func TestInitPinsTheNewestVersionThatFits(t *testing.T) {
	p := newPlace(t)
	for _, v := range []string{"1.0.0", "1.2.0", "2.0.0"} {
		p.install(v)
	}
	required := registry.Requirement{Name: "acme", Source: "example.com/acme", Version: "~> 1.0"}
	if _, diags := registry.Open(context.Background(), p.options(required)); !hasError(diags, `Run "quern init"`) {
		t.Errorf("got %v", diags)
	}
	pinned := p.init(p.options(required), false)
	if len(pinned) != 1 || pinned[0].Version != "1.2.0" || pinned[0].Change != "pinned" {
		t.Fatalf("got %+v", pinned)
	}
	r := p.open(p.options(required))
	if _, name, err := r.Type("transform", "acme_echo", ""); err != nil || name != "acme" {
		t.Errorf("got %q, %v", name, err)
	}
	if got := r.Describe()["acme"]; got.Version != "1.2.0" || got.Source != "example.com/acme" || got.Digest != pinned[0].Digest {
		t.Errorf("got %+v", got)
	}

	p.install("1.3.0")
	if again := p.init(p.options(required), false); again[0].Version != "1.2.0" || again[0].Change != "unchanged" {
		t.Errorf("what was pinned did not stay: %+v", again)
	}
	if up := p.init(p.options(required), true); up[0].Version != "1.3.0" || up[0].Change != "from 1.2.0" {
		t.Errorf("got %+v", up)
	}
	if diags := r.Check(r.Describe()); diags.HasErrors() {
		t.Error(diags)
	}
	if diags := p.open(p.options(required)).Check(r.Describe()); !hasError(diags, "Make a new plan") {
		t.Errorf("got %v", diags)
	}
}

func TestAProgramWithAnotherDigestIsRefused(t *testing.T) {
	p := newPlace(t)
	p.install("1.0.0")
	required := registry.Requirement{Name: "acme"}
	p.init(p.options(required), false)
	p.program(filepath.Join(p.plugins, "acme_1.0.0", "quern-plugin-acme"), "other bytes")
	r, diags := registry.Open(context.Background(), p.options(required))
	if !hasError(diags, "does not match the lock file") {
		t.Errorf("got %v", diags)
	}
	if _, err := r.Client(t.Context(), "acme"); err == nil {
		t.Error("the program was started")
	}
}

func TestAVersionUnderDevelopmentMayHaveAnyDigest(t *testing.T) {
	p := newPlace(t)
	p.install("1.1.0-dev")
	required := registry.Requirement{Name: "acme", Version: ">= 1.1.0"}
	p.init(p.options(required), false)
	p.program(filepath.Join(p.plugins, "acme_1.1.0-dev", "quern-plugin-acme"), "built again")
	r := p.open(p.options(required))
	if !r.Development("acme") || r.Development(registry.Builtin) {
		t.Error("the wrong one is said to be under development")
	}
}

func TestAMissingProgramIsAnErrorThatSaysWhereInitSearched(t *testing.T) {
	p := newPlace(t)
	p.install("1.0.0")
	for _, c := range []struct {
		required registry.Requirement
		want     string
	}{
		{registry.Requirement{Name: "other"}, "program quern-plugin-other is not in " + p.plugins},
		{registry.Requirement{Name: "acme", Version: ">= 2"}, "is version 1.0.0"},
		{registry.Requirement{Name: "acme", Version: "two"}, "Malformed version constraint"},
	} {
		_, diags := registry.Init(t.Context(), p.options(c.required), registry.InitOptions{})
		if !hasError(diags, c.want) {
			t.Errorf("%+v: got %v", c.required, diags)
		}
	}
	if _, err := os.Stat(filepath.Join(p.root, registry.LockFile)); err == nil {
		t.Error("a lock file was written despite errors")
	}
}

func TestAConfigurationThatNoLongerMatchesTheLockIsAnError(t *testing.T) {
	p := newPlace(t)
	p.install("1.0.0")
	p.init(p.options(registry.Requirement{Name: "acme", Source: "example.com/acme"}), false)
	for _, c := range []struct {
		required registry.Requirement
		want     string
	}{
		{registry.Requirement{Name: "acme", Source: "elsewhere.com/acme"}, "source has changed"},
		{registry.Requirement{Name: "acme", Source: "example.com/acme", Version: ">= 2"}, "is not allowed"},
		{registry.Requirement{Name: "builtin"}, "Reserved plugin name"},
	} {
		if _, diags := registry.Open(context.Background(), p.options(c.required)); !hasError(diags, c.want) {
			t.Errorf("%+v: got %v", c.required, diags)
		}
	}
}

func TestAMalformedLockFileIsShown(t *testing.T) {
	p := newPlace(t)
	if err := os.WriteFile(filepath.Join(p.root, registry.LockFile), []byte("plugin acme {\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, diags := registry.Open(context.Background(), p.options(registry.Requirement{Name: "acme"}))
	if !diags.HasErrors() || diags[0].Subject == nil || diags[0].Subject.Filename != registry.LockFile {
		t.Errorf("got %v", diags)
	}
}

func TestTheReferenceDistinguishesArgumentsAndBlocks(t *testing.T) {
	p := newPlace(t)
	var b strings.Builder
	if err := p.open(p.options()).Reference(t.Context(), &b, registry.Builtin); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"# Plugin builtin", "## transform \"filter\"", "Passes rows on. No more.",
		"- `colour` (string, one of `red`, `green`): Of the answer.",
		"- `input` (dataset, required): What is passed on.",
		"- `where` (row expression bool)", "- `marks` (map of row expression)", "- `times` (number, default `1`)",
		"- `rule \"NAME\" { … }` (any number): A rule.", "  - `cut` (bool)",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in:\n%s", want, b.String())
		}
	}
	types, err := p.open(p.options()).Types(t.Context())
	if err != nil || len(types) != 1 || types[0].Summary != "Passes rows on." {
		t.Errorf("got %+v, %v", types, err)
	}
}

func TestATypeWhoseProgramIsAbsentNamesTheProgram(t *testing.T) {
	r := newPlace(t).open(newPlace(t).options())
	for typ, program := range map[string]string{"source s3": "quern-plugin-storage", "source docx": "quern-plugin-documents", "transform sql": "quern-plugin-sql"} {
		kind, name, _ := strings.Cut(typ, " ")
		if err := r.Missing(kind, name); err == nil || !strings.Contains(err.Error(), program+", which is missing") {
			t.Errorf("%s: got %v", typ, err)
		}
	}
	if err := r.Missing("label", "s3"); err != nil {
		t.Errorf("no program serves a labeler with this name: %v", err)
	}
}
