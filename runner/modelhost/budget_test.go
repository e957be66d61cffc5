package modelhost

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/llm"
)

// spend makes calls that cost 1 each until the budget refuses, and returns how
// many it allowed.
func spend(t *testing.T, b Budget) (calls int, err error) {
	t.Helper()
	for {
		settle, err := b.Reserve(context.Background(), func() Amount { return Amount{Money: 1, Tokens: 10} })
		if err != nil {
			return calls, err
		}
		settle(llm.Spend{Cost: 1, InputTokens: 7, OutputTokens: 3})
		calls++
	}
}

func TestABudgetOfAPeriodIncludesEarlierRuns(t *testing.T) {
	b := NewBudget("this run", &plan.Budget{Money: price(50), Periods: []plan.PeriodBudget{
		{Per: plan.PerDay, Money: price(90), Spent: llm.Spend{Cost: 70}},
		{Per: plan.PerMonth, Tokens: ref(int64(1000)), Spent: llm.Spend{InputTokens: 700, OutputTokens: 105}},
	}})
	calls, err := spend(t, b)
	var reached *BudgetReached
	if calls != 19 || !errors.As(err, &reached) || reached.Who != "all runs of the environment this month have" || reached.Spent != 995 {
		t.Errorf("%d calls, then %v", calls, err)
	}
}

func TestAStageKeepsItsBudgetAndThatOfItsRun(t *testing.T) {
	run := NewBudget("this run", &plan.Budget{Money: price(30)})
	first, err := spend(t, Within(run, NewBudget("label.a", &plan.Budget{Money: price(20)})))
	if first != 20 || err.Error() != "the budget of 20 units of money does not allow another call: label.a has spent 20" {
		t.Errorf("%d calls, then %v", first, err)
	}
	second, err := spend(t, Within(run, NewBudget("label.b", &plan.Budget{Money: price(20)})))
	if second != 10 || err.Error() != "the budget of 30 units of money does not allow another call: this run has spent 30" {
		t.Errorf("%d calls, then %v", second, err)
	}
	if got := run.Spent(); got.Cost != 30 {
		t.Errorf("the run has spent %+v", got)
	}
}

func TestWhatIsSpentNeverExceedsWhatWasPromised(t *testing.T) {
	b := NewBudget("this run", &plan.Budget{Periods: []plan.PeriodBudget{{Per: plan.PerMonth, Money: price(500), Spent: llm.Spend{Cost: 100}}}})
	var promised llm.Spend
	promises := 0
	b.Promise(func(most llm.Spend) error {
		if most.Cost <= promised.Cost || most.Cost > 400 {
			t.Errorf("promises %v after %v", most.Cost, promised.Cost)
		}
		promised = most
		promises++
		return nil
	})
	for calls := 0; ; calls++ {
		settle, err := b.Reserve(context.Background(), func() Amount { return Amount{Money: 1} })
		if err != nil {
			if calls != 400 || promises > 110 {
				t.Errorf("%d calls with %d promises", calls, promises)
			}
			return
		}
		settle(llm.Spend{Cost: 1})
		if b.Spent().Cost > promised.Cost {
			t.Fatalf("spent %v, promised %v", b.Spent().Cost, promised.Cost)
		}
	}
}

func TestACallIsNotMadeIfItsCostCannotBeRecorded(t *testing.T) {
	b := NewBudget("this run", &plan.Budget{Periods: []plan.PeriodBudget{{Per: plan.PerDay, Money: price(5)}}})
	b.Promise(func(llm.Spend) error { return errors.New("the disk is full") })
	if calls, err := spend(t, b); calls != 0 || err.Error() != "the disk is full" {
		t.Errorf("%d calls, then %v", calls, err)
	}
}

func ref[T any](v T) *T { return &v }

func TestABudgetOfCallsIsKeptToTheCall(t *testing.T) {
	b := NewBudget("this run", &plan.Budget{Calls: ref(int64(7)), Periods: []plan.PeriodBudget{{Per: plan.PerDay, Calls: ref(int64(20)), Spent: llm.Spend{Calls: 15}}}})
	var wg sync.WaitGroup
	var made atomic.Int64
	for range 8 {
		wg.Go(func() {
			for {
				settle, err := b.Reserve(context.Background(), func() Amount { return Amount{Calls: 1} })
				if err != nil {
					if want := "the budget of 20 calls does not allow another call: all runs of the environment today have spent 20"; err.Error() != want {
						t.Errorf("it says %q, not %q", err, want)
					}
					return
				}
				made.Add(1)
				settle(llm.Spend{Calls: 1})
			}
		})
	}
	wg.Wait()
	if made.Load() != 5 {
		t.Errorf("%d calls were made", made.Load())
	}
}

// Calls in flight cost far more than expected, but at most what is known.
func TestOnlyTheLastCallCanExceedABudget(t *testing.T) {
	const limit, most = 100.0, 9.0
	for seed := range uint64(50) {
		b := NewBudget("this run", &plan.Budget{Money: price(limit)})
		var wg sync.WaitGroup
		for worker := range uint64(8) {
			wg.Go(func() {
				random := rand.New(rand.NewPCG(seed, worker))
				for {
					settle, err := b.Reserve(context.Background(), func() Amount { return Amount{Money: 1, MostMoney: most} })
					if err != nil {
						return
					}
					settle(llm.Spend{Cost: 1 + (most-1)*random.Float64()})
				}
			})
		}
		wg.Wait()
		if spent := b.Spent().Cost; spent > limit+most || spent < limit-most {
			t.Errorf("seed %d: spent %v of %v; a call costs up to %v", seed, spent, limit, most)
		}
	}
}
