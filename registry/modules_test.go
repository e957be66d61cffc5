package registry_test

import (
	"archive/zip"
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"

	"github.com/quern-dev/quern/registry"
)

// project is a folder with a root module, and a server with archives of modules.
type project struct {
	t    *testing.T
	root string
	url  string
	// archives are the files of each archive by its path.
	archives map[string]map[string]string
	requests int
}

func newProject(t *testing.T) *project {
	p := &project{t: t, root: t.TempDir(), archives: map[string]map[string]string{
		"/text.zip":  {"clean/main.quern.hcl": "clean", "other/main.quern.hcl": "other"},
		"/other.zip": {"main.quern.hcl": "other"},
	}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.requests++
		z := zip.NewWriter(w)
		for name, text := range p.archives[r.URL.Path] {
			f, err := z.Create(name)
			if err == nil {
				_, err = f.Write([]byte(text))
			}
			if err != nil {
				t.Error(err)
			}
		}
		_ = z.Close()
	}))
	t.Cleanup(server.Close)
	p.url = server.URL
	return p
}

func (p *project) call(source, version string) registry.ModuleCall {
	return registry.ModuleCall{Source: strings.ReplaceAll(source, "URL", p.url), Version: version, Parent: p.root}
}

// install installs the modules of calls as quern init does.
func (p *project) install(how registry.InitOptions, vendor bool, calls ...registry.ModuleCall) ([]registry.InstalledModule, hcl.Diagnostics) {
	p.t.Helper()
	i, err := registry.InstallModules(p.t.Context(), p.root, vendor, how)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, c := range calls {
		dir, diags := i.Find(c)
		if diags.HasErrors() {
			return nil, diags
		}
		if _, err := os.Stat(filepath.Join(dir, "main.quern.hcl")); err != nil {
			p.t.Error(err)
		}
	}
	return i.Finish()
}

func (p *project) installed(calls ...registry.ModuleCall) []registry.InstalledModule {
	p.t.Helper()
	all, diags := p.install(registry.InitOptions{}, false, calls...)
	if diags.HasErrors() {
		p.t.Fatal(diags)
	}
	return all
}

func (p *project) find(c registry.ModuleCall) (string, hcl.Diagnostics) {
	return registry.OpenModules(p.root).Find(c)
}

func (p *project) refused(c registry.ModuleCall, want string) {
	p.t.Helper()
	if _, diags := p.find(c); !hasError(diags, want) {
		p.t.Errorf("got %v, want %q", diags, want)
	}
}

func (p *project) lock() string {
	p.t.Helper()
	b, err := os.ReadFile(filepath.Join(p.root, registry.LockFile))
	if err != nil {
		p.t.Fatal(err)
	}
	return string(b)
}

func TestInstalledModulesAreFoundWithoutANetwork(t *testing.T) {
	p := newProject(t)
	clean, other := p.call("URL/text.zip//clean", ""), p.call("URL/text.zip//other", "")
	p.refused(clean, `Run "quern init"`)
	all := p.installed(clean, other)
	if len(all) != 1 || all[0].Change != "pinned" || p.requests != 1 {
		t.Fatalf("%+v after %d requests", all, p.requests)
	}
	for _, c := range []registry.ModuleCall{clean, other} {
		dir, diags := p.find(c)
		if diags.HasErrors() || !strings.HasPrefix(dir, filepath.Join(p.root, ".quern", "modules", "text-")) {
			t.Errorf("%s %v", dir, diags)
		}
	}
	if again := p.installed(clean, other); again[0].Change != "unchanged" || p.requests != 1 {
		t.Errorf("%+v after %d requests", again, p.requests)
	}
	// A new checkout has the lock file alone.
	if err := os.RemoveAll(filepath.Join(p.root, ".quern")); err != nil {
		t.Fatal(err)
	}
	p.refused(clean, "is not in "+filepath.Join(p.root, ".quern", "modules"))
	p.installed(clean)
	if _, diags := p.find(other); diags.HasErrors() || p.requests != 2 {
		t.Errorf("%v after %d requests", diags, p.requests)
	}
}

