package stats_test

import (
	"math"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/quern-dev/quern/plugins/stats"
)

// rounds returns the number of samples in a simulation: few in "make test", and
// many in "make hunt".
func rounds(bounded, long int) int {
	if os.Getenv("QUERN_HUNT") != "" {
		return long
	}
	return bounded
}

// grades returns n values between 0 and 1 whose mean is p. Some are 0 or 1, and
// some are between. Values of a cluster share most of their randomness.
func grades(r *rand.Rand, n, perCluster int, p float64) (values []float64, clusters []int) {
	for i := range n {
		shared := r.Float64()
		for range perCluster {
			hit := 0.0
			if u := shared; u < p || perCluster > 1 && r.Float64() < 0.2 && r.Float64() < p {
				hit = 1
			}
			values, clusters = append(values, hit), append(clusters, i)
		}
	}
	return values, clusters
}

func TestHuntIntervalsAndTestsAgree(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range rounds(400, 20_000) {
		n, per := 2+r.IntN(60), 1+r.IntN(3)
		if r.IntN(8) == 0 {
			n += 200
		}
		scale := []float64{1, 1e-9, 1e9}[r.IntN(3)]
		var a, b []float64
		var clusters []int
		kind, shift := r.IntN(4), 0.3*r.NormFloat64()
		for i := range n {
			for range per {
				x, y := r.Float64(), r.Float64()
				switch kind {
				case 0: // hits
					x, y = math.Round(min(1, max(0, x+shift))), math.Round(y)
				case 1: // all differences are equal
					x = y + shift
				case 2: // few values
					x, y = math.Round(4*x)/4+shift, math.Round(4*y)/4
				default:
					x += shift
				}
				if kind != 0 {
					x, y = scale*x, scale*y
				}
				a, b, clusters = append(a, x), append(b, y), append(clusters, i)
			}
		}
		o := stats.Options{Confidence: []float64{0.8, 0.9, 0.95, 0.99}[r.IntN(4)], Permutations: 999}
		if per > 1 {
			o.Clusters = clusters
		}
		c := must[stats.Comparison](t)(stats.Compare(a, b, o))
		if math.Abs(c.P-(1-o.Confidence)) > 1e-9 && (c.Low > 0 || c.High < 0) != (c.P < 1-o.Confidence) {
			t.Fatalf("kind %d, %d units of %d, at %g: %+v", kind, n, per, o.Confidence, c)
		}
		// The order of the rows does not matter, bit for bit.
		order := r.Perm(len(a))
		x, y, g := make([]float64, len(a)), make([]float64, len(a)), make([]int, len(a))
		for i, k := range order {
			x[i], y[i], g[i] = a[k], b[k], clusters[k]
		}
		if per > 1 {
			o.Clusters = g
		}
		if again := must[stats.Comparison](t)(stats.Compare(x, y, o)); again != c {
			t.Fatalf("kind %d: %+v became %+v", kind, c, again)
		}
	}
}

func TestTheOrderOfRowsChangesNoMean(t *testing.T) {
	values := skewed(5, 300)
	want := map[bool]stats.Estimate{}
	for seed := range uint64(4) {
		order := rand.New(rand.NewPCG(seed, 3)).Perm(len(values))
		x, clusters := make([]float64, len(values)), make([]int, len(values))
		for i, k := range order {
			x[i], clusters[i] = values[k], k/4
		}
		for _, clustered := range []bool{false, true} {
			o := stats.Options{Resamples: 500}
			if clustered {
				o.Clusters = clusters
			}
			e := must[stats.Estimate](t)(stats.Mean(x, o))
			if seed == 0 {
				want[clustered] = e
			} else if e != want[clustered] {
				t.Errorf("clustered %t: %+v became %+v", clustered, want[clustered], e)
			}
		}
	}
}

// TestHuntIntervalsHaveTheirCoverage simulates how often the intervals of a
// mean of grades, and of macro F1, contain the true value.
func TestHuntIntervalsHaveTheirCoverage(t *testing.T) {
	samples := rounds(300, 5000)
	for _, n := range []int{3, 10, 20, 100, 500} {
		for _, p := range []float64{0.02, 0.5, 0.98} {
			for _, per := range []int{1, 4} {
				r := rand.New(rand.NewPCG(uint64(n), uint64(100*p)))
				truth := p
				if per > 1 {
					truth = p + (1-p)*0.2*p
				}
				held := 0
				for range samples {
					values, clusters := grades(r, n, per, p)
					o := stats.Options{Resamples: 400, Range: [2]float64{0, 1}}
					if per > 1 {
						o.Clusters = clusters
					}
					if e := must[stats.Estimate](t)(stats.Mean(values, o)); e.Low <= truth && truth <= e.High {
						held++
					}
				}
				t.Logf("n %d, p %g, %d in a cluster: %.3f", n, p, per, float64(held)/float64(samples))
				if least := 0.90; float64(held) < least*float64(samples) {
					t.Errorf("n %d, p %g, %d in a cluster: %d of %d intervals hold the mean", n, p, per, held, samples)
				}
			}
		}
	}
}

func TestCompositesOfFewRowsAreComparedWithCaution(t *testing.T) {
	// Two subjects by their shares of hits, which are composites, too. The
	// first is right on all rows, the second on none. A linear approximation
	// sees no variation at all.
	share := func(hits []float64) stats.Composite {
		c := stats.Composite{}
		n := float64(len(hits))
		for _, h := range hits {
			c.Value += h / n
		}
		for _, h := range hits {
			c.Influence, c.Weight = append(c.Influence, (h-c.Value)/n), append(c.Weight, 1/n)
		}
		return c
	}
	r := rand.New(rand.NewPCG(4, 4))
	for range 300 {
		n := 3 + r.IntN(40)
		a, b := make([]float64, n), make([]float64, n)
		p := r.Float64()
		for i := range n {
			if r.Float64() < p {
				a[i] = 1
			}
			if r.Float64() < p*p {
				b[i] = 1
			}
		}
		o := stats.Options{Confidence: 0.95, Permutations: 999}
		c := must[stats.Comparison](t)(stats.CompareComposites(share(a), share(b), o))
		if math.Abs(c.P-0.05) > 1e-9 && (c.Low > 0 || c.High < 0) != (c.P < 0.05) {
			t.Fatalf("%d rows: %+v", n, c)
		}
		if least := 1 - stats.Wilson(n, n, 0.95).Low; c.High-c.Low < 0.9*least {
			t.Fatalf("%d rows: %+v is narrower than the unseen share %g", n, c, least)
		}
	}
}
