package llm

// Price is money per million tokens. A field that is nil is unknown, which is
// not free.
type Price struct {
	Input       *float64
	Output      *float64
	CachedInput *float64
	// Source says where the figures come from: "configuration", or a table
	// with its date.
	Source string
}
