package directory

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

// deployed is a deployment of models into a temporary folder.
type deployed struct {
	*plugintest.Deployed
	t    *testing.T
	root string
	args map[string]any
}

func deploy(t *testing.T) *deployed {
	t.Helper()
	return deployIn(t, t.TempDir())
}

func deployIn(t *testing.T, root string) *deployed {
	t.Helper()
	offer := plugin.Plugin{Name: "directory", Version: "1.0.0", Types: Types(func() string { return root })}
	d := &deployed{t: t, root: root, args: map[string]any{"path": "serve/current"}}
	d.Deployed = plugintest.Deploy(t, offer, plugintest.Case{Type: "directory", Args: d.args})
	d.model("one")
	return d
}

// model replaces the artifact to deploy with a model of two files that contain
// text.
func (d *deployed) model(text string) {
	d.t.Helper()
	dir := d.t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "deep"), 0o755); err != nil {
		d.t.Fatal(err)
	}
	for _, name := range []string{"model.json", "deep/weights"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			d.t.Fatal(err)
		}
	}
	d.Set("artifact", plugintest.Model{Format: "acme/v1", Dir: dir})
	d.Digests["artifact"] = "sha256:" + strings.Repeat(string("0123456789abcdef"[len(text)%16]), 64)
}

// served returns what a reader finds through the link.
func (d *deployed) served() string {
	d.t.Helper()
	var all []string
	for _, name := range []string{"model.json", "deep/weights"} {
		b, err := os.ReadFile(filepath.Join(d.root, "serve/current", name))
		if err != nil {
			d.t.Fatal(err)
		}
		all = append(all, string(b))
	}
	return strings.Join(all, " ")
}

// releases returns the names of the release folders.
func (d *deployed) releases() []string {
	d.t.Helper()
	found, err := filepath.Glob(filepath.Join(d.root, "serve/.current.quern/sha256-*"))
	if err != nil {
		d.t.Fatal(err)
	}
	var out []string
	for _, f := range found {
		if !strings.HasSuffix(f, ".json") {
			out = append(out, filepath.Base(f))
		}
	}
	return out
}

func TestADeploymentIsCreatedKeptAndUpdated(t *testing.T) {
	d := deploy(t)
	if action, _ := d.Planned(); action != plugin.ActionCreate {
		t.Errorf("at first: %v", action)
	}
	d.MustApply()
	if d.served() != "one one" {
		t.Errorf("served: %s", d.served())
	}
	if action, changes := d.Planned(); action != plugin.ActionNone || changes != "" {
		t.Errorf("again: %v %s", action, changes)
	}
	d.model("three")
	if action, changes := d.Planned(); action != plugin.ActionUpdate || !strings.HasPrefix(changes, "artifact: sha256:333") {
		t.Errorf("another model: %v %s", action, changes)
	}
	d.MustApply()
	if d.served() != "three three" {
		t.Errorf("served: %s", d.served())
	}
	v := d.Value()
	if v.GetAttr("files").AsBigFloat().String() != "2" || v.GetAttr("bytes").AsBigFloat().String() != "10" || v.GetAttr("drift").AsString() != "" {
		t.Errorf("value: %#v", v)
	}
	if release := v.GetAttr("release").AsString(); release != "serve/.current.quern/sha256-5555555555555555" {
		t.Errorf("release: %s", release)
	}
}

func TestOldReleasesAreRemovedButNeverTheCurrentOne(t *testing.T) {
	d := deploy(t)
	d.Set("keep", 2)
	for _, text := range []string{"1", "22", "333", "22"} {
		d.model(text)
		d.MustApply()
	}
	if d.served() != "22 22" {
		t.Errorf("served: %s", d.served())
	}
	if got := strings.Join(d.releases(), " "); got != "sha256-2222222222222222 sha256-3333333333333333" {
		t.Errorf("releases: %s", got)
	}
	d.Set("keep", 1)
	if action, changes := d.Planned(); action != plugin.ActionUpdate || changes != "keep: 2 -> 1" {
		t.Errorf("%v %s", action, changes)
	}
	d.MustApply()
	if len(d.releases()) != 1 || d.served() != "22 22" {
		t.Errorf("releases: %v", d.releases())
	}
}

