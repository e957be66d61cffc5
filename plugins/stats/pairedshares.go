package stats

import (
	"math"

	"gonum.org/v1/gonum/mathext"
	"gonum.org/v1/gonum/stat/distuv"
)

// McNemar returns the two-sided p-value of McNemar's exact test. onlyA is the
// number of rows that only the first subject hits, and onlyB the number that
// only the second hits. If the subjects are equally good, both are equally
// likely.
func McNemar(onlyA, onlyB int) float64 {
	n := onlyA + onlyB
	if n == 0 {
		return 1
	}
	less := distuv.Binomial{N: float64(n), P: 0.5}.CDF(float64(min(onlyA, onlyB)))
	return min(1, 2*less)
}

// PairedShares returns the difference between two subjects' shares of hits on
// the same n rows, and the p-value of the hypothesis that they are equal. onlyA
// is the number of rows that only the first subject hits, and onlyB the number
// that only the second hits.
//
// The p-value is that of McNemar's exact test. The interval is Tango's score
// interval (Tango 1998), which has its coverage with few rows and if the
// subjects agree on all rows. If the exact interval of Clopper and Pearson for
// the discordant rows extends further, the interval is widened to that. That
// one excludes 0 if and only if McNemar's test rejects, so the interval and the
// test agree. (Far from 0, the score test can be the more cautious one. The
// p-value is then its own.)
func PairedShares(onlyA, onlyB, n int, confidence float64) (Estimate, float64) {
	if n < 1 {
		return unbounded(0, 0, 0), 1
	}
	e := Tango(onlyA, onlyB, n, confidence)
	discordant := onlyA + onlyB
	if discordant == 0 {
		return e, 1
	}
	share := float64(discordant) / float64(n)
	low, high := clopperPearson(onlyA, discordant, confidence)
	e.Low, e.High = min(e.Low, (2*low-1)*share), max(e.High, (2*high-1)*share)
	score := math.Abs(float64(onlyA-onlyB)) / math.Sqrt(float64(discordant))
	return e, max(McNemar(onlyA, onlyB), 2*distuv.UnitNormal.CDF(-score))
}

// clopperPearson returns the exact interval of a share of k in n.
func clopperPearson(k, n int, confidence float64) (low, high float64) {
	tail := (1 - confidence) / 2
	low, high = 0, 1
	if k > 0 {
		low = mathext.InvRegIncBeta(float64(k), float64(n-k+1), tail)
	}
	if k < n {
		high = mathext.InvRegIncBeta(float64(k+1), float64(n-k), 1-tail)
	}
	return low, high
}

// Tango returns the difference of two paired shares with only Tango's score
// interval: the differences that a score test does not reject.
func Tango(onlyA, onlyB, n int, confidence float64) Estimate {
	b, c, size := float64(onlyA), float64(onlyB), float64(n)
	z := normalQuantile(confidence)
	value := (b - c) / size
	e := Estimate{
		Value: value, SE: math.Sqrt(b+c-(b-c)*(b-c)/size) / size,
		N: n, Units: n, Method: MethodTango,
	}
	// The score decreases as the difference increases.
	e.Low = bisect(-1, value, func(d float64) bool { return tangoScore(b, c, size, d) > z })
	e.High = bisect(value, 1, func(d float64) bool { return tangoScore(b, c, size, d) > -z })
	return e
}

// tangoScore returns how many standard errors the observed difference is above
// d. The share of rows that only the second subject hits is estimated under d.
func tangoScore(b, c, n, d float64) float64 {
	linear := -b - c + (2*n-b+c)*d
	constant := -c * d * (1 - d)
	share := (math.Sqrt(max(linear*linear-8*n*constant, 0)) - linear) / (4 * n)
	variance := n * (2*share + d*(1-d))
	if variance <= 0 {
		// If d rules out rows that differ, only the sign is left.
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

// bisect returns, to eleven digits, the point between low and high up to which
// a condition is true.
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
