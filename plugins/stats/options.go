package stats

import (
	"errors"
	"fmt"
	"math"
)

// Options say how intervals and tests are made. The zero value is the usual.
type Options struct {
	// Confidence is the share of intervals that hold the true figure; 0
	// stands for 0.95.
	Confidence float64
	// Resamples of a bootstrap, at least 100; 0 stands for 2,000.
	Resamples int
	// Permutations of a test that can't go through all; 0 stands for 9,999.
	Permutations int
	// Seed decides all that is random.
	Seed int64
	// Clusters names, for each observation, the cluster that it belongs to;
	// see Clusters. Nil: all observations are independent.
	Clusters []int
	// Rows are smaller clusters within those: the row that each observation is
	// about, where there are several of a row. Nil: each is about its own.
	Rows []int
	// Range is the least and the greatest value that a single observation can
	// have, such as 0 and 1 for a grade. If both are equal, it is unknown.
	// Intervals of means and of bootstrapped statistics use it to account for
	// values that occur but were not seen.
	Range [2]float64
}

// Estimate is a figure with what is known about its accuracy.
type Estimate struct {
	// Value is the figure of all observations; Low and High are the ends of
	// its confidence interval. They are infinite if nothing is known about them.
	Value, Low, High float64
	// SE is the standard error, in the unit of Value.
	SE float64
	// N is how many observations there are.
	N int
	// Units is how many of them are independent: the clusters, or N.
	Units int
	// Method is how the interval was made.
	Method Method
}

// Within returns the estimate with its interval cut to the values that the
// figure can have at all, such as 0 to 1 for a share.
func (e Estimate) Within(least, most float64) Estimate {
	e.Low, e.High = min(max(e.Low, least), most), min(max(e.High, least), most)
	return e
}

// Method names the way to an interval.
type Method string

// The methods.
const (
	// MethodWilson is Wilson's score interval for a share.
	MethodWilson Method = "wilson"
	// MethodTango is Tango's score interval for a difference of paired shares.
	MethodTango Method = "tango"
	// MethodStudent is Student's t interval, by a standard error.
	MethodStudent Method = "student"
	// MethodBCa is the bias-corrected and accelerated bootstrap interval,
	// widened for few units.
	MethodBCa Method = "bca"
	// MethodPercentile is the plain bootstrap interval, widened for few units,
	// made where the corrections of BCa are not defined.
	MethodPercentile Method = "percentile"
	// MethodPermutation is the interval of the differences that a paired
	// permutation test does not reject.
	MethodPermutation Method = "permutation"
	// MethodUnseen is the interval of values that are all alike: how far values
	// that were not seen could move the figure.
	MethodUnseen Method = "unseen"
	// MethodNone: there are too few units for an interval.
	MethodNone Method = "none"
)

// ErrUndefined is what errors wrap where a statistic has no value for these
// observations, such as agreement where only one label occurs.
var ErrUndefined = errors.New("the statistic is not defined for these observations")

// ErrNoObservations is what errors wrap where there is nothing to compute from.
var ErrNoObservations = errors.New("there are no observations")

// Clusters numbers clusters in the order in which their names first occur, as
// Options.Clusters wants it.
func Clusters[K comparable](names []K) []int {
	numbers := make(map[K]int)
	out := make([]int, len(names))
	for i, name := range names {
		c, known := numbers[name]
		if !known {
			c = len(numbers)
			numbers[name] = c
		}
		out[i] = c
	}
	return out
}

// checked fills in what is usual and says what is wrong with the options for
// n observations.
func (o Options) checked(n int) (Options, error) {
	if o.Confidence == 0 {
		o.Confidence = 0.95
	}
	if o.Resamples == 0 {
		o.Resamples = 2000
	}
	if o.Permutations == 0 {
		o.Permutations = 9999
	}
	switch {
	case n == 0:
		return o, ErrNoObservations
	case !(o.Confidence > 0 && o.Confidence < 1):
		return o, fmt.Errorf("the confidence is %g, not between 0 and 1", o.Confidence)
	case o.Resamples < 100:
		return o, fmt.Errorf("%d resamples are too few, 100 is the least", o.Resamples)
	case o.Permutations < 100:
		return o, fmt.Errorf("%d permutations are too few, 100 is the least", o.Permutations)
	case o.Clusters != nil && len(o.Clusters) != n:
		return o, fmt.Errorf("there are clusters for %d observations, but %d observations", len(o.Clusters), n)
	case !(o.Range[0] <= o.Range[1]) || math.IsInf(o.Range[0], 0) || math.IsInf(o.Range[1], 0):
		return o, fmt.Errorf("the range from %g to %g is not a range of finite numbers", o.Range[0], o.Range[1])
	case o.Rows != nil && len(o.Rows) != n:
		return o, fmt.Errorf("there are rows for %d observations, but %d observations", len(o.Rows), n)
	}
	return o, nil
}

// bounded reports whether the range of an observation is known.
func (o Options) bounded() bool { return o.Range[0] < o.Range[1] }

// usable refuses values that are not finite numbers, or that lie outside the
// range that they are said to have.
func (o Options) usable(name string, values []float64) error {
	for i, v := range values {
		switch {
		case math.IsNaN(v) || math.IsInf(v, 0):
			return fmt.Errorf("%s %d is %g, not a finite number", name, i, v)
		case o.bounded() && (v < o.Range[0] || v > o.Range[1]):
			return fmt.Errorf("%s %d is %g, outside the range from %g to %g", name, i, v, o.Range[0], o.Range[1])
		}
	}
	return nil
}

// unbounded is the estimate where nothing is known about accuracy.
func unbounded(value float64, n, units int) Estimate {
	return Estimate{
		Value: value, Low: math.Inf(-1), High: math.Inf(1), SE: math.Inf(1),
		N: n, Units: units, Method: MethodNone,
	}
}
