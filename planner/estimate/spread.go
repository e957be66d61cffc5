package estimate

import (
	"math"

	"github.com/quern-dev/quern/internal/amount"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/llm"
)

// spread is a figure and the range in which the actual one probably is. The
// shares and factors of this file say how far an actual figure may be from what
// is known in advance; docs/plan.md explains them, and a test compares them with
// recorded runs.
type spread struct{ low, mid, high float64 }

func exactly(v float64) spread { return spread{v, v, v} }

// anything is the spread of a figure that is not known.
var anything = spread{0, 0, math.Inf(1)}

func (s spread) times(o spread) spread {
	high := s.high * o.high
	if s.high == 0 || o.high == 0 { // not NaN
		high = 0
	}
	return spread{s.low * o.low, s.mid * o.mid, high}
}

func (s spread) plus(o spread) spread { return spread{s.low + o.low, s.mid + o.mid, s.high + o.high} }

// scaled multiplies a spread.
func (s spread) scaled(by float64) spread { return s.times(exactly(by)) }

// within widens a spread by factors.
func (s spread) within(low, high float64) spread { return spread{s.low * low, s.mid, s.high * high} }

// over divides a spread by another one, whose middle is positive.
func (s spread) over(o spread) spread { return spread{s.low / o.high, s.mid / o.mid, s.high / o.low} }

// atMost cuts a spread off.
func (s spread) atMost(most float64) spread { return s.least(exactly(most)) }

// least returns the spread of the lower one of two figures.
func (s spread) least(o spread) spread {
	return spread{min(s.low, o.low), min(s.mid, o.mid), min(s.high, o.high)}
}

func (s spread) rangeOf(known bool) *amount.Range {
	if !known {
		return amount.Between(s.low, math.NaN(), s.high)
	}
	return amount.Between(s.low, s.mid, s.high)
}

// confidence is the number of standard errors on each side of a mean: 95 % of
// samples.
const confidence = 1.96

// meanOf returns the mean of weighted values of a sample, with its confidence
// interval as the mean of so many values.
func meanOf(values, weights []float64, of float64) spread {
	var sum, all float64
	for i, v := range values {
		sum += v * weights[i]
		all += weights[i]
	}
	if all == 0 {
		return spread{}
	}
	mean := sum / all
	n := float64(len(values))
	left := max(0, 1-n/max(of, n)) // nothing is uncertain if the sample is everything
	half := confidence * deviationOf(values, weights, mean) * math.Sqrt(left/max(n-1, 1))
	return spread{max(0, mean-half), mean, mean + half}
}

// deviationOf returns the standard deviation of weighted values.
func deviationOf(values, weights []float64, mean float64) float64 {
	var squares, all float64
	for i, v := range values {
		squares += (v - mean) * (v - mean) * weights[i]
		all += weights[i]
	}
	return math.Sqrt(squares / all)
}

// How far a count of tokens may be from what a provider bills.
const (
	// A provider's chat template, if the tokenizer is known.
	templateLow, templateHigh = 0.9, 1.15
	// An estimate by scripts, for an unknown tokenizer.
	scriptsLow, scriptsHigh = 0.6, 1.6
)

func billed(tokens spread, exact bool) spread {
	if exact {
		return tokens.within(templateLow, templateHigh)
	}
	return tokens.within(scriptsLow, scriptsHigh)
}

// asBefore returns the mean length of answers in another run, from the mean of
// earlier answers, whose standard deviation is assumed to be at most their mean.
func asBefore(last *llm.Spend, calls float64) spread {
	mean := float64(last.OutputTokens) / float64(last.Calls)
	half := confidence * (1/math.Sqrt(float64(last.Calls)) + 1/math.Sqrt(max(calls, 1)))
	return spread{mean * max(0, 1-half), mean, mean * (1 + half)}
}

const (
	// A changed stage may ask for answers of another length.
	changedLow, changedHigh = 0.4, 2.5
	// An answer whose form a stage restricts is a part of the longest one, or the
	// longest one in another layout.
	shortest, layout, layoutTokens = 0.25, 2, 16
	// A stage that rejects an answer asks again. This is the share of rejected
	// answers that is allowed for.
	rejected = 0.1
)

// restricted is the length of an answer of a restricted form.
func restricted(longest float64) spread {
	return spread{min(longest, math.Floor(longest*shortest)), longest, longest*layout + layoutTokens}
}

const (
	// If none of this many requests are equal, at least this share of all are assumed
	// to be different.
	enough, repeatedLow = 64, 0.5
)

// distinct returns how many of all rows send different requests, if the requests
// of a sample are known. Equal requests are sent once.
func distinct[T comparable](sample []T, all float64, whole bool) spread {
	seen := make(map[T]bool, len(sample))
	for _, t := range sample {
		seen[t] = true
	}
	different := float64(len(seen))
	if whole || len(sample) == 0 {
		return spread{min(different, all), all, all}
	}
	// Pairs of equal requests grow with the square of the number of rows. That the
	// sample has few is compatible with a few more.
	const unseen = 3
	ratio := all / float64(len(sample))
	pairs := (float64(len(sample)) - different + unseen) * ratio * ratio
	low := max(different, all-2*pairs)
	if len(seen) == len(sample) && len(seen) >= enough {
		low = max(low, all*repeatedLow)
	}
	return spread{min(all, low), all, all}
}

// selected returns how many of s rows a condition selects if it selects some of a
// sample of them: with Wilson's interval of a proportion.
func (s spread) selected(some, of sampleSize) spread {
	if of.n == 0 {
		return s.scaled(0)
	}
	n, p := float64(of.n), some.weight/of.weight
	z := confidence * confidence / n
	center, half := (p+z/2)/(1+z), math.Sqrt(z*(p*(1-p)+z/4))/(1+z)
	return spread{s.low * max(0, center-half), s.mid * p, s.high * min(1, center+half)}
}

// drawn returns how many of s rows are drawn with a probability.
func (s spread) drawn(share float64) spread {
	if share >= 1 {
		return s.scaled(share)
	}
	half := func(rows float64) float64 { return confidence * math.Sqrt(rows*share*(1-share)) }
	return spread{max(0, s.low*share-half(s.low)), s.mid * share, min(s.high, s.high*share+half(s.high))}
}

const (
	// A dataset that is estimated from the ratio of its rows to those of its inputs
	// in the last run.
	ratioLow, ratioHigh = 0.5, 2
	// Rows that were not read may be shorter or longer than those at the beginning
	// of a source.
	unreadLow, unreadHigh = 0.8, 1.25
)

// cacheable is the shortest request of which providers cache the beginning.
const cacheable = 1024

// costOf returns what tokens cost. It returns false if a price that applies is not
// known. longest is the length of a request.
func costOf(p *plan.Price, input, output spread, longest float64) (spread, bool) {
	if p == nil {
		return spread{}, false
	}
	var all spread
	for _, part := range []struct {
		tokens spread
		price  *float64
	}{{input.within(discount(p, longest), 1), p.Input}, {output, p.Output}} {
		switch {
		case part.tokens.high == 0:
		case part.price == nil:
			return spread{}, false
		case *part.price > 0:
			all = all.plus(part.tokens.scaled(*part.price / 1e6))
		}
	}
	return all, true
}

// discount is the least share of the price of input that is billed, because
// providers bill cached input at its own price.
func discount(p *plan.Price, longest float64) float64 {
	if p.CachedInput == nil || p.Input == nil || *p.Input <= *p.CachedInput || longest < cacheable {
		return 1
	}
	return *p.CachedInput / *p.Input
}
