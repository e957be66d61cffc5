package parallel

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
)

func TestAGroupThatPanicsHasFailed(t *testing.T) {
	g, ctx := WithContext(t.Context())
	g.Go(func() error { lose(); return nil })
	g.Go(func() error { <-ctx.Done(); return nil })
	var p *Panic
	if err := g.Wait(); !errors.As(err, &p) {
		t.Fatalf("the group ended with %v", err)
	}
	if p.Value != "lost" || !regexp.MustCompile(`^lost\n\ngoroutine \d+ \[running\]:\n\S*parallel.lose\(`).MatchString(p.Error()) {
		t.Errorf("the panic is told as %s", p)
	}
	if cause := context.Cause(ctx); cause != error(p) {
		t.Errorf("the context ended because of %v", cause)
	}
}

func lose() { panic("lost") }

func TestAGroupKeepsToItsLimit(t *testing.T) {
	g := New(2)
	var now, most atomic.Int64
	for range 50 {
		g.Go(func() error {
			most.Store(max(most.Load(), now.Add(1)))
			now.Add(-1)
			return nil
		})
	}
	if err := g.Wait(); err != nil || most.Load() > 2 {
		t.Errorf("ended with %v, and up to %d ran at the same time", err, most.Load())
	}
}

func TestForCallsEachOnce(t *testing.T) {
	for _, limit := range []int{1, 3, 100} {
		var seen [40]atomic.Int64
		For(len(seen), limit, func(i int) { seen[i].Add(1) })
		for i := range seen {
			if n := seen[i].Load(); n != 1 {
				t.Errorf("limit %d: %d was called %d times", limit, i, n)
			}
		}
	}
	For(0, 4, func(int) { t.Error("there is nothing to call") })
}

func TestForPanicsWhereItWasCalled(t *testing.T) {
	calls := 0
	err := Call(func() error {
		For(10, 1, func(i int) {
			if calls++; i == 3 {
				lose()
			}
		})
		return nil
	})
	var p *Panic
	if !errors.As(err, &p) || !strings.Contains(p.Error(), "parallel.lose(") {
		t.Fatalf("ended with %v", err)
	}
	if calls != 4 {
		t.Errorf("%d calls, where the 4th panicked", calls)
	}
}
