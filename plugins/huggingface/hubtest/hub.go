// Package hubtest is a stand-in for a Hugging Face Hub: it follows the documented
// API as far as repositories, commits, the LFS storage, and downloads go. It keeps
// everything in memory. The library huggingface_hub uploads to it and downloads
// from it in the tests, which is the evidence that it behaves like the real one.
package hubtest

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"

	"go.yaml.in/yaml/v4"
)

// Hub is an http.Handler. Its zero value is not usable; see New.
type Hub struct {
	// Token is the token that every request to the API must have.
	Token string
	// LargeFrom is the size in bytes from which files go to the LFS storage, and
	// PartSize the size of the parts in which it wants larger ones; 0: in one.
	LargeFrom, PartSize int64

	api, files *http.ServeMux
	mu         sync.Mutex
	repos      map[string]*repository // those of datasets begin with datasets/
	large      map[string][]byte      // by SHA-256 in hexadecimal
	parts      map[string][]byte      // by SHA-256 and number
}

type repository struct {
	private  bool
	branches map[string]string            // branch → commit
	commits  map[string]map[string]stored // commit → files
	titles   []string
}

// stored is a file of a commit.
type stored struct {
	content []byte
	large   bool
}

// New returns a Hub without repositories.
func New(token string) *Hub {
	h := &Hub{Token: token, LargeFrom: 1 << 10, repos: map[string]*repository{}, large: map[string][]byte{}, parts: map[string][]byte{}}
	h.api, h.files = http.NewServeMux(), http.NewServeMux()
	for pattern, handle := range map[string]http.HandlerFunc{
		"POST /api/repos/create":                             h.create,
		"DELETE /api/repos/delete":                           h.remove,
		"PUT /api/{kind}/{owner}/{name}/settings":            h.settings,
		"POST /api/{kind}/{owner}/{name}/branch/{branch}":    h.branch,
		"DELETE /api/{kind}/{owner}/{name}/branch/{branch}":  h.unbranch,
		"GET /api/{kind}/{owner}/{name}":                     h.info,
		"GET /api/{kind}/{owner}/{name}/revision/{revision}": h.info,
		"GET /api/{kind}/{owner}/{name}/tree/{revision}":     h.tree,
		"POST /api/{kind}/{owner}/{name}/preupload/{branch}": h.preupload,
		"POST /api/{kind}/{owner}/{name}/commit/{branch}":    h.commit,
		"POST /api/complete/{oid}":                           h.complete,
		"POST /api/verify":                                   h.verify,
		"GET /api/whoami-v2":                                 h.whoami,
		"POST /api/validate-yaml":                            h.validate,
	} {
		h.api.HandleFunc(pattern, h.authorized(handle))
	}
	h.files.HandleFunc("POST /{owner}/{git}/info/lfs/objects/batch", h.authorized(h.batch))
	h.files.HandleFunc("GET /{owner}/{name}/resolve/{revision}/{file...}", h.authorized(h.resolve))
	// The storage is another service in reality. It must not see the token.
	h.files.HandleFunc("PUT /storage/{oid}", h.store)
	return h
}

func (h *Hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/api/") {
		h.api.ServeHTTP(w, r)
		return
	}
	// Unlike those of models, the addresses of datasets begin with their kind.
	if path, ok := strings.CutPrefix(r.URL.Path, "/"+datasets); ok {
		r = r.Clone(r.Context())
		r.URL.Path = "/" + path
		r.Header.Set(kindHeader, datasets)
	}
	h.files.ServeHTTP(w, r)
}

const (
	datasets   = "datasets/"
	kindHeader = "X-Test-Kind"
)

// nameOf returns the name of the repository of a request, as Files has it.
func nameOf(r *http.Request) string {
	kind := r.Header.Get(kindHeader)
	if r.PathValue("kind") == "datasets" {
		kind = datasets
	}
	return kind + r.PathValue("owner") + "/" + r.PathValue("name")
}

// Files returns the content of a branch, or nil if it does not exist. The names of
// repositories of datasets begin with datasets/, here and below.
func (h *Hub) Files(repo, branch string) map[string]string {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.repos[repo]
	if r == nil || r.branches[branch] == "" {
		return nil
	}
	out := map[string]string{}
	for name, f := range r.commits[r.branches[branch]] {
		out[name] = string(f.content)
	}
	return out
}

