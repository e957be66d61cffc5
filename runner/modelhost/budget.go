package modelhost

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"sync"

	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/llm"
)

// BudgetReached is the error for a call that would exceed the budget of the
// run.
type BudgetReached struct {
	// What is limited: "money" or "tokens".
	What         string
	Spent, Limit float64
}

func (e *BudgetReached) Error() string {
	what := e.What
	if what == "money" {
		what = "units of money"
	}
	figure := func(f float64) string { return strconv.FormatFloat(math.Round(f*1e6)/1e6, 'f', -1, 64) }
	return fmt.Sprintf("the budget of %s %s does not allow another call: this run has spent %s", figure(e.Limit), what, figure(e.Spent))
}

// NoPrice is the error for a model without a price under a budget in money.
type NoPrice struct{ Model string }

func (e *NoPrice) Error() string {
	return fmt.Sprintf("the price of %s is not known, so the budget in money cannot be enforced: add a block price { input = …, output = … } to the model, with prices per million tokens (0 for a free model)", e.Model)
}

// Budget limits all calls of a run, whichever process makes them.
type Budget interface {
	// Reserve waits until the expected amount of a call fits, and reserves it.
	// expected is called again while Reserve waits, because more is known after
	// each call. The caller calls settle once, with the actual amount. The
	// error is *BudgetReached if the amount does not fit and no call is in
	// flight, and from then on for each call; or the cause of ctx.
	Reserve(ctx context.Context, expected func() Amount) (settle func(llm.Spend), err error)
	// LimitsMoney reports whether calls need a price.
	LimitsMoney() bool
}

// Amount is the expected cost of a call.
type Amount struct {
	Money  float64
	Tokens int64
}

// RunBudget is the Budget of a run. A call that does not fit next to those in
// flight waits, because they may turn out cheaper.
type RunBudget struct {
	limits plan.Budget

	mu       sync.Mutex
	spent    llm.Spend
	reserved Amount
	underWay int
	reached  error
	changed  chan struct{} // closed and replaced when a call was settled
}

// NewBudget returns the budget of a run, or nil if nothing is limited.
func NewBudget(limits *plan.Budget) *RunBudget {
	b := &RunBudget{changed: make(chan struct{})}
	if limits != nil {
		b.limits = *limits
	}
	return b
}

// Reserve implements Budget.
func (b *RunBudget) Reserve(ctx context.Context, expected func() Amount) (settle func(llm.Spend), err error) {
	for {
		a := expected()
		changed, err := b.try(a)
		if err != nil {
			return nil, err
		}
		if changed == nil {
			return func(came llm.Spend) { b.settle(a, came) }, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// try reserves an amount if it fits. Otherwise it returns a channel that is
// closed when it may fit.
func (b *RunBudget) try(a Amount) (changed <-chan struct{}, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	over := b.over(a)
	switch {
	case b.reached != nil:
		return nil, b.reached
	case over == nil:
		b.reserved.Money += a.Money
		b.reserved.Tokens += a.Tokens
		b.underWay++
		return nil, nil
	case b.underWay == 0:
		b.reached = over
		return nil, over
	}
	return b.changed, nil
}

// over returns *BudgetReached if the amount does not fit.
func (b *RunBudget) over(a Amount) error {
	if m := b.limits.Money; m != nil && b.spent.Cost+b.reserved.Money+a.Money > *m {
		return &BudgetReached{What: "money", Spent: b.spent.Cost, Limit: *m}
	}
	if t := b.limits.Tokens; t != nil && b.spent.Tokens()+b.reserved.Tokens+a.Tokens > *t {
		return &BudgetReached{What: "tokens", Spent: float64(b.spent.Tokens()), Limit: float64(*t)}
	}
	return nil
}

// settle replaces the reserved amount with the actual one.
func (b *RunBudget) settle(a Amount, came llm.Spend) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reserved.Money -= a.Money
	b.reserved.Tokens -= a.Tokens
	b.underWay--
	b.spent.Add(came)
	close(b.changed)
	b.changed = make(chan struct{})
}

// LimitsMoney implements Budget.
func (b *RunBudget) LimitsMoney() bool { return b.limits.Money != nil }

// Spent returns the total of all calls of the run.
func (b *RunBudget) Spent() llm.Spend {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.spent
}
