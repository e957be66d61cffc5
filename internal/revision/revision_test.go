package revision

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// repository creates a repository with two commits on main and one on a branch
// that diverged after the first.
func repository(t *testing.T) string {
	t.Helper()
	t.Setenv("GIT_CONFIG_GLOBAL", os.DevNull)
	for _, name := range []string{"GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"} {
		t.Setenv(name, "Ada")
		t.Setenv(strings.Replace(name, "NAME", "EMAIL", 1), "ada@example.com")
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	git(t, dir, "init", "-q", "-b", "main")
	write(t, dir, ".gitignore", ".quern/\n*.parquet\nsecret.vars.hcl\n")
	write(t, dir, "pipe/main.quern.hcl", "one\n")
	write(t, dir, "pipe/data/a.csv", "a\n")
	commit(t, dir, "one")
	git(t, dir, "branch", "other")
	write(t, dir, "pipe/main.quern.hcl", "two\n")
	write(t, dir, "pipe/new.quern.hcl", "new\n")
	commit(t, dir, "two")
	git(t, dir, "checkout", "-q", "other")
	write(t, dir, "pipe/other.quern.hcl", "other\n")
	commit(t, dir, "other")
	git(t, dir, "checkout", "-q", "main")
	return dir
}

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func commit(t *testing.T, dir, message string) {
	t.Helper()
	git(t, dir, "add", "-A")
	git(t, dir, "commit", "-q", "-m", message)
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, dir string) *Repository {
	t.Helper()
	r, err := Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestNamesOfRevisionsAreResolved(t *testing.T) {
	dir := repository(t)
	r := open(t, filepath.Join(dir, "pipe"))
	first, second, other := git(t, dir, "rev-parse", "main~1"), git(t, dir, "rev-parse", "main"), git(t, dir, "rev-parse", "other")
	for name, want := range map[string]Revision{
		"main":         {Commit: second, Folder: "pipe"},
		"main~1":       {Commit: first, Folder: "pipe"},
		"main:":        {Commit: second, Folder: ""},
		"main:a/b/":    {Commit: second, Folder: "a/b"},
		"main:../a":    {Commit: second, Folder: "a"},
		"other...":     {Commit: first, Folder: "pipe"},
		"other:old...": {Commit: first, Folder: "old"},
	} {
		got, err := r.Resolve(t.Context(), name)
		if err != nil || got.Commit != want.Commit || got.Folder != want.Folder {
			t.Errorf("%s is %+v (%v), want %+v", name, got, err, want)
		}
	}
	for name, want := range map[string][2]string{
		"main":         {second, ""},
		"main~1..main": {first, second},
		"other..":      {other, second},
		"..other":      {second, other},
		"main...other": {first, other},
		"other...":     {first, second},
	} {
		before, after, err := r.Range(t.Context(), name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got := [2]string{before.Commit}
		if after != nil {
			got[1] = after.Commit
		}
		if got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
}

func TestAMissingRevisionIsExplained(t *testing.T) {
	dir := repository(t)
	git(t, dir, "tag", "apart", git(t, dir, "commit-tree", "-m", "apart", "main^{tree}"))
	origin := dir
	clone := filepath.Join(t.TempDir(), "clone")
	git(t, dir, "clone", "-q", "file://"+origin, clone)
	shallow := filepath.Join(t.TempDir(), "shallow")
	git(t, dir, "clone", "-q", "--depth=1", "--no-single-branch", "file://"+origin, shallow)
	for _, c := range []struct{ dir, name, want string }{
		{clone, "nothing", `Revision "nothing" does not exist`},
		{clone, "other", "Did you mean origin/other?"},
		{clone, "origin/gone", `Run "git fetch origin gone"`},
		{clone, "--output=x", "is not a revision"},
		{clone, "", "is not a revision"},
		{clone, "apart...", "no common history"},
		{shallow, "main~1", "fetch-depth: 0"},
		{shallow, "origin/other...", "shallow clone"},
	} {
		_, err := open(t, c.dir).Resolve(t.Context(), c.name)
		var known *Error
		if !errors.As(err, &known) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q in %s: %v, want %q", c.name, filepath.Base(c.dir), err, c.want)
		}
	}
	_, err := Open(t.Context(), t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "not in a Git repository") {
		t.Errorf("outside of a repository: %v", err)
	}
	t.Setenv("PATH", t.TempDir())
	if _, err := Open(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "Git is not available") {
		t.Errorf("without git: %v", err)
	}
}

func TestAnExportHasTheRevisionsFilesAndThoseThatGitIgnores(t *testing.T) {
	dir := repository(t)
	write(t, dir, "pipe/.quern/state", "state")
	write(t, dir, "pipe/data/big.parquet", "ignored")
	write(t, dir, "pipe/secret.vars.hcl", "token")
	write(t, dir, "pipe/later.quern.hcl", "not in any revision")
	write(t, dir, "pipe/main.quern.hcl", "changed")
	status := git(t, dir, "status", "--porcelain")
	r := open(t, filepath.Join(dir, "pipe"))
	v, err := r.Resolve(t.Context(), "main~1")
	if err != nil {
		t.Fatal(err)
	}
	to := t.TempDir()
	here, err := r.Export(t.Context(), v, to, ".quern")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"main.quern.hcl":   "one\n",
		"data/a.csv":       "a\n",
		"data/big.parquet": "ignored",
		"secret.vars.hcl":  "token",
		".quern/state":     "state",
	} {
		if got, err := os.ReadFile(filepath.Join(here, name)); err != nil || string(got) != want {
			t.Errorf("%s has %q (%v), want %q", name, got, err, want)
		}
	}
	for _, name := range []string{"new.quern.hcl", "later.quern.hcl"} {
		if _, err := os.Stat(filepath.Join(here, name)); err == nil {
			t.Errorf("%s is there", name)
		}
	}
	if after := git(t, dir, "status", "--porcelain"); after != status {
		t.Errorf("the checkout changed from\n%s\nto\n%s", status, after)
	}
	v.Folder = "elsewhere"
	if _, err := r.Export(t.Context(), v, t.TempDir(), ".quern"); !errors.Is(err, ErrNoFolder) {
		t.Errorf("a folder that does not exist: %v", err)
	}
}
