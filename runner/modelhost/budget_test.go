package modelhost

import (
	"context"
	"errors"
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
