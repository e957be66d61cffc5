package stats

import (
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/stat/distuv"
)

// Comparison is what is known about the difference between two subjects that
// were measured on the same rows.
type Comparison struct {
	// Estimate is that of the difference: the first subject's figure less the
	// second's.
	Estimate
	// P is the two-sided p-value of the hypothesis that the subjects are
	// alike; Holm corrects several of them.
	P float64
	// Test is how it was found.
	Test Test
	// Detectable is the smallest true difference that a test of this many
	// rows, with the variation that was seen, finds with a power of 80 % at
	// the confidence asked for; infinite where no variation was seen to judge
	// by.
	Detectable float64
}

// Test names the way to a p-value.
type Test string

// The tests.
const (
	// TestMcNemar is McNemar's exact test.
	TestMcNemar Test = "mcnemar"
	// TestExact is a paired permutation test over all permutations.
	TestExact Test = "permutation-exact"
	// TestPermutation is a paired permutation test over drawn permutations.
	TestPermutation Test = "permutation"
	// TestNone: there are too few units for any test; P is 1.
	TestNone Test = "none"
)

// power is the share of true differences of the detectable size that are
// found.
const power = 0.8

// Compare compares two subjects by the means of their values; a[i] and b[i]
// are measured on the same row. Where all values are 0 or 1 and the rows are
// independent, the interval is Tango's and the test McNemar's exact one.
// Otherwise the interval is that of a bootstrap of the differences, and the
// test permutes the subjects within rows, or within clusters.
func Compare(a, b []float64, o Options) (Comparison, error) {
	if len(a) != len(b) {
		return Comparison{}, fmt.Errorf("the first subject has %d values, the second %d", len(a), len(b))
	}
	o, err := o.checked(len(a))
	if err != nil {
		return Comparison{}, err
	}
	if err := finite("the first subject's value", a); err != nil {
		return Comparison{}, err
	}
	if err := finite("the second subject's value", b); err != nil {
		return Comparison{}, err
	}
	u := newUnits(len(a), o.Clusters)
	binary := areBinary(a) && areBinary(b)
	if binary && u.single {
		return compareBinary(a, b, o), nil
	}
	differences := make([]float64, len(a))
	floats.SubTo(differences, a, b)
	c := Comparison{Test: TestNone, P: 1, Detectable: math.Inf(1)}
	if c.Estimate, err = mean(differences, u, o); err != nil || u.count() < 2 {
		return c, err
	}
	if binary && alike(differences) {
		c.Estimate = tangoOfClusters(differences[0], len(a), u.count(), o.Confidence)
	}
	c.P, c.Test = signFlip(u.sums(differences), o)
	_, se := robust(differences, u)
	c.Detectable = detectableBy(se, u.count(), o)
	return c, nil
}

// detectableBy is the detectable difference by a standard error.
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
	return Comparison{
		Estimate: tango(onlyA, onlyB, len(a), o.Confidence),
		P:        McNemar(onlyA, onlyB), Test: TestMcNemar,
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

func alike(values []float64) bool {
	for _, v := range values {
		if v != values[0] {
			return false
		}
	}
	return true
}

// tangoOfClusters is the interval where the subjects differ by the same on
// all rows. A bootstrap would find no variation; the clusters then count as
// one row each.
func tangoOfClusters(difference float64, n, clusters int, confidence float64) Estimate {
	onlyA, onlyB := 0, 0
	switch {
	case difference > 0:
		onlyA = clusters
	case difference < 0:
		onlyB = clusters
	}
	e := tango(onlyA, onlyB, clusters, confidence)
	e.N = n
	return e
}

// CompareStatistic compares two subjects by any statistic, such as macro F1.
// Their answers on n rows are numbered in one: i is the first subject's on row
// i, n+i the second's. statistic returns its value over the answers named; it
// is called as that of Bootstrap is. The interval is that of a paired
// bootstrap. The test exchanges the subjects' answers at random, row by row
// or cluster by cluster (Noreen 1989), by o.Permutations draws.
func CompareStatistic(n int, statistic func(answers []int) float64, o Options) (Comparison, error) {
	difference := func(first, second []int) float64 { return statistic(first) - statistic(second) }
	paired := func(rows []int) float64 {
		second := make([]int, len(rows))
		for i, row := range rows {
			second[i] = n + row
		}
		return difference(rows, second)
	}
	e, err := Bootstrap(n, paired, o)
	if err != nil {
		return Comparison{}, err
	}
	o, err = o.checked(n)
	if err != nil {
		return Comparison{}, err
	}
	c := Comparison{Estimate: e, P: 1, Test: TestNone, Detectable: detectableBy(e.SE, e.Units, o)}
	u := newUnits(n, o.Clusters)
	if u.count() > 1 {
		c.P, c.Test = exchange(u, e.Value, difference, o), TestPermutation
	}
	return c, nil
}

// exchange is the p-value of a difference under exchanges of the subjects'
// answers within units. An exchange without a value is held against the
// difference.
func exchange(u *units, observed float64, difference func(first, second []int) float64, o Options) float64 {
	n := len(u.members)
	limit := math.Abs(observed) - tolerance*math.Abs(observed)
	return permuted(o, func() func(*rand.PCG) bool {
		first, second := make([]int, n), make([]int, n)
		return func(source *rand.PCG) bool {
			toss := coins{source: source}
			for unit := range u.count() {
				swap := toss.next()
				for _, row := range u.rows(unit) {
					if swap {
						first[row], second[row] = n+row, row
					} else {
						first[row], second[row] = row, n+row
					}
				}
			}
			return !(math.Abs(difference(first, second)) < limit)
		}
	})
}

// CompareCounts is CompareStatistic for independent rows of few kinds, such as
// a right label with those that two subjects gave: counts says how often each
// kind occurs. difference returns the first subject's figure less the second's
// where, of the counts[k] rows of kind k, swapped[k] have the subjects' answers
// exchanged. It is called as the statistic of BootstrapCounts is, and the time
// that all takes grows with the kinds and not with the rows. Options.Clusters
// must be nil.
func CompareCounts(counts []int, difference func(counts, swapped []int) float64, o Options) (Comparison, error) {
	as := make([]int, len(counts))
	e, err := BootstrapCounts(counts, func(counts []int) float64 { return difference(counts, as) }, o)
	if err != nil {
		return Comparison{}, err
	}
	if o, err = o.checked(e.N); err != nil {
		return Comparison{}, err
	}
	c := Comparison{Estimate: e, P: 1, Test: TestNone, Detectable: detectableBy(e.SE, e.Units, o)}
	if e.N < 2 {
		return c, nil
	}
	limit := math.Abs(e.Value) - tolerance*math.Abs(e.Value)
	c.Test = TestPermutation
	c.P = permuted(o, func() func(*rand.PCG) bool {
		swapped := make([]int, len(counts))
		return func(source *rand.PCG) bool {
			for k, n := range counts {
				swapped[k] = heads(n, source)
			}
			return !(math.Abs(difference(counts, swapped)) < limit)
		}
	})
	return c, nil
}

// heads is how many of n coins show heads.
func heads(n int, source *rand.PCG) int {
	if n > 64 {
		return int(distuv.Binomial{N: float64(n), P: 0.5, Src: source}.Rand())
	}
	return bits.OnesCount64(source.Uint64() >> (64 - n)) // a shift by 64 leaves none
}
