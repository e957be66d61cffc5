package stats

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/floats"
)

// Comparison is what is known about the difference between two subjects that
// were measured on the same rows.
//
// The interval and the p-value agree: the interval excludes 0 if and only if P
// is below 1 minus the confidence level.
type Comparison struct {
	// Estimate is the estimate of the difference: the first subject's figure
	// minus the second's.
	Estimate
	// P is the two-sided p-value of the hypothesis that the subjects are
	// equally good. Use Holm to correct several p-values.
	P float64
	// Test is the test that P comes from.
	Test Test
	// Detectable is the smallest true difference that a test with this many
	// rows and the observed variation detects, with a power of 80% at the given
	// confidence. It is infinite if no variation was observed.
	Detectable float64
}

// Test is the method for a p-value.
type Test string

// The tests.
const (
	// TestMcNemar is McNemar's exact test.
	TestMcNemar Test = "mcnemar"
	// TestExact is a paired permutation test over all permutations.
	TestExact Test = "permutation-exact"
	// TestPermutation is a paired permutation test over drawn permutations.
	TestPermutation Test = "permutation"
	// TestStudent is the paired t test, which permutation tests with many units
	// approach.
	TestStudent Test = "student"
	// TestNone means that there are too few units for any test. P is 1.
	TestNone Test = "none"
)

// power is the probability that a true difference of the detectable size is
// found.
const power = 0.8

// Compare compares two subjects by the means of their values. a[i] and b[i] are
// measured on the same row. If all values are 0 or 1 and the rows are
// independent, it uses PairedShares. Otherwise, the test permutes the subjects
// within rows or within clusters, and the interval contains the differences
// that the test does not reject.
func Compare(a, b []float64, o Options) (Comparison, error) {
	if len(a) != len(b) {
		return Comparison{}, fmt.Errorf("the first subject has %d values, the second %d", len(a), len(b))
	}
	o, err := o.checked(len(a))
	if err != nil {
		return Comparison{}, err
	}
	if err := o.usable("the first subject's value", a); err != nil {
		return Comparison{}, err
	}
	if err := o.usable("the second subject's value", b); err != nil {
		return Comparison{}, err
	}
	u := newUnits(len(a), o.Clusters)
	binary := areBinary(a) && areBinary(b)
	if binary && u.single {
		return compareBinary(a, b, o), nil
	}
	if binary && !o.bounded() {
		o.Range = [2]float64{0, 1}
	}
	differences := make([]float64, len(a))
	floats.SubTo(differences, a, b)
	return shift(u.parts(differences), len(a), differenceRange(o), float64(u.count()), false, o), nil
}

// differenceRange returns the range of the difference between two values.
func differenceRange(o Options) [2]float64 {
	reach := o.Range[1] - o.Range[0]
	return [2]float64{-reach, reach}
}

// detectableBy returns the detectable difference for a standard error.
func detectableBy(se float64, units int, o Options) float64 {
	if se == 0 || units < 2 {
		return math.Inf(1)
	}
	return Detectable(se*math.Sqrt(float64(units)), units, o.Confidence, power)
}

func compareBinary(a, b []float64, o Options) Comparison {
	onlyA, onlyB := 0, 0
	for i := range a {
		switch {
		case a[i] > b[i]:
			onlyA++
		case b[i] > a[i]:
			onlyB++
		}
	}
	e, p := PairedShares(onlyA, onlyB, len(a), o.Confidence)
	return Comparison{
		Estimate: e, P: p, Test: TestMcNemar,
		Detectable: DetectableShare(float64(onlyA+onlyB)/float64(len(a)), len(a), o.Confidence, power),
	}
}

func areBinary(values []float64) bool {
	for _, v := range values {
		if v != 0 && v != 1 {
			return false
		}
	}
	return true
}
