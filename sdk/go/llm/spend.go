package llm

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
}

// Add adds what others came to.
func (s *Spend) Add(o Spend) {
	s.Calls += o.Calls
	s.CachedCalls += o.CachedCalls
	s.InputTokens += o.InputTokens
	s.OutputTokens += o.OutputTokens
	s.Cost += o.Cost
	s.UnpricedCalls += o.UnpricedCalls
}

// Tokens are all that count, in and out.
func (s Spend) Tokens() int64 { return s.InputTokens + s.OutputTokens }
