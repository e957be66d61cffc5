// Package openaitest is an endpoint for tests and benchmarks that speaks
// OpenAI's API. It is no model: its answers are a function of the request, its
// faults strike every Nth request, and it counts what it does. Nothing offers
// it to users.
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

// Options say how the endpoint behaves. A fault with an N of 0 never strikes,
// with an N of 10 at the requests 10, 20, …, counted as they arrive; of several
// faults that would strike at once the first in the order of the fields does.
type Options struct {
	// Address to listen on; empty: a free port of the loopback.
	Address string
	// Latency is how long an answer takes.
	Latency time.Duration
	// Key is what requests have to carry; empty: nothing.
	Key string
	// Answer makes the answers; nil: Echo.
	Answer func(*Request) *llm.Response
	// Count counts a text's tokens; nil: a quarter of its bytes, rounded up.
	Count func(text string) int64

	// Fault chooses the fault of an answer; nil, or returning nil: none.
	Fault func(*Request) *Fault

	// DieAfter is after how many requests the endpoint goes away: it answers
	// no more, and closes all connections and its port.
	DieAfter int64
	// TooManyEvery answers 429, which asks to wait for RetryAfter: in seconds
	// or, with RetryAfterDate, as a date.
	TooManyEvery   int64
	RetryAfter     time.Duration
	RetryAfterDate bool
	// FailEvery answers 500.
	FailEvery int64
	// CutEvery ends the connection in the middle of an answer.
	CutEvery int64
	// MalformedEvery answers 200 with something that is no JSON.
	MalformedEvery int64
	// HangEvery answers only when the caller has gone.
	HangEvery int64
	// SlowEvery takes Slow longer.
	SlowEvery int64
	Slow      time.Duration
	// RefuseEvery has the model decline; FilterEvery has a filter refuse the
	// input.
	RefuseEvery int64
	FilterEvery int64
	// MaxConcurrent answers 429 to what is more at the same time; 0: no limit.
	MaxConcurrent int64
}

// Request is what an answer is made of.
type Request struct {
	Model    string
	Messages []llm.Message
	// Last is the content of the last message.
	Last string
	// Schema that the answer has to fit, or nil.
	Schema map[string]any
	// Tools by name.
	Tools     []string
	MaxTokens int64
	LogProbs  bool
	// Nth is how often this very request was made before.
	Nth int64

	body []byte
}

// Body is the request as it came.
func (r *Request) Body() map[string]any {
	var body map[string]any
	_ = json.Unmarshal(r.body, &body) // It was read before.
	return body
}

// Counts are what the endpoint did so far.
type Counts struct {
	// Requests came; Answered were given an answer of the model (refusals and
	// filtered ones too).
	Requests int64 `json:"requests"`
	Answered int64 `json:"answered"`
	// Distinct are the different requests among the answered, and Repeated the
	// answers to requests that were answered before.
	Distinct int64 `json:"distinct"`
	Repeated int64 `json:"repeated"`
	// Status counts the answers by HTTP status; "cut" and "gone" are those that
	// had none.
	Status map[string]int64 `json:"status"`
	// Peak is how many requests were under way at the same time at most.
	Peak int64 `json:"peak"`
	// Tokens that were counted in all.
	InputTokens  int64 `json:"input_tokens"`
	OutputTokens int64 `json:"output_tokens"`
}

// Endpoint is a running endpoint. Beside the API it serves its counts at
// /counts and, at POST /reset, sets them to zero.
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
}

// seen is how often a request came and was answered.
type seen struct{ came, answered int64 }

// Serve starts an endpoint for a test, which is closed with the test.
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

// URL is the base_url of a model block.
func (e *Endpoint) URL() string { return "http://" + e.listener.Addr().String() + "/v1" }

// Close ends the endpoint and waits until its port is free.
func (e *Endpoint) Close() {
	_ = e.server.Close()
	<-e.ended
}

// Counts returns what the endpoint did so far.
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
	return mux
}

// call is a request that is being answered.
type call struct {
	number int64
	body   []byte
	seen   *seen
	nth    int64
}

// guard counts requests and has the faults strike.
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

// answered notes an answer of the model.
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

// sleep waits; false: the caller or the endpoint went away.
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

// die closes the port and all connections, as a process does that ends.
func (e *Endpoint) die() {
	e.dieOnce.Do(func() {
		close(e.dead)
		go func() { _ = e.server.Close() }()
	})
}

// Dead is closed when the endpoint has gone away by DieAfter.
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

// cut promises a whole answer and sends half of it.
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
