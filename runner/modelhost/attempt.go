package modelhost

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// Pauses before the next attempt, unless the provider asks for one. They double
// from the first to the last.
const (
	firstPause = 500 * time.Millisecond
	lastPause  = 20 * time.Second
	// lastConnect: a provider that cannot be reached is tried often, so that
	// its restart costs little time.
	lastConnect = 4 * time.Second
	// mostPause is how long a provider may ask to wait. A longer pause ends the
	// calls of its model.
	mostPause = 10 * time.Minute
	// longPause is the shortest pause that the user is told about.
	longPause = 15 * time.Second
	// linger is how long an attempt continues if nobody waits for it anymore:
	// its answer will be billed, so it is worth caching.
	linger = 5 * time.Second
)

// refusal is an attempt that failed permanently. The caller decides whether its
// row fails.
type refusal struct{ *pluginv1.CallError }

func (e refusal) Error() string { return e.GetMessage() }

// reply is the result of an attempt: an answer with its usage, or an error.
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
	operation string       // chat or embeddings
	request   *llm.Request // nil for embeddings
	estimated int64        // input tokens
	most      int64        // maximum number of output tokens; 0 means no limit
	ask       func(context.Context, pluginv1.PluginServiceClient) (reply[T], error)
	// keep stores the answer durably. It is nil if the answer is not cached.
	keep func(reply[T]) error
}

// put calls the model until there is an answer, or an error that another
// attempt would not fix: a refusal, or an error that ends the stage.
func put[T any](ctx context.Context, h *Host, q *question[T]) (reply[T], error) {
	span := h.hub.tracer.start(ctx, q.endpoint, q.operation, q.request)
	var none reply[T]
	// waiting ends when the stage may start no more calls. A call in flight
	// continues.
	waiting, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(h.halting, func() { cancel(errHalted) })()
	failed := int64(0) // attempts that count
	for attempt := 0; ; attempt++ {
		r, err := try(ctx, waiting, h, q)
		if err != nil {
			span.fail(err, nil)
			return none, err
		}
		if r.err == nil {
			span.end(r.usage, r.finish, r.model, attempt)
			return r, nil
		}
		kind := kindOf(r.err)
		if kind == slow || kind == faulty || q.Info.Retries == 0 && kind == unreachable {
			failed++
		}
		if err := q.health.err(); err != nil {
			span.fail(err, nil)
			return none, err
		}
		if kind == final || failed > q.Info.Retries {
			span.fail(nil, r.err)
			return none, refusal{r.err}
		}
		d := pauseAfter(kind, attempt, r.err)
		if err := q.patient(h.hub, d, r.err); err != nil {
			span.fail(err, nil)
			return none, err
		}
		if err := pause(waiting, q.health.gone, d); err != nil {
			span.fail(err, nil)
			return none, err
		}
	}
}

// try makes one attempt when limits and budget allow it.
func try[T any](ctx, waiting context.Context, h *Host, q *question[T]) (r reply[T], err error) {
	if err := q.health.err(); err != nil {
		return r, err
	}
	expected := func() Amount { return q.expected(q.estimated, q.most, q.request != nil && !q.request.OnlyScores()) }
	run := &h.hub.opts
	leave, err := run.Limits.Enter(waiting, q.Address, q.Info)
	if err != nil {
		return r, err
	}
	// The turn ends when the answer is durable, so no more requests than can be
	// in flight are ever sent again.
	o := Neither
	defer func() { leave(o) }()
	if err := q.health.err(); err != nil { // while it waited
		return r, err
	}
	if h.Budget.LimitsMoney() && !q.Info.Priced() {
		return r, &NoPrice{Model: q.Address}
	}
	settleBudget, err := h.Budget.Reserve(waiting, expected)
	if err != nil {
		return r, err
	}
	var spent llm.Spend
	defer func() { settleBudget(spent) }()
	// This comes last, so that the request is sent as soon as the limits allow
	// it. Otherwise, requests that were allowed earlier and then waited would
	// be sent together with later ones.
	settleTokens, err := run.Limits.Allow(waiting, q.Address, q.Info, func() int64 { return expected().Tokens })
	if err != nil {
		return r, err
	}
	defer func() { settleTokens(spent.Tokens()) }()
	if !h.begin() {
		return r, errHalted
	}
	defer h.ended()
	r, err = attempt(ctx, h.hub, q)
	if err != nil {
		return r, err
	}
	o = q.judge(r.err, r.took)
	if r.err != nil && r.usage == (llm.Usage{}) {
		return r, nil
	}
	// A response with an error in it may be billed as well.
	spent = q.spend(r.usage)
	h.spent(spent)
	if r.err != nil {
		return r, nil
	}
	q.usual.came(q.estimated, r.usage)
	if q.keep != nil {
		err = q.keep(r)
	}
	return r, err
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
	case !e.GetTemporary():
		return final
	case s >= 500:
		return faulty
	case s == 0:
		return unreachable
	}
	return faulty
}

// judge reports an attempt to window and health.
func (e *endpoint) judge(err *pluginv1.CallError, took time.Duration) Outcome {
	if err == nil {
		e.health.ok(took)
		return Answered
	}
	switch k := kindOf(err); {
	case k == final, err.GetStatus() == http.StatusOK: // it is there, and answers
		e.health.refused(err.GetStatus(), err.GetMessage())
		return Neither
	case k == unreachable && e.Info.Retries == 0:
		e.health.absent(err.GetMessage())
		return PushedBack
	default:
		e.health.failed(k == full, err.GetMessage())
		return PushedBack
	}
}

// patient tells the user about a long pause that the provider asked for, and ends
// the calls of a model that asks for too long a one.
func (e *endpoint) patient(hub *Hub, d time.Duration, err *pluginv1.CallError) error {
	if err.RetryAfterSeconds == nil {
		return nil
	}
	if asked := err.GetRetryAfterSeconds(); asked > mostPause.Seconds() {
		e.health.end(&Postponed{Model: e.Address, Wait: seconds(asked), Reason: err.GetMessage()})
		return e.health.err()
	}
	if d >= longPause && e.health.announces(d) {
		hub.opts.Notice(fmt.Sprintf("%s asks to wait %s (Retry-After): %s", e.Address, seconds(err.GetRetryAfterSeconds()), err.GetMessage()))
	}
	return nil
}

func seconds(s float64) time.Duration {
	return time.Duration(min(s, math.MaxInt64/2e9) * float64(time.Second)).Round(time.Second)
}

// pauseAfter is how long to wait before the next attempt. Chance spreads
// attempts that failed together.
func pauseAfter(k kind, attempt int, e *pluginv1.CallError) time.Duration {
	if e.RetryAfterSeconds != nil {
		asked := time.Duration(min(max(e.GetRetryAfterSeconds(), 0), mostPause.Seconds()) * float64(time.Second))
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
