package stats_test

import (
	"errors"
	"math"
	"runtime"
	"slices"
	"testing"

	"github.com/quern-dev/quern/plugins/stats"
)

func TestWilsonIntervalsMatchThePublishedOnes(t *testing.T) {
	// The first four cases are method 3 in table I of R. G. Newcombe,
	// "Two-sided confidence intervals for the single proportion", Statistics in
	// Medicine 17 (1998), 857-872, which has four digits. The other cases, and
	// all further digits, come from proportion_confint(k, n, a,
	// method="wilson") in statsmodels 0.15.0.
	cases := []struct {
		k, n       int
		confidence float64
		low, high  float64
	}{
		{81, 263, 0.95, 0.2552885199, 0.3662095770},
		{15, 148, 0.95, 0.0623863995, 0.1604872417},
		{0, 20, 0.95, 0, 0.1611251581},
		{1, 29, 0.95, 0.0061132143, 0.1717552188},
		{20, 20, 0.95, 0.8388748419, 1},
		{911, 1000, 0.95, 0.8917426484, 0.9271117561},
		{15, 148, 0.99, 0.0536448696, 0.1832673501},
	}
	for _, c := range cases {
		got := stats.Wilson(c.k, c.n, c.confidence)
		if !near(got.Low, c.low, 1e-9) || !near(got.High, c.high, 1e-9) || got.N != c.n {
			t.Errorf("%d of %d at %g: %+v, want %g to %g", c.k, c.n, c.confidence, got, c.low, c.high)
		}
	}
}

func TestTheIntervalOfFewHitsIsTheModifiedOne(t *testing.T) {
	// The values come from scipy's chi2.ppf(0.05, 2 * k) / 2 / n, as in
	// BinomCI(method = "modified wilson") of DescTools in R, and otherwise from
	// Wilson's interval.
	for _, c := range []struct {
		k, n      int
		low, high float64
	}{
		{1, 29, 0.0017687343, 0.1717552188},
		{2, 30, 0.0118453837, 0.2132345836},
		{3, 100, 0.0081769145, 0.0845193643},
		{15, 148, 0.0623863995, 0.1604872417},
	} {
		interval(t, stats.Share(c.k, c.n, 0.95), float64(c.k)/float64(c.n), c.low, c.high, 1e-7)
		interval(t, stats.Share(c.n-c.k, c.n, 0.95), 1-float64(c.k)/float64(c.n), 1-c.high, 1-c.low, 1e-7)
	}
}

func clusteredHits() (hits []bool, clusters []int) {
	for i := range 60 {
		r := numbers(7 + i/5)
		hits = append(hits, r.below(10) < 6 || i%5 == 0)
		clusters = append(clusters, i/5)
	}
	return hits, clusters
}

func TestTheShareOfClusteredRowsHasTheWilsonIntervalOfTheEffectiveNumber(t *testing.T) {
	// The values come from statsmodels: the standard error of OLS with
	// cov_type="cluster", and proportion_confint with the effective number of
	// rows.
	hits, clusters := clusteredHits()
	e := must[stats.Estimate](t)(stats.Proportion(hits, stats.Options{Clusters: clusters}))
	interval(t, e, 0.6, 0.34281338, 0.81179439, 1e-8)
	if e.N != 60 || e.Units != 12 || e.Method != stats.MethodWilson {
		t.Errorf("%+v", e)
	}
}

func TestClustersThatAreAllHitsCountAsOneRowEach(t *testing.T) {
	hits, clusters := make([]bool, 50), make([]int, 50)
	for i := range hits {
		hits[i], clusters[i] = true, i/5
	}
	e := must[stats.Estimate](t)(stats.Proportion(hits, stats.Options{Clusters: clusters}))
	w := stats.Wilson(10, 10, 0.95)
	interval(t, e, 1, w.Low, 1, 1e-12)
}

