package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// interruptible returns a context that Ctrl-C and SIGTERM cancel.
func interruptible(ctx context.Context) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
}

// untilStopped returns a context that also ends when stop is closed, for work
// that cannot stop gracefully. Call done when the work is over.
func untilStopped(ctx context.Context, stop <-chan struct{}) (_ context.Context, done context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-stop:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// stoppable is for work that can stop gracefully: the first Ctrl-C or SIGTERM
// closes stop, and a second one cancels the context. Call done when the work is
// over.
func stoppable(ctx context.Context) (_ context.Context, stop <-chan struct{}, done func()) {
	ctx, cancel := context.WithCancel(ctx)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	asked, over := make(chan struct{}), make(chan struct{})
	go func() {
		select {
		case <-signals:
			close(asked)
		case <-over:
			return
		}
		select {
		case <-signals:
			cancel()
		case <-over:
		}
	}()
	return ctx, asked, func() {
		signal.Stop(signals)
		close(over)
		cancel()
	}
}
