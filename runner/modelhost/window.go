package modelhost

import (
	"context"
	"slices"
	"sync"

	"github.com/quern-dev/quern/planner/plan"
)

// Bounds of how many attempts are under way at a model that says nothing of
// its own.
const (
	firstWindow = 8
	mostWindow  = 128
	// leastSample is how many outcomes the window is adapted after.
	leastSample = 10
	// tolerated is the share of attempts that may be turned away without the
	// window shrinking: faults that come now and then say nothing of load.
	tolerated = 0.2
)

// window bounds how many attempts are under way at a model, and adapts to
// what the model bears: it grows while all goes well and shrinks by the share
// of attempts that were turned away, if there are many. Attempts get their turn in order.
type window struct {
	mu      sync.Mutex
	limit   float64
	most    float64
	active  int
	waiting []*turn

	// Since the last adaptation.
	good, bad int
	calm      bool // nothing was turned away so far: growth is by doubling
}

type turn struct{ ready chan struct{} }

// MostConcurrent is how many attempts are under way at a model at most.
func MostConcurrent(m plan.ModelInfo) int64 {
	if m.MaxConcurrency > 0 {
		return m.MaxConcurrency
	}
	return mostWindow
}

// newWindow starts with all that a model is declared to bear.
func newWindow(m plan.ModelInfo) *window {
	w := &window{limit: firstWindow, most: float64(MostConcurrent(m)), calm: true}
	if m.MaxConcurrency > 0 {
		w.limit = w.most
	}
	return w
}

// widen has room for a further model.
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

// enter waits for a turn. Each one that was got ends with leave.
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
	w.active-- // the turn came at the same moment
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
