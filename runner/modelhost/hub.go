package modelhost

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/quern-dev/quern/lang/secret"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/store/batches"
	"github.com/quern-dev/quern/store/responses"
)

// Options configure a Hub.
type Options struct {
	// Budget and Limits belong to the run.
	Budget Budget
	Limits Limits
	// Cache opens the response cache. It is called when the first language
	// model is called. Close closes the cache.
	Cache func() (*responses.Cache, error)
	// Batches contains the batches of requests that were submitted.
	Batches *batches.Store
	// Report receives errors that did no harm. It may be nil.
	Report func(error)
	// Notice receives messages for the user while calls wait. It may be nil.
	Notice func(string)
	// Secrets of the run, which must not be stored, or nil if there are none.
	Secrets *secret.Redactor
	// Seal computes keyed digests, as store.Seal does. It may be nil without
	// Secrets.
	Seal func([]byte) (string, error)
	// Replay receives each request. If it is set, only the cache answers: no model is
	// called, and no answer is removed. Replay is called from many goroutines.
	Replay func(Request)
}

// Hub is what all stages in this process share that call models: the response
// cache, each model's health, and the traces.
type Hub struct {
	opts   Options
	ctx    context.Context // of attempts
	cancel context.CancelFunc
	tracer *tracer
	chats  flights[*llm.Response]
	embeds flights[embeddings]
	// working are the calls that may outlive their callers.
	working *workers

	mu        sync.Mutex
	endpoints map[string]*endpoint // by address
	cache     *responses.Cache
	cacheErr  error
}

// NewHub returns the hub of a run. When ctx ends, all calls end immediately.
func NewHub(ctx context.Context, opts Options) *Hub {
	h := &Hub{opts: opts, endpoints: map[string]*endpoint{}}
	if h.opts.Report == nil {
		h.opts.Report = func(error) {}
	}
	if h.opts.Notice == nil {
		h.opts.Notice = func(string) {}
	}
	h.ctx, h.cancel = context.WithCancel(ctx)
	h.working = newWorkers(h.ctx)
	h.tracer = newTracer(h.ctx, h.opts.Report)
	return h
}

// Close waits a short time for attempts that nobody waits for anymore, to cache
// their answers, and closes the response cache. No stage may be running.
// Closing again does nothing.
func (h *Hub) Close() error {
	ended := make(chan struct{})
	go func() { h.working.Wait(); close(ended) }()
	t := time.NewTimer(linger + time.Second)
	defer t.Stop()
	select {
	case <-ended:
	case <-t.C:
	case <-h.ctx.Done():
	}
	h.cancel()
	<-ended
	h.tracer.close()
	h.mu.Lock()
	defer h.mu.Unlock()
	cache := h.cache
	if cache == nil {
		return nil
	}
	h.cache, h.cacheErr = nil, errClosed
	return cache.Close()
}

var errClosed = errors.New("the run is over")

// endpoint returns the state of a model that the run shares.
func (h *Hub) endpoint(l *Language) *endpoint {
	h.mu.Lock()
	defer h.mu.Unlock()
	e := h.endpoints[l.Address]
	if e == nil {
		e = newEndpoint(h.ctx, l, time.Now)
		h.endpoints[l.Address] = e
	}
	return e
}

// answers returns the response cache.
func (h *Hub) answers() (*responses.Cache, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.cache == nil && h.cacheErr == nil {
		h.cache, h.cacheErr = h.opts.Cache()
	}
	return h.cache, h.cacheErr
}
