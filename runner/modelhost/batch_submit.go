package modelhost

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
	"github.com/quern-dev/quern/store/batches"
	"github.com/quern-dev/quern/store/responses"
)

// ---- the batches of this run

// collection are the requests of a stage for one batch.
type collection struct {
	*endpoint
	batch    *batches.Batch
	requests []*pluginv1.BatchRequest
	bytes    int64
	expected Amount
	// again is set if the batch may have been submitted before a crash, and tried if
	// this run has tried to submit it.
	again, tried bool
}

// mostBatchBytes bounds the requests that wait in memory for the end of a batch.
const mostBatchBytes = 64 << 20

// full reports whether a request of so many bytes no longer fits.
func (c *collection) full(bytes int64) bool {
	limits := c.Info.Batch
	most := int64(mostBatchBytes)
	if limits.Bytes > 0 {
		most = min(most, limits.Bytes)
	}
	return !c.again && len(c.requests) > 0 && (limits.Requests > 0 && int64(len(c.requests)) >= limits.Requests || c.bytes+bytes > most)
}

// collect adds a request to a batch of the stage, unless it is part of one
// already, and returns what it waits for. If the batch is full, it is submitted
// first; other requests of the stage wait meanwhile.
func (h *Host) collect(ctx context.Context, q *question[*llm.Response], key responses.Key, request []byte) (*wait, error) {
	if h.Budget.LimitsMoney() && !q.Info.Priced() {
		return nil, &NoPrice{Model: q.Address}
	}
	if h.halting.Err() != nil {
		return nil, errHalted
	}
	h.collecting.Lock()
	defer h.collecting.Unlock()
	if w := q.batching.waiting(key, h.Fresh); w != nil {
		return w, nil
	}
	unsure := q.batching.adopt(key)
	c := h.collectionFor(q.endpoint, unsure)
	if c != nil && c.full(int64(len(request))) {
		if err := h.submit(ctx, c); err != nil {
			return nil, err
		}
		c = nil
	}
	if c == nil {
		c = &collection{endpoint: q.endpoint, batch: unsure, again: unsure != nil}
		if unsure == nil {
			c.batch = h.newBatch(q.endpoint)
		}
		h.collections = append(h.collections, c)
	}
	c.add(q, key, request)
	return q.batching.join(key, c), nil
}

// collectionFor returns the collection that a request joins: the one for a batch
// that may have been submitted before, or the last one. It is nil if there is
// none yet.
func (h *Host) collectionFor(e *endpoint, unsure *batches.Batch) *collection {
	for _, c := range h.collections {
		if c.endpoint == e && (unsure == nil && !c.again || unsure != nil && c.batch == unsure) {
			return c
		}
	}
	return nil
}

func (c *collection) add(q *question[*llm.Response], key responses.Key, request []byte) {
	if !c.again {
		c.batch.Keys = append(c.batch.Keys, key)
	}
	c.requests = append(c.requests, &pluginv1.BatchRequest{Id: requestID(key), Request: request})
	c.bytes += int64(len(request))
	a := c.endpoint.expected(q.estimated, q.most, true)
	c.expected.add(a)
}

// waiting returns what a request waits for, or nil if it is not part of a batch.
// With fresh, batches of earlier runs do not count.
func (b *batching) waiting(key responses.Key, fresh bool) *wait {
	b.mu.Lock()
	defer b.mu.Unlock()
	if w := b.waits[key]; w != nil && (w.now || !fresh) {
		return w
	}
	return nil
}

func (b *batching) adopt(key responses.Key) *batches.Batch {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.unsure[key]
}

// join records that a request is part of a collection.
func (b *batching) join(key responses.Key, c *collection) *wait {
	w := &wait{reason: fmt.Sprintf("batch %s of %s", c.batch.Name, c.Address), now: true}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waits[key] = w
	return w
}

func (h *Host) newBatch(e *endpoint) *batches.Batch {
	return &batches.Batch{
		Name: batches.NewName(), Definition: e.Definition, Model: e.Address, Environment: h.Environment, Begun: time.Now().UTC().Truncate(time.Second),
	}
}

// Submit submits the requests that the stage has collected. It is called when the
// stage has made all its requests.
func (h *Host) Submit(ctx context.Context) error {
	h.collecting.Lock()
	defer h.collecting.Unlock()
	for len(h.collections) > 0 {
		if err := h.submit(ctx, h.collections[0]); err != nil {
			return err
		}
	}
	return nil
}

// submit submits a collection. The batch is recorded before, so that after a
// crash the provider is asked for it by name. Its expected cost counts in the
// run's budget.
func (h *Host) submit(ctx context.Context, c *collection) error {
	for i, other := range h.collections {
		if other == c {
			h.collections = append(h.collections[:i:i], h.collections[i+1:]...)
			break
		}
	}
	settle, err := h.Budget.Reserve(ctx, func() Amount { return c.expected })
	if err != nil {
		return err
	}
	submitted := false
	defer func() {
		spend := llm.Spend{}
		if submitted {
			spend.Cost, spend.InputTokens, spend.Calls = c.expected.Money, c.expected.Tokens, c.expected.Calls
		}
		settle(spend)
	}()
	store := h.hub.opts.Batches
	if err := store.Save(c.batch); err != nil {
		return err
	}
	var token []byte
	failure, err := c.persist(h.hub, func(ctx context.Context, client pluginv1.PluginServiceClient) (*pluginv1.CallError, error) {
		resp, err := c.send(ctx, client)
		token, c.tried = resp.GetToken(), true
		return resp.GetError(), err
	})
	if err != nil {
		return err
	}
	if failure != nil {
		if !failure.GetTemporary() && !c.again {
			err = store.Remove(c.batch) // it was not submitted
		}
		what := fmt.Sprintf("submit a batch of %s", english.Count(int64(len(c.requests)), "request"))
		return errors.Join(&BatchRefused{c.Address, what, failure.GetMessage()}, err)
	}
	submitted = true
	c.batch.Token = token
	return store.Save(c.batch)
}

// batchPiece is about how many bytes of requests a message has.
const batchPiece = 1 << 20

// send makes one attempt to submit a batch.
func (c *collection) send(ctx context.Context, client pluginv1.PluginServiceClient) (*pluginv1.SubmitBatchResponse, error) {
	stream, err := client.SubmitBatch(ctx)
	if err != nil {
		return nil, err
	}
	m := &pluginv1.SubmitBatchRequest{Model: c.Instance, Name: c.batch.Name}
	if c.again || c.tried {
		ago := time.Since(c.batch.Begun).Seconds()
		m.BegunSecondsAgo = &ago
	}
	size := 0
	for _, r := range c.requests {
		m.Requests = append(m.Requests, r)
		if size += len(r.GetRequest()); size < batchPiece {
			continue
		}
		if err := stream.Send(m); err != nil {
			return stream.CloseAndRecv() // it has its answer already, or an error
		}
		m, size = &pluginv1.SubmitBatchRequest{}, 0
	}
	if m.Model != nil || len(m.Requests) > 0 {
		_ = stream.Send(m) // CloseAndRecv returns the reason for a failed send
	}
	return stream.CloseAndRecv()
}
