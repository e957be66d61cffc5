package stats

import (
	"math"

	"gonum.org/v1/gonum/mathext"
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
// same n rows, and the p-value that they are alike. onlyA rows are hits of the
// first subject alone, onlyB of the second alone.
//
// The p-value is that of McNemar's exact test. The interval is Tango's score
// interval (Tango 1998), which keeps its promise for few rows and where no row
// tells the subjects apart, widened to the exact interval of Clopper and Pearson
// for the discordant rows where that reaches further. The latter excludes 0
// exactly if McNemar's test rejects, so that interval and test agree. (Far out,
// the score test can be the more cautious one; the p-value is then its own.)
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

// clopperPearson is the exact interval of a share k of n.
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

// Tango is the difference of two paired shares with Tango's score interval alone:
// the differences that a score test does not reject.
func Tango(onlyA, onlyB, n int, confidence float64) Estimate {
	b, c, size := float64(onlyA), float64(onlyB), float64(n)
	z := normalQuantile(confidence)
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
