// Package openaitest provides an endpoint that speaks OpenAI's API, for tests
// and benchmarks. It is not a model: its answers are a function of the request,
// its faults affect every Nth request, and it counts what it does. It is not
// available to users.
package openaitest

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/quern-dev/quern/sdk/go/llm"
)

// Options configures the endpoint. A fault with N = 10 affects the requests 10,
// 20, and so on, in the order of their arrival; a fault with N = 0 affects
// none. If several faults affect a request, the first one in the order of the
// fields counts.
type Options struct {
	// Address is the address to listen on. If it is empty, a free port on the
	// loopback interface is used.
	Address string
	// Latency is the time that an answer takes.
	Latency time.Duration
	// Key is the key that requests must have. If it is empty, they need none.
	Key string
	// Answer creates the answers. The default is Echo.
	Answer func(*Request) *llm.Response
	// Count counts a text's tokens. The default is a quarter of its bytes,
	// rounded up.
	Count func(text string) int64

	// Fault chooses the fault of an answer. If Fault is nil or returns nil,
	// there is none.
	Fault func(*Request) *Fault

	// DieAfter is the number of requests after which the endpoint goes away: it
	// stops answering, and closes its connections and its port.
	DieAfter int64
	// TooManyEvery answers 429 and asks to wait for RetryAfter: in seconds or,
	// with RetryAfterDate, as a date.
	TooManyEvery   int64
	RetryAfter     time.Duration
	RetryAfterDate bool
	// FailEvery answers 500.
	FailEvery int64
	// CutEvery ends the connection in the middle of an answer.
	CutEvery int64
	// MalformedEvery answers 200 with something that is not JSON.
	MalformedEvery int64
	// HangEvery answers only after the caller has gone away.
	HangEvery int64
	// SlowEvery takes Slow longer.
	SlowEvery int64
	Slow      time.Duration
	// RefuseEvery makes the model refuse. FilterEvery makes a filter reject the
	// input.
	RefuseEvery int64
	FilterEvery int64
	// MaxConcurrent is the number of concurrent requests beyond which the
	// endpoint answers 429. 0 means no limit.
	MaxConcurrent int64
	// Object, if set, may answer a call for files, batches, or jobs in place of
	// serve, or after it. It returns whether it did.
	Object func(w http.ResponseWriter, r *http.Request, serve http.HandlerFunc) bool
}

// Request is what an answer is computed from.
type Request struct {
	Model    string
	Messages []llm.Message
	// Last is the content of the last message.
	Last string
	// Schema is the schema that the answer must match, or nil.
	Schema map[string]any
	// Tools contains the tools by name.
	Tools     []string
	MaxTokens int64
	LogProbs  bool
	// Nth is how often this exact request was made before.
	Nth int64

	body []byte
}

// Body returns the request's JSON as it was received.
func (r *Request) Body() map[string]any {
	var body map[string]any
	_ = json.Unmarshal(r.body, &body) // it was parsed before
	return body
}

// Counts is what the endpoint has done so far.
type Counts struct {
	// Requests counts all requests. Answered counts those that got an answer
	// from the model, including refusals and filtered inputs.
	Requests int64 `json:"requests"`
	Answered int64 `json:"answered"`
	// Distinct counts the different requests among the answered ones, and
	// Repeated the answers to requests that had been answered before.
	Distinct int64 `json:"distinct"`
	Repeated int64 `json:"repeated"`
	// Status counts the answers by HTTP status. "cut" and "gone" count those
	// without one.
	Status map[string]int64 `json:"status"`
	// Peak is the maximum number of concurrent requests.
	Peak int64 `json:"peak"`
	// The total number of tokens.
	InputTokens  int64 `json:"input_tokens"`
	OutputTokens int64 `json:"output_tokens"`
}

// Endpoint is a running endpoint. In addition to the API, it serves its counts
// at /counts, and POST /reset sets them to zero.
type Endpoint struct {
	options  Options
	server   *http.Server
	listener net.Listener
	ended    chan struct{}
	dead     chan struct{}
	dieOnce  sync.Once

	mu      sync.Mutex
	counts  Counts
	current int64
	seen    map[[sha256.Size]byte]*seen
	store   store
}

// seen is how often a request was received and answered.
type seen struct{ came, answered int64 }

// Serve starts an endpoint for a test and closes it when the test ends.
func Serve(t testing.TB, o Options) *Endpoint {
	t.Helper()
	e, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

// Start starts an endpoint. The caller closes it.
func Start(o Options) (*Endpoint, error) {
	if o.Address == "" {
		o.Address = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", o.Address)
	if err != nil {
		return nil, err
	}
	e := &Endpoint{options: o, listener: l, ended: make(chan struct{}), dead: make(chan struct{})}
	e.reset()
	e.server = &http.Server{Handler: e.routes(), ReadHeaderTimeout: time.Minute}
	go func() {
		defer close(e.ended)
		_ = e.server.Serve(l)
	}()
	return e, nil
}

// URL returns the base_url for a model block.
func (e *Endpoint) URL() string { return "http://" + e.listener.Addr().String() + "/v1" }

// Close stops the endpoint and waits until its port is free.
func (e *Endpoint) Close() {
	_ = e.server.Close()
	<-e.ended
}

// Counts returns what the endpoint has done so far.
func (e *Endpoint) Counts() Counts {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := e.counts
	out.Status = map[string]int64{}
	for k, v := range e.counts.Status {
		out.Status[k] = v
	}
	return out
}

func (e *Endpoint) reset() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.counts = Counts{Status: map[string]int64{}}
	e.seen = map[[sha256.Size]byte]*seen{}
}

func (e *Endpoint) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/chat/completions", e.guard(e.chat))
	mux.HandleFunc("POST /v1/embeddings", e.guard(e.embed))
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]any{"object": "list", "data": []any{}})
	})
	mux.HandleFunc("GET /counts", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, e.Counts()) })
	mux.HandleFunc("POST /reset", func(w http.ResponseWriter, _ *http.Request) {
		e.reset()
		writeJSON(w, http.StatusOK, e.Counts())
	})
	e.objectRoutes(mux)
	return mux
}