func TestFilesThatQuernDidNotCreateAreNeverOverwritten(t *testing.T) {
	for name, put := range map[string]func(path string) error{
		"a file":         func(p string) error { return os.WriteFile(p, []byte("mine"), 0o644) },
		"a folder":       func(p string) error { return os.Mkdir(p, 0o755) },
		"a link":         func(p string) error { return os.Symlink("/elsewhere", p) },
		"a like folder":  func(p string) error { return os.MkdirAll(filepath.Join(filepath.Dir(p), ".current.quern/mine"), 0o755) },
		"another's mark": func(p string) error { return markOf(p, `{"format": "other"}`) },
	} {
		t.Run(name, func(t *testing.T) {
			d := deploy(t)
			path := filepath.Join(d.root, "serve/current")
			if err := os.Mkdir(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := put(path); err != nil {
				t.Fatal(err)
			}
			before := listing(t, d.root)
			if _, err := d.Plan(); err == nil || !strings.Contains(err.Error(), "quern did not create what is at") {
				t.Errorf("planned: %v", err)
			}
			if err := d.Apply(); err == nil || !strings.Contains(err.Error(), "quern did not create what is at") {
				t.Errorf("applied: %v", err)
			}
			if after := listing(t, d.root); after != before {
				t.Errorf("there was\n%s\nand is\n%s", before, after)
			}
		})
	}
}

func markOf(path, content string) error {
	home := filepath.Join(filepath.Dir(path), ".current.quern")
	if err := os.Mkdir(home, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(home, ownerFile), []byte(content), 0o644)
}

func listing(t *testing.T, root string) string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(root, func(path string, e os.DirEntry, err error) error {
		out = append(out, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(out, "\n")
}

func TestManualChangesAreDetectedAndFixed(t *testing.T) {
	cases := map[string]struct {
		change func(link string) error
		want   string
	}{
		"a changed file": {func(l string) error { return os.WriteFile(filepath.Join(l, "model.json"), []byte("two"), 0o644) }, "model.json was changed"},
		"a missing file": {func(l string) error { return os.Remove(filepath.Join(l, "deep/weights")) }, "deep/weights is gone"},
		"a new file":     {func(l string) error { return os.WriteFile(filepath.Join(l, "new"), nil, 0o644) }, "new was added"},
		"no files at all": {func(l string) error {
			target, err := filepath.EvalSymlinks(l)
			if err != nil {
				return err
			}
			return os.RemoveAll(target)
		}, "deep/weights is gone"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			d := deploy(t)
			d.MustApply()
			if err := c.change(filepath.Join(d.root, "serve/current")); err != nil {
				t.Fatal(err)
			}
			action, changes := d.Planned()
			if action != plugin.ActionUpdate || !strings.Contains(changes, c.want) {
				t.Errorf("%v %s", action, changes)
			}
			d.MustApply()
			if d.served() != "one one" {
				t.Errorf("served: %s", d.served())
			}
			if action, changes := d.Planned(); action != plugin.ActionNone {
				t.Errorf("afterwards: %v %s", action, changes)
			}
		})
	}
}

func TestATouchedFileWithTheSameContentIsNoChange(t *testing.T) {
	d := deploy(t)
	d.MustApply()
	path := filepath.Join(d.root, "serve/current/model.json")
	if err := os.WriteFile(path, []byte("one"), 0o644); err != nil {
		t.Fatal(err)
	}
	if action, changes := d.Planned(); action != plugin.ActionNone {
		t.Errorf("%v %s", action, changes)
	}
}

func TestAMissingLinkIsCreatedAgain(t *testing.T) {
	d := deploy(t)
	d.MustApply()
	if err := os.Remove(filepath.Join(d.root, "serve/current")); err != nil {
		t.Fatal(err)
	}
	if action, changes := d.Planned(); action != plugin.ActionUpdate || !strings.Contains(changes, "the link is gone") {
		t.Errorf("%v %s", action, changes)
	}
	d.MustApply()
	if d.served() != "one one" || len(d.releases()) != 1 {
		t.Errorf("served: %s, releases: %v", d.served(), d.releases())
	}
}

func TestAnInterruptedDeletionCanBeFinished(t *testing.T) {
	home := "serve/.current.quern"
	for name, gone := range map[string][]string{
		"after the link":      {"serve/current"},
		"after a description": {"serve/current", home + "/sha256-3333333333333333.json"},
		"after the marker":    {"serve/current", home + "/sha256-3333333333333333.json", home + "/sha256-3333333333333333", home + "/" + ownerFile},
		"after the release":   {"serve/current", home + "/sha256-3333333333333333.json", home + "/sha256-3333333333333333"},
	} {
		t.Run(name, func(t *testing.T) {
			d := deploy(t)
			d.MustApply()
			for _, path := range gone {
				if err := os.RemoveAll(filepath.Join(d.root, path)); err != nil {
					t.Fatal(err)
				}
			}
			if action, changes := d.Planned(); action != plugin.ActionUpdate {
				t.Fatalf("it is forgotten: %v %s", action, changes)
			}
			if err := d.Delete(); err != nil {
				t.Fatal(err)
			}
			if got, want := listing(t, d.root), d.root+"\n"+filepath.Join(d.root, "serve"); got != want {
				t.Errorf("left: %s", got)
			}
		})
	}
}

func TestADeploymentIsGoneWithItsFolderOfReleases(t *testing.T) {
	d := deploy(t)
	d.MustApply()
	if err := os.RemoveAll(filepath.Join(d.root, "serve")); err != nil {
		t.Fatal(err)
	}
	if action, _ := d.Planned(); action != plugin.ActionCreate {
		t.Errorf("%v", action)
	}
}

func TestSomethingElseAtThePathIsShownByThePlanAndRefusedByTheApply(t *testing.T) {
	d := deploy(t)
	d.MustApply()
	path := filepath.Join(d.root, "serve/current")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	if action, _ := d.Planned(); action != plugin.ActionUpdate {
		t.Errorf("%v", action)
	}
	if err := d.Apply(); err == nil {
		t.Error("it was overwritten")
	}
}

func TestAnotherPathReplacesTheDeployment(t *testing.T) {
	d := deploy(t)
	d.MustApply()
	d.Set("path", "serve/other")
	if action, changes := d.Planned(); action != plugin.ActionReplace || changes != "path: serve/current -> serve/other" {
		t.Errorf("%v %s", action, changes)
	}
}

func TestLeftoversOfAnInterruptedApplyAreRemoved(t *testing.T) {
	d := deploy(t)
	d.MustApply()
	home := filepath.Join(d.root, "serve/.current.quern")
	for _, name := range []string{"tmp-123", "sha256-0000000000000000"} {
		if err := os.MkdirAll(filepath.Join(home, name, "half"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	d.model("three")
	d.MustApply()
	for _, name := range []string{"tmp-123", "sha256-0000000000000000"} {
		if _, err := os.Stat(filepath.Join(home, name)); err == nil {
			t.Errorf("%s is left", name)
		}
	}
}

func TestDeleteRemovesOnlyWhatQuernCreated(t *testing.T) {
	d := deploy(t)
	d.MustApply()
	if err := os.WriteFile(filepath.Join(d.root, "serve/mine"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time, there is nothing to do
		if err := d.Delete(); err != nil {
			t.Fatal(err)
		}
	}
	want := strings.Join([]string{d.root, filepath.Join(d.root, "serve"), filepath.Join(d.root, "serve/mine")}, "\n")
	if got := listing(t, d.root); got != want {
		t.Errorf("left: %s", got)
	}
}

func TestDeleteKeepsWhatReplacedTheDeployment(t *testing.T) {
	d := deploy(t)
	d.MustApply()
	path := filepath.Join(d.root, "serve/current")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := d.Delete(); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "mine" {
		t.Errorf("%q, %v", b, err)
	}
}

func TestTheLaterOfTwoDeploymentsTakesOverThePath(t *testing.T) {
	first := deploy(t)
	first.MustApply()
	second := deployIn(t, first.root)
	second.model("two!")
	if action, changes := second.Planned(); action != plugin.ActionCreate || !strings.Contains(changes, "used by another deployment") {
		t.Errorf("%v %s", action, changes)
	}
	second.MustApply()
	if action, changes := first.Planned(); action != plugin.ActionUpdate || !strings.Contains(changes, "another deployment has taken over the path") {
		t.Errorf("%v %s", action, changes)
	}
	if err := first.Delete(); err != nil {
		t.Fatal(err)
	}
	if got := second.served(); got != "two! two!" {
		t.Errorf("serves %q after the other was taken down", got)
	}
	if action, changes := second.Planned(); action != plugin.ActionNone {
		t.Errorf("%v %s", action, changes)
	}
}

func TestADatasetIsDeployedAsParquetFiles(t *testing.T) {
	d := deploy(t)
	d.Set("artifact", plugintest.Dataset{Rows: []map[string]any{{"id": 1, "text": "x"}, {"id": 2, "text": nil}}})
	d.Digests["artifact"] = "sha256:" + strings.Repeat("d", 64)
	d.MustApply()
	content, err := os.ReadFile(filepath.Join(d.root, "serve/current/part-00000.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(content), "PAR1") {
		t.Error("it is no Parquet file")
	}
}

func TestADeploymentIntoAStoreIsRefused(t *testing.T) {
	root := t.TempDir()
	store := filepath.Join(root, ".quern", "blobs")
	if err := os.MkdirAll(store, 0o755); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(t.TempDir(), "other")
	if err := os.Mkdir(other, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(other, "format"), []byte("quern.store/v1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{"serve": store, "elsewhere": other} {
		if err := os.Symlink(to, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{
		".quern/blobs/x": "inside quern's own store", ".quern": "own store", "./.quern/new/deep/x": "inside quern's own store",
		"serve/x": "inside quern's own store", "elsewhere/x/y": "inside quern's own store", root: "own store is inside",
		filepath.Dir(root): "own store is inside",
	} {
		d := deployIn(t, root)
		d.Set("path", path)
		before := listing(t, root)
		if err := d.Apply(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", path, err, want)
		}
		if after := listing(t, root); after != before {
			t.Errorf("%s: there was\n%s\nand is\n%s", path, before, after)
		}
	}
}

func TestForeignFilesInAReleaseAreKept(t *testing.T) {
	mine := func(t *testing.T, root string) []string {
		t.Helper()
		found, err := filepath.Glob(filepath.Join(root, "serve/.current.quern/*/*"))
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	for name, end := range map[string]func(*deployed) error{
		"destroyed": func(d *deployed) error { return d.Delete() },
		"pruned": func(d *deployed) error {
			d.Set("keep", 1)
			d.model("three")
			return d.Apply()
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := deploy(t)
			d.MustApply()
			notes := filepath.Join(d.root, "serve/current/notes.txt")
			if err := os.WriteFile(notes, []byte("mine"), 0o644); err != nil {
				t.Fatal(err)
			}
			for range 2 { // the second time removes what is left
				if err := end(d); err != nil {
					t.Fatal(err)
				}
			}
			kept := ""
			for _, f := range mine(t, d.root) {
				if filepath.Base(f) == "notes.txt" {
					b, _ := os.ReadFile(f)
					kept = string(b)
				}
			}
			if kept != "mine" {
				t.Errorf("left: %s", listing(t, d.root))
			}
		})
	}
}

func TestADeploymentIsImportedByItsPath(t *testing.T) {
	d := deploy(t)
	if found, err := d.Import("serve/current"); found || err != nil {
		t.Fatalf("%v, although nothing is deployed: %v", found, err)
	}
	d.MustApply()
	other := deployIn(t, d.root)
	if found, err := other.Import("serve/current"); !found || err != nil {
		t.Fatal("not found", err)
	}
	if action, changes := other.Planned(); action != plugin.ActionNone {
		t.Errorf("%v: %s", action, changes)
	}
	if other.Value().GetAttr("digest").AsString() != d.Digests["artifact"] {
		t.Error("the digest is", other.Value().GetAttr("digest"))
	}
	if _, err := other.Import("elsewhere"); err == nil || !strings.Contains(err.Error(), "is its path") {
		t.Error("another path:", err)
	}
	if err := os.WriteFile(filepath.Join(d.root, "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	other.Set("path", "file")
	if _, err := other.Import("file"); err == nil || !strings.Contains(err.Error(), "quern did not create") {
		t.Error("a file:", err)
	}
}
