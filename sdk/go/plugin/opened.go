package plugin

import (
	"context"
	"sync"
)

// opened holds what is opened once and then used by many calls.
type opened[K comparable, V any] struct {
	mu  sync.Mutex
	all map[K]*opening[V]
}

// opening is a value that is ready once done is closed.
type opening[V any] struct {
	done  chan struct{}
	value V
	err   error
}

// get returns the value of a key, which the first call opens. After a failure, the
// next call tries again.
func (o *opened[K, V]) get(ctx context.Context, key K, open func(context.Context) (V, error)) (V, error) {
	o.mu.Lock()
	v := o.all[key]
	if v == nil {
		v = &opening[V]{done: make(chan struct{})}
		if o.all == nil {
			o.all = map[K]*opening[V]{}
		}
		o.all[key] = v
		o.mu.Unlock()
		// It serves other calls, too, so this call's end is not its end.
		v.value, v.err = open(context.WithoutCancel(ctx))
		if v.err != nil {
			o.mu.Lock()
			delete(o.all, key)
			o.mu.Unlock()
		}
		close(v.done)
	} else {
		o.mu.Unlock()
	}
	select {
	case <-v.done:
		return v.value, v.err
	case <-ctx.Done():
		var none V
		return none, ctx.Err()
	}
}
