package stats

import (
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"
)

// Mean estimates the mean with a bootstrap interval, over clusters if there are
// any. A bootstrap of few values never leaves their range and is too narrow, so
// the interval extends at least as far as that of StudentMean (Hesterberg 2015,
// What Teachers Should Know About the Bootstrap, section 5). It also allows for
// values that were not seen; see Options.Range.
func Mean(values []float64, o Options) (Estimate, error) {
	o, err := o.checked(len(values))
	if err != nil {
		return Estimate{}, err
	}
	if err := o.usable("value", values); err != nil {
		return Estimate{}, err
	}
	return mean(newUnits(len(values), o.Clusters).parts(values), len(values), o)
}

// mean bootstraps the parts, which are all that the mean needs.
func mean(parts []part, n int, o Options) (Estimate, error) {
	value := ratio(parts)
	if len(parts) < 2 {
		return unbounded(value, n, len(parts)), nil
	}
	if alike(parts, value) {
		return Estimate{Value: value, N: n, Units: len(parts)}.withUnseen(true, o), nil
	}
	draw := drawMean
	if allSingle(parts) {
		draw = drawSingle
	}
	draws := resample(o, func() func(*rand.PCG) float64 {
		return func(source *rand.PCG) float64 { return draw(parts, source) }
	})
	sum := value * float64(n)
	lefts := make([]left, len(parts))
	for i, p := range parts {
		lefts[i] = left{(sum - p.sum) / (float64(n) - p.size), 1}
	}
	e, err := interval(value, draws, lefts, n, len(parts), o)
	_, se := robust(parts)
	reach := se * studentQuantile(o.Confidence, len(parts)-1)
	e.Low, e.High = min(e.Low, value-reach), max(e.High, value+reach)
	if o.bounded() {
		e = e.Within(o.Range[0], o.Range[1])
	}
	return e, err
}

func allSingle(parts []part) bool {
	return !slices.ContainsFunc(parts, func(p part) bool { return p.size != 1 })
}

// drawSingle is drawMean for parts with one observation each.
func drawSingle(parts []part, source *rand.PCG) float64 {
	p, sum := newPicker(source, len(parts)), 0.0
	for range parts {
		sum += parts[p.pick()].sum
	}
	return sum / float64(len(parts))
}

func drawMean(parts []part, source *rand.PCG) float64 {
	p, sum, size := newPicker(source, len(parts)), 0.0, 0.0
	for range parts {
		drawn := parts[p.pick()]
		sum += drawn.sum
		size += drawn.size
	}
	return sum / size
}

// StudentMean estimates the mean with Student's t interval. If there are
// clusters, the standard error is cluster-robust (CR1: the sandwich estimator,
// times G/(G-1) for G clusters), with G-1 degrees of freedom. It does not allow
// for values that were not seen.
func StudentMean(values []float64, o Options) (Estimate, error) {
	o, err := o.checked(len(values))
	if err != nil {
		return Estimate{}, err
	}
	if err := o.usable("value", values); err != nil {
		return Estimate{}, err
	}
	parts := newUnits(len(values), o.Clusters).parts(values)
	value, se := robust(parts)
	if len(parts) < 2 {
		return unbounded(value, len(values), len(parts)), nil
	}
	reach := se * studentQuantile(o.Confidence, len(parts)-1)
	return Estimate{
		Value: value, Low: value - reach, High: value + reach, SE: se,
		N: len(values), Units: len(parts), Method: MethodStudent,
	}, nil
}

// robust returns the mean and its cluster-robust standard error. If each
// observation is a unit, that is the usual standard error, and for a single
// unit it is infinite.
func robust(parts []part) (mean, se float64) {
	mean = ratio(parts)
	if len(parts) < 2 {
		return mean, math.Inf(1)
	}
	squares, n := make([]float64, len(parts)), 0.0
	for i, p := range parts {
		d := p.sum - mean*p.size
		squares[i] = d * d
		n += p.size
	}
	count := float64(len(parts))
	return mean, math.Sqrt(total(squares)*count/(count-1)) / n
}

// studentQuantile returns how many standard errors an interval extends to each
// side.
func studentQuantile(confidence float64, freedom int) float64 {
	return distuv.StudentsT{Mu: 0, Sigma: 1, Nu: float64(freedom)}.Quantile(1 - (1-confidence)/2)
}

// normalQuantile is studentQuantile for many degrees of freedom.
func normalQuantile(confidence float64) float64 {
	return distuv.UnitNormal.Quantile(1 - (1-confidence)/2)
}
