package modelhost

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

func TestConcurrentAttemptsAreLimited(t *testing.T) {
	b := newBench(t, &double{chat: echo})
	b.info.MaxConcurrency = 3
	b.open()
	defer b.close()
	if got := b.askAll(200, 50, func(i int) string { return fmt.Sprint(i) }); got != 200 || b.double.most > 3 {
		t.Fatalf("%d answers, %d at a time", got, b.double.most)
	}
}

func TestABudgetIsNotExceededAndTheRunContinuesWhenItIsRaised(t *testing.T) {
	for _, what := range []string{"money", "tokens"} {
		t.Run(what, func(t *testing.T) {
			b := newBench(t, &double{chat: echo})
			limit := func(calls float64) *plan.Budget {
				if what == "money" {
					return &plan.Budget{Money: price(20 * calls)}
				}
				n := int64(15 * calls)
				return &plan.Budget{Tokens: &n}
			}
			text := func(i int) string { return fmt.Sprintf("text number %04d of them all", i) }
			b.budget = limit(300)
			b.open()
			b.askAll(1000, 16, text)
			err := b.ended()
			var reached *BudgetReached
			if !errors.As(err, &reached) || reached.What != what {
				t.Fatal(err)
			}
			first := b.double.calls.Load()
			if spent := b.spending.Spent(); first > 300 || first < 250 || spent.Calls != first || spent.Cost > 6000 {
				t.Fatalf("%d calls, spent %+v", first, spent)
			}
			b.close()
			b.budget = limit(2000)
			b.open()
			defer b.close()
			if got := b.askAll(1000, 16, text); got != 1000 || b.double.calls.Load() != 1000 {
				t.Fatalf("%d answers after %d calls in all", got, b.double.calls.Load())
			}
		})
	}
}

func TestABudgetReservesTheTokensThatAScriptNeeds(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		asks bool
	}{
		"letters": {strings.Repeat("word ", 800), true},
		"Chinese": {strings.Repeat("标签", 1000), false},
		"emoji":   {strings.Repeat("🦜", 1000), false},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, &double{chat: echo})
			limit := int64(2000)
			b.budget = &plan.Budget{Tokens: &limit}
			b.open()
			defer b.close()
			asked := make(chan struct{})
			go func() { defer close(asked); b.ask(c.text) }()
			select {
			case <-asked:
			case <-b.stage.Done():
			}
			if got := b.double.calls.Load() == 1; got != c.asks {
				t.Errorf("asked: %t, the stage ended with %v", got, context.Cause(b.stage))
			}
		})
	}
}

func TestABudgetInMoneyNeedsAPrice(t *testing.T) {
	b := newBench(t, &double{chat: echo})
	b.info.Price, b.budget = nil, &plan.Budget{Money: price(1)}
	b.open()
	defer b.close()
	go b.ask("x")
	var unpriced *NoPrice
	if err := b.ended(); !errors.As(err, &unpriced) || b.double.calls.Load() != 0 {
		t.Fatal(err)
	}
}

// most is how many of the times lie within a minute at most.
func most(at []time.Time) int {
	slices.SortFunc(at, time.Time.Compare)
	most, from := 0, 0
	for i, t := range at {
		for t.Sub(at[from]) >= time.Minute {
			from++
		}
		most = max(most, i-from+1)
	}
	return most
}

func TestRequestsPerMinuteAreLimited(t *testing.T) {
	for limit, calls := range map[float64]int{1: 4, 7: 20, 60: 150, 600: 1500} {
		bubble(t, func() {
			var mu sync.Mutex
			var at []time.Time
			b := newBench(t, &double{chat: func(ctx context.Context, n int64, text string) (*llm.Response, *pluginv1.CallError) {
				mu.Lock()
				at = append(at, time.Now())
				mu.Unlock()
				if n == 2 {
					time.Sleep(50 * time.Second) // while the others have leave
				}
				return echo(ctx, n, text)
			}})
			b.info.Cache, b.info.RequestsPerMinute, b.info.MaxConcurrency = false, limit, 1
			b.open()
			defer b.close()
			started := time.Now()
			b.askAll(calls, 20, func(i int) string { return fmt.Sprint(i) })
			if n := most(at); n > int(limit) {
				t.Errorf("%d requests within a minute, %v are allowed", n, limit)
			}
			if took, best := time.Since(started), float64(calls)/limit; took.Minutes() > best*1.1+1 {
				t.Errorf("%d requests, %v a minute, took %s", calls, limit, took)
			}
		})
	}
}

