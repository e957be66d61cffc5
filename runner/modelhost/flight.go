package modelhost

import (
	"context"
	"sync"

	"github.com/quern-dev/quern/sdk/go/host/parallel"
	"github.com/quern-dev/quern/store/responses"
)

// flights merge equal requests that are made at the same time.
type flights[T any] struct {
	mu    sync.Mutex
	byKey map[responses.Key]*flight[T]
}

// flight is a call in flight. It ends when the answer arrives, or when all its
// callers have gone.
type flight[T any] struct {
	waiters int // guarded by flights.mu
	cancel  context.CancelFunc
	done    chan struct{}
	answer  T
	err     error
}

// do returns what f returns for the key. If a call for the key is already in
// flight, do joins it, and shared is true. f receives a context that ends with
// the run, or when nobody waits anymore. ctx belongs to the caller.
func (s *flights[T]) do(ctx context.Context, hub *Hub, key responses.Key, f func(context.Context) (T, error)) (answer T, shared bool, err error) {
	s.mu.Lock()
	fl, shared := s.byKey[key]
	if !shared {
		fl = s.start(hub, key, f)
	}
	fl.waiters++
	s.mu.Unlock()
	select {
	case <-fl.done:
		return fl.answer, shared, fl.err
	case <-ctx.Done():
		s.leave(key, fl)
		return answer, shared, context.Cause(ctx)
	}
}

// start must be called with the lock held.
func (s *flights[T]) start(hub *Hub, key responses.Key, f func(context.Context) (T, error)) *flight[T] {
	work, cancel := context.WithCancel(hub.ctx)
	fl := &flight[T]{cancel: cancel, done: make(chan struct{})}
	if s.byKey == nil {
		s.byKey = map[responses.Key]*flight[T]{}
	}
	s.byKey[key] = fl
	hub.working.do(func() {
		defer cancel()
		fl.err = parallel.Call(func() (err error) {
			fl.answer, err = f(work)
			return err
		})
		s.mu.Lock()
		s.forget(key, fl)
		s.mu.Unlock()
		close(fl.done)
	})
	return fl
}

func (s *flights[T]) leave(key responses.Key, fl *flight[T]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if fl.waiters--; fl.waiters == 0 {
		s.forget(key, fl) // later callers start a new call
		fl.cancel()
	}
}

func (s *flights[T]) forget(key responses.Key, fl *flight[T]) {
	if s.byKey[key] == fl {
		delete(s.byKey, key)
	}
}
