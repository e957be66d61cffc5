package modelhost

import (
	"context"
	"sync"
)

// workers carry out work at once, each on a goroutine that is kept for later
// work until the context ends: a call's stack is deep, and to grow a new one
// each time takes as long as much of what the host does for the call.
type workers struct {
	ctx  context.Context
	next chan func() // to those who wait for work
	sync.WaitGroup
}

func newWorkers(ctx context.Context) *workers {
	return &workers{ctx: ctx, next: make(chan func())}
}

func (w *workers) do(f func()) {
	w.Add(1)
	select {
	case w.next <- f:
	default:
		go w.run(f)
	}
}

func (w *workers) run(f func()) {
	for {
		f()
		w.Done()
		select {
		case f = <-w.next:
		case <-w.ctx.Done():
			return
		}
	}
}
