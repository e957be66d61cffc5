package llm

// Price is an amount of money per million tokens. A nil field is unknown, which
// is not free.
type Price struct {
	Input       *float64
	Output      *float64
	CachedInput *float64
	// Source says where the prices come from: "configuration", or a table with
	// its date.
	Source string
}

// FreeOfCharge returns the price of a model that runs on the user's own machine.
func FreeOfCharge() *Price {
	zero := 0.0
	return &Price{Input: &zero, Output: &zero, CachedInput: &zero, Source: "runs locally, free of charge"}
}
