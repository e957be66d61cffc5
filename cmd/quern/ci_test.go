package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"go.yaml.in/yaml/v4"
)

// ciProject is a repository with a pipeline whose workflows run on this machine:
// their shell steps with bash and the real quern, and the steps of others, such as a
// checkout, as far as they matter to them.
type ciProject struct {
	t                 *testing.T
	dir, origin, work string
	comments          *commentServer
	cached            []string // folders with saved stores, the latest last
	stored            map[string]string
	runs              int
}

const ciPipeline = `module "text" {
  source = "git::file://%s?ref=%s"
  input  = source.texts
}

source "csv" "texts" { path = "texts.csv" }

transform "map" "other" {
  input   = source.texts
  columns = { text = lower(row.text) }
}

deploy "directory" "live" {
  artifact = module.text.rows
  path     = "%s/live"
}
`

const ciModule = `variable "input" { type = dataset({ text = string }) }

transform "map" "upper" {
  input   = var.input
  columns = { text = upper(row.text)%s }
}

output "rows" { value = transform.upper }
`

// newCIProject creates a repository with a pipeline in the folder pipelines/text. Its
// module comes from another repository, in the version v1.
func newCIProject(t *testing.T, system string) *ciProject {
	for _, program := range []string{"git", "bash", "curl", "jq"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("the workflows need %s: %v", program, err)
		}
	}
	dir := t.TempDir()
	p := &ciProject{
		t: t, dir: dir, origin: filepath.Join(dir, "origin.git"), work: filepath.Join(dir, "work"),
		comments: newCommentServer(t), stored: map[string]string{},
	}
	module := filepath.Join(dir, "module")
	p.write(filepath.Join(module, "module.quern.hcl"), fmt.Sprintf(ciModule, ""))
	p.git(dir, "init", "-q", "-b", "main", module)
	p.commit(module, "v1")
	p.git(module, "tag", "v1")
	p.write(filepath.Join(module, "module.quern.hcl"), fmt.Sprintf(ciModule, `, size = length(row.text)`))
	p.commit(module, "v2")
	p.git(module, "tag", "v2")

	p.git(dir, "init", "-q", "--bare", "-b", "main", p.origin)
	p.git(dir, "clone", "-q", p.origin, p.work)
	p.git(p.work, "checkout", "-q", "-b", "main")
	p.write(p.pipeline("main.quern.hcl"), fmt.Sprintf(ciPipeline, module, "v1", dir))
	p.write(p.pipeline("texts.csv"), "text\nHello\n")
	p.quern("init", "-ci="+system)
	p.commit(p.work, "first")
	p.git(p.work, "push", "-q", "origin", "main")
	return p
}

func (p *ciProject) pipeline(name string) string {
	return filepath.Join(p.work, "pipelines", "text", name)
}

func (p *ciProject) write(path, text string) {
	p.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		p.t.Fatal(err)
	}
}

// environ is the environment of all programs.
func (p *ciProject) environ(more ...string) []string {
	return append([]string{
		"PATH=" + strings.Join([]string{filepath.Join(p.dir, "installers"), binaries, os.Getenv("PATH")}, string(os.PathListSeparator)),
		"HOME=" + p.dir, "XDG_CACHE_HOME=" + os.Getenv("XDG_CACHE_HOME"), "NO_COLOR=1", "LC_ALL=C.UTF-8",
		"GIT_AUTHOR_NAME=Ada", "GIT_COMMITTER_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.com", "GIT_COMMITTER_EMAIL=ada@example.com",
	}, more...)
}

