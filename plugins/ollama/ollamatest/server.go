// Package ollamatest provides a stand-in for Ollama, for tests. It follows
// Ollama's documented API for blobs and models, and checks what Ollama checks:
// the digests of blobs, and the beginning and the architecture of models. It is
// not Ollama: it converts and runs no model, and its answers are a function of
// the files that a model was created from. It is not available to users.
package ollamatest

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Server is a stand-in for Ollama. Its fields may be changed between requests.
type Server struct {
	http.Handler
	// URL is its address.
	URL string
	// Answer returns a model's answer to a prompt. The default names the weights
	// that the model was created from; see Weights.
	Answer func(model, prompt string) string
	// CreateError is an error that the creation of a model ends with.
	CreateError string
	// Forgets is true if the creation of a model succeeds without creating it.
	Forgets bool
	// Delay is how long each request that changes something takes.
	Delay time.Duration

	mu     sync.Mutex
	blobs  map[string][]byte
	models map[string]*Model
	clock  time.Time
	writes []string
	sent   int64
}

// Model is a model of the server.
type Model struct {
	Name     string    `json:"name"`
	Digest   string    `json:"digest"`
	Modified time.Time `json:"modified_at"`
	Size     int64     `json:"size"`
	// Request is how it was created.
	Request Request `json:"-"`
}

// Request is a request to create a model.
type Request struct {
	Model      string            `json:"model"`
	From       string            `json:"from"`
	Files      map[string]string `json:"files"`
	Adapters   map[string]string `json:"adapters"`
	Template   string            `json:"template"`
	System     string            `json:"system"`
	License    string            `json:"license"`
	Quantize   string            `json:"quantize"`
	Parameters map[string]any    `json:"parameters"`
}

// Weights returns the part of the default answers that names the weights with a
// digest.
func Weights(digest string) string { return strings.TrimPrefix(digest, "sha256:")[:8] }

// Start starts a server without models. It ends with the test.
func Start(t testing.TB) *Server {
	t.Helper()
	s := New()
	listener := httptest.NewServer(s)
	t.Cleanup(listener.Close)
	s.URL = listener.URL
	return s
}

// New returns a server without models that does not listen.
func New() *Server {
	s := &Server{blobs: map[string][]byte{}, models: map[string]*Model{}, clock: time.Unix(1e9, 0)}
	mux := http.NewServeMux()
	mux.HandleFunc("HEAD /api/blobs/{digest}", s.findBlob)
	mux.HandleFunc("POST /api/blobs/{digest}", s.write(s.addBlob))
	mux.HandleFunc("POST /api/create", s.write(s.create))
	mux.HandleFunc("POST /api/copy", s.write(s.copyModel))
	mux.HandleFunc("DELETE /api/delete", s.write(s.deleteModel))
	mux.HandleFunc("GET /api/tags", s.tags)
	mux.HandleFunc("POST /api/show", s.show)
	mux.HandleFunc("POST /api/generate", s.generate)
	s.Handler = mux
	return s
}

// Writes returns the requests that changed something since the last call, and
// the number of bytes in them that are parts of models.
func (s *Server) Writes() (requests []string, sent int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	requests, sent = s.writes, s.sent
	s.writes, s.sent = nil, 0
	return requests, sent
}

// Names returns the names of the models, sorted.
func (s *Server) Names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.models))
}

// Model returns a copy of a model; nil if it does not exist.
func (s *Server) Model(name string) *Model {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := s.find(name)
	if err != nil {
		return nil
	}
	found := *m
	return &found
}

// Put creates a model as another user would, or replaces it.
func (s *Server) Put(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.add(Request{Model: name, System: "someone else's"})
}

// Remove deletes a model as another user would.
func (s *Server) Remove(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.models, tagged(name))
}

// Ask returns the answer of a model, as a client gets it.
func (s *Server) Ask(name, prompt string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := s.find(name)
	if err != nil {
		return "", err
	}
	return s.answer(m, prompt), nil
}

func (s *Server) answer(m *Model, prompt string) string {
	if s.Answer != nil {
		return s.Answer(m.Name, prompt)
	}
	var parts []string
	for _, files := range []map[string]string{m.Request.Files, m.Request.Adapters} {
		for _, name := range slices.Sorted(maps.Keys(files)) {
			if ext := path.Ext(name); ext == ".gguf" || ext == ".safetensors" {
				parts = append(parts, Weights(files[name]))
			}
		}
	}
	return strings.Join(parts, " ")
}

// write counts a request, delays it, and answers with an error's text.
func (s *Server) write(handle func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(s.Delay)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.writes = append(s.writes, r.Method+" "+r.URL.Path)
		respond(w, handle(w, r))
	}
}

// problem is an error with a status.
type problem struct {
	status int
	text   string
}

func (p *problem) Error() string { return p.text }

