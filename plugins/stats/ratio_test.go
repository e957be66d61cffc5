package stats_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/quern-dev/quern/plugins/stats"
)

func TestARatioOfSizesOneIsAMean(t *testing.T) {
	values, others, ones := []float64{1, 4, 2, 8, 5, 7, 3, 3}, []float64{2, 4, 1, 9, 7, 7, 3, 5}, []int{1, 1, 1, 1, 1, 1, 1, 1}
	for _, clusters := range [][]int{nil, {0, 0, 1, 1, 2, 2, 3, 3}} {
		o := stats.Options{Clusters: clusters, Seed: 3}
		got, err := stats.Ratio(values, ones, o)
		want, err2 := stats.Mean(values, o)
		if err != nil || err2 != nil || got != want {
			t.Errorf("got %+v, want %+v (%v, %v)", got, want, err, err2)
		}
		compared, err := stats.CompareRatios(values, others, ones, o)
		means, err2 := stats.Compare(values, others, o)
		if err != nil || err2 != nil || compared != means {
			t.Errorf("got %+v, want %+v (%v, %v)", compared, means, err, err2)
		}
	}
}

// The intervals contain the true ratio about as often as they say.
func TestIntervalsOfRatiosContainTheRatio(t *testing.T) {
	const truth, trials, rows = 2.0, 400, 40
	source := rand.New(rand.NewPCG(1, 2))
	inside, excludes := 0, 0
	for trial := range trials {
		values, others, sizes := make([]float64, rows), make([]float64, rows), make([]int, rows)
		for i := range values {
			sizes[i] = 1 + source.IntN(50)
			for range sizes[i] {
				values[i] += truth + source.NormFloat64()
			}
			others[i] = values[i] + source.NormFloat64()*math.Sqrt(float64(sizes[i]))
		}
		e, err := stats.Ratio(values, sizes, stats.Options{Seed: int64(trial), Resamples: 400})
		if err != nil {
			t.Fatal(err)
		}
		if e.Low <= truth && truth <= e.High {
			inside++
		}
		c, err := stats.CompareRatios(values, others, sizes, stats.Options{Seed: int64(trial), Permutations: 399})
		if err != nil {
			t.Fatal(err)
		}
		if c.P < 0.05 {
			excludes++
		}
	}
	if share := float64(inside) / trials; share < 0.91 || share > 0.985 {
		t.Errorf("%.3f of the intervals contain the ratio", share)
	}
	if share := float64(excludes) / trials; share > 0.09 {
		t.Errorf("%.3f of the comparisons find a difference where there is none", share)
	}
}

func TestARatioNeedsSizes(t *testing.T) {
	if _, err := stats.Ratio([]float64{1, 2}, []int{1, 0}, stats.Options{}); err == nil {
		t.Error("a size of 0 is accepted")
	}
	if _, err := stats.Ratio([]float64{1, 2}, []int{1}, stats.Options{}); err == nil {
		t.Error("a missing size is accepted")
	}
}
