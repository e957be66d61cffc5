package plugin

import (
	"context"
	"sync"
)

// stoppable holds the Run calls that can be asked to end.
type stoppable struct {
	mu    sync.Mutex
	calls map[string]context.CancelFunc
	// early holds calls that were asked to end before they began.
	early map[string]bool
}

// begin returns the context of a call. It ends with ctx, or when the call is
// asked to end. The caller calls over at the end.
func (s *stoppable) begin(ctx context.Context, call string) (_ context.Context, over func()) {
	ctx, cancel := context.WithCancel(ctx)
	if call == "" {
		return ctx, cancel
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.early[call] {
		delete(s.early, call)
		cancel()
	}
	if s.calls == nil {
		s.calls = map[string]context.CancelFunc{}
	}
	s.calls[call] = cancel
	return ctx, func() {
		s.mu.Lock()
		delete(s.calls, call)
		s.mu.Unlock()
		cancel()
	}
}

func (s *stoppable) stop(call string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if cancel := s.calls[call]; cancel != nil {
		cancel()
		return
	}
	if s.early == nil {
		s.early = map[string]bool{}
	}
	s.early[call] = true
}
