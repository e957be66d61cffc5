package plugintest

import (
	"context"
	"fmt"
	"os"
	"testing"
)

// Example calls f with a testing.TB, so that runnable examples, which get none,
// can use this package. A failure panics.
func Example(f func(t testing.TB)) {
	ctx, cancel := context.WithCancel(context.Background())
	t := &exampleTB{ctx: ctx}
	defer t.clean()
	defer cancel()
	f(t)
}

// exampleTB implements the methods of testing.TB that tests of plugins use.
type exampleTB struct {
	testing.TB // nil; it has the method that only package testing can implement
	ctx        context.Context
	cleanups   []func()
}

func (*exampleTB) Helper()                           {}
func (*exampleTB) Name() string                      { return "Example" }
func (*exampleTB) Log(args ...any)                   {}
func (*exampleTB) Logf(format string, args ...any)   {}
func (*exampleTB) Error(args ...any)                 { panic(fmt.Sprint(args...)) }
func (*exampleTB) Errorf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
func (*exampleTB) Fatal(args ...any)                 { panic(fmt.Sprint(args...)) }
func (*exampleTB) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
func (t *exampleTB) Context() context.Context        { return t.ctx }
func (t *exampleTB) Cleanup(f func())                { t.cleanups = append(t.cleanups, f) }

func (t *exampleTB) TempDir() string {
	dir, err := os.MkdirTemp("", "quern-example-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// clean calls the cleanups, the last one first.
func (t *exampleTB) clean() {
	for len(t.cleanups) > 0 {
		last := t.cleanups[len(t.cleanups)-1]
		t.cleanups = t.cleanups[:len(t.cleanups)-1]
		last()
	}
}
