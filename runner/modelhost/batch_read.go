package modelhost

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/quern-dev/quern/sdk/go/host/parallel"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
	"github.com/quern-dev/quern/store/batches"
	"github.com/quern-dev/quern/store/responses"
)

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
	r.host.settleRead(r.spend)
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

// settleRead counts the cost of a batch that was read in the budget. It
// was submitted, so the budget can't refuse it anymore.
func (h *Host) settleRead(s llm.Spend) {
	if settle, err := h.Budget.Reserve(h.hub.ctx, func() Amount { return Amount{} }); err == nil {
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
