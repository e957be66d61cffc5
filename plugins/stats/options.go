package stats

import (
	"errors"
	"fmt"
	"math"
)

// Options configures intervals and tests. The zero value has the defaults.
type Options struct {
	// Confidence is the share of intervals that contain the true figure. 0
	// means 0.95.
	Confidence float64
	// Resamples is the number of resamples of a bootstrap, at least 100. 0
	// means 2,000.
	Resamples int
	// Permutations is the number of permutations of a test that cannot try all
	// of them. 0 means 9,999.
	Permutations int
	// Seed determines all randomness.
	Seed int64
	// Clusters contains the cluster of each observation; see the function
	// Clusters. Nil means that all observations are independent.
	Clusters []int
	// Rows contains smaller clusters within those: the row of each observation,
	// if a row has several. Nil means that each observation is a row.
	Rows []int
	// Range contains the least and the greatest possible value of a single
	// observation, such as 0 and 1 for a grade. If both are equal, the range is
	// unknown. Intervals of means and of bootstrapped statistics use it to
	// account for values that exist but were not seen.
	Range [2]float64
}

// Estimate is a figure with what is known about its accuracy.
type Estimate struct {
	// Value is the figure over all observations. Low and High are the ends of
	// its confidence interval. They are infinite if nothing is known about
	// them.
	Value, Low, High float64
	// SE is the standard error, in the unit of Value.
	SE float64
	// N is the number of observations.
	N int
	// Units is the number of independent units: the clusters, or N.
	Units int
	// Method is the method that the interval comes from.
	Method Method
}

// Within returns the estimate with its interval clipped to the possible values
// of the figure, such as 0 to 1 for a share.
func (e Estimate) Within(least, most float64) Estimate {
	e.Low, e.High = min(max(e.Low, least), most), min(max(e.High, least), most)
	return e
}

// Method is the method for an interval.
type Method string

// The methods.
const (
	// MethodWilson is Wilson's score interval for a share.
	MethodWilson Method = "wilson"
	// MethodTango is Tango's score interval for a difference of paired shares.
	MethodTango Method = "tango"
	// MethodStudent is Student's t interval, based on a standard error.
	MethodStudent Method = "student"
	// MethodBCa is the bias-corrected and accelerated bootstrap interval,
	// widened for few units.
	MethodBCa Method = "bca"
	// MethodPercentile is the plain bootstrap interval, widened for few units.
	// It is used if the corrections of BCa are undefined.
	MethodPercentile Method = "percentile"
	// MethodPermutation is the interval of the differences that a paired
	// permutation test does not reject.
	MethodPermutation Method = "permutation"
	// MethodUnseen is the interval for values that are all equal: how far
	// unseen values could move the figure.
	MethodUnseen Method = "unseen"
	// MethodNone means that there are too few units for an interval.
	MethodNone Method = "none"
)

// ErrUndefined is wrapped by errors that say that a statistic is undefined for
// these observations, such as agreement if only one label occurs.
var ErrUndefined = errors.New("the statistic is not defined for these observations")

// ErrNoObservations is wrapped by errors that say that there are no
// observations.
var ErrNoObservations = errors.New("there are no observations")

// Clusters numbers clusters in the order in which their names first occur, for
// Options.Clusters.
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

// checked fills in defaults, and returns an error if the options are invalid
// for n observations.
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

// usable refuses values that are not finite, or that are outside their range.
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

// unbounded returns the estimate if nothing is known about accuracy.
func unbounded(value float64, n, units int) Estimate {
	return Estimate{
		Value: value, Low: math.Inf(-1), High: math.Inf(1), SE: math.Inf(1),
		N: n, Units: units, Method: MethodNone,
	}
}
