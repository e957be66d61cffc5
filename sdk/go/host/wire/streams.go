package wire

import (
	"context"
	"errors"
	"io"
	"sync"

	"google.golang.org/grpc"
)

// Streams make calls over streams that answer one request at a time. A stream
// whose request is answered is kept for the next one: that takes less than half
// of the processor time that a call of its own takes. Ask may be called by any
// number of goroutines; there are as many streams as there were calls at a time.
type Streams[Q, R any] struct {
	// Context is that of all streams; they end with it.
	Context context.Context

	mu   sync.Mutex
	idle []*asking[Q, R]
}

// asking is one stream.
type asking[Q, R any] struct {
	grpc.BidiStreamingClient[Q, R]
	end context.CancelFunc
}

// Ask sends a request and returns its answer. Where no stream is idle, open
// makes one. When ctx ends, so does the stream, and the call on its other end.
func (s *Streams[Q, R]) Ask(ctx context.Context, open func(context.Context) (grpc.BidiStreamingClient[Q, R], error), request *Q) (*R, error) {
	a, err := s.take(open)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, a.end)
	// What was wrong with sending is told by receiving.
	_ = a.Send(request)
	answer, err := a.Recv()
	spared := stop()
	switch {
	case err == nil && spared:
		s.keep(a)
		return answer, nil
	case err != nil && !spared:
		err = ctx.Err()
	case errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF
	}
	a.end()
	return answer, err
}

func (s *Streams[Q, R]) keep(a *asking[Q, R]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idle = append(s.idle, a)
}

func (s *Streams[Q, R]) take(open func(context.Context) (grpc.BidiStreamingClient[Q, R], error)) (*asking[Q, R], error) {
	s.mu.Lock()
	if n := len(s.idle); n > 0 {
		// The last one: those that are not needed any more stay idle.
		a := s.idle[n-1]
		s.idle = s.idle[:n-1]
		s.mu.Unlock()
		return a, nil
	}
	s.mu.Unlock()
	ctx, end := context.WithCancel(s.Context)
	stream, err := open(ctx)
	if err != nil {
		end()
		return nil, err
	}
	return &asking[Q, R]{stream, end}, nil
}

// Answer answers the requests of a stream one after the other until there are
// no more. An error of f ends it.
func Answer[Q, R any](stream grpc.BidiStreamingServer[Q, R], f func(context.Context, *Q) (*R, error)) error {
	for {
		request, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		answer, err := f(stream.Context(), request)
		if err != nil {
			return err
		}
		if err := stream.Send(answer); err != nil {
			return err
		}
	}
}
