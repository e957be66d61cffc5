package llm

import (
	"math"
	"strconv"
)

// Spend is the cost of calls to models, and of what else stages pay for.
type Spend struct {
	// Calls counts answers from a provider. CachedCalls counts answers from the
	// cache or from a call that was already in progress: they cost nothing.
	Calls       int64 `json:"calls,omitempty"`
	CachedCalls int64 `json:"cached_calls,omitempty"`
	// InputTokens and OutputTokens are those of Calls.
	InputTokens  int64 `json:"input_tokens,omitempty"`
	OutputTokens int64 `json:"output_tokens,omitempty"`
	// Cost of Calls, and of what else was paid for, such as training at a provider, in
	// the currency of the models' prices. It can be negative where it corrects an
	// earlier estimate. UnpricedCalls are those of Calls, and UnpricedPayments the other
	// payments, that it does not include because a price is unknown.
	Cost             float64 `json:"cost,omitempty"`
	UnpricedCalls    int64   `json:"unpriced_calls,omitempty"`
	UnpricedPayments int64   `json:"unpriced_payments,omitempty"`
	// EstimatedCalls are those of Calls whose tokens are estimates because the
	// provider did not report them.
	EstimatedCalls int64 `json:"estimated_calls,omitempty"`
}

// Add adds another amount.
func (s *Spend) Add(o Spend) {
	s.Calls += o.Calls
	s.CachedCalls += o.CachedCalls
	s.InputTokens += o.InputTokens
	s.OutputTokens += o.OutputTokens
	s.Cost += o.Cost
	s.UnpricedCalls += o.UnpricedCalls
	s.UnpricedPayments += o.UnpricedPayments
	s.EstimatedCalls += o.EstimatedCalls
}

// Tokens returns the total number of tokens.
func (s Spend) Tokens() int64 { return s.InputTokens + s.OutputTokens }

// FormatMoney formats an amount in the currency of the prices with two
// decimals, or three significant digits below 0.1, so that no cost appears as
// zero.
func FormatMoney(v float64) string {
	if math.Abs(v) >= 0.1 {
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	rounded, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 3, 64), 64)
	if err != nil {
		rounded = v
	}
	return strconv.FormatFloat(rounded, 'f', -1, 64)
}
