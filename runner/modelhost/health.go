package modelhost

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// When a model is considered unavailable.
const (
	// deadAfter is how long it may give no answer while attempts fail.
	deadAfter = 40 * time.Second
	// fullAfter is how long it may reject every attempt because of its limits.
	fullAfter = 10 * time.Minute
	// leastFailures is the minimum number of failures, so that a single slow
	// one ends nothing.
	leastFailures = 3
	// deniedInARow is the number of consecutive answers denying access after
	// which a model that has answered before is given up. A model that has
	// never answered is given up at the first one.
	deniedInARow = 5
	// slowFactor: a model that does answer is not considered unavailable before
	// this many times its slowest answer.
	slowFactor = 10
)

// Down is the error for a model that no longer answers.
type Down struct {
	Model string
	// After is how long it has not answered, and Last the last error.
	After time.Duration
	Last  string
}

func (e *Down) Error() string {
	text := fmt.Sprintf("%s has not responded for %s", e.Model, e.After.Round(time.Second))
	if e.After == 0 {
		text = e.Model + " cannot be reached"
	}
	if e.Last != "" {
		text += ". The last attempt: " + e.Last
	}
	return text
}

// Denied is the error for a model whose provider denies access.
type Denied struct {
	Model  string
	Status int32
	Reason string
}

// Missing reports whether nothing exists at the address, as opposed to access
// being denied.
func (e *Denied) Missing() bool { return e.Status < 400 || e.Status == 404 || e.Status == 405 }

func (e *Denied) Error() string {
	if e.Missing() {
		return fmt.Sprintf("%s was not found (HTTP status %d): %s", e.Model, e.Status, e.Reason)
	}
	return fmt.Sprintf("%s denied access (HTTP status %d): %s", e.Model, e.Status, e.Reason)
}

// Postponed is the error for a provider that asks to wait longer than a run
// does.
type Postponed struct {
	Model  string
	Wait   time.Duration
	Reason string
}

func (e *Postponed) Error() string {
	return fmt.Sprintf("%s asks to wait %s before the next call (Retry-After), but a run waits at most %s: %s", e.Model, e.Wait, mostPause, e.Reason)
}

// health tracks whether a model still answers. If it does not, its context
// ends, with the reason as its cause.
type health struct {
	model string
	now   func() time.Time
	gone  context.Context
	end   context.CancelCauseFunc

	mu        sync.Mutex
	answers   int64
	slowest   time.Duration
	answered  time.Time // when the last answer came, or the first attempt started
	heard     time.Time // when the last answer or failure came
	failures  int       // since the last answer
	onlyFull  bool      // all of them reported limits
	denied    int       // since the last answer
	attempts  int       // in flight
	lastError string
	announced time.Time // until when the user knows that calls are waiting
}

func newHealth(ctx context.Context, model string, now func() time.Time) *health {
	h := &health{model: model, now: now}
	h.gone, h.end = context.WithCancelCause(ctx)
	return h
}

// begin records an attempt. Call the returned function when the attempt has
// ended.
func (h *health) begin() (ended func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	started := h.now()
	if h.answered.IsZero() {
		h.answered = started
	}
	h.attempts++
	w := &watch{health: h, started: started}
	if h.answers > 0 {
		w.timer = time.AfterFunc(h.patience(), w.look)
	}
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.attempts--
		w.ended = true
		if w.timer != nil {
			w.timer.Stop()
		}
	}
}

func (h *health) patience() time.Duration { return max(deadAfter, slowFactor*h.slowest) }

// watch monitors an attempt in flight.
type watch struct {
	*health
	started time.Time
	timer   *time.Timer // nil if the model has never answered, which is then not watched
	ended   bool
}

// look ends a model that has several outstanding requests and has not answered
// for too long. A single slow request is left to its timeout.
func (w *watch) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	now, since := w.now(), w.started
	if w.heard.After(since) {
		since = w.heard
	}
	left := w.patience() - now.Sub(since)
	switch {
	case w.ended:
	case left > 0 || w.attempts < 2:
		w.timer.Reset(max(left, time.Second))
	default:
		w.end(&Down{Model: w.model, After: now.Sub(w.answered), Last: w.lastError})
	}
}

func (h *health) ok(took time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answers++
	h.slowest = max(h.slowest, took)
	h.answered = h.now()
	h.heard = h.answered
	h.failures, h.denied = 0, 0
}

// failed records a failed attempt that may be repeated.
func (h *health) failed(full bool, message string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.now()
	h.heard, h.lastError = now, message
	h.onlyFull = full && (h.onlyFull || h.failures == 0)
	h.failures++
	limit := deadAfter
	if h.onlyFull {
		limit = fullAfter
	}
	if since := now.Sub(h.answered); h.failures >= leastFailures && since >= limit {
		h.end(&Down{Model: h.model, After: since, Last: message})
	}
}

// absent records that nothing answered, for a model whose calls are not to be
// retried. A model that has never answered is given up immediately.
func (h *health) absent(message string) {
	h.failed(false, message)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.answers == 0 {
		h.end(&Down{Model: h.model, Last: message})
	}
}

// announces reports whether to tell the user about a pause. Calls that wait at
// the same time are announced once.
func (h *health) announces(d time.Duration) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.now()
	if now.Before(h.announced) {
		return false
	}
	h.announced = now.Add(d)
	return true
}

// refused records an answer that another attempt would not change.
func (h *health) refused(status int32, message string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.heard, h.lastError = h.now(), message
	switch status {
	case 401, 402, 403:
	case 301, 302, 303, 307, 308, 404, 405: // the model or the address does not exist
		if h.answers > 0 {
			return
		}
	default:
		h.failures = 0
		h.answered = h.heard // it is available, and answers
		return
	}
	if h.denied++; h.answers == 0 || h.denied >= deniedInARow {
		h.end(&Denied{Model: h.model, Status: status, Reason: message})
	}
}

// err returns why the model is unavailable, or nil if it is available.
func (h *health) err() error {
	if h.gone.Err() != nil {
		return context.Cause(h.gone)
	}
	return nil
}
