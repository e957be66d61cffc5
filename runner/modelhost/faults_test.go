package modelhost

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// Faults that pass lose no row, and nothing that was answered is asked again.
func TestPassingFaultsLoseNothing(t *testing.T) {
	zero := 0.0
	faults := map[string]func() *pluginv1.CallError{
		"429 with Retry-After": func() *pluginv1.CallError {
			return &pluginv1.CallError{Status: 429, Temporary: true, Message: "slow down", RetryAfterSeconds: &zero}
		},
		"500":         func() *pluginv1.CallError { return failing(500, true, "oops") },
		"unreachable": func() *pluginv1.CallError { return failing(0, true, "connection refused") },
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			bubble(t, func() {
				b := newBench(t, &double{chat: func(ctx context.Context, n int64, text string) (*llm.Response, *pluginv1.CallError) {
					if n%10 == 0 {
						return nil, fault()
					}
					return echo(ctx, n, text)
				}})
				b.info.Cache = false
				b.open()
				defer b.close()
				got := b.askAll(500, 32, func(i int) string { return fmt.Sprint(i) })
				if calls := b.double.calls.Load(); got != 500 || calls < 550 || calls > 556 {
					t.Fatalf("%d answers of %d calls", got, calls)
				}
			})
		})
	}
}

func TestRetryAfterIsHonored(t *testing.T) {
	bubble(t, func() {
		asked := 7.0
		var at []time.Time
		b := newBench(t, &double{chat: func(ctx context.Context, n int64, text string) (*llm.Response, *pluginv1.CallError) {
			at = append(at, time.Now())
			if n == 1 {
				return nil, &pluginv1.CallError{Status: 429, Temporary: true, RetryAfterSeconds: &asked}
			}
			return echo(ctx, n, text)
		}})
		b.info.Cache = false
		b.open()
		defer b.close()
		if _, _, err := b.ask("x"); err != nil || len(at) != 2 {
			t.Fatalf("%v after %d calls", err, len(at))
		}
		if d := at[1].Sub(at[0]); d < 7*time.Second || d > 9*time.Second {
			t.Fatalf("the second attempt came after %s", d)
		}
	})
}

func TestARequestThatKeepsFailingFailsOnlyItsRow(t *testing.T) {
	bubble(t, func() {
		b := newBench(t, &double{chat: func(ctx context.Context, n int64, text string) (*llm.Response, *pluginv1.CallError) {
			switch text {
			case "poison":
				return nil, failing(500, true, "it makes me crash")
			case "too long":
				return nil, failing(400, false, "maximum context length")
			}
			return echo(ctx, n, text)
		}})
		b.info.Cache = false
		b.info.Retries = 2
		b.open()
		defer b.close()
		for text, calls := range map[string]int{"poison": 3, "too long": 1} {
			if _, callErr, err := b.ask(text); err != nil || callErr == nil || b.double.asked[text] != calls {
				t.Fatalf("%s: %v, %v after %d calls", text, callErr, err, b.double.asked[text])
			}
		}
		if _, _, err := b.ask("fine"); err != nil || b.host.Err() != nil {
			t.Fatal("one bad request ended the stage")
		}
	})
}

// ended waits until the host has ended the stage.
func (b *bench) ended() error {
	<-b.stage.Done()
	return context.Cause(b.stage)
}

func TestADeadEndpointEndsTheStageWithinAMinute(t *testing.T) {
	deaths := map[string]func(context.Context) *pluginv1.CallError{
		"it refuses connections": func(context.Context) *pluginv1.CallError { return failing(0, true, "connection refused") },
		"it gives 503":           func(context.Context) *pluginv1.CallError { return failing(503, true, "unavailable") },
		"it falls silent":        func(ctx context.Context) *pluginv1.CallError { <-ctx.Done(); return nil },
	}
	for name, die := range deaths {
		t.Run(name, func(t *testing.T) {
			bubble(t, func() {
				b := newBench(t, &double{chat: func(ctx context.Context, n int64, text string) (*llm.Response, *pluginv1.CallError) {
					if n > 50 {
						return nil, die(ctx)
					}
					time.Sleep(50 * time.Millisecond)
					return echo(ctx, n, text)
				}})
				b.info.Cache = false
				b.info.Retries = 1000
				b.open()
				defer b.close()
				started := time.Now()
				go b.askAll(100, 20, func(i int) string { return fmt.Sprint(i) })
				err := b.ended()
				var down *Down
				if took := time.Since(started); !errors.As(err, &down) || took > time.Minute {
					t.Fatalf("the end was %v after %s", err, took)
				}
				synctest.Wait()
			})
		})
	}
}

func TestAShortOutageDoesNotEndTheStage(t *testing.T) {
	bubble(t, func() {
		started := time.Now()
		b := newBench(t, &double{chat: func(ctx context.Context, n int64, text string) (*llm.Response, *pluginv1.CallError) {
			if since := time.Since(started); since > time.Second && since < 25*time.Second {
				return nil, failing(0, true, "connection refused")
			}
			time.Sleep(50 * time.Millisecond)
			return echo(ctx, n, text)
		}})
		b.info.Cache = false
		b.open()
		defer b.close()
		if got := b.askAll(1000, 20, func(i int) string { return fmt.Sprint(i) }); got != 1000 {
			t.Fatalf("%d answers; %v", got, b.host.Err())
		}
	})
}

func TestDeniedAccessEndsTheStageImmediately(t *testing.T) {
	b := newBench(t, &double{chat: func(context.Context, int64, string) (*llm.Response, *pluginv1.CallError) {
		return nil, failing(401, false, "bad key hunter2-the-key, Authorization: Bearer abc.def, sk-12345678abc")
	}}).open()
	defer b.close()
	go b.ask("x")
	err := b.ended()
	var denied *Denied
	if !errors.As(err, &denied) {
		t.Fatal(err)
	}
	for _, secret := range []string{"hunter2", "abc.def", "12345678"} {
		if strings.Contains(err.Error(), secret) {
			t.Fatalf("the error shows a secret: %v", err)
		}
	}
}

func TestWithoutRetriesAFailureIsFinal(t *testing.T) {
	b := newBench(t, &double{chat: func(context.Context, int64, string) (*llm.Response, *pluginv1.CallError) {
		return nil, failing(500, true, "no")
	}})
	b.info.Retries = 0
	b.open()
	defer b.close()
	if _, callErr, err := b.ask("x"); err != nil || callErr == nil || b.double.calls.Load() != 1 {
		t.Fatalf("%v, %v after %d calls", callErr, err, b.double.calls.Load())
	}
}
