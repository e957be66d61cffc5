// Package parallel runs functions in parallel and turns panics into errors.
// With errgroup.Group or sync.WaitGroup, what waits for a goroutine that panics
// continues with half a result until the process has ended. Here the panic is
// an error, or continues where the caller waits.
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

// Panic is a panic of a function: a bug.
type Panic struct {
	Value any
	Stack []byte // from where it panicked
}

func (p *Panic) Error() string { return fmt.Sprintf("%v\n\n%s", p.Value, p.Stack) }

// Diagnostic returns the value and the stack.
func (p *Panic) Diagnostic() (summary, detail string) { return fmt.Sprint(p.Value), string(p.Stack) }

// Call calls f and returns a panic as a *Panic.
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

// recovering matches the calls above the one that panicked.
var recovering = regexp.MustCompile(`(?s)\n.*?\npanic\([^\n]*\n[^\n]*\n`)

// stack returns the stack of a goroutine that panics, from where it does.
func stack() []byte {
	all := debug.Stack()
	if at := recovering.FindIndex(all); at != nil {
		all = slices.Delete(all, at[0], at[1]-1)
	}
	return all
}

// Group is an errgroup.Group that returns a panic as a *Panic.
type Group struct{ group *errgroup.Group }

// New returns a group that runs at most limit functions at the same time; a
// negative limit means no limit.
func New(limit int) Group {
	g := Group{new(errgroup.Group)}
	g.group.SetLimit(limit)
	return g
}

// WithContext returns a group without a limit, and a context that ends at its
// first error and when Wait returns.
func WithContext(ctx context.Context) (Group, context.Context) {
	g, ctx := errgroup.WithContext(ctx)
	return Group{g}, ctx
}

// SetLimit sets how many functions run at the same time.
func (g Group) SetLimit(limit int) { g.group.SetLimit(limit) }

// Go calls f on a goroutine, as soon as the limit allows.
func (g Group) Go(f func() error) { g.group.Go(func() error { return Call(f) }) }

// Wait waits for all functions and returns the first error.
func (g Group) Wait() error { return g.group.Wait() }

// For calls f with 0 to n-1, up to limit calls at the same time. If a call
// panics, For starts no new ones and panics with a *Panic.
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
