package stats

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

// Bootstrap estimates any statistic of n observations. statistic returns its
// value over the given rows, which are in no particular order and occur as
// often as they were drawn. It is called from several goroutines at the same
// time, and must neither keep nor change rows. NaN means that it has no value
// for these rows. Such draws are left out, and if they are more than half, the
// interval is infinite.
//
// Which rows are drawn depends on their numbers. For results that do not depend
// on the order of the rows, number them by their content.
func Bootstrap(n int, statistic func(rows []int) float64, o Options) (Estimate, error) {
	o, err := o.checked(n)
	if err != nil {
		return Estimate{}, err
	}
	u := newUnits(n, o.Clusters)
	value := statistic(slices.Clone(u.members))
	if math.IsNaN(value) {
		return Estimate{}, ErrUndefined
	}
	if u.count() < 2 {
		return unbounded(value, n, u.count()), nil
	}
	draws := resample(o, func() func(*rand.PCG) float64 {
		rows := make([]int, 0, n+n/8)
		return func(source *rand.PCG) float64 {
			rows = u.draw(rows[:0], source)
			return statistic(rows)
		}
	})
	return interval(value, draws, u.jackknife(statistic), n, u.count(), o)
}

// draw appends the rows of as many units as there are, drawn with replacement.
func (u *units) draw(rows []int, source *rand.PCG) []int {
	n := u.count()
	p := newPicker(source, n)
	for range n {
		if unit := p.pick(); u.single {
			rows = append(rows, unit)
		} else {
			rows = append(rows, u.rows(unit)...)
		}
	}
	return rows
}

// left is the value of a statistic with one part of the observations left out,
// and the number of such parts.
type left struct{ value, times float64 }

// jackknifeParts is the maximum number of parts that are left out in turn. The
// acceleration is a skewness, divided by six times the square root of the
// number of units. Leaving out more units at a time estimates the same.
const jackknifeParts = 1000

// jackknife leaves out each unit in turn or, if there are many units, each of
// jackknifeParts sets of units.
func (u *units) jackknife(statistic func(rows []int) float64) []left {
	parts := min(u.count(), jackknifeParts)
	lefts := make([]left, parts)
	spread(parts, func() func(int) {
		rows := make([]int, 0, len(u.members))
		return func(part int) {
			rows = rows[:0]
			for unit := range u.count() {
				if unit%parts != part {
					rows = append(rows, u.rows(unit)...)
				}
			}
			lefts[part] = left{statistic(rows), 1}
		}
	})
	return lefts
}

// BootstrapCounts is like Bootstrap for independent observations of few kinds,
// such as the cells of a confusion matrix. counts says how often each kind
// occurs, and statistic returns its value for such counts. The time it takes
// grows with the number of kinds, not of observations. statistic is called from
// several goroutines at the same time, and must neither keep nor change its
// argument. Options.Clusters must be nil. For results that do not depend on the
// order of the rows, number the kinds by their content.
func BootstrapCounts(counts []int, statistic func(counts []int) float64, o Options) (Estimate, error) {
	n := 0
	for i, c := range counts {
		if c < 0 {
			return Estimate{}, fmt.Errorf("count %d is negative: %d", i, c)
		}
		n += c
	}
	if o.Clusters != nil {
		return Estimate{}, fmt.Errorf("counted observations have no clusters")
	}
	o, err := o.checked(n)
	if err != nil {
		return Estimate{}, err
	}
	value := statistic(slices.Clone(counts))
	if math.IsNaN(value) {
		return Estimate{}, ErrUndefined
	}
	if n < 2 {
		return unbounded(value, n, n), nil
	}
	draws := resample(o, func() func(*rand.PCG) float64 {
		drawn := make([]int, len(counts))
		return func(source *rand.PCG) float64 {
			multinomial(drawn, counts, n, source)
			return statistic(drawn)
		}
	})
	return interval(value, draws, jackknifeCounts(counts, statistic), n, n, o)
}

