package stats

import (
	"math"

	"gonum.org/v1/gonum/integrate/quad"
	"gonum.org/v1/gonum/mathext"
	"gonum.org/v1/gonum/stat/distuv"
)

// Detectable returns the smallest true mean difference that a two-sided paired
// t test of n independent rows detects with the given power (such as 0.8), at
// the given confidence (such as 0.95). deviation is the standard deviation of
// the differences, in the unit of the result. With fewer than two rows, the
// result is infinite.
func Detectable(deviation float64, n int, confidence, power float64) float64 {
	if n < 2 {
		return math.Inf(1)
	}
	critical := studentQuantile(confidence, n-1)
	weak := func(shift float64) bool { return studentPower(shift, critical, float64(n-1)) < power }
	high := 1.0
	for weak(high) {
		high *= 2
	}
	return bisect(0, high, weak) * deviation / math.Sqrt(float64(n))
}

// studentPower returns the probability that a t statistic is beyond the
// critical value on either side, if the mean is shift standard errors from
// zero. It is the mean of a normal probability over the estimates of the
// standard error.
func studentPower(shift, critical, freedom float64) float64 {
	// The squared ratio of the estimate to the true value is chi squared,
	// divided by freedom.
	squares := distuv.ChiSquared{K: freedom}
	reject := func(ratio float64) float64 {
		at := critical * ratio
		return distuv.UnitNormal.CDF(shift-at) + distuv.UnitNormal.CDF(-shift-at)
	}
	density := func(ratio float64) float64 {
		return squares.Prob(ratio*ratio*freedom) * 2 * ratio * freedom * reject(ratio)
	}
	reach := 9 / math.Sqrt(2*freedom)
	return quad.Fixed(density, max(0, 1-reach), 1+reach, 200, quad.Legendre{}, 0)
}

// DetectableShare returns the smallest true difference between two subjects'
// shares of hits on the same n rows that McNemar's exact test detects with the
// given power (such as 0.8), at the given confidence (such as 0.95). discordant
// is the share of rows that only one of them hits. A difference requires at
// least as large a share of such rows, so there is a detectable difference even
// for subjects that never differed. The result is infinite if no difference can
// be significant with n rows.
func DetectableShare(discordant float64, n int, confidence, power float64) float64 {
	if n < 1 {
		return math.Inf(1)
	}
	m := &mcNemarPower{n: n, level: 1 - confidence, critical: make(map[int]int)}
	weak := func(difference float64) bool {
		return m.power(difference, max(discordant, difference)) < power
	}
	if weak(1) {
		return math.Inf(1)
	}
	return bisect(0, 1, weak)
}

// mcNemarPower computes what McNemar's exact test detects on n rows at a level.
type mcNemarPower struct {
	n     int
	level float64
	// critical contains, by the number of discordant rows, the maximum number
	// of them on one side for which the test rejects, or -1 if it never does.
	critical map[int]int
}

// power returns the probability that the test rejects in favor of the better
// subject, over the number of discordant rows and their distribution.
func (m *mcNemarPower) power(difference, discordant float64) float64 {
	if discordant == 0 {
		return 0
	}
	worse := (discordant - difference) / (2 * discordant)
	middle := float64(m.n) * discordant
	reach := 8*math.Sqrt(middle*(1-discordant)) + 20
	var total float64
	for rows := max(0, int(middle-reach)); rows <= min(m.n, int(middle+reach)); rows++ {
		if most := m.most(rows); most >= 0 {
			total += binomialMass(rows, m.n, discordant) * binomialTail(most, rows, worse)
		}
	}
	return total
}

// most looks up the critical number, or searches for it near that of a normal
// distribution.
func (m *mcNemarPower) most(rows int) int {
	if most, known := m.critical[rows]; known {
		return most
	}
	z := distuv.UnitNormal.Quantile(1 - m.level/2)
	most := max(-1, int((float64(rows)-z*math.Sqrt(float64(rows)))/2)-1)
	for most >= 0 && McNemar(most, rows-most) > m.level {
		most--
	}
	for 2*(most+1) < rows && McNemar(most+1, rows-most-1) <= m.level {
		most++
	}
	m.critical[rows] = most
	return most
}

// binomialMass returns the probability of k hits in n.
func binomialMass(k, n int, p float64) float64 {
	switch {
	case p >= 1:
		return indicator(k == n)
	case p <= 0:
		return indicator(k == 0)
	}
	choose, _ := math.Lgamma(float64(n + 1))
	a, _ := math.Lgamma(float64(k + 1))
	b, _ := math.Lgamma(float64(n - k + 1))
	return math.Exp(choose - a - b + float64(k)*math.Log(p) + float64(n-k)*math.Log1p(-p))
}

// binomialTail returns the probability of at most k hits in n.
func binomialTail(k, n int, p float64) float64 {
	switch {
	case p <= 0 || k >= n:
		return 1
	case p >= 1:
		return 0
	}
	return mathext.RegIncBeta(float64(n-k), float64(k+1), 1-p)
}

func indicator(holds bool) float64 {
	if holds {
		return 1
	}
	return 0
}
