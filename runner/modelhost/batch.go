package modelhost

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/quern-dev/quern/internal/english"
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

// batchReader reads one batch.
type batchReader struct {
	host *Host
	*endpoint
	batching *batching
	cache    *responses.Cache
	batch    *batches.Batch

	mu    sync.Mutex
	open  map[string]responses.Key // requests without an answer so far, by ID
	spend llm.Spend
}

// readBatch reads how far a batch is. If it is done, its answers are durable when
// readBatch returns, and the batch is forgotten.
func (r *batchReader) readBatch() error {
	var status *pluginv1.BatchStatus
	failure, err := r.persist(r.host.hub, func(ctx context.Context, client pluginv1.PluginServiceClient) (failure *pluginv1.CallError, err error) {
		status, failure, err = r.receive(ctx, client)
		return failure, err
	})
	if err != nil {
		return err
	}
	reason := fmt.Sprintf("batch %s of %s", r.batch.Name, r.Address)
	switch {
	case failure != nil && failure.GetTemporary():
		r.batching.wait(r.batch, &wait{reason: reason + ", whose state could not be read: " + failure.GetMessage()})
		return nil
	case failure != nil:
		return &BatchRefused{r.Address, "read batch " + r.batch.Name, failure.GetMessage()}
	case !status.GetDone():
		if text := r.redact(status.GetMessage()); text != "" {
			reason = text
		}
		r.batching.wait(r.batch, &wait{reason: reason, checkAfter: status.CheckAfterSeconds})
		return nil
	}
	r.host.spent(r.spend)
	r.host.hub.settleRead(r.spend)
	if err := r.host.hub.opts.Batches.Remove(r.batch); err != nil {
		return err
	}
	if len(r.open) == len(r.batch.Keys) {
		return &BatchEnded{r.Address, r.batch.Name, r.redact(orElse(status.GetMessage(), "the provider gave no reason"))}
	}
	return nil
}

func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

// settleRead counts the cost of a batch that was read in the run's budget. It
// was submitted, so the budget can't refuse it anymore.
func (h *Hub) settleRead(s llm.Spend) {
	if settle, err := h.opts.Budget.Reserve(h.ctx, func() Amount { return Amount{} }); err == nil {
		settle(s)
	}
}

// receive makes one attempt to read a batch.
func (r *batchReader) receive(ctx context.Context, client pluginv1.PluginServiceClient) (*pluginv1.BatchStatus, *pluginv1.CallError, error) {
	stream, err := client.ReadBatch(ctx, &pluginv1.ReadBatchRequest{Model: r.Instance, Token: r.batch.Token})
	if err != nil {
		return nil, nil, err
	}
	first, err := stream.Recv()
	if err != nil {
		return nil, nil, err
	}
	if first.GetError() != nil || first.GetStatus() == nil {
		return nil, orFaulty(first.GetError(), "its first message about a batch is not the state"), nil
	}
	r.open, r.spend = map[string]responses.Key{}, llm.Spend{}
	for _, key := range r.batch.Keys {
		r.open[requestID(key)] = key
	}
	g, gctx := parallel.WithContext(ctx)
	answers := make(chan *pluginv1.BatchAnswer)
	for range writers {
		g.Go(func() error {
			for a := range answers {
				if err := r.take(a); err != nil {
					return err
				}
			}
			return nil
		})
	}
	var failure *pluginv1.CallError
	g.Go(func() (err error) {
		defer close(answers)
		failure, err = receiveAnswers(gctx, stream, answers)
		return err
	})
	err = g.Wait()
	return first.GetStatus(), failure, err
}

func orFaulty(failure *pluginv1.CallError, message string) *pluginv1.CallError {
	if failure == nil {
		return &pluginv1.CallError{Message: message}
	}
	return failure
}

