package estimate

import (
	"github.com/quern-dev/quern/internal/amount"
	"github.com/quern-dev/quern/planner/decide"
)

// What a plugin estimates to pay depends on the tokens of a sample, counted without the
// provider's tokenizer. The actual amount is probably within these factors.
const (
	paysLess = 0.6
	paysMore = 1.6
)

// estimatePayment completes the estimate of what an instance pays for something other
// than calls of models.
func (e *Estimator) estimatePayment(n *decide.Instance) {
	if n.Payment == nil {
		return
	}
	if n.Pending != nil { // it was paid for when it began
		nothing := 0.0
		n.Estimate.Money = &nothing
		return
	}
	if n.Estimate.Money == nil {
		return
	}
	money := exactly(*n.Estimate.Money).within(paysLess, paysMore).rangeOf(true)
	n.Estimate.Range, n.Estimate.Whole = &amount.Amounts{Money: money}, &amount.Amounts{Money: money}
}