func (p *ciProject) run(dir string, env []string, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = dir, p.environ(env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (p *ciProject) git(dir string, args ...string) string {
	p.t.Helper()
	out, err := p.run(dir, nil, "git", args...)
	if err != nil {
		p.t.Fatalf("git %s: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(out)
}

func (p *ciProject) commit(dir, message string) string {
	p.t.Helper()
	p.git(dir, "add", "-A")
	p.git(dir, "commit", "-q", "-m", message)
	return p.git(dir, "rev-parse", "HEAD")
}

func (p *ciProject) quern(args ...string) {
	p.t.Helper()
	// The workflow program finds the real one on the path.
	if out, err := p.run(p.pipeline(""), nil, filepath.Join(binaries, "quern"), args...); err != nil {
		p.t.Fatalf("quern %s: %v\n%s", args, err, out)
	}
}

// install replaces programs that would install something by ones that only accept what
// the workflows are expected to install.
func (p *ciProject) install(commands map[string]string) {
	for name, want := range commands {
		p.write(filepath.Join(p.dir, "installers", name), fmt.Sprintf("#!/bin/sh\ncase \"$*\" in %s) ;; *) echo \"unexpected: %s $*\" >&2; exit 1 ;; esac\n", want, name))
		if err := os.Chmod(filepath.Join(p.dir, "installers", name), 0o755); err != nil {
			p.t.Fatal(err)
		}
	}
}

// change commits a change of the pipeline and pushes it to a branch.
func (p *ciProject) change(branch, old, new string) string {
	p.t.Helper()
	p.git(p.work, "checkout", "-q", "-B", branch)
	path := p.pipeline("main.quern.hcl")
	text, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(text), old) {
		p.t.Fatalf("%q is not in %s: %v", old, path, err)
	}
	p.write(path, strings.ReplaceAll(string(text), old, new))
	commit := p.commit(p.work, "change")
	p.git(p.work, "push", "-q", "-f", "origin", branch)
	return commit
}

// checkout clones a commit of the repository for a job.
func (p *ciProject) checkout(commit string, whole bool) string {
	p.t.Helper()
	p.runs++
	dir := filepath.Join(p.dir, fmt.Sprintf("run-%d", p.runs))
	args := []string{"clone", "-q"}
	if !whole {
		args = append(args, "--depth=1")
	}
	p.git(p.dir, append(args, "file://"+p.origin, dir)...)
	p.git(dir, "fetch", "-q", "origin", commit)
	p.git(dir, "checkout", "-q", "--detach", commit)
	return dir
}

func (p *ciProject) copyTree(from, to string) {
	p.t.Helper()
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		p.t.Fatal(err)
	}
	if out, err := exec.Command("cp", "-a", from, to).CombinedOutput(); err != nil {
		p.t.Fatalf("%v\n%s", err, out)
	}
}

// restore copies the latest saved store, if any, to a path, and save saves it.
func (p *ciProject) restore(path string) {
	if n := len(p.cached); n > 0 {
		if _, err := os.Stat(path); err == nil {
			p.t.Errorf("%s exists before the store is restored", path)
		}
		p.copyTree(p.cached[n-1], path)
	}
}

func (p *ciProject) save(path string) {
	at := filepath.Join(p.dir, fmt.Sprintf("cache-%d", len(p.cached)))
	p.copyTree(path, at)
	p.cached = append(p.cached, at)
}

func (p *ciProject) readYAML(path string, into any) {
	p.t.Helper()
	text, err := os.ReadFile(filepath.Join(p.work, path))
	if err == nil {
		err = yaml.Unmarshal(text, into)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

// commentServer is the part of GitHub's and GitLab's APIs for the comments of one pull
// request.
type commentServer struct {
	*httptest.Server
	t             *testing.T
	mu            sync.Mutex
	all           []comment
	edits, writes int
}

type comment struct {
	ID   int    `json:"id"`
	Body string `json:"body"`
	User struct {
		Login string `json:"login"`
		ID    int    `json:"id"`
	} `json:"user"`
	Author struct {
		ID int `json:"id"`
	} `json:"author"`
}

const ciToken, ciUser = "t0ken", 41

// newCommentServer returns a server with so many comments of others that the comment of
// the workflow is not on the first page. One of them begins like it.
func newCommentServer(t *testing.T) *commentServer {
	s := &commentServer{t: t}
	for i := range 130 {
		c := comment{ID: i + 1, Body: fmt.Sprintf("comment %d", i)}
		if i == 7 {
			c.Body = "<!-- quern plan: pipelines/text -->\nmine"
		}
		c.User.Login, c.User.ID, c.Author.ID = "mallory", 7, 7
		s.all = append(s.all, c)
	}
	mux := http.NewServeMux()
	github := func(h http.HandlerFunc) http.HandlerFunc {
		return s.with(map[string]string{"Authorization": "Bearer " + ciToken, "Accept": "application/vnd.github+json"}, h)
	}
	gitlab := func(h http.HandlerFunc) http.HandlerFunc {
		return s.with(map[string]string{"PRIVATE-TOKEN": ciToken}, h)
	}
	mux.HandleFunc("GET /repos/acme/texts/issues/7/comments", github(s.list))
	mux.HandleFunc("POST /repos/acme/texts/issues/7/comments", github(s.create(65536)))
	mux.HandleFunc("PATCH /repos/acme/texts/issues/comments/{id}", github(s.edit(65536)))
	mux.HandleFunc("GET /user", gitlab(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, `{"id":%d}`, ciUser) }))
	mux.HandleFunc("GET /projects/12/merge_requests/7/notes", gitlab(s.list))
	mux.HandleFunc("POST /projects/12/merge_requests/7/notes", gitlab(s.create(1_000_000)))
	mux.HandleFunc("PUT /projects/12/merge_requests/7/notes/{id}", gitlab(s.edit(1_000_000)))
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// with demands headers.
func (s *commentServer) with(headers map[string]string, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for header, want := range headers {
			if got := r.Header.Get(header); got != want {
				http.Error(w, fmt.Sprintf("%s is %q", header, got), http.StatusUnauthorized)
				return
			}
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		next(w, r)
	}
}

func (s *commentServer) list(w http.ResponseWriter, r *http.Request) {
	size, _ := strconv.Atoi(cmp.Or(r.FormValue("per_page"), "30"))
	page, _ := strconv.Atoi(cmp.Or(r.FormValue("page"), "1"))
	size = min(size, 100)
	from := min(len(s.all), (page-1)*size)
	_ = json.NewEncoder(w).Encode(s.all[from:min(len(s.all), from+size)])
}

func (s *commentServer) body(w http.ResponseWriter, r *http.Request, most int) (string, bool) {
	var in comment
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.Body == "" || len([]rune(in.Body)) > most {
		http.Error(w, "the body is not valid", http.StatusUnprocessableEntity)
		return "", false
	}
	return in.Body, true
}

func (s *commentServer) create(most int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if body, ok := s.body(w, r, most); ok {
			c := comment{ID: 1000 + s.writes, Body: body}
			c.User.Login, c.User.ID, c.Author.ID = "github-actions[bot]", ciUser, ciUser
			s.all, s.writes = append(s.all, c), s.writes+1
			w.WriteHeader(http.StatusCreated)
		}
	}
}

func (s *commentServer) edit(most int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id, _ := strconv.Atoi(r.PathValue("id"))
		i := slices.IndexFunc(s.all, func(c comment) bool { return c.ID == id })
		if i < 0 || s.all[i].User.ID != ciUser {
			http.Error(w, "no such comment", http.StatusNotFound)
			return
		}
		if body, ok := s.body(w, r, most); ok {
			s.all[i].Body = body
			s.edits++
		}
	}
}

// expect checks how often the comment was written and edited, and returns its text.
func (s *commentServer) expect(writes, edits int) string {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writes != writes || s.edits != edits {
		s.t.Fatalf("%d comments and %d edits, want %d and %d", s.writes, s.edits, writes, edits)
	}
	return s.all[len(s.all)-1].Body
}

func wantText(t *testing.T, text string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(text, w) {
			t.Errorf("%q is missing from:\n%s", w, text)
		}
	}
}