func TestClustersNeverNarrowTheIntervalOfAShare(t *testing.T) {
	// Each cluster has the same share, so they seem to vary less than rows do.
	hits, rows, clusters := make([]bool, 120), make([]int, 120), make([]int, 120)
	for i := range hits {
		rows[i], clusters[i] = i/3, i/12
		hits[i] = rows[i]%4 != 0
	}
	apart := must[stats.Estimate](t)(stats.Proportion(hits, stats.Options{Clusters: rows}))
	together := must[stats.Estimate](t)(stats.Proportion(hits, stats.Options{Clusters: clusters, Rows: rows}))
	interval(t, together, 0.75, apart.Low, apart.High, 1e-12)
}

func TestClustersOfOneRowDoNotChangeAShare(t *testing.T) {
	hits := []bool{true, false, true, true}
	with := must[stats.Estimate](t)(stats.Proportion(hits, stats.Options{Clusters: []int{7, 3, 9, 1}}))
	if want := stats.Share(3, 4, 0.95); with != want {
		t.Errorf("%+v, want %+v", with, want)
	}
}

func TestStudentIntervalsMatchStatsmodels(t *testing.T) {
	// The values come from scipy.stats.t.interval, and from statsmodels' OLS of
	// a constant with cov_type="cluster" and use_t=True.
	x := skewed(1, 40)
	e := must[stats.Estimate](t)(stats.StudentMean(x, stats.Options{}))
	interval(t, e, 1.22850323, 0.84265074, 1.61435571, 1e-8)
	within(t, "the standard error", e.SE, 0.19076196, 1e-8)
	e = must[stats.Estimate](t)(stats.StudentMean(x, stats.Options{Clusters: groups(40)}))
	interval(t, e, 1.22850323, 0.71588975, 1.74111670, 1e-8)
	within(t, "the standard error", e.SE, 0.19941535, 1e-8)
	e = must[stats.Estimate](t)(stats.StudentMean(x, stats.Options{Clusters: groups(40), Confidence: 0.99}))
	interval(t, e, 1.22850323, 0.42443203, 2.03257443, 1e-8)
}

// variance is a statistic with a skewed distribution.
func variance(x []float64) func(rows []int) float64 {
	return func(rows []int) float64 {
		var sum, squares float64
		for _, row := range rows {
			sum += x[row]
		}
		mean := sum / float64(len(rows))
		for _, row := range rows {
			squares += (x[row] - mean) * (x[row] - mean)
		}
		return squares / float64(len(rows))
	}
}

func meanOf(x []float64) func(rows []int) float64 {
	return func(rows []int) float64 {
		var sum float64
		for _, row := range rows {
			sum += x[row]
		}
		return sum / float64(len(rows))
	}
}

func TestTheBootstrapMatchesAllResamples(t *testing.T) {
	// Six values have 6^6 resamples, so the exact standard error and
	// percentiles can be computed from all of them.
	x := []float64{0.3, 1.9, 2.2, 3.1, 4.8, 9.5}
	var all []float64
	for k := range 46656 {
		sum := 0.0
		for range 6 {
			sum += x[k%6]
			k /= 6
		}
		all = append(all, sum/6)
	}
	var mean, squares float64
	for _, v := range all {
		mean += v / float64(len(all))
	}
	for _, v := range all {
		squares += (v - mean) * (v - mean) / float64(len(all))
	}
	o := stats.Options{Resamples: 200_000}
	direct := must[stats.Estimate](t)(stats.Mean(x, o))
	within(t, "the standard error", direct.SE, math.Sqrt(squares), 0.005)
	of := general(t, x, o)
	interval(t, direct, of.Value, of.Low, of.High, 1e-9)
}

// general computes Mean from Bootstrap and StudentMean.
func general(t *testing.T, x []float64, o stats.Options) stats.Estimate {
	t.Helper()
	e := must[stats.Estimate](t)(stats.Bootstrap(len(x), meanOf(x), o))
	student := must[stats.Estimate](t)(stats.StudentMean(x, o))
	e.Low, e.High = min(e.Low, student.Low), max(e.High, student.High)
	return e
}

