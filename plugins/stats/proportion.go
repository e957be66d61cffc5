package stats

import (
	"math"

	"gonum.org/v1/gonum/mathext"
)

// Wilson is the share k of n with its Wilson score interval (Wilson 1927),
// which keeps its promise for small n and shares near 0 and 1, where the
// textbook interval does not; confidence is such as 0.95. With n = 0 the share
// is 0 and nothing is known.
func Wilson(k, n int, confidence float64) Estimate {
	if n == 0 {
		return unbounded(0, 0, 0)
	}
	z := normalQuantile(confidence)
	e := wilson(float64(k)/float64(n), float64(n), z)
	e.N, e.Units = n, n
	return e
}

// Share is the share k of n with Wilson's interval, modified near the ends as
// Brown, Cai, and DasGupta propose (2001, Interval Estimation for a Binomial
// Proportion, section 4.1.1). Where only one to three rows are hits, Wilson's
// interval excludes smaller shares too often; its low end is then that of the
// Poisson distribution. The same holds for misses and the high end.
func Share(k, n int, confidence float64) Estimate {
	if n == 0 {
		return unbounded(0, 0, 0)
	}
	e := share(float64(k)/float64(n), float64(n), confidence)
	e.N, e.Units = n, n
	return e
}

// share is Share for a share p of size rows, which need not be whole.
func share(p, size, confidence float64) Estimate {
	e := wilson(p, size, normalQuantile(confidence))
	e.Low = min(e.Low, rareLow(p*size, size, confidence))
	e.High = max(e.High, 1-rareLow((1-p)*size, size, confidence))
	return e
}

// rareLow is the low end of a share of hits that are few, and 1 if they are not.
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

// wilson is the interval for a share p of size rows, which need not be whole.
func wilson(p, size, z float64) Estimate {
	middle := p + z*z/(2*size)
	reach := z * math.Sqrt(p*(1-p)/size+z*z/(4*size*size))
	scale := 1 + z*z/size
	e := Estimate{
		Value: p, Low: (middle - reach) / scale, High: (middle + reach) / scale,
		SE: math.Sqrt(p * (1 - p) / size), Method: MethodWilson,
	}
	// At the ends the formula gives exactly 0 and 1 but for rounding.
	if p == 0 {
		e.Low = 0
	}
	if p == 1 {
		e.High = 1
	}
	return e
}

// Proportion is the share of hits with the interval of Share. Where there are
// clusters, the interval is that of the effective number of rows: as many
// independent rows as would have the cluster-robust standard error, lowered
// for what few clusters don't know of it (by the ratio of the quantiles of
// the normal and of Student's distribution, squared). It is never more than
// without the clusters: the number of rows or, where some have several
// observations, what these say together. Hits that are all alike show no variation; the clusters
// then count as one row each.
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

// effective is the number of independent rows, most at the most, that would say
// as much about a share p as its standard error does, which units independent
// parts were found to have.
func effective(p, se, z, most float64, units int, confidence float64) float64 {
	if p <= 0 || p >= 1 || se == 0 {
		return most
	}
	ratio := z / studentQuantile(confidence, units-1)
	return min(p*(1-p)/(se*se)*ratio*ratio, most)
}
