package figures

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/stat"

	"github.com/quern-dev/quern/internal/measurement"
	"github.com/quern-dev/quern/plugins/stats"
)

// Of is the figure of an estimate over some rows.
func Of(e stats.Estimate, rows int) measurement.Figure {
	return measurement.Figure{Value: Known(e.Value), Low: Known(e.Low), High: Known(e.High), N: int64(rows)}
}

// ContrastOf is the contrast of a comparison over some rows.
func ContrastOf(c stats.Comparison, rows int) measurement.Contrast {
	return measurement.Contrast{Figure: Of(c.Estimate, rows), P: Known(c.P), Detectable: Known(c.Detectable), Test: string(c.Test)}
}

// Known is a number that is one; nil: it is none, or infinite.
func Known(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}

// Sample is how observations hang together: those of row i are the Repeats ones
// from i*Repeats on. Repeats of a row are no new rows, so that the row, or the
// cluster that it belongs to, is the unit of intervals and tests.
type Sample struct {
	Repeats int
	// Clusters names the cluster of each row; nil: rows are independent.
	Clusters []string
	// Options but for their Clusters.
	Options stats.Options
}

// Options are those that evaluators have as arguments.
func Options(confidence float64, resamples int, seed int64) stats.Options {
	return stats.Options{Confidence: confidence, Resamples: resamples, Seed: seed}
}

// options are those of statistics over some observations.
func (s *Sample) options(observations []int) stats.Options {
	o := s.Options
	if s.Repeats > 1 {
		o.Rows = make([]int, len(observations))
		for i, at := range observations {
			o.Rows[i] = at / s.Repeats
		}
	}
	switch {
	case s.Clusters != nil:
		names := make([]string, len(observations))
		for i, at := range observations {
			names[i] = s.Clusters[at/s.Repeats]
		}
		o.Clusters = stats.Clusters(names)
	case s.Repeats > 1:
		o.Clusters = stats.Clusters(o.Rows)
	}
	return o
}

// rowsOf counts the rows that observations, which are in order, belong to.
func (s *Sample) rowsOf(observations []int) int {
	n, last := 0, -1
	for _, at := range observations {
		if row := at / s.Repeats; row != last {
			n, last = n+1, row
		}
	}
	return n
}

// Scale is what values of a metric can be.
type Scale struct {
	// Share: they are 0 and 1 alone.
	Share bool
	// Range is the least and the greatest of them; if both are equal, it is
	// unknown.
	Range [2]float64
}

// Unknown is the scale of values that can be anything.
var Unknown Scale

// Within is the scale of values from least to most if all of them are, and
// Unknown otherwise.
func Within(least, most float64, values ...[]float64) Scale {
	for _, list := range values {
		for _, v := range list {
			if v < least || v > most {
				return Unknown
			}
		}
	}
	return Scale{Range: [2]float64{least, most}}
}

// Estimate is the mean of the values that are there.
func (s *Sample) Estimate(values []float64, scale Scale) (measurement.Figure, error) {
	var present []float64
	var hits []bool
	var at []int
	for i, v := range values {
		if !math.IsNaN(v) {
			present, hits, at = append(present, v), append(hits, v == 1), append(at, i)
		}
	}
	if len(present) == 0 {
		return measurement.Figure{}, nil
	}
	var got stats.Estimate
	var err error
	o := s.options(at)
	if o.Range = scale.Range; scale.Share {
		got, err = stats.Proportion(hits, o)
	} else {
		got, err = stats.Mean(present, o)
	}
	return Of(got, s.rowsOf(at)), err
}

// Usage is made of what each answer took; NaN where it took nothing that is
// known.
func (s *Sample) Usage(cost, tokens, latency []float64) (measurement.Usage, error) {
	var u measurement.Usage
	var err error
	if u.Cost.Figure, err = s.Estimate(cost, Unknown); err != nil {
		return u, err
	}
	if u.Tokens.Figure, err = s.Estimate(tokens, Unknown); err != nil {
		return u, err
	}
	if u.Latency.Figure, err = s.Estimate(latency, Unknown); err != nil {
		return u, err
	}
	u.Cost.Total, u.Tokens.Total = total(cost), total(tokens)
	seconds := slices.DeleteFunc(slices.Clone(latency), math.IsNaN)
	if slices.Sort(seconds); len(seconds) > 0 {
		u.Latency.P50 = Known(stat.Quantile(0.5, stat.Empirical, seconds, nil))
		u.Latency.P95 = Known(stat.Quantile(0.95, stat.Empirical, seconds, nil))
	}
	return u, nil
}

// total is the sum of what is known, added in the order of size so that the
// order of the rows has no part in rounding; nil where nothing is.
func total(values []float64) *float64 {
	known := slices.DeleteFunc(slices.Clone(values), math.IsNaN)
	if len(known) == 0 {
		return nil
	}
	slices.Sort(known)
	return Known(floats.SumCompensated(known))
}
