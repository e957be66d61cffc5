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

// BudgetReached says that another call would have cost more than the run may.
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

// NoPrice says that a budget in money cannot be kept.
type NoPrice struct{ Model string }

func (e *NoPrice) Error() string {
	return fmt.Sprintf("the price of %s is not known, so the budget in money cannot be enforced: add a block price { input = …, output = … } to the model, with prices per million tokens (0 for a free model)", e.Model)
}

// budget is what all calls of a run may come to. A call reserves what it is
// expected to cost before it is made. One that does not fit beside what is
// under way waits: those calls may turn out cheaper.
type budget struct {
	limits plan.Budget

	mu       sync.Mutex
	spent    llm.Spend
	reserved amount
	underWay int
	reached  error
	changed  chan struct{} // closed, and replaced, when something was settled
}

// amount is what a call is expected to come to.
type amount struct {
	money  float64
	tokens int64
}

func newBudget(limits *plan.Budget) *budget {
	b := &budget{changed: make(chan struct{})}
	if limits != nil {
		b.limits = *limits
	}
	return b
}

// reserve waits until what is expected now fits, or returns *BudgetReached
// when it does not fit and nothing is under way. After that nothing fits any
// more. Each amount that was reserved is settled.
func (b *budget) reserve(ctx context.Context, expected func() amount) (amount, error) {
	for {
		a := expected() // more is known after each call
		b.mu.Lock()
		over := b.over(a)
		switch {
		case b.reached != nil:
			err := b.reached
			b.mu.Unlock()
			return a, err
		case over == nil:
			b.reserved.money += a.money
			b.reserved.tokens += a.tokens
			b.underWay++
			b.mu.Unlock()
			return a, nil
		case b.underWay == 0:
			b.reached = over
			b.mu.Unlock()
			return a, over
		}
		changed := b.changed
		b.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return a, context.Cause(ctx)
		}
	}
}

// over returns *BudgetReached if the amount does not fit.
func (b *budget) over(a amount) error {
	if m := b.limits.Money; m != nil && b.spent.Cost+b.reserved.money+a.money > *m {
		return &BudgetReached{What: "money", Spent: b.spent.Cost, Limit: *m}
	}
	if t := b.limits.Tokens; t != nil && b.spent.Tokens()+b.reserved.tokens+a.tokens > *t {
		return &BudgetReached{What: "tokens", Spent: float64(b.spent.Tokens()), Limit: float64(*t)}
	}
	return nil
}

// settle replaces what was reserved by what it came to.
func (b *budget) settle(a amount, came llm.Spend) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reserved.money -= a.money
	b.reserved.tokens -= a.tokens
	b.underWay--
	b.spent.Add(came)
	close(b.changed)
	b.changed = make(chan struct{})
}

func (b *budget) limitsMoney() bool { return b.limits.Money != nil }

// Spent is what all calls of the run came to.
func (b *budget) total() llm.Spend {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.spent
}
