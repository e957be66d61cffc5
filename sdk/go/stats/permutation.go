package stats

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync/atomic"

	"gonum.org/v1/gonum/floats"
)

// tolerance is the relative error up to which sums count as equal: the same
// values, added in another order, must not decide a test.
const tolerance = 1e-10

// exactUnits is how many units that differ a permutation test goes through
// completely: 2^32 permutations, as pairs of two lists of 2^16 sums.
const exactUnits = 32

// PairedPermutation is the two-sided p-value of the hypothesis that paired
// differences lie evenly around zero, by their sum under all changes of
// signs; clusters change signs together. Beyond 32 units that differ, signs
// are drawn o.Permutations times and the p-value is (1+r)/(1+permutations),
// r counting the sums that are as far from zero (Phipson and Smyth 2010).
func PairedPermutation(differences []float64, o Options) (float64, Test, error) {
	o, err := o.checked(len(differences))
	if err != nil {
		return 0, TestNone, err
	}
	if err := finite("difference", differences); err != nil {
		return 0, TestNone, err
	}
	p, test := signFlip(newUnits(len(differences), o.Clusters).sums(differences), o)
	return p, test, nil
}

// signFlip tests the sums of independent units. A zero is the same with
// either sign, so that it changes no p-value and may be left out.
func signFlip(sums []float64, o Options) (float64, Test) {
	sums = slices.DeleteFunc(slices.Clone(sums), func(s float64) bool { return s == 0 })
	if len(sums) <= exactUnits {
		return signFlipExact(sums), TestExact
	}
	limit := extreme(sums)
	return permuted(o, func() func(*rand.PCG) bool {
		return func(source *rand.PCG) bool { return math.Abs(flipped(sums, source)) >= limit }
	}), TestPermutation
}

// extreme is the size from which on a sum counts as one as far from zero as
// that observed.
func extreme(sums []float64) float64 {
	return math.Abs(floats.Sum(sums)) - tolerance*floats.Norm(sums, 1)
}

// signFlipExact is the share of the sums, over all changes of signs, that are
// as far from zero as the one observed. Each sum is one of the first half of
// the units and one of the second; both lists are sorted, and as the first
// goes up, the place in the second from which on a pair is large goes down.
func signFlipExact(sums []float64) float64 {
	limit := extreme(sums)
	if limit <= 0 {
		return 1
	}
	half := len(sums) / 2
	first, second := allSums(sums[:half]), allSums(sums[half:])
	var large uint64
	from := len(second)
	for _, s := range first {
		for from > 0 && s+second[from-1] >= limit {
			from--
		}
		large += uint64(len(second) - from)
	}
	// What lies as far on the other side are the same sums, all signs changed.
	return min(1, 2*float64(large)/math.Ldexp(1, len(sums)))
}

// allSums returns, sorted, the 2^n sums over all changes of signs.
func allSums(values []float64) []float64 {
	sums := make([]float64, 1, 1<<len(values))
	for _, v := range values {
		for _, s := range sums {
			sums = append(sums, s-v)
		}
		for i := range len(sums) / 2 {
			sums[i] += v
		}
	}
	slices.Sort(sums)
	return sums
}

// flipped is a sum under signs drawn at random.
func flipped(sums []float64, source *rand.PCG) float64 {
	var total float64
	for from := 0; from < len(sums); from += 64 {
		bits := source.Uint64()
		for _, s := range sums[from:min(from+64, len(sums))] {
			total += math.Float64frombits(math.Float64bits(s) ^ bits<<63)
			bits >>= 1
		}
	}
	return total
}

// permuted is the p-value by o.Permutations draws: the share of those that
// are extreme, that observed counted as one of them. prepare makes the
// function that one goroutine uses.
func permuted(o Options, prepare func() func(source *rand.PCG) bool) float64 {
	var large atomic.Int64
	spread(o.Permutations, func() func(int) {
		isExtreme, source := prepare(), &rand.PCG{}
		return func(i int) {
			stream(source, o.Seed, purposePermutation, i)
			if isExtreme(source) {
				large.Add(1)
			}
		}
	})
	return float64(1+large.Load()) / float64(1+o.Permutations)
}

// coins deals the bits of a source one by one.
type coins struct {
	source *rand.PCG
	bits   uint64
	left   int
}

func (c *coins) next() bool {
	if c.left == 0 {
		c.bits, c.left = c.source.Uint64(), 64
	}
	head := c.bits&1 == 1
	c.bits >>= 1
	c.left--
	return head
}