func TestTokensPerMinuteAreLimited(t *testing.T) {
	const limit = 12000
	for name, tokens := range map[string]int64{"few": 15, "as expected": 270, "many": 2000} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func() {
				calls := int(3 * limit / tokens)
				var mu sync.Mutex
				var at []time.Time // of as many tokens
				b := newBench(t, &double{chat: func(ctx context.Context, n int64, text string) (*llm.Response, *pluginv1.CallError) {
					mu.Lock()
					at = append(at, time.Now())
					mu.Unlock()
					time.Sleep(100 * time.Millisecond)
					answer, _ := echo(ctx, n, text)
					answer.Usage = llm.Usage{Input: 10, Output: tokens - 10}
					return answer, nil
				}})
				b.info.Cache, b.info.TokensPerMinute, b.info.MaxConcurrency = false, limit, 4
				b.open()
				defer b.close()
				started := time.Now()
				b.askAll(calls, 20, func(i int) string { return fmt.Sprint(i) })
				// The first calls are made before it is known how long answers are.
				if n := int64(most(at)) * tokens; n > limit+4*tokens {
					t.Errorf("%d tokens within a minute, %d are allowed", n, limit)
				}
				if took := time.Since(started).Minutes(); took > 3.3 {
					t.Errorf("three minutes' tokens took %.1f minutes", took)
				}
			})
		})
	}
}

func TestTheSpendOfABudgetIsRecorded(t *testing.T) {
	for _, c := range []struct {
		reached BudgetReached
		want    string
	}{
		{BudgetReached{Who: "this run has", What: "tokens", Spent: 12345678, Limit: 12.5e6}, "the budget of 12500000 tokens does not allow another call: this run has spent 12345678"},
		{BudgetReached{Who: "this run has", What: "money", Spent: 0.1 + 0.2, Limit: 0.305}, "the budget of 0.305 units of money does not allow another call: this run has spent 0.3"},
	} {
		if got := c.reached.Error(); got != c.want {
			t.Errorf("got %s", got)
		}
	}
}

func TestTheWindowShrinksOnRejectionsAndGrowsAgain(t *testing.T) {
	w := newWindow(plan.ModelInfo{MaxConcurrency: 32})
	turn := func(o Outcome, n int) {
		for range n {
			if err := w.enter(context.Background()); err != nil {
				t.Fatal(err)
			}
			w.leave(o)
		}
	}
	turn(PushedBack, 100)
	if w.room() > 4 {
		t.Fatalf("after 100 refusals %d may be under way", w.room())
	}
	turn(Answered, 2000)
	if w.room() != 32 {
		t.Fatalf("after 2,000 answers %d may be under way", w.room())
	}
	unknown := newWindow(plan.ModelInfo{})
	w = unknown
	turn(Answered, 500)
	if unknown.room() != mostWindow {
		t.Fatalf("a model that bears all has room for %d", unknown.room())
	}
}

// Two hubs are two processes that carry out stages of one run.
func TestHubsOfOneRunShareItsBudgetAndItsLimits(t *testing.T) {
	budget, limits := NewBudget("this run", &plan.Budget{Money: price(20 * 100)}), NewLimits()
	d := &double{chat: func(ctx context.Context, n int64, text string) (*llm.Response, *pluginv1.CallError) {
		time.Sleep(time.Millisecond) // so that calls of both overlap
		return echo(ctx, n, text)
	}}
	var wg sync.WaitGroup
	for process := range 2 {
		b := newBench(t, d)
		b.info.MaxConcurrency = 3
		b.spending, b.limits, b.shared = budget, limits, true
		b.open()
		defer b.close()
		wg.Go(func() {
			b.askAll(200, 16, func(i int) string { return fmt.Sprintf("process %d asks for text number %04d", process, i) })
			var reached *BudgetReached
			if err := b.ended(); !errors.As(err, &reached) {
				t.Errorf("process %d ended with %v", process, err)
			}
		})
	}
	wg.Wait()
	calls := d.calls.Load()
	if spent := budget.Spent(); spent.Calls != calls || spent.Cost > 2000 || calls < 80 {
		t.Errorf("%d calls, spent %+v", calls, spent)
	}
	if d.most != 3 {
		t.Errorf("%d calls at a time", d.most)
	}
}