func receiveAnswers(ctx context.Context, stream pluginv1.PluginService_ReadBatchClient, to chan<- *pluginv1.BatchAnswer) (*pluginv1.CallError, error) {
	for {
		m, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return nil, nil
		case err != nil:
			return nil, err
		case m.GetError() != nil:
			return m.GetError(), nil
		case m.GetAnswer() == nil:
			return orFaulty(nil, "it sent the state of a batch twice"), nil
		}
		select {
		case to <- m.GetAnswer():
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// take stores an answer. Answers to requests that the batch does not contain,
// and second answers, are ignored. A temporary error is no answer: the request is
// submitted again.
func (r *batchReader) take(a *pluginv1.BatchAnswer) error {
	key, ok := r.claim(a.GetId())
	if !ok {
		return nil
	}
	if failure := a.GetError(); failure != nil {
		failure.Message = r.redact(failure.GetMessage())
		r.came(key, nil, failure)
		return nil
	}
	answer, err := r.decode(a.GetResponse(), r.host.hub.opts.Report)
	if err != nil {
		r.came(key, nil, &pluginv1.CallError{Message: "an answer of a batch cannot be read: " + err.Error(), Temporary: true})
		return nil
	}
	answer.Cached, answer.Cost, answer.Latency = false, nil, 0
	r.paid(answer.Usage)
	if failure := unanswered(answer); failure != nil {
		r.came(key, nil, failure)
		return nil
	}
	content, err := json.Marshal(answer)
	if err != nil {
		return fmt.Errorf("cache an answer: %w", err)
	}
	if r.host.hub.opts.Secrets.In(string(content)) {
		r.came(key, answer, nil) // it must not be stored
		return nil
	}
	if err := r.cache.Put(key, content); err != nil {
		return err
	}
	r.came(key, nil, nil)
	return nil
}

// requestID identifies a request within its batch.
func requestID(key responses.Key) string { return hex.EncodeToString(key[:16]) }

// claim returns the key of a request of the batch that has no answer yet.
func (r *batchReader) claim(id string) (key responses.Key, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key, ok = r.open[id]
	delete(r.open, id)
	return key, ok
}

func (r *batchReader) paid(u llm.Usage) {
	s := r.endpoint.spend(u)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.spend.Add(s)
}

// came records what a batch has for a request. After a temporary failure, the
// request is submitted again.
func (r *batchReader) came(key responses.Key, answer *llm.Response, failure *pluginv1.CallError) {
	if failure != nil && failure.GetTemporary() {
		return
	}
	r.batching.set(key, &came{answer, failure})
}

// persist makes a call until it succeeds, or fails in a way that another attempt
// would not fix. After as many failures as the model allows, it returns the last
// one.
func (e *endpoint) persist(hub *Hub, call func(context.Context, pluginv1.PluginServiceClient) (*pluginv1.CallError, error)) (*pluginv1.CallError, error) {
	client, err := e.Connect(hub.ctx)
	if err != nil {
		return nil, fmt.Errorf("start plugin %s for %s: %w", e.Plugin, e.Address, err)
	}
	for attempt := 0; ; attempt++ {
		ctx, end := context.WithTimeoutCause(hub.ctx, batchTime, errSlow)
		failure, err := call(ctx, client)
		slow := errors.Is(context.Cause(ctx), errSlow)
		end()
		switch {
		case slow:
			failure = &pluginv1.CallError{Message: fmt.Sprintf("no answer within %s", batchTime), Temporary: true}
		case err != nil:
			return nil, redactedError{fmt.Errorf("plugin %s, for %s: %w", e.Plugin, e.Address, err), e.redact}
		case failure == nil:
			return nil, nil
		}
		failure.Message = e.redact(failure.GetMessage())
		if !failure.GetTemporary() || int64(attempt) >= e.Info.Retries {
			return failure, nil
		}
		if err := pause(hub.ctx, hub.ctx, pauseAfter(kindOf(failure), attempt, failure)); err != nil {
			return nil, err
		}
	}
}

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
	if h.hub.opts.Budget.LimitsMoney() && !q.Info.Priced() {
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
	c.expected.Money += a.Money
	c.expected.Tokens += a.Tokens
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
	settle, err := h.hub.opts.Budget.Reserve(ctx, func() Amount { return c.expected })
	if err != nil {
		return err
	}
	submitted := false
	defer func() {
		spend := llm.Spend{}
		if submitted {
			spend.Cost, spend.InputTokens = c.expected.Money, c.expected.Tokens
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

// Waits returns what the requests of the stage wait for, with their numbers. It
// is empty if none is pending.
func (h *Host) Waits() map[string]int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.waits
}
