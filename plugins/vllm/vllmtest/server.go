// Package vllmtest provides a stand-in for a replica of vLLM, for tests. It
// follows vLLM's API for models and LoRA adapters, and reads the files of
// adapters from the paths that it is given. It is not vLLM: it runs no model,
// and its answers name the weights that it loaded. It is not available to users.
package vllmtest

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Base is the name of the base model.
const Base = "base"

// Server is a replica. Its fields may be changed between requests.
type Server struct {
	http.Handler
	// URL is its address.
	URL string
	// Mount is the path that the replica has for the folder Folder of this
	// machine. If it is empty, paths are the same.
	Mount, Folder string
	// LoadError is an error that loading an adapter ends with, and Static is true
	// if adapters cannot be loaded at all.
	LoadError string
	Static    bool
	// Mute is true if adapters answer nothing.
	Mute bool
	// Old is true if adapters cannot be replaced in place.
	Old bool
	// Delay is how long each request that changes something takes, and Latency
	// how long answers take.
	Delay, Latency time.Duration

	// Hold makes requests that change something wait until it is closed.
	Hold chan struct{}

	listener *httptest.Server
	names    sync.Map // of adapters → *sync.Mutex
	mu       sync.Mutex
	adapters map[string]*adapter
	changes  []string
}

type adapter struct {
	path    string
	weights string // what it answers
}

// Weights returns the answer of an adapter with weights.
func Weights(content string) string {
	return fmt.Sprintf("%x", sha256.Sum256([]byte(content)))[:8]
}

// Start starts a replica with the base model. It ends with the test.
func Start(t testing.TB) *Server {
	t.Helper()
	s := New()
	s.listener = httptest.NewServer(s)
	t.Cleanup(s.listener.Close)
	s.URL = s.listener.URL
	return s
}

// New returns a replica with the base model that does not listen.
func New() *Server {
	s := &Server{adapters: map[string]*adapter{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/models", s.models)
	mux.HandleFunc("POST /v1/load_lora_adapter", s.change(s.load))
	mux.HandleFunc("POST /v1/unload_lora_adapter", s.change(s.unload))
	mux.HandleFunc("POST /v1/chat/completions", s.complete)
	mux.HandleFunc("POST /v1/completions", s.complete)
	s.Handler = mux
	return s
}

// Stop ends the replica.
func (s *Server) Stop() { s.listener.Close() }

// Restart restarts the replica, which forgets all adapters.
func (s *Server) Restart() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.adapters = map[string]*adapter{}
}

// Changes returns the successful changes since the last call.
func (s *Server) Changes() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	changes := s.changes
	s.changes = nil
	return changes
}

// Names returns the names of the adapters, sorted.
func (s *Server) Names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.adapters))
}

// Put loads an adapter as another user would.
func (s *Server) Put(name, path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.adapters[name] = &adapter{path, "other"}
}

// Ask returns the answer of a model over HTTP, as a client gets it.
func (s *Server) Ask(model string) (string, error) {
	resp, err := http.Post(s.URL+"/v1/completions", "application/json", strings.NewReader(fmt.Sprintf(`{"model": %q, "prompt": ""}`, model)))
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var got struct {
		Choices []struct{ Text string }
		Error   struct{ Message string }
	}
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("status %d: %s", resp.StatusCode, got.Error.Message)
	}
	return got.Choices[0].Text, nil
}

// Serving returns the answer of an adapter, or "" if it is not loaded.
func (s *Server) Serving(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.adapters[name]; a != nil {
		return a.weights
	}
	return ""
}

func (s *Server) models(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	data := []map[string]any{{"id": Base, "object": "model", "root": Base, "parent": nil}}
	for _, name := range slices.Sorted(maps.Keys(s.adapters)) {
		data = append(data, map[string]any{"id": name, "object": "model", "root": s.adapters[name].path, "parent": Base})
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"object": "list", "data": data})
}

// request is the body of all requests.
type request struct {
	Name    string `json:"lora_name"`
	Path    string `json:"lora_path"`
	Inplace bool   `json:"load_inplace"`
	Model   string `json:"model"`
}

