package classification

import (
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

// Wilson is the share k of n with its Wilson score interval (Wilson 1927),
// which keeps its promise for small n and shares near 0 and 1, where the
// textbook interval does not.
func Wilson(k, n int64, confidence float64) Interval {
	z := distuv.UnitNormal.Quantile(1 - (1-confidence)/2)
	p, m := float64(k)/float64(n), float64(n)
	middle := p + z*z/(2*m)
	reach := z * math.Sqrt(p*(1-p)/m+z*z/(4*m*m))
	scale := 1 + z*z/m
	i := Interval{Value: p, Low: (middle - reach) / scale, High: (middle + reach) / scale, N: n}
	// At the ends the formula gives exactly 0 and 1 but for rounding.
	if k == 0 {
		i.Low = 0
	}
	if k == n {
		i.High = 1
	}
	return i
}

// bootstrap draws the rows anew, with replacement, and returns the percentile
// intervals of macro and weighted F1. Drawing n rows is the same as drawing
// the counts of the confusion matrix from a multinomial distribution, which
// takes time by cells and not by rows.
func bootstrap(m *matrix, o Options) (macro, weighted Interval) {
	source := rand.NewPCG(uint64(o.Seed), 0x9e3779b97f4a7c15)
	macros, weighteds := make([]float64, o.Resamples), make([]float64, o.Resamples)
	drawn := slices.Clone(m.cells)
	margins := newMargins(len(m.classes))
	n := m.rows()
	for i := range macros {
		multinomial(drawn, m.cells, n, source)
		macros[i], weighteds[i] = margins.f1(drawn)
	}
	return percentiles(macros, n, o.Confidence), percentiles(weighteds, n, o.Confidence)
}

// multinomial fills the rows of to with n draws from the shares of from, cell
// by cell: given those before, a cell's count is binomial.
func multinomial(to, from []field, n int64, source rand.Source) {
	left, mass := n, n
	for i, c := range from {
		switch {
		case left == 0:
			to[i].rows = 0
		case c.rows == mass:
			to[i].rows = left
		default:
			b := distuv.Binomial{N: float64(left), P: float64(c.rows) / float64(mass), Src: source}
			to[i].rows = int64(b.Rand())
		}
		left -= to[i].rows
		mass -= c.rows
	}
}

func percentiles(values []float64, n int64, confidence float64) Interval {
	slices.Sort(values)
	tail := (1 - confidence) / 2
	return Interval{
		Low:  stat.Quantile(tail, stat.LinInterp, values, nil),
		High: stat.Quantile(1-tail, stat.LinInterp, values, nil),
		N:    n,
	}
}
