package figures

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/stat"

	"github.com/quern-dev/quern/internal/measurement"
	"github.com/quern-dev/quern/plugins/stats"
)

// Of converts an estimate over a number of rows to a figure.
func Of(e stats.Estimate, rows int) measurement.Figure {
	return measurement.Figure{Value: Known(e.Value), Low: Known(e.Low), High: Known(e.High), N: int64(rows)}
}

// ContrastOf converts a comparison over a number of rows to a contrast.
func ContrastOf(c stats.Comparison, rows int) measurement.Contrast {
	return measurement.Contrast{Figure: Of(c.Estimate, rows), P: Known(c.P), Detectable: Known(c.Detectable), Test: string(c.Test)}
}

// Known returns a pointer to a number, or nil if it is NaN or infinite.
func Known(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}

// Sample says how observations depend on each other. The observations of row i
// are the Repeats ones starting at i*Repeats. Repeats of a row are not new
// rows: the row, or the cluster that it belongs to, is the unit of intervals
// and tests.
type Sample struct {
	Repeats int
	// Clusters has the name of each row's cluster. If it is nil, rows are
	// independent.
	Clusters []string
	// Options are the statistical options, except for their Clusters.
	Options stats.Options
}

// Options returns the options that evaluators have as arguments.
func Options(confidence float64, resamples int, seed int64) stats.Options {
	return stats.Options{Confidence: confidence, Resamples: resamples, Seed: seed}
}

// options returns the options for statistics over some of the observations.
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

// rowsOf counts the rows that observations belong to. The observations must be
// in order.
func (s *Sample) rowsOf(observations []int) int {
	n, last := 0, -1
	for _, at := range observations {
		if row := at / s.Repeats; row != last {
			n, last = n+1, row
		}
	}
	return n
}

// Scale describes the possible values of a metric.
type Scale struct {
	// Share says that all values are 0 or 1.
	Share bool
	// Range contains the least and the greatest possible value. If both are
	// equal, the range is unknown.
	Range [2]float64
}

// Unknown is the scale of values without known limits.
var Unknown Scale

// Within returns the scale of values from least to most if all values are in
// that range, and Unknown otherwise.
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

// Estimate estimates the mean of the values that are not missing.
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

// Usage computes the usage from the values of each answer. NaN means that a
// value is unknown.
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

// total sums the known values, or returns nil if there are none. It adds them
// in order of size, so that the rounding error does not depend on the order of
// the rows.
func total(values []float64) *float64 {
	known := slices.DeleteFunc(slices.Clone(values), math.IsNaN)
	if len(known) == 0 {
		return nil
	}
	slices.Sort(known)
	return Known(floats.SumCompensated(known))
}
