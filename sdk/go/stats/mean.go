package stats

import (
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/stat/distuv"
)

// Mean estimates the mean with a bootstrap interval, over clusters where
// there are some.
func Mean(values []float64, o Options) (Estimate, error) {
	o, err := o.checked(len(values))
	if err != nil {
		return Estimate{}, err
	}
	if err := finite("value", values); err != nil {
		return Estimate{}, err
	}
	return mean(values, newUnits(len(values), o.Clusters), o)
}

// mean bootstraps the sums of the units: the mean needs no more than those.
func mean(values []float64, u *units, o Options) (Estimate, error) {
	n, count := len(values), u.count()
	sums := u.sums(values)
	total := floats.Sum(sums)
	value := total / float64(n)
	if count < 2 {
		return unbounded(value, n, count), nil
	}
	draws := resample(o, func() func(*rand.PCG) float64 {
		if u.single {
			return func(source *rand.PCG) float64 { return drawMean(sums, source) }
		}
		return func(source *rand.PCG) float64 { return u.drawMean(sums, source) }
	})
	lefts := make([]left, count)
	for unit, sum := range sums {
		lefts[unit] = left{(total - sum) / float64(n-u.size(unit)), 1}
	}
	return interval(value, draws, lefts, n, count, o)
}

func drawMean(values []float64, source *rand.PCG) float64 {
	p, sum := newPicker(source, len(values)), 0.0
	for range values {
		sum += values[p.pick()]
	}
	return sum / float64(len(values))
}

func (u *units) drawMean(sums []float64, source *rand.PCG) float64 {
	p, sum, rows := newPicker(source, len(sums)), 0.0, 0
	for range sums {
		unit := p.pick()
		sum += sums[unit]
		rows += u.size(unit)
	}
	return sum / float64(rows)
}

// StudentMean estimates the mean with Student's t interval. Where there are
// clusters, the standard error is the cluster-robust one (CR1: the sandwich,
// times G/(G-1) for G clusters), with G-1 degrees of freedom.
func StudentMean(values []float64, o Options) (Estimate, error) {
	o, err := o.checked(len(values))
	if err != nil {
		return Estimate{}, err
	}
	if err := finite("value", values); err != nil {
		return Estimate{}, err
	}
	u := newUnits(len(values), o.Clusters)
	value, se := robust(values, u)
	if u.count() < 2 {
		return unbounded(value, len(values), u.count()), nil
	}
	reach := se * studentQuantile(o.Confidence, u.count()-1)
	return Estimate{
		Value: value, Low: value - reach, High: value + reach, SE: se,
		N: len(values), Units: u.count(), Method: MethodStudent,
	}, nil
}

// robust returns the mean and its cluster-robust standard error, which is the
// usual one where each observation is a unit, and infinite for a single unit.
func robust(values []float64, u *units) (mean, se float64) {
	n, count := float64(len(values)), float64(u.count())
	mean = floats.Sum(values) / n
	deviations := make([]float64, len(values))
	for i, v := range values {
		deviations[i] = v - mean
	}
	var squares float64
	for _, d := range u.sums(deviations) {
		squares += d * d
	}
	if count < 2 {
		return mean, math.Inf(1)
	}
	return mean, math.Sqrt(squares*count/(count-1)) / n
}

// studentQuantile is how many standard errors an interval reaches to each
// side.
func studentQuantile(confidence float64, freedom int) float64 {
	return distuv.StudentsT{Mu: 0, Sigma: 1, Nu: float64(freedom)}.Quantile(1 - (1-confidence)/2)
}
