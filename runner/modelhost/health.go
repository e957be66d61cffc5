package modelhost

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// When a model counts as gone.
const (
	// deadAfter is how long it may give no answer while attempts fail.
	deadAfter = 40 * time.Second
	// fullAfter is how long it may turn everything away because of its limits.
	fullAfter = 10 * time.Minute
	// leastFailures must come together, so that one slow failure ends nothing.
	leastFailures = 3
	// deniedInARow answers that deny access end the calls of a model that has
	// answered before; one that never did is given up at the first.
	deniedInARow = 5
	// slowFactor: a model that answers at all is not taken for gone before
	// this many times its slowest answer.
	slowFactor = 10
)

// Down says that a model gives no answers any more.
type Down struct {
	Model string
	// After is how long it gave none, Last what its last attempt failed of.
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

// Denied says that a model's provider gives no access.
type Denied struct {
	Model  string
	Status int32
	Reason string
}

// Missing says whether nothing is at the address, as against no access to it.
func (e *Denied) Missing() bool { return e.Status < 400 || e.Status == 404 || e.Status == 405 }

func (e *Denied) Error() string {
	if e.Missing() {
		return fmt.Sprintf("%s was not found (HTTP status %d): %s", e.Model, e.Status, e.Reason)
	}
	return fmt.Sprintf("%s denied access (HTTP status %d): %s", e.Model, e.Status, e.Reason)
}

// Postponed says that a model's provider asks to wait longer than a run does.
type Postponed struct {
	Model  string
	Wait   time.Duration
	Reason string
}

func (e *Postponed) Error() string {
	return fmt.Sprintf("%s asks to wait %s before the next call (Retry-After), but a run waits at most %s: %s", e.Model, e.Wait, mostPause, e.Reason)
}

// health follows whether a model still answers. Its context ends, with the
// reason as cause, when it does not.
type health struct {
	model string
	now   func() time.Time
	gone  context.Context
	end   context.CancelCauseFunc

	mu        sync.Mutex
	answers   int64
	slowest   time.Duration
	answered  time.Time // the last answer, or the first attempt
	heard     time.Time // the last answer or failure
	failures  int       // since the last answer
	onlyFull  bool      // all of them reported limits
	denied    int       // since the last answer
	attempts  int       // under way
	lastError string
	announced time.Time // until when the user knows that calls wait
}

func newHealth(ctx context.Context, model string, now func() time.Time) *health {
	h := &health{model: model, now: now}
	h.gone, h.end = context.WithCancelCause(ctx)
	return h
}

// begin notes an attempt. The function that it returns is called when the
// attempt has ended.
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

// watch looks after an attempt that is under way.
type watch struct {
	*health
	started time.Time
	timer   *time.Timer // nil: a model that has never answered is not watched
	ended   bool
}

// look ends a model that has been asked several things and has said nothing
// for too long. A single request that takes long is left to its time-out.
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

// failed notes an attempt that failed and may be made again.
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

// absent notes that nobody was there, of a model whose calls are not to be
// retried: one that never answered is given up at once.
func (h *health) absent(message string) {
	h.failed(false, message)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.answers == 0 {
		h.end(&Down{Model: h.model, Last: message})
	}
}

// announces reports whether to tell the user about a pause: calls that wait at
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

// refused notes an answer that another attempt would not change.
func (h *health) refused(status int32, message string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.heard, h.lastError = h.now(), message
	switch status {
	case 401, 402, 403:
	case 301, 302, 303, 307, 308, 404, 405: // of a model or an address that does not exist
		if h.answers > 0 {
			return
		}
	default:
		h.failures = 0
		h.answered = h.heard // it is there, and answers
		return
	}
	if h.denied++; h.answers == 0 || h.denied >= deniedInARow {
		h.end(&Denied{Model: h.model, Status: status, Reason: message})
	}
}

// err is why the model is gone; nil: it is not.
func (h *health) err() error {
	if h.gone.Err() != nil {
		return context.Cause(h.gone)
	}
	return nil
}