// call is a request that is being answered.
type call struct {
	number int64
	body   []byte
	seen   *seen
	nth    int64
}

// guard counts requests and applies faults.
func (e *Endpoint) guard(answer func(http.ResponseWriter, *http.Request, *call)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		c, current := e.begin(body)
		defer e.end()
		switch o := &e.options; {
		case o.DieAfter > 0 && c.number > o.DieAfter:
			e.count("gone")
			e.die()
			panic(http.ErrAbortHandler)
		case o.Key != "" && r.Header.Get("Authorization") != "Bearer "+o.Key && r.Header.Get("Api-Key") != o.Key:
			e.refuse(w, http.StatusUnauthorized, "invalid_api_key", "Incorrect API key provided.")
		case o.MaxConcurrent > 0 && current > o.MaxConcurrent:
			e.refuse(w, http.StatusTooManyRequests, "rate_limit_exceeded", "Too many requests at the same time.")
		case strikes(o.TooManyEvery, c.number):
			w.Header().Set("Retry-After", o.retryAfter())
			e.refuse(w, http.StatusTooManyRequests, "rate_limit_exceeded", "Rate limit reached.")
		case strikes(o.FailEvery, c.number):
			e.refuse(w, http.StatusInternalServerError, "server_error", "The server had an error.")
		case strikes(o.HangEvery, c.number):
			e.count("hung")
			e.sleep(r.Context(), 24*time.Hour)
		default:
			if e.sleep(r.Context(), o.latency(c.number)) {
				answer(w, r, c)
			}
		}
	}
}

func strikes(every, number int64) bool { return every > 0 && number%every == 0 }

func (o *Options) latency(number int64) time.Duration {
	if strikes(o.SlowEvery, number) {
		return o.Latency + o.Slow
	}
	return o.Latency
}

func (o *Options) retryAfter() string {
	if o.RetryAfterDate {
		return time.Now().Add(o.RetryAfter).UTC().Format(http.TimeFormat)
	}
	return fmt.Sprintf("%g", o.RetryAfter.Seconds())
}

func (e *Endpoint) begin(body []byte) (*call, int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.counts.Requests++
	e.current++
	e.counts.Peak = max(e.counts.Peak, e.current)
	key := sha256.Sum256(body)
	s := e.seen[key]
	if s == nil {
		s = &seen{}
		e.seen[key] = s
	}
	s.came++
	return &call{number: e.counts.Requests, body: body, seen: s, nth: s.came - 1}, e.current
}

func (e *Endpoint) end() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.current--
}

func (e *Endpoint) count(status string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.counts.Status[status]++
}

// answered records an answer of the model.
func (e *Endpoint) answered(c *call, input, output int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.counts.Answered++
	e.counts.InputTokens += input
	e.counts.OutputTokens += output
	if c.seen.answered > 0 {
		e.counts.Repeated++
	} else {
		e.counts.Distinct++
	}
	c.seen.answered++
}

// sleep waits. It returns false if the caller or the endpoint went away.
func (e *Endpoint) sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-e.dead:
	}
	return false
}

// die closes the port and all connections, like a process that ends.
func (e *Endpoint) die() {
	e.dieOnce.Do(func() {
		close(e.dead)
		go func() { _ = e.server.Close() }()
	})
}

// Dead returns a channel that is closed when the endpoint goes away because of
// DieAfter.
func (e *Endpoint) Dead() <-chan struct{} { return e.dead }

func (e *Endpoint) refuse(w http.ResponseWriter, status int, code, message string) {
	e.count(fmt.Sprint(status))
	writeJSON(w, status, map[string]any{"error": map[string]any{"message": message, "code": code, "type": code}})
}

// send sends an answer, unless it is cut off or malformed.
func (e *Endpoint) send(w http.ResponseWriter, c *call, body any, input, output int64) {
	switch {
	case strikes(e.options.CutEvery, c.number):
		e.count("cut")
		cut(w, body)
	case strikes(e.options.MalformedEvery, c.number):
		e.count("malformed")
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"choices": [{"message": {"content": "hel`)
	default:
		e.count("200")
		e.answered(c, input, output)
		writeJSON(w, http.StatusOK, body)
	}
}

// cut announces a complete answer but sends only half of it.
func cut(w http.ResponseWriter, body any) {
	b, _ := json.Marshal(body)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", fmt.Sprint(len(b)))
	_, _ = w.Write(b[:len(b)/2])
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	b, err := json.Marshal(body)
	if err != nil {
		panic(errors.New("openaitest: " + err.Error()))
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(b)
}