// Commits returns the titles of all commits to a repository.
func (h *Hub) Commits(repo string) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if r := h.repos[repo]; r != nil {
		return slices.Clone(r.titles)
	}
	return nil
}

// Private reports whether a repository is private.
func (h *Hub) Private(repo string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.repos[repo] != nil && h.repos[repo].private
}

// Push commits files to a branch, as somebody else does.
func (h *Hub) Push(repo, branch string, files map[string]string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.repos[repo]
	if r == nil {
		r = newRepository(false)
		h.repos[repo] = r
	}
	next := maps.Clone(r.commits[r.branches[branch]])
	for name, text := range files {
		next[name] = stored{content: []byte(text)}
	}
	r.add(branch, "by somebody else", next)
}

func newRepository(private bool) *repository {
	r := &repository{private: private, branches: map[string]string{}, commits: map[string]map[string]stored{}}
	r.add("main", "initial commit", map[string]stored{".gitattributes": {content: []byte("*.safetensors filter=lfs\n")}})
	r.titles = nil
	return r
}

func (repo *repository) add(branch, title string, files map[string]stored) string {
	sum := sha1.Sum(fmt.Appendf(nil, "%d %s %s", len(repo.commits), branch, title))
	commit := hex.EncodeToString(sum[:])
	repo.commits[commit], repo.branches[branch] = files, commit
	repo.titles = append(repo.titles, title)
	return commit
}

func (h *Hub) authorized(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+h.Token {
			refuse(w, http.StatusUnauthorized, "Invalid username or password.")
			return
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		next(w, r)
	}
}

func refuse(w http.ResponseWriter, status int, message string) {
	w.Header().Set("X-Error-Message", message)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": message})
}

func answer(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value)
}

// decode reads a request's body; it answers and returns false if it is
// malformed.
func decode(w http.ResponseWriter, r *http.Request, into any) bool {
	if err := json.NewDecoder(r.Body).Decode(into); err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return false
	}
	return true
}

// at returns the repository of a request. It answers and returns nil if there is
// none.
func (h *Hub) at(w http.ResponseWriter, r *http.Request) *repository {
	repo := h.repos[nameOf(r)]
	if repo == nil {
		w.Header().Set("X-Error-Code", "RepoNotFound")
		refuse(w, http.StatusNotFound, "Repository not found")
	}
	return repo
}

// revision returns the commit that a request names by itself or by a branch. It
// answers and returns "" if there is none.
func (repo *repository) revision(w http.ResponseWriter, name string) string {
	if commit := repo.branches[name]; commit != "" {
		return commit
	}
	if _, ok := repo.commits[name]; ok {
		return name
	}
	w.Header().Set("X-Error-Code", "RevisionNotFound")
	refuse(w, http.StatusNotFound, "Invalid rev id: "+name)
	return ""
}

type named struct {
	Name, Organization, Type, Visibility string
	Private                              bool
}

func (n *named) repo() string {
	if n.Type == "dataset" {
		return datasets + path.Join(n.Organization, n.Name)
	}
	return path.Join(n.Organization, n.Name)
}

func (h *Hub) create(w http.ResponseWriter, r *http.Request) {
	var n named
	if !decode(w, r, &n) {
		return
	}
	if h.repos[n.repo()] != nil {
		refuse(w, http.StatusConflict, "You already created this model repo")
		return
	}
	h.repos[n.repo()] = newRepository(n.Private || n.Visibility == "private")
	answer(w, map[string]string{"url": "http://" + r.Host + "/" + n.repo(), "name": n.repo()})
}

func (h *Hub) remove(w http.ResponseWriter, r *http.Request) {
	var n named
	if !decode(w, r, &n) {
		return
	}
	if h.repos[n.repo()] == nil {
		refuse(w, http.StatusNotFound, "Repository not found")
		return
	}
	delete(h.repos, n.repo())
}

func (h *Hub) settings(w http.ResponseWriter, r *http.Request) {
	repo := h.at(w, r)
	var n named
	if repo != nil && decode(w, r, &n) {
		repo.private = n.Visibility == "private"
		answer(w, n)
	}
}

