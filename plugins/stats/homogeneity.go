package stats

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mathext"
)

// The tests of whether two samples come from the same distribution.
const (
	// TestKS is the test of Kolmogorov and Smirnov, with its limiting
	// distribution.
	TestKS Test = "kolmogorov-smirnov"
	// TestChiSquare is Pearson's chi-square test.
	TestChiSquare Test = "chi-square"
)

// Homogeneity is what is known about the difference between two distributions.
type Homogeneity struct {
	// Distance is the greatest difference of both cumulative distributions
	// (KolmogorovSmirnov), or half the sum of the differences of shares
	// (ChiSquare).
	Distance Estimate
	// P is the p-value under the null hypothesis of no difference.
	P    float64
	Test Test
}

// KolmogorovSmirnov compares the distributions of two samples of independent
// numbers. a[i] and b[i] count the numbers of each sample in cell i of a grid; cells
// are in the order of their numbers. If the cells contain more than one number,
// the true distance between the samples can be larger. The interval is that of
// Dvoretzky, Kiefer, and Wolfowitz for both samples, so it holds for any
// distribution and is wider than necessary. p is too large if there are ties.
func KolmogorovSmirnov(a, b []int64, confidence float64) (Homogeneity, error) {
	n, m, err := sizes(a, b, confidence)
	if err != nil {
		return Homogeneity{}, err
	}
	var x, y int64
	distance := 0.0
	for i := range a {
		x, y = x+a[i], y+b[i]
		distance = max(distance, math.Abs(float64(x)/n-float64(y)/m))
	}
	reach := func(size float64) float64 { return math.Sqrt(math.Log(4/(1-confidence)) / (2 * size)) }
	e := unbounded(distance, int(n+m), int(n+m))
	e.Low, e.High, e.Method = distance-reach(n)-reach(m), distance+reach(n)+reach(m), MethodDKW
	return Homogeneity{Distance: e.Within(0, 1), P: kolmogorov(distance * math.Sqrt(n*m/(n+m))), Test: TestKS}, nil
}

// MethodDKW is the interval of Dvoretzky, Kiefer, and Wolfowitz, with Massart's
// constant.
const MethodDKW Method = "dkw"

// kolmogorov returns the probability that the limiting distribution of
// Kolmogorov's statistic is above x.
func kolmogorov(x float64) float64 {
	if x <= 0 {
		return 1
	}
	if x < 1 {
		// The other form of the series converges faster here.
		sum := 0.0
		for k := 1.0; k < 20; k += 2 {
			sum += math.Exp(-k * k * math.Pi * math.Pi / (8 * x * x))
		}
		return min(max(1-math.Sqrt(2*math.Pi)/x*sum, 0), 1)
	}
	sum, sign := 0.0, 1.0
	for k := 1.0; k < 20; k++ {
		sum += sign * math.Exp(-2*k*k*x*x)
		sign = -sign
	}
	return min(max(2*sum, 0), 1)
}

// ChiSquare compares how two samples are spread over classes. a[i] and b[i] count
// the observations of class i. Classes that occur in neither are left out. The
// interval of the distance is the one that its variance gives (with a normal
// distribution), and reaches to 0 if the test finds no difference.
func ChiSquare(a, b []int64, confidence float64) (Homogeneity, error) {
	n, m, err := sizes(a, b, confidence)
	if err != nil {
		return Homogeneity{}, err
	}
	statistic, classes, distance := 0.0, 0, 0.0
	var up [2]float64 // the shares of the classes that are larger in a
	for i := range a {
		x, y := float64(a[i]), float64(b[i])
		if x+y == 0 {
			continue
		}
		classes++
		part := x*math.Sqrt(m/n) - y*math.Sqrt(n/m)
		statistic += part * part / (x + y)
		distance += math.Abs(x/n-y/m) / 2
		if x/n >= y/m {
			up[0], up[1] = up[0]+x/n, up[1]+y/m
		}
	}
	h := Homogeneity{P: 1, Test: TestChiSquare, Distance: unbounded(distance, int(n+m), int(n+m))}
	if classes > 1 {
		h.P = mathext.GammaIncRegComp(float64(classes-1)/2, statistic/2)
	}
	// The distance is the difference of two shares: those of the classes that are
	// larger in a.
	se := math.Sqrt(up[0]*(1-up[0])/n + up[1]*(1-up[1])/m)
	reach := normalQuantile(confidence) * se
	h.Distance.SE, h.Distance.Method = se, MethodNormal
	h.Distance.Low, h.Distance.High = distance-reach, distance+reach
	if h.P >= 1-confidence {
		h.Distance.Low = 0
	}
	h.Distance = h.Distance.Within(0, 1)
	return h, nil
}

