// Package amount describes what something is expected to take: rows, calls of
// language models, tokens, money, and time, each with the range in which the
// actual figure probably is. What is unknown is nil, which is not zero.
package amount

import "math"

// Range is an uncertain figure.
type Range struct {
	// Expected is nil if only the range is known.
	Expected *float64 `json:"expected,omitempty"`
	Low      float64  `json:"low"`
	// High is nil if no upper bound is known.
	High *float64 `json:"high,omitempty"`
}

// Exactly returns the range of a figure that is certain.
func Exactly(v float64) *Range { return Between(v, v, v) }

// Between returns the range of a figure. A high of +Inf is no bound, and an
// expected that is NaN is unknown.
func Between(low, expected, high float64) *Range {
	r := &Range{Low: low}
	if !math.IsNaN(expected) {
		r.Expected = &expected
	}
	if !math.IsInf(high, 1) {
		r.High = &high
	}
	return r
}

// Certain reports whether the range contains one figure.
func (r *Range) Certain() bool { return r != nil && r.High != nil && *r.High == r.Low }

// Contains reports whether a figure is in the range, up to rounding. It is false for
// a nil range.
func (r *Range) Contains(actual float64) bool {
	const rounding = 1e-9
	slack := rounding * max(1, math.Abs(actual))
	return r != nil && actual >= r.Low-slack && (r.High == nil || actual <= *r.High+slack)
}

// Scaled returns the range multiplied by a factor that is not negative, or nil for
// a nil range.
func (r *Range) Scaled(by float64) *Range {
	if r == nil {
		return nil
	}
	out := &Range{Low: r.Low * by}
	if r.Expected != nil {
		out.Expected = product(*r.Expected, by)
	}
	if r.High != nil {
		out.High = product(*r.High, by)
	}
	return out
}

func product(a, b float64) *float64 {
	p := a * b
	return &p
}

// FromZero returns the same range down to 0: what may not be needed at all.
func (r *Range) FromZero() *Range {
	if r == nil {
		return nil
	}
	out := *r
	out.Low = 0
	return &out
}

// Plus returns the sum of two ranges. It is the other one if one is nil. It
// assumes the worst: that both figures are at the same end of their ranges.
func (r *Range) Plus(o *Range) *Range {
	switch {
	case r == nil:
		return o
	case o == nil:
		return r
	}
	return &Range{Expected: sum(r.Expected, o.Expected), Low: r.Low + o.Low, High: sum(r.High, o.High)}
}

// sum is nil if either is.
func sum(a, b *float64) *float64 {
	if a == nil || b == nil {
		return nil
	}
	s := *a + *b
	return &s
}

// Amounts are what something takes. nil means that nothing is known.
type Amounts struct {
	Rows         *Range `json:"rows,omitempty"`
	Calls        *Range `json:"calls,omitempty"` // of language models
	InputTokens  *Range `json:"input_tokens,omitempty"`
	OutputTokens *Range `json:"output_tokens,omitempty"`
	Money        *Range `json:"money,omitempty"`
	Seconds      *Range `json:"seconds,omitempty"`
}

// Each returns the amounts with f applied to every range.
func (a Amounts) Each(f func(*Range) *Range) Amounts {
	return Amounts{f(a.Rows), f(a.Calls), f(a.InputTokens), f(a.OutputTokens), f(a.Money), f(a.Seconds)}
}

// Plus returns the sum of what is known about both.
func (a Amounts) Plus(o Amounts) Amounts {
	return Amounts{
		a.Rows.Plus(o.Rows), a.Calls.Plus(o.Calls), a.InputTokens.Plus(o.InputTokens),
		a.OutputTokens.Plus(o.OutputTokens), a.Money.Plus(o.Money), a.Seconds.Plus(o.Seconds),
	}
}

// Tokens returns the total number of tokens of calls, or nil if nothing is known. A
// kind of token of which nothing is known leaves the total without an upper bound.
func (a Amounts) Tokens() *Range {
	in, out := a.InputTokens, a.OutputTokens
	if in == nil && out == nil {
		return nil
	}
	anything := Between(0, math.NaN(), math.Inf(1))
	if in == nil {
		in = anything
	}
	if out == nil {
		out = anything
	}
	return in.Plus(out)
}
