package modelhost

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// Pauses before another attempt, where the provider asks for none. They
// double from the first to the last.
const (
	firstPause = 500 * time.Millisecond
	lastPause  = 20 * time.Second
	// lastConnect: a provider that cannot be reached is tried often, so that a
	// restart of it costs little.
	lastConnect = 4 * time.Second
	// mostPause bounds what a provider may ask for.
	mostPause = 10 * time.Minute
	// linger is how long an attempt goes on that nobody waits for any more:
	// its answer is paid for, and so it is kept.
	linger = 5 * time.Second
)

// refusal is an attempt that failed for good: it is for the caller to judge
// whether its row fails.
type refusal struct{ *pluginv1.CallError }

func (e refusal) Error() string { return e.GetMessage() }

// reply is what an attempt gives: an answer with its usage, or why not.
type reply[T any] struct {
	answer T
	usage  llm.Usage
	// finish and model are for traces.
	finish, model string
	err           *pluginv1.CallError
	took          time.Duration
}

// question is a call to be made.
type question[T any] struct {
	*endpoint
	operation string       // chat, embeddings
	request   *llm.Request // nil: embeddings
	estimated int64        // input tokens
	most      int64        // output tokens at most; 0: not limited
	ask       func(context.Context, pluginv1.PluginServiceClient) (reply[T], error)
	// keep makes the answer durable; nil: it is not kept.
	keep func(reply[T]) error
}

// put asks the model until there is an answer, or an error that no other
// attempt would mend: a refusal, or an error that ends the stage.
func put[T any](ctx context.Context, hub *Hub, q *question[T]) (reply[T], llm.Spend, error) {
	span := hub.tracer.start(ctx, q.endpoint, q.operation, q.request)
	var none reply[T]
	failed := int64(0) // attempts that count
	for attempt := 0; ; attempt++ {
		r, spent, err := try(ctx, hub, q)
		if err != nil {
			span.fail(err, nil)
			return none, spent, err
		}
		if r.err == nil {
			span.end(r.usage, r.finish, r.model, attempt)
			return r, spent, nil
		}
		kind := kindOf(r.err)
		if kind == slow || kind == faulty {
			failed++
		}
		if err := q.health.err(); err != nil {
			span.fail(err, nil)
			return none, spent, err
		}
		if kind == final || failed > q.Info.Retries {
			span.fail(nil, r.err)
			return none, spent, refusal{r.err}
		}
		if err := pause(ctx, q.health.gone, pauseAfter(kind, attempt, r.err)); err != nil {
			span.fail(err, nil)
			return none, spent, err
		}
	}
}

// try makes one attempt, when limits and budget allow it.
func try[T any](ctx context.Context, hub *Hub, q *question[T]) (r reply[T], spent llm.Spend, err error) {
	if err := q.health.err(); err != nil {
		return r, spent, err
	}
	expected := func() amount { return q.expected(q.estimated, q.most, q.request != nil) }
	if err := q.window.enter(ctx); err != nil {
		return r, spent, err
	}
	// The turn is given back when the answer is durable: no more than are under
	// way are ever asked for again.
	o := neither
	defer func() { q.window.leave(o) }()
	if err := q.health.err(); err != nil { // while it waited
		return r, spent, err
	}
	if hub.budget.limitsMoney() && !q.Info.Priced() {
		return r, spent, &NoPrice{Model: q.Address}
	}
	reserved, err := hub.budget.reserve(ctx, expected)
	if err != nil {
		return r, spent, err
	}
	defer func() { hub.budget.settle(reserved, spent) }()
	// Last, so that nothing comes between leave to ask and asking: what had
	// leave and waited would go out together with what got it later.
	taken, err := q.allowed(ctx, expected)
	if err != nil {
		return r, spent, err
	}
	defer func() { q.tokens.settle(taken, spent.Tokens()) }()
	r, err = attempt(ctx, hub, q)
	if err != nil {
		return r, spent, err
	}
	o = q.judge(r.err, r.took)
	if r.err != nil {
		return r, spent, nil
	}
	spent = q.spend(r.usage)
	q.usual.came(q.estimated, r.usage)
	if q.keep != nil {
		err = q.keep(r)
	}
	return r, spent, err
}

