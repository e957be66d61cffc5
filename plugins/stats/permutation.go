package stats

import (
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"
)

// tolerance is the relative error up to which sums count as equal, because the
// order in which values are added must not decide a test.
const tolerance = 1e-10

// A permutation test tries all permutations of up to exactUnits units, draws
// permutations of up to drawnUnits, and is a t test for more. By then, the two
// differ by less than the error of drawing.
const (
	exactUnits = 16
	drawnUnits = 200
)

// PairedPermutation returns the two-sided p-value of the hypothesis that paired
// differences are distributed symmetrically around zero. It uses their sum
// under all changes of signs; the differences of a cluster change signs
// together. With more than 16 units, signs are drawn o.Permutations times, and
// the p-value is (1+r)/(1+permutations), where r counts the sums that are at
// least as far from zero (Phipson and Smyth 2010). With more than 200 units, it
// is that of Student's t test.
func PairedPermutation(differences []float64, o Options) (float64, Test, error) {
	o, err := o.checked(len(differences))
	if err != nil {
		return 0, TestNone, err
	}
	if err := o.usable("difference", differences); err != nil {
		return 0, TestNone, err
	}
	_, _, p, test := permute(newUnits(len(differences), o.Clusters).parts(differences), o)
	return p, test, nil
}

// shift compares the mean of the differences with 0. ends contains the least
// and greatest possible difference. size is the number of independent
// differences that a share of the figure corresponds to, to account for unseen
// values.
//
// The interval is that of the test. Unless the test finds a difference, it also
// extends as far as unseen values could move the difference. linear says that
// the differences are linear approximations, which vary too little if there are
// few rows. Unseen values then always affect both the interval and the test.
func shift(parts []part, n int, ends [2]float64, size float64, linear bool, o Options) Comparison {
	value, se := robust(parts)
	c := Comparison{Estimate: unbounded(value, n, len(parts)), P: 1, Test: TestNone, Detectable: math.Inf(1)}
	bounded := ends[0] < ends[1]
	if len(parts) >= 2 {
		c.SE, c.Detectable = se, detectableBy(se, len(parts), o)
		c.Low, c.High, c.P, c.Test = permute(parts, o)
		c.Method = MethodPermutation
		if c.Test == TestStudent {
			c.Method = MethodStudent
		}
		none := alike(parts, value)
		if none {
			c.SE, c.Detectable, c.Method = 0, math.Inf(1), MethodUnseen
		}
		c.allow(none, none || linear, bounded, ends, size, o)
	}
	if bounded {
		c.Estimate = c.Within(ends[0], ends[1])
	}
	return c
}

// allow widens the interval by unseen differences. If decide is set, they also
// affect the p-value. none says that all differences are equal.
func (c *Comparison) allow(none, decide, bounded bool, ends [2]float64, size float64, o Options) {
	if none && !bounded {
		if c.Value == 0 {
			c.Low, c.High, c.Method = math.Inf(-1), math.Inf(1), MethodNone
			return
		}
		// Only the difference itself indicates the scale.
		reach := 2 * math.Abs(c.Value)
		ends, bounded = [2]float64{c.Value - reach, c.Value + reach}, true
	}
	if !bounded || !decide && c.P < 1-o.Confidence {
		return
	}
	low, high := unseenInterval(c.Value, size, o.Confidence, ends)
	c.Low, c.High = min(c.Low, low), max(c.High, high)
	if decide {
		c.P = max(c.P, unseenP(c.Value, size, ends))
	}
}

// permute tests whether the differences are distributed symmetrically around
// zero, by changing the signs of units, and inverts the test: the interval
// contains each shift of the differences that would not be rejected.
//
// If the signs of some units are changed, the sum of the shifted differences is
// at least the observed sum if and only if the mean of those units is at most
// the shift. So both the p-value and the interval can be derived from the means
// of subsets of the units (Hartigan 1969, Using subsample values as typical
// values).
func permute(parts []part, o Options) (low, high, p float64, test Test) {
	var means []float64
	switch n := len(parts); {
	case n < 2:
		return math.Inf(-1), math.Inf(1), 1, TestNone
	case n > drawnUnits:
		return student(parts, o)
	case n <= exactUnits:
		means, test = subsetMeans(parts), TestExact
	default:
		means, test = drawnMeans(parts, o), TestPermutation
	}
	slices.Sort(means)
	// The additional one has no unit changed, which is the most extreme case.
	all := float64(len(means) + 1)
	below, above := 1, 1
	for _, m := range means {
		if m <= 0 {
			below++
		}
		if m >= 0 {
			above++
		}
	}
	p = min(1, 2*float64(min(below, above))/all)
	low, high = math.Inf(-1), math.Inf(1)
	if k := int(math.Ceil((1-o.Confidence)/2*all-1e-9)) - 1; k > 0 {
		low, high = means[k-1], means[len(means)-k]
	}
	return low, high, p, test
}

// student returns the interval and the p-value of the t test.
func student(parts []part, o Options) (low, high, p float64, test Test) {
	value, se := robust(parts)
	reach := se * studentQuantile(o.Confidence, len(parts)-1)
	p = 1
	switch {
	case se > 0:
		p = 2 * distuv.StudentsT{Sigma: 1, Nu: float64(len(parts) - 1)}.CDF(-math.Abs(value)/se)
	case value != 0:
		p = 0
	}
	return value - reach, value + reach, p, TestStudent
}

// subsetMeans returns the means of all non-empty subsets of the parts.
func subsetMeans(parts []part) []float64 {
	sums := make([]part, 1, 1<<len(parts))
	for _, p := range parts {
		for _, s := range sums {
			sums = append(sums, part{s.sum + p.sum, s.size + p.size})
		}
	}
	least := negligible(parts)
	means := make([]float64, len(sums)-1)
	for i, s := range sums[1:] {
		means[i] = s.mean(least)
	}
	return means
}

// drawnMeans returns the means of random subsets. An empty subset means no
// change, which is extreme on both sides, so it is left out.
func drawnMeans(parts []part, o Options) []float64 {
	means := make([]float64, o.Permutations)
	least := negligible(parts)
	spread(o.Permutations, func() func(int) {
		source := &rand.PCG{}
		return func(i int) {
			stream(source, o.Seed, purposePermutation, i)
			means[i] = drawSubset(parts, source).mean(least)
		}
	})
	return defined(means)
}

func drawSubset(parts []part, source *rand.PCG) (s part) {
	for from := 0; from < len(parts); from += 64 {
		in := parts[from:min(from+64, len(parts))]
		for set := source.Uint64() & (1<<len(in) - 1); set != 0; set &= set - 1 {
			p := in[bits.TrailingZeros64(set)]
			s.sum += p.sum
			s.size += p.size
		}
	}
	return s
}

// negligible returns the size up to which a sum of parts is 0 except for
// rounding.
func negligible(parts []part) float64 {
	var sizes float64
	for _, p := range parts {
		sizes += math.Abs(p.sum)
	}
	return tolerance * sizes
}

func (p part) mean(least float64) float64 {
	if math.Abs(p.sum) <= least && p.size > 0 {
		return 0
	}
	return p.sum / p.size
}
