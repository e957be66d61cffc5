// Package parallel runs functions side by side. A function that panics has
// failed: an errgroup.Group or a sync.WaitGroup whose function panics is done
// for a moment, until the process has ended, and what waits for it goes on with
// half a result. Here the panic is an error, or goes on where the waiting is.
package parallel

import (
	"context"
	"fmt"
	"regexp"
	"runtime/debug"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// Panic is what a function panicked with: a bug.
type Panic struct {
	Value any
	Stack []byte // from where it panicked
}

func (p *Panic) Error() string { return fmt.Sprintf("%v\n\n%s", p.Value, p.Stack) }

// Call calls f and makes a *Panic of a panic.
func Call(f func() error) (err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case *Panic:
			err = p // keeps the stack on which it began
		default:
			err = &Panic{Value: p, Stack: stack()}
		}
	}()
	return f()
}

// recovering matches the calls that stand above the one that panicked.
var recovering = regexp.MustCompile(`(?s)\n.*?\npanic\([^\n]*\n[^\n]*\n`)

// stack is the stack of a goroutine that panics, from where it does.
func stack() []byte {
	all := debug.Stack()
	if at := recovering.FindIndex(all); at != nil {
		all = slices.Delete(all, at[0], at[1]-1)
	}
	return all
}

// Group is an errgroup.Group in which a panic is an error, a *Panic.
type Group struct{ group *errgroup.Group }

// New returns a group of which at most limit functions run at the same time;
// below 0: any number.
func New(limit int) Group {
	g := Group{new(errgroup.Group)}
	g.group.SetLimit(limit)
	return g
}

// WithContext returns a group of any number, and a context that ends at its
// first error and when Wait returns.
func WithContext(ctx context.Context) (Group, context.Context) {
	g, ctx := errgroup.WithContext(ctx)
	return Group{g}, ctx
}

// SetLimit sets how many functions run at the same time.
func (g Group) SetLimit(limit int) { g.group.SetLimit(limit) }

// Go calls f on a goroutine, when there is room.
func (g Group) Go(f func() error) { g.group.Go(func() error { return Call(f) }) }

// Wait waits for all functions, and returns the first error.
func (g Group) Wait() error { return g.group.Wait() }

// For calls f with 0 to n-1, up to limit of them at the same time. When a call
// panics, none is begun any more, and For panics with a *Panic.
func For(n, limit int, f func(i int)) {
	var next atomic.Int64
	g := New(-1)
	for range min(limit, n) {
		g.Go(func() error {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return nil
				}
				if err := Call(func() error { f(i); return nil }); err != nil {
					next.Store(int64(n))
					return err
				}
			}
		})
	}
	if err := g.Wait(); err != nil {
		panic(err)
	}
}
