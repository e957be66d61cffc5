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
