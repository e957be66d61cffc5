package inspect

import (
	"time"

	"github.com/quern-dev/quern/internal/amount"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/store/history"
)

// RunCosts compares what a run took with the estimate of its plan.
type RunCosts struct {
	Run         string    `json:"run"`
	Started     time.Time `json:"started"`
	Environment string    `json:"environment"`
	Status      string    `json:"status"`
	Costs
	// Stages are the instances that were computed, or that the plan expected to be.
	Stages []StageCosts `json:"stages"`
}

// StageCosts are those of an instance.
type StageCosts struct {
	Address string `json:"address"`
	Status  string `json:"status"`
	Costs
}

// Costs are actual figures and their estimates. Seconds of a run are the sum of those
// of its stages.
type Costs struct {
	Calls   Compared `json:"calls"`
	Tokens  Compared `json:"tokens"`
	Money   Compared `json:"money"`
	Seconds Compared `json:"seconds"`
}

// Compared is a figure and its estimate.
type Compared struct {
	// Actual is nil if it is not known, such as the cost of calls without a price.
	Actual *float64 `json:"actual,omitempty"`
	// Estimate is nil if nothing was known.
	Estimate *amount.Range `json:"estimate,omitempty"`
	// Within reports whether the actual figure is in the range. It is nil if that
	// can't be said: something is unknown, or the work was not completed.
	Within *bool `json:"within,omitempty"`
}

// CostsOf compares what a run took with the estimate of its plan.
func CostsOf(r *history.Run) RunCosts {
	out := RunCosts{Run: r.ID, Started: r.Started, Environment: r.Environment, Status: r.Status}
	var estimate *amount.Amounts
	if r.Estimate != nil {
		estimate = r.Estimate.Range
	}
	var seconds float64
	for _, i := range r.Instances {
		if i.Estimate == nil && i.Spend == nil && i.Action != "run" {
			continue
		}
		seconds += i.Seconds
		out.Stages = append(out.Stages, StageCosts{i.Address, i.Status, costs(i.Spend, i.Seconds, i.Estimate, i.Status == history.Done)})
	}
	out.Costs = costs(r.Spend(), seconds, estimate, r.Status == history.Done)
	return out
}

// costs compares figures. done is set if the work was completed.
func costs(spend *llm.Spend, seconds float64, estimate *amount.Amounts, done bool) Costs {
	if spend == nil {
		spend = &llm.Spend{}
	}
	if estimate == nil {
		estimate = &amount.Amounts{}
	}
	money := &spend.Cost
	if spend.UnpricedCalls > 0 || spend.UnpricedPayments > 0 {
		money = nil
	}
	figure := func(f float64) *float64 { return &f }
	return Costs{
		Calls:   compared(figure(float64(spend.Calls)), estimate.Calls, done),
		Tokens:  compared(figure(float64(spend.Tokens())), estimate.Tokens(), done),
		Money:   compared(money, estimate.Money, done),
		Seconds: compared(&seconds, estimate.Seconds, done),
	}
}

func compared(actual *float64, estimate *amount.Range, done bool) Compared {
	c := Compared{Actual: actual, Estimate: estimate}
	if actual != nil && estimate != nil && done {
		within := estimate.Contains(*actual)
		c.Within = &within
	}
	return c
}
