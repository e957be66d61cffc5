package local

import (
	"context"
	"math"

	"github.com/quern-dev/quern/runner/modelhost"
)

// payment is what a run of a stage pays for something other than calls of models. nil
// is that of a stage that pays for nothing else.
type payment struct{ *modelhost.Payment }

// pay reserves what the stage is expected to pay.
func (a *attempt) pay(s *serving) (*payment, error) {
	if a.Payment == nil {
		return nil, nil
	}
	expected := 0.0
	if a.Estimate.Money != nil {
		expected = *a.Estimate.Money
	}
	p, err := s.host.Pay(s.ctx, expected)
	if err != nil {
		return nil, err
	}
	return &payment{p}, nil
}

func (p *payment) end() {
	if p != nil {
		p.End()
	}
}

func (p *payment) done() {
	if p != nil {
		p.Done()
	}
}

func (p *payment) left() *float64 {
	if p == nil {
		return nil
	}
	return p.Left()
}

func (p *payment) paid(ctx context.Context, money float64) error {
	switch {
	case p == nil:
		return fault("it paid for something, which it did not declare")
	case math.IsNaN(money) || math.IsInf(money, 0):
		return fault("the amount that it paid is not a number")
	}
	p.Paid(ctx, money)
	return nil
}
