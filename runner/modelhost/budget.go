package modelhost

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"sync"

	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/llm"
)

// BudgetReached is the error for a call that would exceed a budget.
type BudgetReached struct {
	// Who is limited, with its verb: "this run has".
	Who string
	// What is limited: "money", "tokens", or "calls".
	What         string
	Spent, Limit float64
	// Payment is the amount, if it is not that of a call but of a Payment.
	Payment float64
}

func (e *BudgetReached) Error() string {
	what := e.What
	if what == "money" {
		what = "units of money"
	}
	figure := func(f float64) string { return strconv.FormatFloat(math.Round(f*1e6)/1e6, 'f', -1, 64) }
	next := "another call"
	if e.Payment > 0 {
		next = "a payment of about " + figure(e.Payment)
	}
	return fmt.Sprintf("the budget of %s %s does not allow %s: %s spent %s", figure(e.Limit), what, next, e.Who, figure(e.Spent))
}

// NoPrice is the error for a model without a price under a budget in money.
type NoPrice struct{ Model string }

func (e *NoPrice) Error() string {
	return fmt.Sprintf("the price of %s is not known, so the budget in money cannot be enforced: add a block price { input = …, output = … } to the model, with prices per million tokens (0 for a free model)", e.Model)
}

// Budget limits all calls of a run, whichever process makes them, or those of a
// stage.
type Budget interface {
	// Reserve waits until the expected amount of a call fits, and reserves it.
	// expected is called again while Reserve waits, because more is known after
	// each call. The caller calls settle once, with the actual amount. The
	// error is *BudgetReached if the amount does not fit and no call is in
	// flight, and from then on for each call; or the cause of ctx.
	Reserve(ctx context.Context, expected func() Amount) (settle func(llm.Spend), err error)
	// LimitsMoney reports whether calls need a price.
	LimitsMoney() bool
	// Left returns the money that is neither spent nor reserved; false: it is not limited.
	Left() (money float64, limited bool)
}

// Amount is the expected cost of a call.
type Amount struct {
	Money  float64
	Tokens int64
	Calls  int64
	// MostMoney and MostTokens are the most that the call can take. They are 0 if
	// that is not known.
	MostMoney  float64
	MostTokens int64
	// Payment is set if it is no call. If it does not fit, calls still may.
	Payment bool
}

// most returns the amount at its most.
func (a Amount) most() Amount {
	a.Money, a.Tokens = max(a.Money, a.MostMoney), max(a.Tokens, a.MostTokens)
	return a
}

func (a *Amount) add(o Amount) {
	a.Money += o.Money
	a.Tokens += o.Tokens
	a.Calls += o.Calls
	a.MostMoney += o.MostMoney
	a.MostTokens += o.MostTokens
}

func (a *Amount) subtract(o Amount) {
	a.Money -= o.Money
	a.Tokens -= o.Tokens
	a.Calls -= o.Calls
	a.MostMoney -= o.MostMoney
	a.MostTokens -= o.MostTokens
}

// RunBudget is the Budget of a run or a stage. A call that does not fit next to
// those in flight waits, because they may turn out cheaper. Next to others, it has to
// fit at its most, so that only the last call can exceed the limit.
type RunBudget struct {
	limits spendLimits

	mu       sync.Mutex
	spent    llm.Spend
	reserved Amount
	underWay int
	reached  error
	promise  func(llm.Spend) error // may be nil
	promised Amount
	changed  chan struct{} // closed and replaced when a call was settled
}

type spendLimits []spendLimit

func (l spendLimits) any(holds func(spendLimit) bool) bool { return slices.ContainsFunc(l, holds) }

// spendLimit limits what is spent, including what was spent before.
type spendLimit struct {
	who    string
	money  *float64
	tokens *int64
	calls  *int64
	before llm.Spend
}

// NewBudget returns the budget of who: of a run, or of a stage in it.
func NewBudget(who string, limits *plan.Budget) *RunBudget {
	b := &RunBudget{changed: make(chan struct{})}
	if limits == nil {
		return b
	}
	b.limits = spendLimits{{who: who + " has", money: limits.Money, tokens: limits.Tokens, calls: limits.Calls}}
	for _, p := range limits.Periods {
		b.limits = append(b.limits, spendLimit{who: "all runs of the environment " + p.Name() + " have", money: p.Money, tokens: p.Tokens, calls: p.Calls, before: p.Spent})
	}
	return b
}

// Promise makes the budget call promise, before it allows a call, with an amount
// that all calls so far do not exceed. It does so about a hundred times until a
// limit is reached. If promise fails, the call is not made.
func (b *RunBudget) Promise(promise func(most llm.Spend) error) { b.promise = promise }