func TestFilesThatDifferFromTheLockFileAreRefused(t *testing.T) {
	p := newProject(t)
	c := p.call("URL/text.zip//clean", "")
	p.installed(c)
	dir, _ := p.find(c)
	file := filepath.Join(dir, "main.quern.hcl")
	if err := os.WriteFile(file, []byte("changed"), 0o644); err != nil {
		t.Fatal(err)
	}
	p.refused(c, "Files of a module have changed")
	p.installed(c)
	if b, err := os.ReadFile(file); err != nil || string(b) != "clean" {
		t.Errorf("%q %v", b, err)
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(dir), "more.quern.hcl"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	p.refused(c, "Files of a module have changed")
}

func TestAPublishedModuleThatChangesIsRefusedUntilAnUpgrade(t *testing.T) {
	p := newProject(t)
	c := p.call("URL/text.zip//clean", "")
	p.installed(c)
	before := p.lock()
	p.archives["/text.zip"]["clean/main.quern.hcl"] = "evil"
	p.installed(c) // it is installed, so nothing is asked for
	if err := os.RemoveAll(filepath.Join(p.root, ".quern")); err != nil {
		t.Fatal(err)
	}
	_, diags := p.install(registry.InitOptions{}, false, c)
	if !hasError(diags, "somebody changed what was published under this address") || p.lock() != before {
		t.Errorf("%v\n%s", diags, p.lock())
	}
	all, diags := p.install(registry.InitOptions{Upgrade: true}, false, c)
	if diags.HasErrors() || all[0].Change != "files changed" || p.lock() == before {
		t.Errorf("%+v %v\n%s", all, diags, p.lock())
	}
	left, err := os.ReadDir(filepath.Join(p.root, ".quern", "modules"))
	if err != nil || len(left) != 1 {
		t.Errorf("%v %v", left, err)
	}
}

func TestAReadOnlyLockFileTakesNoNewModules(t *testing.T) {
	p := newProject(t)
	text, other := p.call("URL/text.zip//clean", ""), p.call("URL/other.zip", "")
	p.installed(text, other)
	readonly := registry.InitOptions{ReadOnly: true}
	if _, diags := p.install(readonly, false, text, other); diags.HasErrors() {
		t.Error(diags)
	}
	if _, diags := p.install(readonly, false, text); !hasError(diags, "would change, and -lockfile=readonly") {
		t.Error(diags)
	}
	if all := p.installed(text); len(all) != 1 || strings.Contains(p.lock(), "other.zip") {
		t.Errorf("%+v\n%s", all, p.lock())
	}
	requests := p.requests
	if _, diags := p.install(readonly, false, text, other); !hasError(diags, "Module is not locked") || p.requests != requests {
		t.Errorf("%v after %d requests", diags, p.requests)
	}
}

func TestVendoredModulesAreInTheProject(t *testing.T) {
	p := newProject(t)
	c := p.call("URL/text.zip//clean", "")
	if _, diags := p.install(registry.InitOptions{}, true, c); diags.HasErrors() {
		t.Fatal(diags)
	}
	mine := filepath.Join(p.root, registry.VendorDir, "mine")
	if err := os.Mkdir(mine, 0o755); err != nil {
		t.Fatal(err)
	}
	p.installed(c) // without -vendor, it is the same
	dir, diags := p.find(c)
	if diags.HasErrors() || !strings.HasPrefix(dir, filepath.Join(p.root, registry.VendorDir)) || p.requests != 1 {
		t.Errorf("%s %v", dir, diags)
	}
	p.installed() // the module is no longer called
	left, err := os.ReadDir(filepath.Join(p.root, registry.VendorDir))
	if err != nil || len(left) != 1 || left[0].Name() != "mine" {
		t.Errorf("%v %v", left, err)
	}
}

func TestAModuleCallsOnlyModulesOfItsPackageAndAddresses(t *testing.T) {
	p := newProject(t)
	c := p.call("URL/text.zip//clean", "")
	p.installed(c)
	dir, _ := p.find(c)
	if got, diags := p.find(registry.ModuleCall{Source: "../other", Parent: dir}); diags.HasErrors() || got != filepath.Join(filepath.Dir(dir), "other") {
		t.Errorf("%s %v", got, diags)
	}
	for _, out := range []string{"../..", "../../../x", "../../../.."} {
		p.refused(registry.ModuleCall{Source: out, Parent: dir}, "leads out of the package")
	}
	if got, diags := p.find(p.call("../shared", "")); diags.HasErrors() || got != filepath.Join(filepath.Dir(p.root), "shared") {
		t.Errorf("%s %v", got, diags)
	}
}

func TestMistakesInTheSourceOfAModule(t *testing.T) {
	p := newProject(t)
	p.refused(p.call("acme/clean", ""), "Invalid source of a module")
	p.refused(p.call("./clean", "~> 1.0"), "he source is a local folder, which has no versions")
	p.refused(p.call("URL/text.zip", "~> 1.0"), "n archive has no versions")
	if _, diags := p.install(registry.InitOptions{}, false, p.call("URL/text.zip//nowhere", "")); !hasError(diags, `he package has no folder "nowhere"`) {
		t.Error(diags)
	}
	if err := os.WriteFile(filepath.Join(p.root, registry.LockFile), []byte("module \"a\" {\n digest = \"../../x\"\n}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	p.refused(p.call("URL/text.zip", ""), "digest must be sha256:")
}

func TestTheLockFileKeepsModulesAndPluginsApart(t *testing.T) {
	p := newPlace(t)
	p.install("1.0.0")
	required := registry.Requirement{Name: "acme"}
	p.init(p.options(required), false)
	from := newProject(t)
	from.root = p.root
	from.installed(from.call("URL/text.zip//clean", ""))
	text := p.lockFile()
	if !strings.Contains(text, "plugin \"acme\"") || !strings.Contains(text, "# The packages that modules come from") {
		t.Errorf("%s", text)
	}
	p.init(p.options(required), false)
	if p.lockFile() != text {
		t.Errorf("%s\n%s", text, p.lockFile())
	}
	from.installed()
	if strings.Contains(p.lockFile(), "module") || !strings.Contains(p.lockFile(), "plugin \"acme\"") {
		t.Errorf("%s", p.lockFile())
	}
}

func TestAModuleMayBeUsedInTwoReleases(t *testing.T) {
	lock, diags := registry.ReadLock(writeModuleLock(t))
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	var versions []string
	for _, m := range lock.Modules {
		versions = append(versions, m.Version)
	}
	if !slices.Equal(versions, []string{"1.2.0", "2.0.0"}) {
		t.Error(versions)
	}
}

func writeModuleLock(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	var b bytes.Buffer
	for _, v := range []string{"1.2.0", "2.0.0"} {
		b.WriteString("module \"git::https://example.com/text.git\" {\n constraints = \"" + v + "\"\n version = \"" + v + "\"\n pin = \"abc\"\n digest = \"sha256:" + strings.Repeat("0", 64) + "\"\n}\n")
	}
	if err := os.WriteFile(filepath.Join(dir, registry.LockFile), b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}