// MethodNormal is an interval from a standard error and the normal distribution.
const MethodNormal Method = "normal"

// PSI returns the population stability index of two samples: the sum over the
// classes of (p-q)*ln(p/q), where p and q are the shares of the class in a and b.
// Each count has 0.5 added, so that it is finite. The interval is for the index of
// the populations; it follows from the noncentral chi-square distribution
// (Yurdakul and Naranjo 2020). The index of samples is greater than that on
// average, by (classes-1)*(1/n+1/m).
func PSI(a, b []int64, confidence float64) (Estimate, error) {
	n, m, err := sizes(a, b, confidence)
	if err != nil {
		return Estimate{}, err
	}
	classes := 0.0
	for i := range a {
		if a[i]+b[i] > 0 {
			classes++
		}
	}
	psi := 0.0
	for i := range a {
		if a[i]+b[i] > 0 {
			p, q := (float64(a[i])+0.5)/(n+classes/2), (float64(b[i])+0.5)/(m+classes/2)
			psi += (p - q) * math.Log(p/q)
		}
	}
	e := unbounded(psi, int(n+m), int(n+m))
	e.Low, e.Method = 0, MethodNoncentral
	if classes < 2 {
		return e, nil
	}
	unit := 1/n + 1/m
	low, high := noncentrality(psi/unit, classes-1, confidence)
	e.Low, e.High = min(low*unit, psi), max(high*unit, psi)
	return e, nil
}

// sizes returns the sizes of two samples.
func sizes(a, b []int64, confidence float64) (n, m float64, err error) {
	if len(a) != len(b) {
		return 0, 0, fmt.Errorf("there are %d counts of one sample and %d of the other", len(a), len(b))
	}
	for i := range a {
		if a[i] < 0 || b[i] < 0 {
			return 0, 0, fmt.Errorf("count %d is negative", i)
		}
		n, m = n+float64(a[i]), m+float64(b[i])
	}
	if n == 0 || m == 0 {
		return 0, 0, ErrNoObservations
	}
	_, err = Options{Confidence: confidence}.checked(int(n + m))
	return n, m, err
}

// ShareDifference returns the share of k in n minus that of l in m, of independent
// samples, with Newcombe's interval (1998, method 10).
func ShareDifference(k, n, l, m int, confidence float64) (Estimate, error) {
	if n == 0 || m == 0 {
		return Estimate{}, ErrNoObservations
	}
	if _, err := (Options{Confidence: confidence}).checked(n + m); err != nil {
		return Estimate{}, err
	}
	a, b := Wilson(k, n, confidence), Wilson(l, m, confidence)
	e := unbounded(a.Value-b.Value, n+m, n+m)
	e.Low = e.Value - math.Hypot(a.Value-a.Low, b.High-b.Value)
	e.High = e.Value + math.Hypot(a.High-a.Value, b.Value-b.Low)
	e.SE, e.Method = math.Hypot(a.SE, b.SE), MethodNewcombe
	return e, nil
}

// MethodNewcombe is Newcombe's interval for a difference of independent shares.
const MethodNewcombe Method = "newcombe"
