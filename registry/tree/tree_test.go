package tree_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/quern-dev/quern/registry/tree"
)

// folder creates files, each of which contains its own name.
func folder(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func digest(t *testing.T, dir string) string {
	t.Helper()
	files, err := tree.Files(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	sum, err := tree.Digest(dir, files, func(path string) (string, error) {
		b, err := os.ReadFile(path)
		return fmt.Sprintf("%x", sha256.Sum256(b)), err
	})
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

func TestOnlyFilesOfThePluginCount(t *testing.T) {
	want := []string{
		"README.md", "pyproject.toml", "src/acme/__init__.py", "src/acme/build/steps.py", "src/acme/tests/__init__.py", "src/acme/words.txt", "uv.lock",
	}
	others := []string{
		".git/HEAD", ".env", ".venv/bin/python", "env/pyvenv.cfg", "env/lib/x.py", "src/acme/__pycache__/a.cpython-311.pyc", "src/acme/b.pyc",
		"src/acme.egg-info/PKG-INFO", "build/lib/acme/__init__.py", "dist/acme.whl", "tests/test_acme.py", "docs/index.md",
		"node_modules/x/index.js", "results/format", "results/blobs/ab", "results/actions/cd",
	}
	dir := folder(t, append(slices.Clone(others), want...)...)
	got, err := tree.Files(dir, nil)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v", got, err)
	}
	got, err = tree.Files(dir, func(name string) bool { return strings.HasSuffix(name, ".py") })
	if want := []string{"src/acme/__init__.py", "src/acme/build/steps.py", "src/acme/tests/__init__.py"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("of the Python files, got %q, %v", got, err)
	}
}

func TestNamesAndContentsChangeTheDigest(t *testing.T) {
	dir := folder(t, "a.py", "pkg/b.py")
	first := digest(t, dir)
	if again := digest(t, folder(t, "pkg/b.py", "a.py", ".hidden")); again != first {
		t.Errorf("an equal folder has the digest %s, want %s", again, first)
	}
	if err := os.Rename(filepath.Join(dir, "a.py"), filepath.Join(dir, "c.py")); err != nil {
		t.Fatal(err)
	}
	renamed := digest(t, dir)
	if err := os.WriteFile(filepath.Join(dir, "c.py"), []byte("other"), 0o644); err != nil {
		t.Fatal(err)
	}
	if changed := digest(t, dir); renamed == first || changed == renamed {
		t.Errorf("got %s, %s, %s", first, renamed, changed)
	}
}

func TestLinksAreFollowedUnlessTheyNeverEnd(t *testing.T) {
	dir, shared := folder(t, "a.py"), folder(t, "common/b.py")
	link := func(to, name string) {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	link(filepath.Join(shared, "common"), "common")
	got, err := tree.Files(dir, nil)
	if want := []string{"a.py", "common/b.py"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v", got, err)
	}
	link(dir, "loop")
	if _, err := tree.Files(dir, nil); err == nil || !strings.Contains(err.Error(), "a folder that contains it") {
		t.Errorf("got %v", err)
	}
}

func TestAFolderWithTooManyFilesIsRefused(t *testing.T) {
	dir := t.TempDir()
	for i := range tree.MaxFiles + 1 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := tree.Files(dir, nil); err == nil || !strings.Contains(err.Error(), "folder of its own") {
		t.Errorf("got %v", err)
	}
}
