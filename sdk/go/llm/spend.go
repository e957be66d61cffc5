package llm

import (
	"math"
	"strconv"
)

// Spend is what calls to models came to.
type Spend struct {
	// Calls that a provider answered. CachedCalls were answered from what was
	// kept, or by a call that was under way already: they cost nothing.
	Calls       int64 `json:"calls,omitempty"`
	CachedCalls int64 `json:"cached_calls,omitempty"`
	// Tokens of Calls alone.
	InputTokens  int64 `json:"input_tokens,omitempty"`
	OutputTokens int64 `json:"output_tokens,omitempty"`
	// Cost of Calls, in the currency of the models' prices. UnpricedCalls are
	// those of Calls that are not in it, since a price is unknown.
	Cost          float64 `json:"cost,omitempty"`
	UnpricedCalls int64   `json:"unpriced_calls,omitempty"`
	// EstimatedCalls are those of Calls whose tokens are estimates, since the
	// provider did not report them.
	EstimatedCalls int64 `json:"estimated_calls,omitempty"`
}

// Add adds what others came to.
func (s *Spend) Add(o Spend) {
	s.Calls += o.Calls
	s.CachedCalls += o.CachedCalls
	s.InputTokens += o.InputTokens
	s.OutputTokens += o.OutputTokens
	s.Cost += o.Cost
	s.UnpricedCalls += o.UnpricedCalls
	s.EstimatedCalls += o.EstimatedCalls
}

// Tokens are all that count, in and out.
func (s Spend) Tokens() int64 { return s.InputTokens + s.OutputTokens }

// Money writes an amount in the currency of the prices: with cents, and a small
// one with three digits that count, so that no spending reads as none.
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
