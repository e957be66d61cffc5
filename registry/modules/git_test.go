package modules

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-version"
)

// committed is a Git repository in a folder.
type committed struct {
	t   *testing.T
	dir string
}

// newRepo creates a repository with one commit, in which a file says its name.
func newRepo(t *testing.T) *committed {
	t.Helper()
	t.Setenv("GIT_CONFIG_GLOBAL", filepath.Join(t.TempDir(), "none"))
	t.Setenv("GIT_CONFIG_NOSYSTEM", "1")
	c := &committed{t, filepath.Join(t.TempDir(), "text.git")}
	if err := os.Mkdir(c.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	c.git("init", "--quiet", "--initial-branch=main")
	c.commit("first")
	return c
}

func (c *committed) git(args ...string) string {
	c.t.Helper()
	cmd := exec.Command("git", append([]string{"-c", "user.name=A", "-c", "user.email=a@example.com", "-c", "core.autocrlf=false"}, args...)...)
	cmd.Dir = c.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		c.t.Fatalf("git %s: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (c *committed) write(name, text string) {
	c.t.Helper()
	full := filepath.Join(c.dir, name)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
		c.t.Fatal(err)
	}
}

// commit writes main.quern.hcl with a text and returns the commit.
func (c *committed) commit(text string) string {
	c.t.Helper()
	c.write("clean/main.quern.hcl", text)
	return c.record()
}

func (c *committed) record() string {
	c.t.Helper()
	c.git("add", "-A")
	c.git("commit", "--quiet", "-m", "change")
	return c.git("rev-parse", "HEAD")
}

func (c *committed) source(query string) string { return "git::file://" + c.dir + query }

// get chooses and fetches a source.
func get(t *testing.T, text, constraint string) (dir string, r Release, err error) {
	t.Helper()
	s, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	var c version.Constraints
	if constraint != "" {
		if c, err = version.NewConstraint(constraint); err != nil {
			t.Fatal(err)
		}
	}
	if r, err = Choose(t.Context(), s, c); err != nil {
		return "", r, err
	}
	dir = filepath.Join(t.TempDir(), "out")
	_, err = Fetch(t.Context(), s, r, dir)
	if _, left := os.Stat(dir); err != nil && left == nil {
		t.Errorf("a failed fetch left %s", dir)
	}
	return dir, r, err
}

func textOf(t *testing.T, dir, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func wantError(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %q", err, want)
	}
}

func TestARepositoryHasBranchesTagsCommitsAndVersions(t *testing.T) {
	repo := newRepo(t)
	commits := map[string]string{}
	for _, v := range []string{"v1.0.0", "1.2.0", "v1.10.0", "v2.0.0-rc.1"} {
		commits[v] = repo.commit(v)
		repo.git("tag", "-a", "-m", "release", v)
	}
	repo.git("tag", "nightly")
	commits["nightly"] = commits["v2.0.0-rc.1"]
	repo.git("branch", "old", commits["v1.0.0"])
	commits["main"] = repo.commit("newest")
	for _, c := range []struct{ query, constraint, version, text string }{
		{"", "", "", "newest"},
		{"?ref=main", "", "", "newest"},
		{"?ref=nightly", "", "", "v2.0.0-rc.1"},
		{"?ref=old", "", "", "v1.0.0"},
		{"?ref=refs/heads/old", "", "", "v1.0.0"},
		{"?ref=v1.10.0", "", "", "v1.10.0"},
		{"?ref=" + commits["1.2.0"], "", "", "1.2.0"},
		{"", "~> 1.2", "1.10.0", "v1.10.0"},
		{"", "1.2.0", "1.2.0", "1.2.0"},
		{"", ">= 1.0", "1.10.0", "v1.10.0"},
		{"", ">= 2.0.0-rc.1", "2.0.0-rc.1", "v2.0.0-rc.1"},
	} {
		dir, r, err := get(t, repo.source(c.query), c.constraint)
		if err != nil {
			t.Errorf("%+v: %v", c, err)
			continue
		}
		if got := textOf(t, dir, "clean/main.quern.hcl"); got != c.text || r.Version != c.version || len(r.Pin) != 40 {
			t.Errorf("%+v: got %q, %+v", c, got, r)
		}
		if _, err := os.Stat(filepath.Join(dir, ".git")); err == nil {
			t.Error("the package contains a repository")
		}
	}
	for _, c := range []struct{ query, constraint, want string }{
		{"?ref=nowhere", "", `no branch or tag "nowhere"`},
		{"?ref=" + commits["main"][:8], "", "write all 40 digits"},
		{"", ">= 3.0", `no version satisfies ">= 3.0"; the newest is v1.10.0`},
		{"?ref=main", "~> 1.0", "remove one of the two"},
	} {
		_, _, err := get(t, repo.source(c.query), c.constraint)
		wantError(t, err, c.want)
	}
}

func TestARepositoryWithoutVersionsSaysSo(t *testing.T) {
	repo := newRepo(t)
	repo.git("tag", "v1")
	_, _, err := get(t, repo.source(""), "~> 1.0")
	wantError(t, err, "no tag is a version")
	repo.git("update-ref", "-d", "HEAD")
	repo.git("tag", "-d", "v1")
	_, _, err = get(t, repo.source(""), "")
	wantError(t, err, "the repository is empty")
	_, _, err = get(t, repo.source("x"), "")
	wantError(t, err, "text.gitx: git ls-remote failed")
}

// An old protocol lets nobody ask for a commit that no name refers to.
func TestACommitIsFetchedFromServersThatDoNotOfferIt(t *testing.T) {
	repo := newRepo(t)
	old := repo.commit("old")
	repo.commit("new")
	config := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(config, []byte("[protocol]\nversion = 0\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GIT_CONFIG_GLOBAL", config)
	dir, _, err := get(t, repo.source("?ref="+old), "")
	if err != nil || textOf(t, dir, "clean/main.quern.hcl") != "old" {
		t.Fatal(err)
	}
	_, _, err = get(t, repo.source("?ref="+strings.Repeat("1", 40)), "")
	wantError(t, err, "no longer exists in the repository")
}

func TestADaemonServesARepository(t *testing.T) {
	repo := newRepo(t)
	want := repo.commit("served")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := listener.Addr().(*net.TCPAddr)
	listener.Close()
	_, port, _ := net.SplitHostPort(at.String())
	daemon := exec.Command("git", "daemon", "--export-all", "--listen=127.0.0.1", "--port="+port, "--base-path="+filepath.Dir(repo.dir))
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	// Git passes the signal on to the daemon, which is a process of its own.
	t.Cleanup(func() { _ = daemon.Process.Signal(syscall.SIGTERM); _ = daemon.Wait() })
	for range 200 {
		if c, err := net.Dial("tcp", at.String()); err == nil {
			c.Close()
			break
		}
		time.Sleep(25 * time.Millisecond)
	}
	dir, r, err := get(t, "git::git://"+at.String()+"/text.git", "")
	if err != nil || r.Pin != want || textOf(t, dir, "clean/main.quern.hcl") != "served" {
		t.Errorf("%v %+v", err, r)
	}
}

// A commit has the same files everywhere: no setting of the user, attribute of the
// repository, filter, or hook changes them or runs.
func TestFilesAreReadAsTheyWereCommitted(t *testing.T) {
	repo := newRepo(t)
	repo.write(".gitattributes", "*.txt text eol=crlf export-subst filter=evil\nhidden.txt export-ignore\n")
	repo.write("a.txt", "line $Format:%H$\nline\n")
	repo.write("hidden.txt", "here\n")
	repo.record()
	traces := t.TempDir()
	hooks := filepath.Join(t.TempDir(), "hooks")
	script := "#!/bin/sh\ntouch " + traces + "/$(basename $0)\n"
	for _, name := range []string{"reference-transaction", "post-checkout", "post-merge", "pre-auto-gc"} {
		if err := os.MkdirAll(hooks, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(hooks, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	config := filepath.Join(t.TempDir(), "config")
	text := "[core]\nautocrlf = true\nhooksPath = " + hooks + "\n[filter \"evil\"]\nsmudge = touch " + traces + "/smudge\n[init]\ntemplateDir = " + filepath.Dir(hooks) + "\n"
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GIT_CONFIG_GLOBAL", config)
	t.Setenv("GIT_DIR", traces) // as in a hook that starts quern
	dir, _, err := get(t, repo.source(""), "")
	if err != nil {
		t.Fatal(err)
	}
	if got := textOf(t, dir, "a.txt"); got != "line $Format:%H$\nline\n" {
		t.Errorf("%q", got)
	}
	textOf(t, dir, "hidden.txt")
	if found, _ := os.ReadDir(traces); len(found) > 0 {
		t.Errorf("%s ran", found)
	}
}

func TestLinksOfARepositoryStayInIt(t *testing.T) {
	repo := newRepo(t)
	link := func(target, name string) {
		t.Helper()
		os.Remove(filepath.Join(repo.dir, name))
		if err := os.Symlink(target, filepath.Join(repo.dir, name)); err != nil {
			t.Fatal(err)
		}
		repo.record()
	}
	link("clean/main.quern.hcl", "inside")
	link("clean", "folder")
	dir, _, err := get(t, repo.source(""), "")
	if err != nil || textOf(t, dir, "inside") != "first" || textOf(t, dir, "folder/main.quern.hcl") != "first" {
		t.Fatal(err)
	}
	link("/etc/passwd", "outside")
	_, _, err = get(t, repo.source(""), "")
	wantError(t, err, `the symbolic link "outside" leads out of the package, to "/etc/passwd"`)
	link("../../etc", "outside")
	_, _, err = get(t, repo.source(""), "")
	wantError(t, err, `the symbolic link "outside" leads out of the package`)
	// Each of these stays inside as a text, but b leads out of the folder that a leads to.
	repo.write("deep/deep/file", "")
	link("deep/deep", "a")
	link("a/../../..", "outside")
	_, _, err = get(t, repo.source(""), "")
	wantError(t, err, `the symbolic link "outside" leads out of the package`)
}

func TestWhatGitLFSStoresIsRefused(t *testing.T) {
	repo := newRepo(t)
	repo.write("rows.csv", "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n")
	repo.record()
	_, _, err := get(t, repo.source(""), "")
	wantError(t, err, `"rows.csv" is stored in Git LFS`)
}

func TestSubmodulesAreNotFetched(t *testing.T) {
	inner, repo := newRepo(t), newRepo(t)
	repo.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", inner.dir, "inner")
	repo.record()
	dir, _, err := get(t, repo.source(""), "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "inner")); err == nil {
		t.Error("a submodule was fetched")
	}
}

// Nobody is asked, and the token in a setting of the user is not shown.
func TestAMissingCredentialIsAnErrorWithoutCredentials(t *testing.T) {
	newRepo(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
		http.Error(w, "no", http.StatusUnauthorized)
	}))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	t.Setenv("GIT_CONFIG_COUNT", "1")
	t.Setenv("GIT_CONFIG_KEY_0", "url.http://hunter2@"+host+"/.insteadOf")
	t.Setenv("GIT_CONFIG_VALUE_0", server.URL+"/")
	_, _, err := get(t, "git::"+server.URL+"/text.git", "")
	wantError(t, err, "git ls-remote failed")
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error contains a credential: %v", err)
	}
}
