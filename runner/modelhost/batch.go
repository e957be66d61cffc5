package modelhost

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/quern-dev/quern/sdk/go/host/parallel"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
	"github.com/quern-dev/quern/store/batches"
	"github.com/quern-dev/quern/store/responses"
)

// BatchEnded is the error for a batch that ended without any answer. Its requests
// are submitted again by the next run, so that a provider that refuses them is
// not asked forever without anybody noticing.
type BatchEnded struct{ Model, Name, Reason string }

func (e *BatchEnded) Error() string {
	return fmt.Sprintf("batch %s of %s ended without an answer: %s. The next apply submits its requests again", e.Name, e.Model, e.Reason)
}

// BatchRefused is the error for a batch that the provider did not accept, or
// whose state it does not tell.
type BatchRefused struct{ Model, What, Reason string }

func (e *BatchRefused) Error() string {
	return fmt.Sprintf("%s could not %s: %s", e.Model, e.What, e.Reason)
}

const (
	// batchTime is how long it may take to submit or to read a batch.
	batchTime = 30 * time.Minute
	// beginTime is how long another environment may take to submit a batch that
	// it has recorded. After that, it is taken to have died.
	beginTime = time.Hour
	// writers is the number of answers that are cached at the same time.
	writers = 64
)

// batching is what a run knows about the batches of a model. It is read from the
// store and the provider when the first request needs it.
type batching struct {
	once sync.Once
	read chan struct{} // closed when the batches were read
	err  error         // why they could not be

	mu sync.Mutex
	// waits are the requests that are part of a batch, and what they wait for.
	waits map[responses.Key]*wait
	// unsure are the requests of batches that may or may not have been submitted
	// before a crash.
	unsure map[responses.Key]*batches.Batch
	// came are the requests whose answers were read in this run. The answer is nil
	// if it is in the cache.
	came map[responses.Key]*came
}

// wait is what a request waits for.
type wait struct {
	reason     string
	checkAfter *float64
	now        bool // the request was collected in this run
}

func (w *wait) error() error {
	return refusal{&pluginv1.CallError{Message: w.reason, Pending: true, CheckAfterSeconds: w.checkAfter}}
}

// came is what a batch has for a request.
type came struct {
	answer *llm.Response
	err    *pluginv1.CallError
}

// batched returns the answer to a request of a model whose requests are
// submitted as batches. If there is none, the request joins a batch, and the
// error says that it is pending.
func (h *Host) batched(ctx context.Context, q *question[*llm.Response], cache *responses.Cache, key responses.Key, request []byte, acceptsTruncated bool) (*llm.Response, error) {
	kept := func() (*llm.Response, error) { return h.keptOfBatch(q, cache, key, acceptsTruncated) }
	if answer, err := kept(); answer != nil || err != nil {
		return answer, err
	}
	if q.Trained != nil {
		return nil, &BatchRefused{q.Address, "submit its requests as a batch", "a trained model answers immediately"}
	}
	b := &q.batching
	if err := b.load(ctx, h, q.endpoint, cache); err != nil {
		return nil, err
	}
	if got := b.got(key); got != nil && !h.Fresh && (got.answer != nil || got.err != nil) {
		if got.err != nil {
			return nil, refusal{got.err}
		}
		return got.answer, nil
	}
	if answer, err := kept(); answer != nil || err != nil {
		return answer, err
	}
	w, err := h.collect(ctx, q, key, request)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.waits == nil {
		h.waits = map[string]int64{}
	}
	h.waits[w.reason]++
	return nil, w.error()
}

// keptOfBatch returns the cached answer to a request, or nil. An answer that was
// cut off is returned once: the next run asks again, as it does without batches.
func (h *Host) keptOfBatch(q *question[*llm.Response], cache *responses.Cache, key responses.Key, acceptsTruncated bool) (*llm.Response, error) {
	answer := keptChat(cache, key)
	if answer == nil || !h.mayGive(key) {
		return nil, nil
	}
	answer.Usage, answer.Cached = q.usage(answer.Usage, said(answer)), q.batching.got(key) == nil
	if answer.Cached {
		h.spent(llm.Spend{CachedCalls: 1})
	}
	if answer.FinishReason == llm.FinishLength && !acceptsTruncated {
		q.batching.set(key, &came{answer: answer})
		return answer, cache.Delete(key)
	}
	return answer, nil
}

func (b *batching) got(key responses.Key) *came {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.came[key]
}

func (b *batching) set(key responses.Key, c *came) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.came == nil {
		b.came = map[responses.Key]*came{}
	}
	b.came[key] = c
}

// ---- batches of earlier runs

// load reads the batches of earlier runs, once. It belongs to the run, not to the
// stage that asks first.
func (b *batching) load(ctx context.Context, h *Host, e *endpoint, cache *responses.Cache) error {
	b.once.Do(func() {
		b.read = make(chan struct{})
		h.hub.working.do(func() {
			defer close(b.read)
			b.err = parallel.Call(func() error { return b.readAll(h, e, cache) })
		})
	})
	select {
	case <-b.read:
		return b.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (b *batching) readAll(h *Host, e *endpoint, cache *responses.Cache) error {
	all, err := h.hub.opts.Batches.Of(e.Definition)
	if err != nil {
		return err
	}
	b.waits, b.unsure = map[responses.Key]*wait{}, map[responses.Key]*batches.Batch{}
	for _, batch := range all {
		switch {
		case batch.Token != nil:
			r := &batchReader{host: h, endpoint: e, batching: b, cache: cache, batch: batch}
			if err := r.readBatch(); err != nil {
				return err
			}
		case batch.Environment == h.Environment:
			for _, key := range batch.Keys {
				b.unsure[key] = batch
			}
		case time.Since(batch.Begun) < beginTime:
			b.wait(batch, &wait{reason: fmt.Sprintf("environment %q submits batch %s", batch.Environment, batch.Name)})
		}
	}
	return nil
}

func (b *batching) wait(batch *batches.Batch, w *wait) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, key := range batch.Keys {
		b.waits[key] = w
	}
}

// Waits returns what the requests of the stage wait for, with their numbers. It
// is empty if none is pending.
func (h *Host) Waits() map[string]int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.waits
}
