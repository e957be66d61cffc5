package modelhost

import (
	"context"
	"sync"

	"github.com/quern-dev/quern/sdk/go/host/parallel"
	"github.com/quern-dev/quern/store/responses"
)

// flights see to it that one request is asked once at a time, however many
// want its answer.
type flights[T any] struct {
	mu    sync.Mutex
	byKey map[responses.Key]*flight[T]
}

// flight is a call under way. It ends when the answer is there, or when all
// who wait for it have gone.
type flight[T any] struct {
	waiters int // guarded by flights.mu
	cancel  context.CancelFunc
	done    chan struct{}
	answer  T
	err     error
}

// do returns what f returns for the key, from a call that may be under way
// already: then shared is true. f gets a context that ends with the run, or
// when nobody waits any more. ctx is the caller's.
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

// start is called under the lock.
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
		s.forget(key, fl) // whoever comes now starts again
		fl.cancel()
	}
}

func (s *flights[T]) forget(key responses.Key, fl *flight[T]) {
	if s.byKey[key] == fl {
		delete(s.byKey, key)
	}
}