func respond(w http.ResponseWriter, err error) {
	if err == nil {
		return
	}
	status := http.StatusBadRequest
	var p *problem
	if errors.As(err, &p) {
		status = p.status
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": err.Error()})
}

func (s *Server) findBlob(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.blobs[r.PathValue("digest")]; !ok {
		w.WriteHeader(http.StatusNotFound)
	}
}

func (s *Server) addBlob(w http.ResponseWriter, r *http.Request) error {
	content, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(content)
	if got := "sha256:" + hex.EncodeToString(sum[:]); got != r.PathValue("digest") {
		return fmt.Errorf("digest mismatch, expected %q, got %q", r.PathValue("digest"), got)
	}
	s.blobs[r.PathValue("digest")] = content
	s.sent += int64(len(content))
	w.WriteHeader(http.StatusCreated)
	return nil
}

func (s *Server) create(w http.ResponseWriter, r *http.Request) error {
	var req Request
	if err := decode(r, &req); err != nil {
		return err
	}
	if err := s.check(req); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	lines := json.NewEncoder(w)
	if err := lines.Encode(map[string]string{"status": "writing manifest"}); err != nil {
		return err
	}
	if s.CreateError != "" {
		return lines.Encode(map[string]string{"error": s.CreateError})
	}
	if !s.Forgets {
		s.add(req)
	}
	return lines.Encode(map[string]string{"status": "success"})
}

// add creates a model. The same request gives the same digest.
func (s *Server) add(req Request) {
	content := req
	content.Model = ""
	text, err := json.Marshal(content)
	if err != nil {
		panic(err) // It was JSON before.
	}
	sum := sha256.Sum256(text)
	m := &Model{Name: tagged(req.Model), Digest: hex.EncodeToString(sum[:]), Modified: s.tick(), Request: req}
	s.models[m.Name] = m
}

func (s *Server) tick() time.Time {
	s.clock = s.clock.Add(time.Second)
	return s.clock
}

// check refuses what Ollama refuses.
func (s *Server) check(req Request) error {
	switch {
	case req.From == "" && len(req.Files) == 0:
		return errors.New("neither 'from' or 'files' was specified")
	case req.From != "":
		if _, err := s.find(req.From); err != nil {
			return err
		}
	}
	for _, files := range []map[string]string{req.Files, req.Adapters} {
		for name, digest := range files {
			content, ok := s.blobs[digest]
			if !ok {
				return fmt.Errorf("blob %s of %s was not found", digest, name)
			}
			if err := checkFile(name, content); err != nil {
				return err
			}
		}
	}
	if len(req.Files) > 0 && !slices.ContainsFunc(slices.Collect(maps.Keys(req.Files)), isGGUF) {
		if _, err := s.config(req); err != nil {
			return err
		}
	}
	if len(req.Adapters) > 0 && req.Adapters["adapter_config.json"] == "" {
		return errors.New("open adapter_config.json: file does not exist")
	}
	return nil
}

func isGGUF(name string) bool { return path.Ext(name) == ".gguf" }

func checkFile(name string, content []byte) error {
	switch path.Ext(name) {
	case ".gguf":
		if !bytes.HasPrefix(content, []byte("GGUF")) {
			return errors.New("invalid file magic")
		}
	case ".safetensors":
		if len(content) < 8 || binary.LittleEndian.Uint64(content)+8 > uint64(len(content)) {
			return fmt.Errorf("%s: invalid safetensors header", name)
		}
	}
	return nil
}

// config returns the config.json of a model that is created from safetensors.
func (s *Server) config(req Request) (map[string]any, error) {
	var config map[string]any
	if err := json.Unmarshal(s.blobs[req.Files["config.json"]], &config); err != nil {
		return nil, errors.New("open config.json: file does not exist")
	}
	names, _ := config["architectures"].([]any)
	if len(names) == 0 || names[0] != "LlamaForCausalLM" {
		return nil, fmt.Errorf("unsupported architecture %q", names)
	}
	return config, nil
}

func (s *Server) copyModel(_ http.ResponseWriter, r *http.Request) error {
	var req struct{ Source, Destination string }
	if err := decode(r, &req); err != nil {
		return err
	}
	m, err := s.find(req.Source)
	if err != nil {
		return err
	}
	made := *m
	made.Name, made.Modified = tagged(req.Destination), s.tick()
	s.models[made.Name] = &made
	return nil
}

func (s *Server) deleteModel(_ http.ResponseWriter, r *http.Request) error {
	m, err := s.named(r)
	if err == nil {
		delete(s.models, m.Name)
	}
	return err
}

func (s *Server) tags(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := slices.SortedFunc(maps.Values(s.models), func(a, b *Model) int { return b.Modified.Compare(a.Modified) })
	_ = json.NewEncoder(w).Encode(map[string]any{"models": all})
}

func (s *Server) show(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := s.named(r)
	if err != nil {
		respond(w, err)
		return
	}
	info := map[string]any{"general.architecture": "llama"}
	if config, err := s.config(m.Request); err == nil {
		info["llama.embedding_length"], info["llama.block_count"] = config["hidden_size"], config["num_hidden_layers"]
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"capabilities": []string{"completion"}, "model_info": info})
}

func (s *Server) generate(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var req struct {
		Model, Prompt string
		Stream        *bool
		Options       map[string]any
	}
	err := decode(r, &req)
	if err == nil && (req.Stream == nil || *req.Stream) {
		err = errors.New("the stand-in does not stream answers")
	}
	m, findErr := s.find(req.Model)
	if err = errors.Join(err, findErr); err != nil {
		respond(w, err)
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"model": req.Model, "response": s.answer(m, req.Prompt), "done": true})
}

func (s *Server) named(r *http.Request) (*Model, error) {
	var req struct{ Model string }
	if err := decode(r, &req); err != nil {
		return nil, err
	}
	return s.find(req.Model)
}

func (s *Server) find(name string) (*Model, error) {
	if m := s.models[tagged(name)]; m != nil {
		return m, nil
	}
	return nil, &problem{http.StatusNotFound, fmt.Sprintf("model '%s' not found", name)}
}

// tagged returns a name with its tag.
func tagged(name string) string {
	if strings.Contains(name[strings.LastIndex(name, "/")+1:], ":") {
		return name
	}
	return name + ":latest"
}

func decode(r *http.Request, into any) error {
	if err := json.NewDecoder(r.Body).Decode(into); err != nil {
		return fmt.Errorf("invalid request: %w", err)
	}
	return nil
}
