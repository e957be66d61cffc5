package git

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quern-dev/quern/plugins/files"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

// repository is a Git repository in a folder.
type repository struct {
	t   *testing.T
	dir string
}

func newRepository(t *testing.T, contents map[string]string) *repository {
	t.Helper()
	t.Setenv("GIT_CONFIG_GLOBAL", filepath.Join(t.TempDir(), "none"))
	t.Setenv("GIT_CONFIG_NOSYSTEM", "1")
	t.Setenv(files.CacheVariable, t.TempDir())
	r := &repository{t, t.TempDir()}
	r.git("init", "--quiet", "--initial-branch=main")
	r.commit(contents)
	return r
}

func (r *repository) git(args ...string) string {
	r.t.Helper()
	cmd := exec.Command("git", append([]string{"-c", "user.name=A", "-c", "user.email=a@example.com", "-c", "protocol.file.allow=always"}, args...)...)
	cmd.Dir = r.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("git %s: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// commit writes files and commits them.
func (r *repository) commit(contents map[string]string) string {
	r.t.Helper()
	for name, text := range contents {
		full := filepath.Join(r.dir, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			r.t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
			r.t.Fatal(err)
		}
	}
	r.git("add", "-A")
	r.git("commit", "--quiet", "--allow-empty", "-m", "change")
	return r.git("rev-parse", "HEAD")
}

func (r *repository) read(arguments map[string]any) (*plugintest.ReadResult, error) {
	r.t.Helper()
	all := map[string]any{"url": r.dir, "path": "**", "format": "text"}
	for name, value := range arguments {
		all[name] = value
	}
	return plugintest.Read(r.t, Plugin("1.0.0"), plugintest.Case{Kind: plugin.KindSource, Type: "git", Args: all})
}

func TestBranchesTagsAndCommitsAreRead(t *testing.T) {
	r := newRepository(t, map[string]string{"a.txt": "first"})
	first := r.git("rev-parse", "HEAD")
	r.git("tag", "-a", "-m", "release", "v1")
	r.git("branch", "old")
	r.commit(map[string]string{"a.txt": "second"})
	for ref, want := range map[string]string{"": "second", "main": "second", "v1": "first", "old": "first", first: "first", "refs/heads/old": "first"} {
		got, err := r.read(map[string]any{"ref": ref, "url": "file://" + r.dir})
		if err != nil || len(got.Rows) != 1 || got.Rows[0]["text"] != want {
			t.Errorf("%q: %v, %v", ref, got, err)
		}
	}
}

func TestOfANewCommitOnlyChangedFilesAreTransferred(t *testing.T) {
	contents := map[string]string{}
	for i := range 200 {
		contents[fmt.Sprintf("data/%03d.txt", i)] = strings.Repeat(fmt.Sprint(i*i), 1000)
	}
	r := newRepository(t, contents)
	if _, err := r.read(nil); err != nil {
		t.Fatal(err)
	}
	packs := func() (total int) {
		for _, line := range strings.Split(objects(t, r.dir), "\n") {
			var n int
			for _, key := range []string{"count: %d", "in-pack: %d"} {
				if _, err := fmt.Sscanf(line, key, &n); err == nil {
					total += n
				}
			}
		}
		return total
	}
	before := packs()
	r.commit(map[string]string{"data/007.txt": "changed"})
	got, err := r.read(nil)
	if err != nil || len(got.Rows) != 200 || got.Rows[7]["text"] != "changed" {
		t.Fatal(err)
	}
	// The file, two trees, and the commit.
	if now := packs(); before < 200 || now-before > 4 {
		t.Errorf("%d objects, and %d more", before, now-before)
	}
}

// objects counts the objects in the repository to which one was fetched.
func objects(t *testing.T, of string) string {
	t.Helper()
	cmd := exec.Command("git", "count-objects", "-v")
	cmd.Dir = repositoryOf("file://" + of)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

func TestWhatARepositoryDoesNotContainIsRefused(t *testing.T) {
	r := newRepository(t, map[string]string{
		"docs/a.md": "text", "data/a.csv": "id\n1\n", "data/b.csv": "id\n2\n", "logo.bin": "\x00\x01\xff", "binary.dat": files.LFSPointer + "v1\noid sha256:00\nsize 5\n",
	})
	if err := os.Symlink("docs/a.md", filepath.Join(r.dir, "link.md")); err != nil {
		t.Fatal(err)
	}
	r.commit(nil)
	for name, c := range map[string]struct {
		args map[string]any
		want string
	}{
		"LFS":      {map[string]any{"path": "*.dat"}, "binary.dat cannot be opened: it is in Git LFS"},
		"nothing":  {map[string]any{"path": "*.jsonl"}, `No file of`},
		"ref":      {map[string]any{"ref": "none"}, `it has no branch or tag "none"`},
		"short":    {map[string]any{"ref": r.git("rev-parse", "HEAD")[:10]}, "write all 40 digits"},
		"gone":     {map[string]any{"ref": strings.Repeat("1", 40)}, "cannot be fetched"},
		"option":   {map[string]any{"url": "--upload-pack=touch x"}, "is not the address of a repository"},
		"scheme":   {map[string]any{"url": "ftp://example.com/a.git"}, "It is not the address of a repository"},
		"password": {map[string]any{"url": "https://me:hidden@example.com/a.git"}, "The address contains a password"},
		"pattern":  {map[string]any{"path": "[a"}, "is not a valid pattern"},
		"folder":   {map[string]any{"url": t.TempDir()}, "The repository cannot be read"},
		"formats":  {map[string]any{"path": "**/a.*", "format": nil}, "set format"},
	} {
		_, err := r.read(c.args)
		if err == nil || !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(c.want)) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%s: %v", name, err)
		}
	}
	got, err := r.read(map[string]any{"path": "**/*.{md,csv}", "exclude": []any{"data/a*", "docs/b.md"}})
	if err != nil || fmt.Sprint(got.Rows) != "[map[path:data/b.csv text:id\n2\n] map[path:docs/a.md text:text]]" {
		t.Errorf("%v, %v", got, err)
	}
	csv, err := r.read(map[string]any{"path": "data/*.csv", "format": nil})
	if err != nil || fmt.Sprint(csv.Rows) != "[map[id:1] map[id:2]]" {
		t.Errorf("%v, %v", csv, err)
	}
}

func TestLargeFilesAreNotReadIntoMemory(t *testing.T) {
	large := strings.Repeat("0123456789\n", inMemory/11+10)
	r := newRepository(t, map[string]string{"a.txt": large})
	a := &args{address: "file://" + r.dir, commit: r.git("rev-parse", "HEAD"), Path: "a.txt"}
	list, err := repositories{}.List(t.Context(), a, nil)
	if err != nil {
		t.Fatal(err)
	}
	content, err := list.Objects[0].Open()
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	if _, ok := content.(*os.File); !ok {
		t.Errorf("it is a %T", content)
	}
	text, err := io.ReadAll(content)
	if err != nil || string(text) != large {
		t.Errorf("%d bytes, %v", len(text), err)
	}
}

func TestSubmodulesAreReported(t *testing.T) {
	other := newRepository(t, map[string]string{"a.txt": "of the submodule"})
	r := newRepository(t, map[string]string{"a.txt": "x"})
	r.git("submodule", "--quiet", "add", other.dir, "lib")
	r.commit(nil)
	a := &args{address: "file://" + r.dir, commit: r.git("rev-parse", "HEAD"), Path: "*.txt"}
	found, submodules, err := a.find(t.Context())
	if err != nil || len(found) != 1 || len(submodules) != 1 || submodules[0] != "lib" {
		t.Errorf("%v, %v, %v", found, submodules, err)
	}
	a.Exclude = []string{"lib"}
	if _, submodules, err = a.find(t.Context()); err != nil || len(submodules) != 0 {
		t.Errorf("%v, %v", submodules, err)
	}
}
