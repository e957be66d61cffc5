package modelhost

import (
	"context"
	"sync"
)

// workers run functions immediately, on goroutines that are reused until the
// context ends. The stack of a call is deep, and growing a new one each time
// takes as long as much of the host's other work for the call.
type workers struct {
	ctx  context.Context
	next chan func() // received by idle workers
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