// promising extends what is promised if the amount, with everything before it,
// exceeds it.
func (b *RunBudget) promising(a Amount) error {
	if b.promise == nil {
		return nil
	}
	need := Amount{Money: b.spent.Cost, Tokens: b.spent.Tokens(), Calls: b.spent.Calls}
	need.add(b.reserved)
	need.add(a)
	money := b.LimitsMoney() && need.Money > b.promised.Money
	tokens := b.limits.any(func(l spendLimit) bool { return l.tokens != nil }) && need.Tokens > b.promised.Tokens
	calls := b.limits.any(func(l spendLimit) bool { return l.calls != nil }) && need.Calls > b.promised.Calls
	if !money && !tokens && !calls {
		return nil
	}
	most := need
	for i := range b.limits {
		most = b.limits[i].ahead(most, need)
	}
	if err := b.promise(llm.Spend{Cost: most.Money, InputTokens: most.Tokens, Calls: most.Calls}); err != nil {
		return err
	}
	b.promised = most
	return nil
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
	a.MostMoney, a.MostTokens = a.most().Money, a.most().Tokens
	b.mu.Lock()
	defer b.mu.Unlock()
	over := b.over(b.reserved, a)
	switch {
	case b.reached != nil:
		return nil, b.reached
	case over == nil && (b.underWay == 0 || b.over(b.reserved.most(), a.most()) == nil):
		if err := b.promising(a); err != nil {
			return nil, err
		}
		b.reserved.add(a)
		b.underWay++
		return nil, nil
	case b.underWay == 0:
		if !a.Payment {
			b.reached = over
		}
		return nil, over
	}
	return b.changed, nil
}

// over returns *BudgetReached if the amount does not fit.
func (b *RunBudget) over(reserved, a Amount) error {
	for i := range b.limits {
		if err := b.limits[i].over(b.spent, reserved, a); err != nil {
			return err
		}
	}
	return nil
}

func (l *spendLimit) over(spent llm.Spend, reserved, a Amount) error {
	spent.Add(l.before)
	if l.money != nil && spent.Cost+reserved.Money+a.Money > *l.money {
		reached := &BudgetReached{Who: l.who, What: "money", Spent: spent.Cost, Limit: *l.money}
		if a.Payment {
			reached.Payment = a.Money
		}
		return reached
	}
	if l.tokens != nil && spent.Tokens()+reserved.Tokens+a.Tokens > *l.tokens {
		return &BudgetReached{Who: l.who, What: "tokens", Spent: float64(spent.Tokens()), Limit: float64(*l.tokens)}
	}
	if l.calls != nil && spent.Calls+reserved.Calls+a.Calls > *l.calls {
		return &BudgetReached{Who: l.who, What: "calls", Spent: float64(spent.Calls), Limit: float64(*l.calls)}
	}
	return nil
}

// ahead returns what is promised if need is required: a hundredth of the limit
// more, up to the limit.
func (l *spendLimit) ahead(most, need Amount) Amount {
	if l.money != nil {
		most.Money = max(most.Money, min(need.Money+*l.money/100, *l.money-l.before.Cost))
	}
	if l.tokens != nil {
		most.Tokens = max(most.Tokens, min(need.Tokens+*l.tokens/100, *l.tokens-l.before.Tokens()))
	}
	if l.calls != nil {
		most.Calls = max(most.Calls, min(need.Calls+*l.calls/100, *l.calls-l.before.Calls))
	}
	return most
}

// settle replaces the reserved amount with the actual one.
func (b *RunBudget) settle(a Amount, came llm.Spend) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reserved.subtract(a)
	b.underWay--
	b.spent.Add(came)
	close(b.changed)
	b.changed = make(chan struct{})
}

// LimitsMoney implements Budget.
func (b *RunBudget) LimitsMoney() bool {
	return b.limits.any(func(l spendLimit) bool { return l.money != nil })
}

// Left implements Budget.
func (b *RunBudget) Left() (money float64, limited bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.limits {
		l := &b.limits[i]
		if l.money == nil {
			continue
		}
		left := *l.money - l.before.Cost - b.spent.Cost - b.reserved.Money
		if !limited || left < money {
			money, limited = left, true
		}
	}
	return money, limited
}

// Spent returns the total of all calls of the run.
func (b *RunBudget) Spent() llm.Spend {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.spent
}

// Within returns the budget of a stage within that of its run: calls must fit in
// both.
func Within(run Budget, stage *RunBudget) Budget { return &stageBudget{run: run, own: stage} }

type stageBudget struct {
	run Budget
	own *RunBudget
}

// Reserve implements Budget.
func (b *stageBudget) Reserve(ctx context.Context, expected func() Amount) (func(llm.Spend), error) {
	settleOwn, err := b.own.Reserve(ctx, expected)
	if err != nil {
		return nil, err
	}
	settleRun, err := b.run.Reserve(ctx, expected)
	if err != nil {
		settleOwn(llm.Spend{})
		return nil, err
	}
	return func(came llm.Spend) {
		settleOwn(came)
		settleRun(came)
	}, nil
}

// Left implements Budget.
func (b *stageBudget) Left() (money float64, limited bool) {
	money, limited = b.own.Left()
	if more, too := b.run.Left(); too && (!limited || more < money) {
		return more, true
	}
	return money, limited
}

// LimitsMoney implements Budget.
func (b *stageBudget) LimitsMoney() bool { return b.own.LimitsMoney() || b.run.LimitsMoney() }