func TestTheBootstrapOfClustersMatchesAllResamples(t *testing.T) {
	// Four clusters of different sizes have 4^4 resamples.
	sums, sizes := []float64{3, 10, 1, 12}, []float64{2, 3, 1, 4}
	var values []float64
	var clusters []string
	for c, name := range []string{"a", "b", "c", "d"} {
		for range int(sizes[c]) {
			values, clusters = append(values, sums[c]/sizes[c]), append(clusters, name)
		}
	}
	var all []float64
	for k := range 256 {
		var sum, size float64
		for range 4 {
			sum, size = sum+sums[k%4], size+sizes[k%4]
			k /= 4
		}
		all = append(all, sum/size)
	}
	var mean, squares float64
	for _, v := range all {
		mean += v / 256
	}
	for _, v := range all {
		squares += (v - mean) * (v - mean) / 256
	}
	o := stats.Options{Resamples: 200_000, Clusters: stats.Clusters(clusters)}
	direct := must[stats.Estimate](t)(stats.Mean(values, o))
	within(t, "the standard error", direct.SE, math.Sqrt(squares), 0.002)
	if direct.Units != 4 || direct.N != 10 {
		t.Errorf("%+v", direct)
	}
	of := general(t, values, o)
	interval(t, direct, of.Value, of.Low, of.High, 1e-9)
}

func TestTheBootstrapOfCountsMatchesThatOfRows(t *testing.T) {
	counts := []int{30, 0, 12, 5, 3}
	var rows []int
	for kind, c := range counts {
		for range c {
			rows = append(rows, kind)
		}
	}
	score := func(counts []int) float64 {
		n := counts[0] + counts[1] + counts[2] + counts[3] + counts[4]
		return float64(counts[2]*counts[2]) / float64(n*(counts[3]+n/10))
	}
	o := stats.Options{Resamples: 40_000}
	counted := must[stats.Estimate](t)(stats.BootstrapCounts(counts, score, o))
	byRows := must[stats.Estimate](t)(stats.Bootstrap(len(rows), func(drawn []int) float64 {
		c := make([]int, len(counts))
		for _, row := range drawn {
			c[rows[row]]++
		}
		return score(c)
	}, o))
	interval(t, counted, byRows.Value, byRows.Low, byRows.High, 0.01)
	within(t, "the standard error", counted.SE, byRows.SE, 0.003)
	if counted.N != 50 || counted.Method != byRows.Method {
		t.Errorf("%+v, by rows %+v", counted, byRows)
	}
}

func TestIntervalsHaveAboutTheirCoverage(t *testing.T) {
	// There are 400 samples of 40 clusters with 4 rows that share most of their
	// value, and the true mean is 1. Intervals that treat the rows as
	// independent contain it much less often.
	methods := map[string]func([]float64, stats.Options) (stats.Estimate, error){"bootstrap": stats.Mean, "student": stats.StudentMean}
	for name, estimate := range methods {
		clustered, naive := 0, 0
		for sample := range 400 {
			shared, own := skewed(1000+sample, 40), skewed(9000+sample, 160)
			var values []float64
			var clusters []int
			for i, x := range own {
				values, clusters = append(values, 0.8*shared[i/4]+0.2*x), append(clusters, i/4)
			}
			o := stats.Options{Resamples: 400, Seed: int64(sample)}
			if e := must[stats.Estimate](t)(estimate(values, o)); e.Low <= 1 && 1 <= e.High {
				naive++
			}
			o.Clusters = clusters
			if e := must[stats.Estimate](t)(estimate(values, o)); e.Low <= 1 && 1 <= e.High {
				clustered++
			}
		}
		if clustered < 360 || clustered > 395 {
			t.Errorf("%s: %d of 400 intervals over clusters hold the mean", name, clustered)
		}
		if naive > 320 {
			t.Errorf("%s: %d of 400 intervals over rows hold the mean", name, naive)
		}
	}
}

