package modelhost

import (
	"context"
	"slices"
	"sync"

	"github.com/quern-dev/quern/planner/plan"
)

// Bounds on the number of attempts in flight for a model that does not declare
// any.
const (
	firstWindow = 8
	mostWindow  = 128
	// leastSample is the number of outcomes after which the window is adapted.
	leastSample = 10
	// tolerated is the share of attempts that may be rejected without the
	// window shrinking, because occasional errors say nothing about load.
	tolerated = 0.2
)

// window bounds the number of attempts in flight for a model, and adapts to its
// capacity: it grows while attempts succeed, and shrinks by the share of
// rejected attempts if there are many. Attempts get their turn in order.
type window struct {
	mu      sync.Mutex
	limit   float64
	most    float64
	active  int
	waiting []*turn

	// Since the last adaptation.
	good, bad int
	calm      bool // nothing was rejected so far, so the window doubles
}

type turn struct{ ready chan struct{} }

// MostConcurrent returns the maximum number of attempts in flight for a model.
func MostConcurrent(m plan.ModelInfo) int64 {
	if m.MaxConcurrency > 0 {
		return m.MaxConcurrency
	}
	return mostWindow
}

// newWindow starts with the declared capacity of a model.
func newWindow(m plan.ModelInfo) *window {
	w := &window{limit: firstWindow, most: float64(MostConcurrent(m)), calm: true}
	if m.MaxConcurrency > 0 {
		w.limit = w.most
	}
	return w
}

// widen adds the capacity of another model.
func (w *window) widen(m plan.ModelInfo) {
	w.mu.Lock()
	defer w.mu.Unlock()
	most := float64(MostConcurrent(m))
	if most <= w.most {
		return
	}
	if m.MaxConcurrency > 0 {
		w.limit += most - w.most
	}
	w.most = most
	w.admit()
}

// enter waits for a turn. Each successful call must be followed by leave.
func (w *window) enter(ctx context.Context) error {
	w.mu.Lock()
	if len(w.waiting) == 0 && w.active < w.room() {
		w.active++
		w.mu.Unlock()
		return nil
	}
	t := &turn{ready: make(chan struct{})}
	w.waiting = append(w.waiting, t)
	w.mu.Unlock()
	select {
	case <-t.ready:
		return nil
	case <-ctx.Done():
		w.withdraw(t)
		return context.Cause(ctx)
	}
}

func (w *window) withdraw(t *turn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if i := slices.Index(w.waiting, t); i >= 0 {
		w.waiting = slices.Delete(w.waiting, i, i+1)
		return
	}
	w.active-- // the turn came at the same time
	w.admit()
}

// leave ends a turn.
func (w *window) leave(o Outcome) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.active--
	switch o {
	case Answered:
		w.good++
	case PushedBack:
		w.bad++
	}
	if w.good+w.bad >= max(leastSample, w.room()) {
		w.adapt()
	}
	w.admit()
}

func (w *window) adapt() {
	switch share := float64(w.bad) / float64(w.good+w.bad); {
	case share > tolerated:
		w.calm = false
		w.limit *= 1 - share/2
	case share > 0:
		w.calm = false
	case w.calm:
		w.limit *= 2
	default:
		w.limit += max(1, w.limit/10)
	}
	w.limit = min(max(w.limit, 1), w.most)
	w.good, w.bad = 0, 0
}

func (w *window) room() int { return int(w.limit) }

func (w *window) admit() {
	for len(w.waiting) > 0 && w.active < w.room() {
		close(w.waiting[0].ready)
		w.waiting = w.waiting[1:]
		w.active++
	}
}
