package stats

import (
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/quern-dev/quern/internal/reference"
)

// scipyTests computes the same statistics with scipy.
const scipyTests = `
import json, sys, warnings
import numpy as np
from scipy import special, stats
warnings.simplefilter("ignore")
out = []
for case in json.loads(sys.argv[1]):
    a, b = np.array(case["a"]), np.array(case["b"])
    n, m = a.sum(), b.sum()
    x, y = np.repeat(np.arange(len(a)), a), np.repeat(np.arange(len(b)), b)
    d = stats.ks_2samp(x, y, method="asymp").statistic
    seen = a + b > 0
    table = np.array([a[seen], b[seen]])
    p = stats.chi2_contingency(table, correction=False).pvalue if seen.sum() > 1 else 1.0
    shares = (a[seen] + .5) / (a[seen] + .5).sum(), (b[seen] + .5) / (b[seen] + .5).sum()
    psi = ((shares[0] - shares[1]) * np.log(shares[0] / shares[1])).sum()
    u, v = np.array(case["x"]), np.array(case["y"])
    r = stats.pearsonr(u, v)
    ci = r.confidence_interval(0.95)
    out.append(dict(ks=d, ksp=special.kolmogorov(d * np.sqrt(n * m / (n + m))), chi=p, psi=psi, tv=np.abs(a / n - b / m).sum() / 2,
                    pearson=r.statistic, low=ci.low, high=ci.high, spearman=stats.spearmanr(u, v).statistic))
print(json.dumps(out))
`

func TestComparisonsOfDistributionsAreThoseOfScipy(t *testing.T) {
	type sample struct {
		A, B []int64
		X, Y []float64
	}
	random := rand.New(rand.NewPCG(1, 2))
	var cases []sample
	for range 60 {
		c := sample{}
		most := int64(1) << random.IntN(9)
		for range 1 + random.IntN(12) {
			c.A, c.B = append(c.A, random.Int64N(most+1)), append(c.B, random.Int64N(most+1))
		}
		c.A[0]++
		c.B[len(c.B)-1]++
		for range 5 + random.IntN(40) {
			x := math.Round(random.NormFloat64() * 3)
			c.X, c.Y = append(c.X, x), append(c.Y, math.Round(x+random.NormFloat64()*4))
		}
		cases = append(cases, c)
	}
	var given []map[string]any
	for _, c := range cases {
		given = append(given, map[string]any{"a": c.A, "b": c.B, "x": c.X, "y": c.Y})
	}
	text, err := json.Marshal(given)
	if err != nil {
		t.Fatal(err)
	}
	var want []struct{ KS, KSP, Chi, PSI, TV, Pearson, Low, High, Spearman float64 }
	if err := json.Unmarshal(reference.Python(t, scipyTests, string(text)), &want); err != nil {
		t.Fatal(err)
	}
	for i, c := range cases {
		w := want[i]
		ks, err := KolmogorovSmirnov(c.A, c.B, 0.95)
		if err != nil {
			t.Fatal(err)
		}
		chi, err := ChiSquare(c.A, c.B, 0.95)
		if err != nil {
			t.Fatal(err)
		}
		psi, err := PSI(c.A, c.B, 0.95)
		if err != nil {
			t.Fatal(err)
		}
		r, err := Pearson(c.X, c.Y, 0.95)
		if err != nil {
			t.Fatal(err)
		}
		rho, err := Spearman(c.X, c.Y, 0.95)
		if err != nil {
			t.Fatal(err)
		}
		for name, pair := range map[string][2]float64{
			"distance of Kolmogorov and Smirnov": {ks.Distance.Value, w.KS}, "its p-value": {ks.P, w.KSP},
			"p-value of chi-square": {chi.P, w.Chi}, "total variation": {chi.Distance.Value, w.TV}, "PSI": {psi.Value, w.PSI},
			"Pearson": {r.Value, w.Pearson}, "its low end": {r.Low, w.Low}, "its high end": {r.High, w.High}, "Spearman": {rho.Value, w.Spearman},
		} {
			if !(math.Abs(pair[0]-pair[1]) <= 1e-9*max(1, math.Abs(pair[1]))) {
				t.Errorf("%+v: the %s is %g, want %g", c, name, pair[0], pair[1])
			}
		}
	}
}

const scipyNoncentral = `
import json, sys
from scipy import stats
from scipy.stats.contingency import association
print(json.dumps(dict(
    cdf=[float(stats.ncx2.cdf(x, df, nc)) for x, df, nc in json.loads(sys.argv[1])],
    v=[float(association(t, correction=False)) for t in json.loads(sys.argv[2])])))
`