func TestResultsDependOnTheSeedButNotOnTheNumberOfProcessors(t *testing.T) {
	x := skewed(3, 500)
	both := func() (a, b stats.Estimate) {
		o := stats.Options{Clusters: groups(500), Seed: 5, Resamples: 300}
		return must[stats.Estimate](t)(stats.Mean(x, o)), must[stats.Estimate](t)(stats.Bootstrap(len(x), variance(x), o))
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	mean, general := both()
	runtime.GOMAXPROCS(4)
	if a, b := both(); a != mean || b != general {
		t.Errorf("%+v became %+v, %+v became %+v", mean, a, general, b)
	}
	other := must[stats.Estimate](t)(stats.Mean(x, stats.Options{Clusters: groups(500), Seed: 6, Resamples: 300}))
	if other.Low == mean.Low {
		t.Error("another seed makes the same interval")
	}
}

func TestTheJackknifeOfManyUnitsGivesTheSameResult(t *testing.T) {
	// With more than 1,000 units, Bootstrap leaves out sets of units, and Mean
	// leaves out single units.
	x := skewed(11, 2500)
	slices.Sort(x) // as Mean does, so that both draw the same rows
	o := stats.Options{Resamples: 1000}
	direct := must[stats.Estimate](t)(stats.Mean(x, o))
	of := general(t, x, o)
	interval(t, of, direct.Value, direct.Low, direct.High, 0.02*(direct.High-direct.Low))
}

func TestOneUnitSaysNothingAboutAccuracy(t *testing.T) {
	o := stats.Options{Clusters: []int{4, 4, 4}}
	x := []float64{1, 0, 1}
	estimates := []stats.Estimate{
		must[stats.Estimate](t)(stats.Mean(x, o)),
		must[stats.Estimate](t)(stats.StudentMean(x, o)),
		must[stats.Estimate](t)(stats.Proportion([]bool{true, false, true}, o)),
		must[stats.Estimate](t)(stats.Bootstrap(3, meanOf(x), o)),
	}
	for _, e := range estimates {
		if !math.IsInf(e.Low, -1) || !math.IsInf(e.High, 1) || e.Method != stats.MethodNone || !near(e.Value, 2.0/3, 1e-12) {
			t.Errorf("%+v", e)
		}
	}
}

func TestAnIntervalIsClippedToTheRangeOfAFigure(t *testing.T) {
	e := must[stats.Estimate](t)(stats.Mean([]float64{0.25}, stats.Options{}))
	interval(t, e.Within(0, 1), 0.25, 0, 1, 0)
	interval(t, stats.Wilson(1, 4, 0.95).Within(0, 0.5), 0.25, stats.Wilson(1, 4, 0.95).Low, 0.5, 0)
}

func TestEqualValuesDoNotProveThatAllValuesAreEqual(t *testing.T) {
	mean := func(x float64, n int, o stats.Options) stats.Estimate {
		t.Helper()
		return must[stats.Estimate](t)(stats.Mean(slices.Repeat([]float64{x}, n), o))
	}
	wilson := stats.Wilson(3, 3, 0.95)
	grades := stats.Options{Range: [2]float64{0, 1}}
	interval(t, mean(1, 3, grades), 1, wilson.Low, 1, 1e-12)
	interval(t, mean(0, 3, grades), 0, 0, 1-wilson.Low, 1e-12)
	share := 1 - wilson.Low
	interval(t, mean(0.8, 3, grades), 0.8, 0.8-0.8*share, 0.8+0.2*share, 1e-12)
	// Only the value indicates the scale, and zeros do not even do that.
	interval(t, mean(200, 3, stats.Options{}), 200, 200*(1-share), 200*(1+share), 1e-9)
	interval(t, mean(-200, 3, stats.Options{}), -200, -200*(1+share), -200*(1-share), 1e-9)
	if e := mean(0, 100, stats.Options{}); !math.IsInf(e.Low, -1) || !math.IsInf(e.High, 1) || e.Method != stats.MethodNone {
		t.Errorf("%+v", e)
	}
	// Each cluster counts as one row.
	o := stats.Options{Range: [2]float64{0, 1}, Clusters: []int{1, 1, 1, 2, 2, 2, 3, 3, 3}}
	interval(t, mean(1, 9, o), 1, wilson.Low, 1, 1e-12)
}

func TestAlmostNoVariationIsNoProofEither(t *testing.T) {
	o := stats.Options{Range: [2]float64{0, 1}}
	e := must[stats.Estimate](t)(stats.Mean([]float64{1, 1, 0.99}, o))
	if e.Low > 0.45 || e.High != 1 {
		t.Errorf("%+v", e)
	}
	many := append(slices.Repeat([]float64{1}, 5000), 0.99)
	if e = must[stats.Estimate](t)(stats.Mean(many, o)); e.Low < 0.999 {
		t.Errorf("%+v", e)
	}
}

func TestValuesOutsideOfTheirRangeAreRefused(t *testing.T) {
	if e, err := stats.Mean([]float64{0.5, 1.2}, stats.Options{Range: [2]float64{0, 1}}); err == nil {
		t.Errorf("%+v", e)
	}
}

func TestDrawsWithoutAValueAreLeftOut(t *testing.T) {
	// The ratio has no value if row 0 is not drawn, which is the case in a
	// third of the draws.
	x := []float64{1, 2, 3, 4}
	sometimes := func(rows []int) float64 {
		if !slices.Contains(rows, 0) {
			return math.NaN()
		}
		return meanOf(x)(rows)
	}
	e := must[stats.Estimate](t)(stats.Bootstrap(4, sometimes, stats.Options{}))
	if math.IsNaN(e.Low) || e.Low < 1 || e.High > 4 || e.Method != stats.MethodPercentile {
		t.Errorf("%+v", e)
	}
	never := func([]int) float64 { return math.NaN() }
	if _, err := stats.Bootstrap(4, never, stats.Options{}); !errors.Is(err, stats.ErrUndefined) {
		t.Errorf("%v", err)
	}
}

func TestAFigureThatCannotBeEstimatedIsAnError(t *testing.T) {
	x := []float64{1, 2, 3}
	cases := map[string]struct {
		values []float64
		o      stats.Options
	}{
		"no observations":         {},
		"a value that is none":    {values: []float64{1, math.NaN()}},
		"an infinite value":       {values: []float64{1, math.Inf(1)}},
		"a confidence of 95":      {x, stats.Options{Confidence: 95}},
		"too few resamples":       {x, stats.Options{Resamples: 10}},
		"too few permutations":    {x, stats.Options{Permutations: 10}},
		"clusters for too few":    {x, stats.Options{Clusters: []int{1}}},
		"a negative confidence":   {x, stats.Options{Confidence: -0.5}},
		"a confidence of no sort": {x, stats.Options{Confidence: math.NaN()}},
	}
	for name, c := range cases {
		if _, err := stats.Mean(c.values, c.o); err == nil {
			t.Errorf("%s makes a mean", name)
		}
		if _, err := stats.StudentMean(c.values, c.o); err == nil {
			t.Errorf("%s makes a Student mean", name)
		}
		if _, err := stats.Compare(c.values, c.values, c.o); err == nil {
			t.Errorf("%s makes a comparison", name)
		}
	}
	if _, err := stats.Mean(nil, stats.Options{}); !errors.Is(err, stats.ErrNoObservations) {
		t.Errorf("%v", err)
	}
	if _, err := stats.BootstrapCounts([]int{3, -1}, func([]int) float64 { return 0 }, stats.Options{}); err == nil {
		t.Error("a negative count makes an estimate")
	}
}

// BenchmarkBootstrap uses 10,000 rows and 2,000 resamples.
func BenchmarkBootstrap(b *testing.B) {
	x := skewed(1, 10_000)
	clusters := make([]int, len(x))
	for i := range clusters {
		clusters[i] = i / 5
	}
	for name, o := range map[string]stats.Options{"rows": {}, "clusters": {Clusters: clusters}} {
		b.Run("mean of "+name, func(b *testing.B) {
			for b.Loop() {
				if _, err := stats.Mean(x, o); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("variance of "+name, func(b *testing.B) {
			for b.Loop() {
				if _, err := stats.Bootstrap(len(x), variance(x), o); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
