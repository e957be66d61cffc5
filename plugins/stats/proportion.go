package stats

import (
	"math"

	"gonum.org/v1/gonum/mathext"
)

// Wilson returns the share of k in n with its Wilson score interval (Wilson
// 1927), which has its coverage for small n and for shares near 0 and 1, unlike
// the textbook interval. confidence is a level such as 0.95. With n = 0, the
// share is 0 and nothing is known.
func Wilson(k, n int, confidence float64) Estimate {
	if n == 0 {
		return unbounded(0, 0, 0)
	}
	z := normalQuantile(confidence)
	e := wilson(float64(k)/float64(n), float64(n), z)
	e.N, e.Units = n, n
	return e
}

// Share returns the share of k in n with Wilson's interval, modified near the
// ends as in Brown, Cai, and DasGupta (2001, Interval Estimation for a Binomial
// Proportion, section 4.1.1). With only one to three hits, Wilson's interval
// excludes smaller shares too often, so its low end is replaced by that of the
// Poisson distribution. The same applies to misses and the high end.
func Share(k, n int, confidence float64) Estimate {
	if n == 0 {
		return unbounded(0, 0, 0)
	}
	e := share(float64(k)/float64(n), float64(n), confidence)
	e.N, e.Units = n, n
	return e
}

// share is Share for a share p of size rows, which need not be a whole number.
func share(p, size, confidence float64) Estimate {
	e := wilson(p, size, normalQuantile(confidence))
	e.Low = min(e.Low, rareLow(p*size, size, confidence))
	e.High = max(e.High, 1-rareLow((1-p)*size, size, confidence))
	return e
}

// rareLow returns the low end for a share with few hits, or 1 if there are
// more.
func rareLow(hits, size, confidence float64) float64 {
	few := 2.0
	if size > 50 {
		few = 3
	}
	if hits <= 0 || math.Round(hits) > few {
		return 1
	}
	return mathext.GammaIncRegInv(hits, 1-confidence) / size
}

// wilson returns the interval for a share p of size rows, which need not be a
// whole number.
func wilson(p, size, z float64) Estimate {
	middle := p + z*z/(2*size)
	reach := z * math.Sqrt(p*(1-p)/size+z*z/(4*size*size))
	scale := 1 + z*z/size
	e := Estimate{
		Value: p, Low: (middle - reach) / scale, High: (middle + reach) / scale,
		SE: math.Sqrt(p * (1 - p) / size), Method: MethodWilson,
	}
	// At the ends, the formula gives exactly 0 and 1, except for rounding.
	if p == 0 {
		e.Low = 0
	}
	if p == 1 {
		e.High = 1
	}
	return e
}

// Proportion returns the share of hits with the interval of Share. If there are
// clusters, the interval is that of the effective number of rows: the number of
// independent rows that would have the cluster-robust standard error, reduced
// because few clusters give an uncertain standard error (by the squared ratio
// of the quantiles of the normal distribution and Student's). The effective
// number is never more than without the clusters: the number of rows or, if
// some rows have several observations, what these are worth together. If all
// hits are equal, they show no variation, and each cluster counts as one row.
func Proportion(hits []bool, o Options) (Estimate, error) {
	o, err := o.checked(len(hits))
	if err != nil {
		return Estimate{}, err
	}
	values := make([]float64, len(hits))
	k := 0
	for i, hit := range hits {
		if hit {
			values[i] = 1
			k++
		}
	}
	u := newUnits(len(hits), o.Clusters)
	if u.single {
		return Share(k, len(hits), o.Confidence), nil
	}
	p, se := robust(u.parts(values))
	if u.count() < 2 {
		return unbounded(p, len(hits), u.count()), nil
	}
	z := normalQuantile(o.Confidence)
	most := float64(len(hits))
	if p == 0 || p == 1 {
		most = float64(u.count())
	}
	if rows := newUnits(len(hits), o.Rows); !rows.single {
		_, apart := robust(rows.parts(values))
		most = effective(p, apart, z, most, rows.count(), o.Confidence)
	}
	e := share(p, effective(p, se, z, most, u.count(), o.Confidence), o.Confidence)
	e.N, e.Units = len(hits), u.count()
	if se > 0 {
		e.SE = se
	}
	return e, nil
}

// effective returns the number of independent rows, at most most, that would
// have the standard error se of a share p, which was estimated from a number of
// independent units.
func effective(p, se, z, most float64, units int, confidence float64) float64 {
	if p <= 0 || p >= 1 || se == 0 {
		return most
	}
	ratio := z / studentQuantile(confidence, units-1)
	return min(p*(1-p)/(se*se)*ratio*ratio, most)
}
