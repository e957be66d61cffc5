package modelhost

import (
	"context"
	"errors"
	"testing"

	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/llm"
)

func TestPaymentsCountAgainstTheBudget(t *testing.T) {
	limit, ctx := 10.0, context.Background()
	b := NewBudget("this run", &plan.Budget{Money: &limit})
	promised := 0.0
	b.Promise(func(most llm.Spend) error {
		promised = most.Cost
		return nil
	})
	h := (&Hub{}).Stage(StageOptions{Budget: b})
	p, err := h.Pay(ctx, 6)
	if err != nil {
		t.Fatal(err)
	}
	if left := p.Left(); left == nil || *left != 10 || promised < 6 {
		t.Errorf("%v is left, and %g was promised", left, promised)
	}
	p.Paid(ctx, 7)
	p.Paid(ctx, -0.5)
	p.Done()
	p.End()
	if spent := b.Spent(); spent.Cost != 6.5 || h.Spent() != spent || promised < 6.5 {
		t.Errorf("%+v was spent, and %g was promised", spent, promised)
	}

	var reached *BudgetReached
	if _, err := h.Pay(ctx, 4); !errors.As(err, &reached) || reached.Payment != 4 {
		t.Errorf("a payment that does not fit: %v", err)
	}
	// Calls are still possible.
	settle, err := b.Reserve(ctx, func() Amount { return Amount{Money: 1} })
	if err != nil {
		t.Fatal(err)
	}
	settle(llm.Spend{Cost: 1})

	// An amount that nobody reports is unknown.
	free := (&Hub{}).Stage(StageOptions{Budget: NewBudget("this run", nil)})
	if p, err = free.Pay(ctx, 0); err != nil {
		t.Fatal(err)
	}
	if p.Left() != nil {
		t.Error("money is limited without a budget")
	}
	p.Done()
	p.End()
	if free.Spent().UnpricedPayments != 1 {
		t.Errorf("it spent %+v", free.Spent())
	}
}
