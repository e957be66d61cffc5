package stats

import (
	"math"
	"slices"
	"testing"
)

// TestTheBCaIntervalIsThatOfScipy gives bca the resamples that
// testdata/reference.py gives to scipy.stats.bootstrap.
func TestTheBCaIntervalIsThatOfScipy(t *testing.T) {
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
	mean := func(rows []int) (m float64) {
		for _, row := range rows {
			m += x[row] / float64(len(rows))
		}
		return m
	}
	variance := func(rows []int) (v float64) {
		m := mean(rows)
		for _, row := range rows {
			v += (x[row] - m) * (x[row] - m) / float64(len(rows))
		}
		return v
	}
	cases := []struct {
		name                  string
		statistic             func([]int) float64
		seed                  int
		confidence            float64
		value, low, high, err float64
	}{
		{"mean", mean, 2, 0.95, 1.22850323, 0.91567632, 1.68507030, 0.19123541},
		{"mean", mean, 2, 0.90, 1.22850323, 0.96033992, 1.59676841, 0.19123541},
		{"variance", variance, 3, 0.95, 1.41921488, 0.73300395, 2.67057028, 0.46478385},
	}
	for _, c := range cases {
		state, draws, rows := c.seed, make([]float64, 2000), make([]int, len(x))
		for i := range draws {
			for k := range rows {
				rows[k] = next(&state, 40)
			}
			draws[i] = c.statistic(rows)
		}
		e, err := interval(c.statistic(u.members), draws, u.jackknife(c.statistic), 40, 40, Options{Confidence: c.confidence})
		if err != nil {
			t.Fatal(err)
		}
		got, want := []float64{e.Value, e.Low, e.High, e.SE}, []float64{c.value, c.low, c.high, c.err}
		if !slices.EqualFunc(got, want, func(a, b float64) bool { return math.Abs(a-b) < 2e-8 }) || e.Method != MethodBCa {
			t.Errorf("%s at %g: %v by %s, want %v", c.name, c.confidence, got, e.Method, want)
		}
	}
}

func TestQuantilesAreThoseOfNumpy(t *testing.T) {
	// numpy 2.4.6, quantile(x, p).
	x := []float64{1, 2, 4, 8, 16}
	for p, want := range map[float64]float64{0: 1, 0.1: 1.4, 0.5: 4, 0.6: 5.6, 0.99: 15.68, 1: 16} {
		if got := quantile(x, p); math.Abs(got-want) > 1e-9 {
			t.Errorf("the %g-quantile is %g, want %g", p, got, want)
		}
	}
}
