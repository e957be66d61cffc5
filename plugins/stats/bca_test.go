package stats

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gonum.org/v1/gonum/stat/distuv"
)

func meanOver(x []float64) func(rows []int) float64 {
	return func(rows []int) (m float64) {
		for _, row := range rows {
			m += x[row] / float64(len(rows))
		}
		return m
	}
}

func varianceOver(x []float64) func(rows []int) float64 {
	mean := meanOver(x)
	return func(rows []int) (v float64) {
		m := mean(rows)
		for _, row := range rows {
			v += (x[row] - m) * (x[row] - m) / float64(len(rows))
		}
		return v
	}
}

func TestTheBCaIntervalMatchesScipy(t *testing.T) {
	// The values come from scipy.stats.bootstrap (method BCa) with the same
	// resamples, computed by testdata/reference.py. For a widened interval, the
	// confidence is the one to which 40 units widen it.
	next := func(state *int, n int) int {
		*state = (1103515245**state + 12345) % (1 << 31)
		return (*state >> 8) % n
	}
	state := 1
	x := make([]float64, 40)
	for i := range x {
		x[i] = -math.Log(float64(next(&state, 1000)+1) / 1001)
	}
	u := newUnits(len(x), nil)
	normal := func(confidence float64) float64 { return distuv.UnitNormal.Quantile(1 - (1-confidence)/2) }
	cases := []struct {
		name                 string
		statistic            func([]int) float64
		seed                 int
		z                    float64
		value, low, high, se float64
	}{
		{"mean", meanOver(x), 2, normal(0.95), 1.22850323, 0.91567632, 1.68507030, 0.19123541},
		{"mean", meanOver(x), 2, normal(0.90), 1.22850323, 0.96033992, 1.59676841, 0.19123541},
		{"mean", meanOver(x), 2, widened(0.95, 40), 1.22850323, 0.90752062, 1.70143510, 0.19123541},
		{"variance", varianceOver(x), 3, normal(0.95), 1.41921488, 0.73300395, 2.67057028, 0.46478385},
		{"variance", varianceOver(x), 3, widened(0.95, 40), 1.41921488, 0.71215634, 2.72377806, 0.46478385},
	}
	for _, c := range cases {
		state, draws, rows := c.seed, make([]float64, 2000), make([]int, len(x))
		for i := range draws {
			for k := range rows {
				rows[k] = next(&state, 40)
			}
			draws[i] = c.statistic(rows)
		}
		lefts := u.jackknife(c.statistic)
		e, err := interval(c.statistic(u.members), draws, lefts, 40, 40, Options{Confidence: 0.95})
		if err != nil {
			t.Fatal(err)
		}
		low, high, method := bca(e.Value, draws, acceleration(lefts), c.z)
		if c.z == widened(0.95, 40) && (low != e.Low || high != e.High) {
			t.Errorf("the interval is %g to %g, not the widened one", e.Low, e.High)
		}
		got, want := []float64{e.Value, low, high, e.SE}, []float64{c.value, c.low, c.high, c.se}
		if !slices.EqualFunc(got, want, func(a, b float64) bool { return math.Abs(a-b) < 2e-8 }) || method != MethodBCa {
			t.Errorf("%s at %g: %v by %s, want %v", c.name, c.z, got, method, want)
		}
	}
}

func TestTheBCaIntervalMatchesEfronAndTibshirani(t *testing.T) {
	// The variance of the spatial test data in An Introduction to the Bootstrap
	// (1993), tables 14.1 and 14.2: 171.5, with a 90% interval of 115.8 to
	// 259.6 from 2,000 resamples, where a = 0.061. Both intervals are random,
	// so the ends differ by about their own errors.
	x := []float64{48, 36, 20, 29, 42, 42, 20, 42, 22, 41, 45, 14, 6, 0, 33, 28, 34, 4, 32, 24, 47, 41, 24, 26, 30, 41}
	u, statistic := newUnits(len(x), nil), varianceOver(x)
	draws := resample(Options{Resamples: 50_000}, func() func(*rand.PCG) float64 {
		return func(source *rand.PCG) float64 { return statistic(u.draw(nil, source)) }
	})
	slices.Sort(draws)
	value, a := statistic(u.members), acceleration(u.jackknife(statistic))
	low, high, _ := bca(value, draws, a, distuv.UnitNormal.Quantile(0.95))
	for _, c := range []struct {
		name                 string
		got, want, tolerance float64
	}{
		{"the variance", value, 171.5, 0.05}, {"the acceleration", a, 0.061, 0.0005},
		{"the low end", low, 115.8, 3}, {"the high end", high, 259.6, 5},
	} {
		if math.Abs(c.got-c.want) > c.tolerance {
			t.Errorf("%s is %g, want %g", c.name, c.got, c.want)
		}
	}
}

func TestIntervalsOfManyUnitsAreNotWidened(t *testing.T) {
	if z := widened(0.95, 1_000_000); math.Abs(z-1.959964) > 1e-5 {
		t.Errorf("%g standard errors", z)
	}
}

func TestQuantilesMatchNumpy(t *testing.T) {
	// The values come from quantile(x, p) in numpy 2.4.6.
	x := []float64{1, 2, 4, 8, 16}
	for p, want := range map[float64]float64{0: 1, 0.1: 1.4, 0.5: 4, 0.6: 5.6, 0.99: 15.68, 1: 16} {
		if got := quantile(x, p); math.Abs(got-want) > 1e-9 {
			t.Errorf("the %g-quantile is %g, want %g", p, got, want)
		}
	}
}

func TestAPickerPicksAllIndexesEquallyOften(t *testing.T) {
	counts := make([]int, 7)
	p := newPicker(rand.NewPCG(1, 2), len(counts))
	for range 70_000 {
		counts[p.pick()]++
	}
	for i, c := range counts {
		if c < 9_600 || c > 10_400 {
			t.Errorf("index %d is picked %d times of 70,000", i, c)
		}
	}
}
