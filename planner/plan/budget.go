package plan

import (
	"slices"
	"time"

	"github.com/quern-dev/quern/sdk/go/llm"
)

// Budget limits a run, or one instance in it.
type Budget struct {
	Money  *float64 `json:"money,omitempty"`
	Tokens *int64   `json:"tokens,omitempty"`
	Calls  *int64   `json:"calls,omitempty"` // of language models
	// Seconds of machine time.
	Seconds *float64 `json:"seconds,omitempty"`
	// Periods limit all runs of the environment together.
	Periods []PeriodBudget `json:"periods,omitempty"`
}

// LimitsMoney reports whether the cost of calls has to be known. A nil budget
// limits nothing.
func (b *Budget) LimitsMoney() bool {
	return b != nil && (b.Money != nil || slices.ContainsFunc(b.Periods, func(p PeriodBudget) bool { return p.Money != nil }))
}

// LimitsMoney reports whether any budget of the plan limits money.
func (p *Plan) LimitsMoney() bool {
	return p.Budget.LimitsMoney() || slices.ContainsFunc(p.Nodes, func(n *Node) bool { return n.Budget.LimitsMoney() })
}

// PeriodBudget limits what an environment spends in a calendar day or month, in
// UTC.
type PeriodBudget struct {
	Per    string   `json:"per"` // day or month
	Money  *float64 `json:"money,omitempty"`
	Tokens *int64   `json:"tokens,omitempty"`
	Calls  *int64   `json:"calls,omitempty"`
	// Spent is what earlier runs in the present period have spent.
	Spent llm.Spend `json:"spent"`
}

// Began returns when the period that contains a time began.
func (b *PeriodBudget) Began(now time.Time) time.Time {
	year, month, day := now.UTC().Date()
	if b.Per == PerMonth {
		day = 1
	}
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
}

// Name describes what the budget limits: "this month".
func (b *PeriodBudget) Name() string {
	if b.Per == PerMonth {
		return "this month"
	}
	return "today"
}

// The periods of a PeriodBudget.
const (
	PerDay   = "day"
	PerMonth = "month"
)
