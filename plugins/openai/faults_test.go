package openai

import (
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quern-dev/quern/plugins/openai/openaitest"
	"github.com/quern-dev/quern/sdk/go/llm"
)

func TestFaultsOfEndpointsAreAnswersOrHelpfulErrors(t *testing.T) {
	for _, f := range openaitest.Faults() {
		t.Run(f.Name, func(t *testing.T) {
			e := openaitest.Serve(t, openaitest.Options{Fault: func(*openaitest.Request) *openaitest.Fault { return &f }})
			got, err := chat(t, e.URL(), nil, ask("hello"))
			if !f.Fails {
				if err != nil || got.Text != "hello" {
					t.Fatalf("got %v, %v", got, err)
				}
				return
			}
			var call *llm.CallError
			if !errors.As(err, &call) {
				// The host validates the response; see runner/modelhost.
				if err != nil || strings.TrimSpace(got.Text) != "" && got.FinishReason != llm.FinishError {
					t.Fatalf("got %+v, %v", got, err)
				}
				return
			}
			if call.Temporary != f.Passes || !strings.Contains(call.Message, f.Says) {
				t.Errorf("got %+v", call)
			}
		})
	}
}

// keyed are the arguments of a model with a key.
var keyed = map[string]any{"api_key": "sk-secret"}

// serveFault answers every request with a fault.
func serveFault(t *testing.T, f openaitest.Fault) string {
	return openaitest.Serve(t, openaitest.Options{Fault: func(*openaitest.Request) *openaitest.Fault { return &f }}).URL()
}

// A redirect would take the key to another place, so none is followed: neither
// to another host nor in a loop.
func TestRedirectsAreNotFollowed(t *testing.T) {
	var reached atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	defer other.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, to := range []string{other.URL + "/v1/chat/completions", "/v1/chat/completions"} {
			f := openaitest.Redirect(status, to)
			got, err := chat(t, serveFault(t, f), keyed, ask("hello"))
			call := failure(t, err)
			if got != nil || call.Temporary || call.Status != status || !strings.Contains(call.Message, f.Says) || !strings.Contains(call.Message, to) {
				t.Errorf("%d to %s: got %+v, %+v", status, to, got, call)
			}
		}
	}
	if n := reached.Load(); n != 0 {
		t.Errorf("the other host got %d requests", n)
	}
}

// An endless answer is cut off before it fills the memory.
func TestAnswersWithoutEndAreCutOff(t *testing.T) {
	// Even if the machine is busy, garbage is collected before it reaches this
	// size, so the measurement shows memory that is in use.
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(256 << 20))
	sent := make(chan int64, 1)
	for _, f := range openaitest.Floods(func(n int64) { sent <- n }) {
		most := watchHeap(t)
		_, err := chat(t, serveFault(t, f), keyed, ask("hello"))
		call := failure(t, err)
		if !call.Temporary || !strings.Contains(call.Message, f.Says) {
			t.Errorf("%s: got %+v", f.Name, call)
		}
		if n := most(); n > 400<<20 {
			t.Errorf("%s takes %d MiB of memory", f.Name, n>>20)
		}
	}
	if n := <-sent; n > 256<<20 {
		t.Errorf("%d MiB were taken", n>>20)
	}
}

// watchHeap measures the heap until the returned function is called, which
// returns the maximum.
func watchHeap(t *testing.T) func() uint64 {
	t.Helper()
	done, most := make(chan struct{}), make(chan uint64)
	go func() {
		var largest uint64
		for tick := time.NewTicker(5 * time.Millisecond); ; {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			largest = max(largest, m.HeapAlloc)
			select {
			case <-tick.C:
			case <-done:
				most <- largest
				return
			}
		}
	}()
	return func() uint64 { close(done); return <-most }
}

// An endpoint that speaks another protocol is a mistake in base_url, so another
// attempt would not help.
func TestAnEndpointOfAnotherProtocolIsNotAskedAgain(t *testing.T) {
	plain := openaitest.Serve(t, openaitest.Options{})
	_, err := chat(t, strings.Replace(plain.URL(), "http://", "https://", 1), keyed, ask("hello"))
	if call := failure(t, err); call.Temporary || !strings.Contains(call.Message, "HTTP response to HTTPS client") {
		t.Errorf("TLS on a plain port: got %+v", call)
	}
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	defer secure.Close()
	_, err = chat(t, strings.Replace(secure.URL, "https://", "http://", 1)+"/v1", keyed, ask("hello"))
	if call := failure(t, err); call.Temporary || !strings.Contains(call.Message, "HTTPS server") {
		t.Errorf("no TLS on a TLS port: got %+v", call)
	}
	_, err = chat(t, secure.URL+"/v1", keyed, ask("hello"))
	if call := failure(t, err); call.Temporary || !strings.Contains(call.Message, "certificate") {
		t.Errorf("an unknown certificate: got %+v", call)
	}
}
