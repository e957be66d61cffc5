package stats

import (
	"math"

	"gonum.org/v1/gonum/mathext"
	"gonum.org/v1/gonum/stat/distuv"
)

// noncentrality returns the interval of the noncentrality parameters with which a
// chi-square statistic with df degrees of freedom is not too extreme.
func noncentrality(statistic, df, confidence float64) (low, high float64) {
	tail := (1 - confidence) / 2
	return noncentralityAt(statistic, df, 1-tail), noncentralityAt(statistic, df, tail)
}

// noncentralityAt returns the parameter with which a statistic this small has the
// probability p, or 0 if it is less likely without any.
func noncentralityAt(statistic, df, p float64) float64 {
	if noncentralCDF(statistic, df, 0) <= p {
		return 0
	}
	low, high := 0.0, max(statistic, 1)
	for noncentralCDF(statistic, df, high) > p {
		low, high = high, 2*high
	}
	for high-low > 1e-10*high {
		middle := low + (high-low)/2
		if noncentralCDF(statistic, df, middle) > p {
			low = middle
		} else {
			high = middle
		}
	}
	return high
}

// fewNoncentral is the noncentrality up to which the distribution is summed. Above
// it, a power of the variable is normal to within 1e-4.
const fewNoncentral = 1000

// noncentralCDF returns the noncentral chi-square distribution function.
func noncentralCDF(x, df, lambda float64) float64 {
	switch {
	case x <= 0:
		return 0
	case lambda == 0:
		return mathext.GammaIncReg(df/2, x/2)
	case lambda > fewNoncentral:
		return sankaran(x, df, lambda)
	}
	// A mixture of chi-square distributions, with weights of a Poisson
	// distribution, from its mode in both directions.
	weights := distuv.Poisson{Lambda: lambda / 2}
	term := func(j float64) float64 { return weights.Prob(j) * mathext.GammaIncReg(df/2+j, x/2) }
	mode := math.Floor(lambda / 2)
	sum := 0.0
	for j := mode; j >= 0; j-- {
		sum += term(j)
		if weights.Prob(j) < 1e-17 {
			break
		}
	}
	for j := mode + 1; ; j++ {
		sum += term(j)
		if weights.Prob(j) < 1e-17 {
			return min(sum, 1)
		}
	}
}

// sankaran approximates the noncentral chi-square distribution function (Sankaran
// 1963).
func sankaran(x, df, lambda float64) float64 {
	h := 1 - 2*(df+lambda)*(df+3*lambda)/(3*(df+2*lambda)*(df+2*lambda))
	p := (df + 2*lambda) / ((df + lambda) * (df + lambda))
	m := (h - 1) * (1 - 3*h)
	mean := 1 + h*p*(h-1-(2-h)*m*p/2)
	sd := h * math.Sqrt(2*p*(1+m*p/2))
	return distuv.UnitNormal.CDF((math.Pow(x/(df+lambda), h) - mean) / sd)
}