func TestTheNoncentralDistributionIsThatOfScipy(t *testing.T) {
	var points [][3]float64
	for _, df := range []float64{1, 4, 19, 200} {
		for _, lambda := range []float64{0.01, 1, 30, 900, 1100, 1e5} {
			for _, z := range []float64{-3, -1, 0, 2} {
				if x := df + lambda + z*math.Sqrt(2*(df+2*lambda)); x > 0 {
					points = append(points, [3]float64{x, df, lambda})
				}
			}
		}
	}
	tables := [][][]int{{{10, 20}, {30, 5}}, {{400, 20, 7}, {30, 500, 9}, {3, 4, 600}}}
	text, _ := json.Marshal(points)
	others, _ := json.Marshal(tables)
	var want struct{ CDF, V []float64 }
	if err := json.Unmarshal(reference.Python(t, scipyNoncentral, string(text), string(others)), &want); err != nil {
		t.Fatal(err)
	}
	for i, p := range points {
		tolerance := 1e-9
		if p[2] > fewNoncentral {
			tolerance = 1e-4
		}
		if got := noncentralCDF(p[0], p[1], p[2]); math.Abs(got-want.CDF[i]) > tolerance {
			t.Errorf("the distribution at %v is %g, want %g", p, got, want.CDF[i])
		}
	}
	for i, table := range tables {
		statistic, rows, columns, n, err := independence(table)
		if err != nil {
			t.Fatal(err)
		}
		if got := math.Sqrt(statistic / float64(n) / float64(min(rows, columns)-1)); math.Abs(got-want.V[i]) > 1e-12 {
			t.Errorf("V without correction is %g, want %g", got, want.V[i])
		}
		if e, err := CramersV(table, 0.95); err != nil || e.Value > want.V[i] || e.Value < want.V[i]-0.05 || e.Low > e.Value || e.High < want.V[i] {
			t.Errorf("V is %+v, %v", e, err)
		}
	}
}

func TestWhatIsNotDefinedIsAnError(t *testing.T) {
	for name, err := range map[string]error{
		"constant":     second(Pearson([]float64{1, 1, 1, 1}, []float64{1, 2, 3, 4}, 0.95)),
		"one class":    second(CramersV([][]int{{3, 0}, {4, 0}}, 0.95)),
		"own values":   second(CramersV([][]int{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}, 0.95)),
		"no relations": second(Spearman(nil, nil, 0.95)),
		"no counts":    second(PSI([]int64{0}, []int64{1}, 0.95)),
	} {
		if !errors.Is(err, ErrUndefined) && !errors.Is(err, ErrNoObservations) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := KolmogorovSmirnov([]int64{-1}, []int64{1}, 0.95); err == nil {
		t.Error("a negative count is accepted")
	}
	if _, err := ChiSquare([]int64{1}, []int64{1, 2}, 0.95); err == nil {
		t.Error("counts of different classes are accepted")
	}
}

func second[T any](_ T, err error) error { return err }

// Two samples of the same population seldom differ significantly, and intervals
// contain the true figures.
func TestDriftIsSeldomFoundWhereThereIsNone(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	const rounds = 2000
	p := []float64{0.4, 0.3, 0.15, 0.1, 0.05}
	q := []float64{0.3, 0.3, 0.15, 0.15, 0.1}
	truePSI, trueDistance := 0.0, 0.0
	for i := range p {
		truePSI += (p[i] - q[i]) * math.Log(p[i]/q[i])
		trueDistance += math.Abs(p[i]-q[i]) / 2
	}
	draw := func(shares []float64, n int) []int64 {
		counts := make([]int64, len(shares))
		for range n {
			u := random.Float64()
			i := 0
			for u >= shares[i] && i < len(shares)-1 {
				u -= shares[i]
				i++
			}
			counts[i]++
		}
		return counts
	}
	found := map[string]int{}
	count := func(name string, is bool) {
		if is {
			found[name]++
		}
	}
	for range rounds {
		a, b, c := draw(p, 400), draw(p, 300), draw(q, 300)
		ks, err := KolmogorovSmirnov(a, b, 0.95)
		if err != nil {
			t.Fatal(err)
		}
		chi, err := ChiSquare(a, b, 0.95)
		if err != nil {
			t.Fatal(err)
		}
		psi, err := PSI(a, b, 0.95)
		if err != nil {
			t.Fatal(err)
		}
		other, err := PSI(a, c, 0.95)
		if err != nil {
			t.Fatal(err)
		}
		apart, err := ChiSquare(a, c, 0.95)
		if err != nil {
			t.Fatal(err)
		}
		count("ks", ks.P < 0.05)
		count("chi", chi.P < 0.05)
		count("psi above 0", psi.Low > 0)
		count("psi covers", other.Low <= truePSI && truePSI <= other.High)
		count("distance covers", apart.Distance.Low <= trueDistance && trueDistance <= apart.Distance.High)
	}
	for name, limits := range map[string][2]float64{
		"ks": {0, 0.05}, "chi": {0.035, 0.065}, "psi above 0": {0.01, 0.04}, "psi covers": {0.93, 0.98}, "distance covers": {0.9, 0.98},
	} {
		if share := float64(found[name]) / rounds; share < limits[0] || share > limits[1] {
			t.Errorf("%s: %.3f, want %v", name, share, limits)
		}
	}
}
