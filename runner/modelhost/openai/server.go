// Package openai serves the models of a running stage through an HTTP API like
// OpenAI's, for plugins whose libraries know nothing else. Requests become those
// of HostService, so that caching, limits, retries, and the budget are the same.
//
// The server listens on a loopback address, and every request needs a token
// that only the stage's plugin gets. A member of a request that quern cannot
// pass on is an error: an answer to another request than the one that was asked
// would be silently wrong.
package openai

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/quern-dev/quern/sdk/go/host/wire"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// Models answers requests to the models of a stage.
type Models interface {
	// Answer answers one request of HostService.Chat.
	Answer(context.Context, *pluginv1.HostServiceChatRequest) (*pluginv1.HostServiceChatResponse, error)
	Embed(context.Context, *pluginv1.HostServiceEmbedRequest) (*pluginv1.HostServiceEmbedResponse, error)
}

// Server serves the models of one stage.
type Server struct {
	models Models
	names  []string
	key    string
	base   string
	http   http.Server
	served sync.WaitGroup
	draws  draws
}

// Serve serves models under their names until Close, or until ctx ends.
func Serve(ctx context.Context, models Models, names []string) (*Server, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("serve models over HTTP: %w", err)
	}
	s := &Server{models: models, names: slices.Sorted(slices.Values(names)), key: "quern-" + rand.Text()}
	s.base = "http://" + listener.Addr().String() + "/v1"
	s.draws.counts = map[drawKey]int64{}
	s.http.Handler = s.authorized(s.routes())
	s.http.BaseContext = func(net.Listener) context.Context { return ctx }
	s.http.ReadHeaderTimeout = 10 * time.Second
	s.served.Go(func() { _ = s.http.Serve(listener) })
	return s, nil
}

// Address returns what the plugin needs to call the server.
func (s *Server) Address() *pluginv1.OpenAIAPI {
	return &pluginv1.OpenAIAPI{BaseUrl: s.base, ApiKey: s.key}
}

// Close closes all connections.
func (s *Server) Close() {
	_ = s.http.Close()
	s.served.Wait()
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/models", s.list)
	mux.HandleFunc("POST /v1/chat/completions", s.chat)
	mux.HandleFunc("POST /v1/completions", s.complete)
	mux.HandleFunc("POST /v1/embeddings", s.embed)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fail(w, &failure{http.StatusNotFound, fmt.Sprintf("quern does not serve %s %s; it serves POST /v1/chat/completions, POST /v1/completions, POST /v1/embeddings, and GET /v1/models", r.Method, r.URL.Path)})
	})
	return mux
}

func (s *Server) authorized(next http.Handler) http.Handler {
	want := []byte(s.key)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok || subtle.ConstantTimeCompare([]byte(key), want) != 1 {
			fail(w, &failure{http.StatusUnauthorized, "the request does not have the API key that quern gave to the plugin"})
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Server) list(w http.ResponseWriter, _ *http.Request) {
	type model struct {
		ID      string `json:"id"`
		Object  string `json:"object"`
		Created int64  `json:"created"`
		OwnedBy string `json:"owned_by"`
	}
	list := []model{}
	for _, name := range s.names {
		list = append(list, model{name, "model", 0, "quern"})
	}
	reply(w, map[string]any{"object": "list", "data": list})
}

// known returns an error if the stage has no model of this name.
func (s *Server) known(name string) error {
	if slices.Contains(s.names, name) {
		return nil
	}
	return &failure{http.StatusNotFound, fmt.Sprintf("the stage has no model %q; it has %s", name, strings.Join(s.names, ", "))}
}

// failure is an error as a client sees it.
type failure struct {
	status  int
	message string
}

func (f *failure) Error() string { return f.message }

// invalid is the error of a request that quern cannot pass on.
func invalid(format string, args ...any) error {
	return &failure{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

// refused returns the error of a request that the model did not answer. quern
// has already retried it, so no status invites the client to do so again.
func refused(e *pluginv1.CallError) error {
	code := int(e.GetStatus())
	if code < 400 || code > 499 || code == http.StatusRequestTimeout || code == http.StatusConflict || code == http.StatusTooManyRequests {
		code = http.StatusFailedDependency
	}
	return &failure{code, e.GetMessage()}
}

// fail sends an error.
func fail(w http.ResponseWriter, err error) {
	f := &failure{http.StatusInternalServerError, err.Error()}
	if !errors.As(err, &f) {
		switch s, _ := status.FromError(err); s.Code() {
		case codes.InvalidArgument, codes.FailedPrecondition, codes.NotFound:
			f = &failure{http.StatusBadRequest, s.Message()}
		case codes.Aborted, codes.Canceled:
			// The stage is over, which quern reports. The client must not retry.
			f = &failure{http.StatusForbidden, "quern has ended the stage: " + s.Message()}
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Should-Retry", "false") // OpenAI's own clients respect it
	w.WriteHeader(f.status)
	_ = json.NewEncoder(w).Encode(map[string]any{
		"error": map[string]any{"message": f.message, "type": "quern_error", "param": nil, "code": f.status},
	})
}

func reply(w http.ResponseWriter, answer any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

// maxBody is the largest request that is read, in bytes.
const maxBody = wire.MaxMessage

// read decodes the body of a request. Members that are null, or have the value
// that means nothing, are left out; any other that is unknown is an error.
func read(w http.ResponseWriter, r *http.Request, request any) error {
	var members map[string]json.RawMessage
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	if err := d.Decode(&members); err != nil {
		return invalid("the body is not a JSON object: %s", err)
	}
	for name, value := range members {
		if string(value) == "null" || slices.Contains(neutral[name], string(value)) || ignored[name] {
			delete(members, name)
		}
	}
	text, err := json.Marshal(members)
	if err != nil {
		return err
	}
	if err := strictly(text, request); err != nil {
		return invalid("the request cannot be passed on: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	return nil
}

// strictly decodes JSON whose members are all known.
func strictly(text []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	return d.Decode(v)
}

// ignored are the members that do not change an answer.
var ignored = map[string]bool{
	"user": true, "metadata": true, "store": true, "safety_identifier": true, "prompt_cache_key": true, "service_tier": true,
}

// neutral are the values of other members that change nothing.
var neutral = map[string][]string{
	"frequency_penalty":   {"0", "0.0"},
	"presence_penalty":    {"0", "0.0"},
	"logit_bias":          {"{}"},
	"tools":               {"[]"},
	"stop":                {"[]"},
	"stream":              {"false"},
	"best_of":             {"1"},
	"suffix":              {`""`},
	"tool_choice":         {`"auto"`},
	"parallel_tool_calls": {"true"},
	"modalities":          {`["text"]`},
}