func (h *Hub) branch(w http.ResponseWriter, r *http.Request) {
	repo := h.at(w, r)
	if repo == nil {
		return
	}
	name := r.PathValue("branch")
	if repo.branches[name] != "" {
		refuse(w, http.StatusConflict, "Reference already exists")
		return
	}
	repo.branches[name] = repo.branches["main"]
}

func (h *Hub) unbranch(w http.ResponseWriter, r *http.Request) {
	if repo := h.at(w, r); repo != nil {
		delete(repo.branches, r.PathValue("branch"))
	}
}

func (h *Hub) info(w http.ResponseWriter, r *http.Request) {
	repo := h.at(w, r)
	if repo == nil {
		return
	}
	name := r.PathValue("revision")
	if name == "" {
		name = "main"
	}
	commit := repo.revision(w, name)
	if commit == "" {
		return
	}
	files := repo.commits[commit]
	siblings := []map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		siblings = append(siblings, map[string]string{"rfilename": name})
	}
	card := map[string]any{}
	if parts := strings.SplitN(string(files["README.md"].content), "---\n", 3); len(parts) == 3 {
		_ = yaml.Unmarshal([]byte(parts[1]), &card)
	}
	id := r.PathValue("owner") + "/" + r.PathValue("name")
	answer(w, map[string]any{"id": id, "modelId": id, "sha": commit, "private": repo.private, "siblings": siblings, "cardData": card, "tags": []string{}, "downloads": 0, "likes": 0})
}

func gitOID(content []byte) string {
	sum := sha1.Sum(append(fmt.Appendf(nil, "blob %d\x00", len(content)), content...))
	return hex.EncodeToString(sum[:])
}

func sha(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// treePage is the number of files in a page of a listing.
const treePage = 3

func (h *Hub) tree(w http.ResponseWriter, r *http.Request) {
	repo := h.at(w, r)
	if repo == nil {
		return
	}
	commit := repo.revision(w, r.PathValue("revision"))
	if commit == "" {
		return
	}
	all := []map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(repo.commits[commit])) {
		f := repo.commits[commit][name]
		e := map[string]any{"type": "file", "path": name, "size": len(f.content), "oid": gitOID(f.content)}
		if f.large {
			pointer := fmt.Appendf(nil, "version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %d\n", sha(f.content), len(f.content))
			e["oid"] = gitOID(pointer)
			e["lfs"] = map[string]any{"oid": sha(f.content), "size": len(f.content), "pointerSize": len(pointer)}
		}
		all = append(all, e)
	}
	from, _ := strconv.Atoi(r.URL.Query().Get("cursor"))
	to := min(from+treePage, len(all))
	if to < len(all) {
		next := *r.URL
		q := next.Query()
		q.Set("cursor", strconv.Itoa(to))
		next.RawQuery = q.Encode()
		w.Header().Set("Link", fmt.Sprintf(`<http://%s%s>; rel="next"`, r.Host, next.String()))
	}
	answer(w, all[min(from, to):to])
}

// resolve serves a file of a revision.
func (h *Hub) resolve(w http.ResponseWriter, r *http.Request) {
	repo := h.at(w, r)
	if repo == nil {
		return
	}
	commit := repo.revision(w, r.PathValue("revision"))
	if commit == "" {
		return
	}
	w.Header().Set("X-Repo-Commit", commit)
	f, ok := repo.commits[commit][r.PathValue("file")]
	if !ok {
		w.Header().Set("X-Error-Code", "EntryNotFound")
		refuse(w, http.StatusNotFound, "Entry not found")
		return
	}
	etag := gitOID(f.content)
	if f.large {
		etag = sha(f.content)
		w.Header().Set("X-Linked-ETag", `"`+etag+`"`)
		w.Header().Set("X-Linked-Size", strconv.Itoa(len(f.content)))
	}
	w.Header().Set("ETag", `"`+etag+`"`)
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.Itoa(len(f.content)))
	_, _ = io.Copy(w, bytes.NewReader(f.content))
}

func (h *Hub) whoami(w http.ResponseWriter, _ *http.Request) {
	answer(w, map[string]any{"type": "user", "name": "ada", "orgs": []any{}})
}

// validate checks the metadata of a card, which huggingface_hub asks for.
func (h *Hub) validate(w http.ResponseWriter, _ *http.Request) {
	answer(w, map[string]any{"errors": []any{}, "warnings": []any{}})
}