// attempt makes one call of the plugin. The error ends the stage, or is the
// caller's.
func attempt[T any](ctx context.Context, hub *Hub, q *question[T]) (reply[T], error) {
	var none reply[T]
	client, err := q.Connect(ctx)
	if err != nil {
		return none, fmt.Errorf("start plugin %s for %s: %w", q.Plugin, q.Address, err)
	}
	// No deadline: the plugin would know it, and end the call before the host
	// knows why.
	limited, end := context.WithCancelCause(hub.ctx)
	defer end(nil)
	defer time.AfterFunc(q.timeout(), func() { end(errSlow) }).Stop()
	defer q.health.begin()()
	defer context.AfterFunc(q.health.gone, func() { end(nil) })()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(linger, func() { end(nil) }) })()
	started := time.Now()
	r, err := q.ask(limited, client)
	r.took = time.Since(started)
	switch {
	case err == nil:
		if r.err != nil {
			r.err.Message = q.redact(r.err.GetMessage())
		}
		return r, nil
	case errors.Is(context.Cause(limited), errSlow):
		r.err = &pluginv1.CallError{Message: fmt.Sprintf("no answer within %s", q.timeout()), Temporary: true, Status: statusSlow}
		return r, nil
	case q.health.err() != nil:
		return none, q.health.err()
	case ctx.Err() != nil:
		return none, context.Cause(ctx)
	}
	return none, redactedError{fmt.Errorf("plugin %s, for %s: %w", q.Plugin, q.Address, err), q.redact}
}

var errSlow = errors.New("the attempt took too long")

// redactedError is an error whose text shows no secret.
type redactedError struct {
	error
	redact func(string) string
}

func (e redactedError) Error() string { return e.redact(e.error.Error()) }
func (e redactedError) Unwrap() error { return e.error }

// kind is what a failed attempt means.
type kind int

const (
	final       kind = iota
	full             // the provider's limits are reached
	unreachable      // there was no answer of any kind
	slow             // there was none in time
	faulty           // the provider had an error
)

// statusSlow is HTTP's status of a request that timed out.
const statusSlow = 408

func kindOf(e *pluginv1.CallError) kind {
	switch s := e.GetStatus(); {
	case s == 429:
		if !e.GetTemporary() {
			return final // a quota that is used up
		}
		return full
	case s == statusSlow:
		return slow
	case s >= 500:
		return faulty
	case !e.GetTemporary():
		return final
	case s == 0:
		return unreachable
	}
	return faulty
}

// judge tells window and health of an attempt.
func (e *endpoint) judge(err *pluginv1.CallError, took time.Duration) outcome {
	if err == nil {
		e.health.ok(took)
		return answered
	}
	switch k := kindOf(err); k {
	case final:
		e.health.refused(err.GetStatus(), err.GetMessage())
		return neither
	default:
		e.health.failed(k == full, err.GetMessage())
		return pushedBack
	}
}

// pauseAfter is how long to wait before the next attempt. Chance spreads
// attempts that failed together.
func pauseAfter(k kind, attempt int, e *pluginv1.CallError) time.Duration {
	if e.RetryAfterSeconds != nil {
		asked := min(max(time.Duration(e.GetRetryAfterSeconds()*float64(time.Second)), 0), mostPause)
		return asked + rand.N(min(asked/4, time.Second)+10*time.Millisecond)
	}
	last := lastPause
	if k == unreachable {
		last = lastConnect
	}
	d := min(firstPause<<min(attempt, 10), last)
	return d/2 + rand.N(d/2)
}

// pause waits, unless the caller or the model goes before.
func pause(ctx, gone context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-gone.Done():
		return context.Cause(gone)
	}
}