// failure is an error with a status.
type failure struct {
	status int
	kind   string
	text   string
}

func (f *failure) Error() string { return f.text }

func respond(w http.ResponseWriter, err error) {
	var f *failure
	if !errors.As(err, &f) {
		f = &failure{http.StatusBadRequest, "BadRequestError", err.Error()}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(f.status)
	_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{"message": f.text, "type": f.kind, "code": f.status}})
}

// change delays a request and counts it if it succeeds. The answer to a change
// is text.
func (s *Server) change(do func(*request) (string, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var req request
		err := json.NewDecoder(r.Body).Decode(&req)
		// Like vLLM, it changes one thing at a time about a name, and goes on if
		// the client gives up.
		name, _ := s.names.LoadOrStore(req.Name, &sync.Mutex{})
		name.(*sync.Mutex).Lock()
		defer name.(*sync.Mutex).Unlock()
		time.Sleep(s.Delay)
		if s.Hold != nil {
			<-s.Hold
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.Static {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(`{"detail":"Not Found"}`))
			return
		}
		text := ""
		if err == nil {
			text, err = do(&req)
		}
		if err != nil {
			respond(w, err)
			return
		}
		s.changes = append(s.changes, strings.TrimPrefix(r.URL.Path, "/v1/")+" "+req.Name)
		_, _ = w.Write([]byte(text))
	}
}

func (s *Server) load(r *request) (string, error) {
	switch {
	case r.Name == "" || r.Path == "":
		return "", &failure{http.StatusBadRequest, "InvalidUserInput", "Both 'lora_name' and 'lora_path' must be provided."}
	case s.adapters[r.Name] != nil && (!r.Inplace || s.Old):
		return "", &failure{http.StatusBadRequest, "InvalidUserInput", fmt.Sprintf("The lora adapter '%s' has already been loaded.", r.Name)}
	case s.LoadError != "":
		return "", &failure{http.StatusInternalServerError, "InternalServerError", s.LoadError}
	}
	folder := r.Path
	if s.Mount != "" {
		rest, ok := strings.CutPrefix(r.Path, s.Mount)
		if !ok {
			return "", &failure{http.StatusNotFound, "NotFoundError", "No adapter found for " + r.Path}
		}
		folder = filepath.Join(s.Folder, rest)
	}
	weights, err := os.ReadFile(filepath.Join(folder, "adapter_model.safetensors"))
	if err == nil {
		_, err = os.ReadFile(filepath.Join(folder, "adapter_config.json"))
	}
	if err != nil {
		return "", &failure{http.StatusNotFound, "NotFoundError", "No adapter found for " + r.Path}
	}
	s.adapters[r.Name] = &adapter{r.Path, Weights(string(weights))}
	return fmt.Sprintf("Success: LoRA adapter '%s' added successfully.", r.Name), nil
}

func (s *Server) unload(r *request) (string, error) {
	if s.adapters[r.Name] == nil {
		return "", &failure{http.StatusNotFound, "NotFoundError", fmt.Sprintf("The lora adapter '%s' cannot be found.", r.Name)}
	}
	delete(s.adapters, r.Name)
	return fmt.Sprintf("Success: LoRA adapter '%s' removed successfully.", r.Name), nil
}

// complete answers with the weights of the adapter when the request came.
func (s *Server) complete(w http.ResponseWriter, r *http.Request) {
	var req request
	if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
		respond(w, err)
		return
	}
	s.mu.Lock()
	a := s.adapters[req.Model]
	s.mu.Unlock()
	if req.Model == Base {
		a = &adapter{weights: Base}
	}
	if a == nil {
		respond(w, &failure{http.StatusNotFound, "NotFoundError", fmt.Sprintf("The model `%s` does not exist.", req.Model)})
		return
	}
	time.Sleep(s.Latency)
	text := a.weights
	if s.Mute {
		text = ""
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"choices": []any{map[string]any{"text": text, "message": map[string]string{"content": text}}}})
}