// multinomial fills to with n draws from the shares in from. It draws kind by
// kind: given the counts of the kinds before, a count is binomial.
func multinomial(to, from []int, n int, source rand.Source) {
	open, mass := n, n
	for i, c := range from {
		switch {
		case open == 0 || c == 0:
			to[i] = 0
		case c == mass:
			to[i] = open
		default:
			to[i] = int(distuv.Binomial{N: float64(open), P: float64(c) / float64(mass), Src: source}.Rand())
		}
		open -= to[i]
		mass -= c
	}
}

func jackknifeCounts(counts []int, statistic func(counts []int) float64) []left {
	lefts := make([]left, len(counts))
	spread(len(counts), func() func(int) {
		others := slices.Clone(counts)
		return func(i int) {
			if counts[i] == 0 {
				return
			}
			others[i]--
			lefts[i] = left{statistic(others), float64(counts[i])}
			others[i]++
		}
	})
	return lefts
}

// interval returns the estimate of a bootstrap. value is the statistic over all
// observations. It reorders draws.
func interval(value float64, draws []float64, lefts []left, n, units int, o Options) (Estimate, error) {
	drawn := len(draws)
	draws = defined(draws)
	if 2*len(draws) < drawn {
		return unbounded(value, n, units).withUnseen(false, o), nil
	}
	slices.Sort(draws)
	e := Estimate{Value: value, SE: stat.StdDev(draws, nil), N: n, Units: units}
	if spread := draws[len(draws)-1] - draws[0]; spread <= tolerance*math.Abs(value) {
		return e.withUnseen(true, o), nil
	}
	e.Low, e.High, e.Method = bca(value, draws, acceleration(lefts), widened(o.Confidence, units))
	return e.withUnseen(false, o), nil
}

// widened returns how many standard errors an interval with this confidence
// extends to each side. With few units, draws vary too little, by the square
// root of (n-1)/n, and do not account for the uncertainty of their own
// variance, as Student's distribution does (Hesterberg 2015, What Teachers
// Should Know About the Bootstrap, section 5.3). With many units, the result is
// the quantile of the normal distribution.
func widened(confidence float64, units int) float64 {
	n := float64(units)
	return math.Sqrt(n/(n-1)) * studentQuantile(confidence, units-1)
}

// bca returns the bias-corrected and accelerated interval of sorted draws that
// extends z standard errors to each side (Efron 1987; Efron and Tibshirani, An
// Introduction to the Bootstrap, chapter 14). It returns the percentile
// interval if the corrections are undefined: if all draws are on one side of
// the value, or if the acceleration reverses the order.
func bca(value float64, draws []float64, acceleration, z float64) (low, high float64, m Method) {
	at := func(z float64) float64 { return quantile(draws, distuv.UnitNormal.CDF(z)) }
	bias := distuv.UnitNormal.Quantile(shareBelow(draws, value))
	below, above := bias-z, bias+z
	if math.IsInf(bias, 0) || !(1-acceleration*below > 0) || !(1-acceleration*above > 0) {
		return at(-z), at(z), MethodPercentile
	}
	return at(bias + below/(1-acceleration*below)), at(bias + above/(1-acceleration*above)), MethodBCa
}

// shareBelow returns the share of sorted draws below a value. Draws that are
// equal to it, except for rounding, count half.
func shareBelow(draws []float64, value float64) float64 {
	rounding := tolerance * max(math.Abs(draws[0]), math.Abs(draws[len(draws)-1]), math.SmallestNonzeroFloat64/tolerance)
	below, _ := slices.BinarySearch(draws, value-rounding)
	notAbove, _ := slices.BinarySearch(draws, value+rounding)
	return float64(below+notAbove) / float64(2*len(draws))
}

// acceleration estimates how the standard error changes with the value, from
// the values with a part left out. It is NaN if one of them is.
func acceleration(lefts []left) float64 {
	var mean, times float64
	for _, l := range lefts {
		if l.times > 0 {
			mean += l.times * l.value
			times += l.times
		}
	}
	mean /= times
	var squares, cubes float64
	for _, l := range lefts {
		if l.times > 0 {
			d := mean - l.value
			squares += l.times * d * d
			cubes += l.times * d * d * d
		}
	}
	if squares == 0 {
		return 0
	}
	return cubes / (6 * math.Pow(squares, 1.5))
}
