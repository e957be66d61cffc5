package stats

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// McNemar is the two-sided p-value of McNemar's exact test: onlyA rows are
// hits of the first subject alone, onlyB of the second alone, and if the
// subjects are alike, either is as likely.
func McNemar(onlyA, onlyB int) float64 {
	n := onlyA + onlyB
	if n == 0 {
		return 1
	}
	less := distuv.Binomial{N: float64(n), P: 0.5}.CDF(float64(min(onlyA, onlyB)))
	return min(1, 2*less)
}

// PairedShares is the difference of the shares of hits of two subjects on the
// same n rows, with Tango's score interval (Tango 1998). It is the interval of
// the differences that a score test does not reject, and keeps its promise
// for few rows and where no row tells the subjects apart. onlyA rows are hits
// of the first subject alone, onlyB of the second alone.
func PairedShares(onlyA, onlyB, n int, confidence float64) Estimate {
	if n < 1 {
		return unbounded(0, 0, 0)
	}
	return tango(onlyA, onlyB, n, confidence)
}

func tango(onlyA, onlyB, n int, confidence float64) Estimate {
	b, c, size := float64(onlyA), float64(onlyB), float64(n)
	z := distuv.UnitNormal.Quantile(1 - (1-confidence)/2)
	value := (b - c) / size
	e := Estimate{
		Value: value, SE: math.Sqrt(b+c-(b-c)*(b-c)/size) / size,
		N: n, Units: n, Method: MethodTango,
	}
	// The score falls as the difference grows.
	e.Low = bisect(-1, value, func(d float64) bool { return tangoScore(b, c, size, d) > z })
	e.High = bisect(value, 1, func(d float64) bool { return tangoScore(b, c, size, d) > -z })
	return e
}

// tangoScore is how many standard errors the difference seen lies above d,
// with the share of rows that only the second subject hits estimated under d.
func tangoScore(b, c, n, d float64) float64 {
	linear := -b - c + (2*n-b+c)*d
	constant := -c * d * (1 - d)
	share := (math.Sqrt(max(linear*linear-8*n*constant, 0)) - linear) / (4 * n)
	variance := n * (2*share + d*(1-d))
	if variance <= 0 {
		// No row differs where none may: only the sign is left.
		switch above := b - c - n*d; {
		case above > 0:
			return math.Inf(1)
		case above < 0:
			return math.Inf(-1)
		}
		return 0
	}
	return (b - c - n*d) / math.Sqrt(variance)
}

// bisect returns, to eleven places, where between low and high a condition
// that holds from low on ceases to hold.
func bisect(low, high float64, holds func(float64) bool) float64 {
	for high-low > 1e-11 {
		middle := low + (high-low)/2
		if holds(middle) {
			low = middle
		} else {
			high = middle
		}
	}
	return low + (high-low)/2
}
