package modelhost

import (
	"context"

	"github.com/quern-dev/quern/sdk/go/llm"
)

// Payment is what one run of a stage pays for something other than calls, such as for
// training at a provider. It counts against the same budgets as calls do. One
// goroutine uses it.
type Payment struct {
	host     *Host
	expected float64
	settle   func(llm.Spend)
	reported bool
}

// Pay reserves what the stage is expected to pay; 0 if that is not known. The error is
// *BudgetReached if that does not fit, or the cause of ctx. The caller calls End.
func (h *Host) Pay(ctx context.Context, expected float64) (*Payment, error) {
	settle, err := h.Budget.Reserve(ctx, func() Amount { return Amount{Money: expected, Payment: true} })
	if err != nil {
		return nil, err
	}
	return &Payment{host: h, expected: expected, settle: settle}, nil
}

// Left returns the most that the stage may pay, or nil if no budget limits it.
func (p *Payment) Left() *float64 {
	left, limited := p.host.Budget.Left()
	if !limited {
		return nil
	}
	left = max(0, left+p.expected)
	return &left
}

// Paid records money that was paid. A negative amount corrects an earlier one.
func (p *Payment) Paid(ctx context.Context, money float64) {
	p.reported = true
	spent := llm.Spend{Cost: money}
	p.host.spent(spent)
	p.settle(spent)
	// Reserving again, though nothing, makes the budget promise what was spent.
	settle, err := p.host.Budget.Reserve(ctx, func() Amount { return Amount{Payment: true} })
	if err != nil { // nothing is left, or the run ends
		settle = func(llm.Spend) {}
	}
	p.settle = settle
}

// Done records that the stage is done. If it has reported no amount, that is unknown.
func (p *Payment) Done() {
	if !p.reported {
		p.host.spent(llm.Spend{UnpricedPayments: 1})
	}
}

// End releases what is still reserved.
func (p *Payment) End() { p.settle(llm.Spend{}) }
