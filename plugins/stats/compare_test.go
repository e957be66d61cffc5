package stats_test

import (
	"math"
	"runtime"
	"testing"

	"github.com/quern-dev/quern/plugins/stats"
)

func TestMcNemarsExactTestMatchesStatsmodels(t *testing.T) {
	// The values come from statsmodels' mcnemar(table, exact=True).
	cases := []struct {
		onlyA, onlyB int
		p            float64
	}{{86, 150, 0.00003716}, {10, 5, 0.30175781}, {9, 1, 0.02148438}, {7, 0, 0.015625}, {3, 3, 1}, {0, 0, 1}}
	for _, c := range cases {
		within(t, "p", stats.McNemar(c.onlyA, c.onlyB), c.p, 1e-8)
		within(t, "p the other way round", stats.McNemar(c.onlyB, c.onlyA), c.p, 1e-8)
	}
}

func TestIntervalsOfPairedSharesAgreeWithMcNemarsTest(t *testing.T) {
	// Four of 300 rows are hits of only one subject: p is 0.125.
	e, p := stats.PairedShares(4, 0, 300, 0.95)
	if within(t, "p", p, 0.125, 1e-12); e.Low > 0 || e.High < 0.033 {
		t.Errorf("%+v", e)
	}
	for _, confidence := range []float64{0.5, 0.8, 0.9, 0.95, 0.99, 0.999, 1 - 1e-9} {
		for _, n := range []int{1, 5, 30, 60, 300, 100_000} {
			for onlyA := range min(n, 60) + 1 {
				for onlyB := range min(n-onlyA, 40) + 1 {
					e, p := stats.PairedShares(onlyA, onlyB, n, confidence)
					if math.Abs(p-(1-confidence)) > 1e-9 && (e.Low > 0 || e.High < 0) != (p < 1-confidence) {
						t.Fatalf("%d and %d of %d at %g: p = %g, %+v", onlyA, onlyB, n, confidence, p, e)
					}
					if tight := stats.Tango(onlyA, onlyB, n, confidence); e.Low > tight.Low || e.High < tight.High || e.Value != tight.Value {
						t.Fatalf("%d and %d of %d at %g: %+v does not hold %+v", onlyA, onlyB, n, confidence, e, tight)
					}
				}
			}
		}
	}
}

func TestTangosIntervalMatchesThePublishedOne(t *testing.T) {
	// The second case is the example in M. W. Fagerland, S. Lydersen and P.
	// Laake, "Recommended tests and confidence intervals for paired binomial
	// proportions", Statistics in Medicine 33 (2014), 2850-2875: -0.517 to
	// -0.026. All values come from testdata/reference.py, which maximizes the
	// likelihood under each difference numerically and inverts the score test.
	cases := []struct {
		onlyA, onlyB, n              int
		confidence, value, low, high float64
	}{
		{150, 86, 1600, 0.95, 0.04, 0.02136156, 0.05899803},
		{1, 7, 21, 0.95, -0.28571429, -0.51723228, -0.02600303},
		{0, 0, 20, 0.95, 0, -0.16112516, 0.16112516},
		{5, 0, 20, 0.95, 0.25, 0.04859355, 0.46870088},
		{0, 1, 44, 0.95, -0.02272727, -0.11807710, 0.05939323},
		{3, 8, 50, 0.99, -0.1, -0.28868555, 0.08488158},
	}
	for _, c := range cases {
		interval(t, stats.Tango(c.onlyA, c.onlyB, c.n, c.confidence), c.value, c.low, c.high, 1e-7)
		interval(t, stats.Tango(c.onlyB, c.onlyA, c.n, c.confidence), -c.value, -c.high, -c.low, 1e-7)
	}
	all := stats.Tango(30, 0, 30, 0.95)
	z2 := 1.959963984540054 * 1.959963984540054
	interval(t, all, 1, (30-z2)/(30+z2), 1, 1e-9) // the closed-form solution
}

func TestThePermutationTestMatchesFisherOnDarwinsMaize(t *testing.T) {
	// R. A. Fisher, The Design of Experiments (1935), section 21: of the 32,768
	// sums, 863 are as large as that of the 15 differences.
	darwin := []float64{49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48}
	p, test, err := stats.PairedPermutation(darwin, stats.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if within(t, "p", p, 2*863.0/32768, 1e-12); test != stats.TestExact {
		t.Errorf("by %s", test)
	}
}

func differences(seed, n int, less float64) []float64 {
	d := skewed(seed, n)
	for i := range d {
		d[i] -= less
	}
	return d
}

func TestExactPermutationTestsMatchScipy(t *testing.T) {
	// The values come from
	// scipy.stats.permutation_test(permutation_type="samples",
	// n_resamples=inf). With clusters, the test uses their sums.
	p, _, err := stats.PairedPermutation(differences(4, 14, 0.6), stats.Options{})
	if err != nil {
		t.Fatal(err)
	}
	within(t, "p", p, 0.04736328, 1e-8)
	p, test, err := stats.PairedPermutation(differences(5, 40, 0.75), stats.Options{Clusters: groups(40)})
	if err != nil {
		t.Fatal(err)
	}
	if within(t, "p over clusters", p, 0.53125, 1e-8); test != stats.TestExact {
		t.Errorf("by %s", test)
	}
}

func TestDrawnPermutationsApproximateTheExactTest(t *testing.T) {
	d := differences(4, 16, 0.75)
	exact, test, err := stats.PairedPermutation(d, stats.Options{})
	if err != nil || test != stats.TestExact {
		t.Fatal(test, err)
	}
	// A 17th difference of almost 0 changes nothing.
	drawn, test, err := stats.PairedPermutation(append(d, 1e-15), stats.Options{Permutations: 200_000})
	if err != nil || test != stats.TestPermutation {
		t.Fatal(test, err)
	}
	within(t, "p", drawn, exact, 0.004)
}

func TestAnExactTestCountsTiesWhateverTheOrderOfAddition(t *testing.T) {
	// Of ten differences of 0.1, eight are positive and two negative: twice P(X
	// <= 2) for ten coins.
	d := []float64{0.1, 0.1, 0.1, -0.1, 0.1, 0.1, -0.1, 0.1, 0.1, 0.1}
	p, _, err := stats.PairedPermutation(d, stats.Options{})
	if err != nil {
		t.Fatal(err)
	}
	within(t, "p", p, 2*(1+10+45)/1024.0, 1e-12)
	within(t, "p of McNemar", stats.McNemar(8, 2), p, 1e-12)
}

func TestHolmsCorrectionMatchesStatsmodels(t *testing.T) {
	// The values come from statsmodels' multipletests(method="holm").
	got := stats.Holm([]float64{0.01, 0.04, 0.03, 0.005, 0.2, 0.03})
	want := []float64{0.05, 0.12, 0.12, 0.03, 0.2, 0.12}
	for i := range want {
		within(t, "the corrected p-value", got[i], want[i], 1e-12)
	}
	if len(stats.Holm(nil)) != 0 {
		t.Error("no p-values make some")
	}
}

func TestDetectableDifferencesMatchStatsmodels(t *testing.T) {
	// The power is that of statsmodels' TTestPower().power, solved with scipy.
	for n, want := range map[int]float64{5: 1.68199697, 10: 0.99600137, 50: 0.40418298, 1000: 0.08867908} {
		within(t, "the difference", stats.Detectable(1, n, 0.95, 0.8), want, 1e-7)
		within(t, "the difference in other units", stats.Detectable(10, n, 0.95, 0.8), 10*want, 1e-6)
	}
	within(t, "the difference at 99 % with a power of 90 %", stats.Detectable(1, 20, 0.99, 0.9), 0.94723633, 1e-7)
	// The normal approximation: (1.959964+0.841621)/sqrt(n).
	within(t, "the difference of many rows", stats.Detectable(1, 1_000_000, 0.95, 0.8), 0.002801585, 1e-7)
	if !math.IsInf(stats.Detectable(1, 1, 0.95, 0.8), 1) {
		t.Error("one row shows a difference")
	}
}

func TestTheExactTestHasItsPowerAtTheDetectableShare(t *testing.T) {
	// testdata/reference.py sums the power over all outcomes, with scipy's
	// binomtest and binom.
	cases := []struct {
		discordant float64
		n          int
		want       float64
	}{{0, 20, 0.36645935}, {0.1, 100, 0.08841728}, {0.3, 200, 0.11123766}, {0.02, 400, 0.01983890}}
	for _, c := range cases {
		within(t, "the share", stats.DetectableShare(c.discordant, c.n, 0.95, 0.8), c.want, 1e-7)
	}
	// With many rows, this is almost that of the normal test:
	// 2.801585*sqrt(0.3/n).
	within(t, "the share of many rows", stats.DetectableShare(0.3, 200_000, 0.95, 0.8), 2.801585*math.Sqrt(0.3/200_000), 2e-5)
	for _, n := range []int{0, 1, 5} {
		if d := stats.DetectableShare(0.1, n, 0.95, 0.8); !math.IsInf(d, 1) {
			t.Errorf("%d rows show a difference of %g", n, d)
		}
	}
}

func TestSharesOfHitsAreComparedByMcNemarAndTango(t *testing.T) {
	a, b := make([]float64, 50), make([]float64, 50)
	for i := range a {
		if i < 40 {
			a[i] = 1
		}
		if i >= 8 && i < 43 {
			b[i] = 1
		}
	}
	c := must[stats.Comparison](t)(stats.Compare(a, b, stats.Options{}))
	want, p := stats.PairedShares(8, 3, 50, 0.95)
	if c.Estimate != want || c.P != p || p != stats.McNemar(8, 3) || c.Test != stats.TestMcNemar {
		t.Errorf("%+v", c)
	}
	within(t, "the detectable difference", c.Detectable, stats.DetectableShare(0.22, 50, 0.95, 0.8), 1e-12)
}

func TestRepeatedDrawsOfARowAreOneUnit(t *testing.T) {
	// There are 12 rows, each drawn five times, and the first subject is better
	// on 9 of them. The 12 rows count, not the 60 draws.
	var a, b []float64
	var clusters []int
	for row := range 12 {
		for range 5 {
			hit := 0.0
			if row < 9 {
				hit = 1
			}
			a, b, clusters = append(a, hit), append(b, 1-hit), append(clusters, row)
		}
	}
	c := must[stats.Comparison](t)(stats.Compare(a, b, stats.Options{Clusters: clusters}))
	within(t, "p", c.P, stats.McNemar(9, 3), 1e-12)
	if c.Test != stats.TestExact || c.Units != 12 || c.N != 60 || c.Low > 0.05 || c.High > 1 {
		t.Errorf("%+v", c)
	}
	naive := must[stats.Comparison](t)(stats.Compare(a, b, stats.Options{}))
	if naive.P > 0.001 || naive.Low < 0.15 {
		t.Errorf("%+v", naive)
	}
}

func TestSubjectsThatNeverDifferAreNotProvenEqual(t *testing.T) {
	same := []float64{1, 1, 0, 1, 0, 1, 1, 1, 1, 0, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1}
	c := must[stats.Comparison](t)(stats.Compare(same, same, stats.Options{}))
	interval(t, c.Estimate, 0, -0.16112516, 0.16112516, 1e-7)
	within(t, "the detectable difference", c.Detectable, 0.36645935, 1e-7)
	clusters := make([]int, 20)
	for i := range clusters {
		clusters[i] = i / 2
	}
	c = must[stats.Comparison](t)(stats.Compare(same, same, stats.Options{Clusters: clusters}))
	want, _ := stats.PairedShares(0, 0, 10, 0.95)
	interval(t, c.Estimate, 0, want.Low, want.High, 1e-9)
	if c.P != 1 || c.N != 20 || c.Units != 10 || !math.IsInf(c.Detectable, 1) {
		t.Errorf("%+v", c)
	}
	scores := skewed(1, 20)
	c = must[stats.Comparison](t)(stats.Compare(scores, scores, stats.Options{}))
	if c.P != 1 || c.Value != 0 || !math.IsInf(c.Detectable, 1) {
		t.Errorf("%+v", c)
	}
}

func TestScoresAreComparedByTheirDifferences(t *testing.T) {
	a, b := skewed(21, 300), skewed(22, 300)
	var d []float64
	for i := range a {
		a[i] = b[i] + 0.2*(a[i]-1) + 0.05
		d = append(d, a[i]-b[i])
	}
	o := stats.Options{Clusters: groups(300), Seed: 3}
	c := must[stats.Comparison](t)(stats.Compare(a, b, o))
	student := must[stats.Estimate](t)(stats.StudentMean(d, o))
	within(t, "the detectable difference", c.Detectable, stats.Detectable(student.SE*math.Sqrt(6), student.Units, 0.95, 0.8), 1e-9)
	back := must[stats.Comparison](t)(stats.Compare(b, a, o))
	within(t, "p the other way round", back.P, c.P, 1e-12)
	interval(t, back.Estimate, -c.Value, -c.High, -c.Low, 1e-12)
}

func TestTheTestRejectsEqualSubjectsAtItsLevel(t *testing.T) {
	rejected := 0
	for sample := range 400 {
		d := differences(3000+sample, 80, 1)
		for i := range d {
			if i%2 == 0 {
				d[i] = -d[i]
			}
		}
		p, _, err := stats.PairedPermutation(d, stats.Options{Permutations: 399, Seed: int64(sample)})
		if err != nil {
			t.Fatal(err)
		}
		if p <= 0.05 {
			rejected++
		}
	}
	if rejected < 8 || rejected > 34 {
		t.Errorf("%d of 400 are rejected at 5 %%", rejected)
	}
}

func TestComparisonsDoNotDependOnTheNumberOfProcessors(t *testing.T) {
	a, b := skewed(41, 200), skewed(42, 200)
	compare := func() stats.Comparison {
		return must[stats.Comparison](t)(stats.Compare(a, b, stats.Options{Permutations: 999}))
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	want := compare()
	runtime.GOMAXPROCS(4)
	if got := compare(); got != want {
		t.Errorf("%+v became %+v", want, got)
	}
}

func TestSubjectsOnDifferentRowsCannotBeCompared(t *testing.T) {
	if _, err := stats.Compare([]float64{1, 2}, []float64{1}, stats.Options{}); err == nil {
		t.Error("they were")
	}
}

func TestOneUnitCannotShowADifference(t *testing.T) {
	o := stats.Options{Clusters: []int{1, 1}}
	c := must[stats.Comparison](t)(stats.Compare([]float64{1, 0.5}, []float64{0, 0}, o))
	if c.P != 1 || c.Test != stats.TestNone || !math.IsInf(c.Low, -1) || !math.IsInf(c.Detectable, 1) {
		t.Errorf("%+v", c)
	}
}

// BenchmarkCompare uses 10,000 rows, 2,000 resamples, and 9,999 permutations.
func BenchmarkCompare(b *testing.B) {
	x, y := skewed(1, 10_000), skewed(2, 10_000)
	for b.Loop() {
		if _, err := stats.Compare(x, y, stats.Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCompareShares uses 10,000 rows.
func BenchmarkCompareShares(b *testing.B) {
	x, y := make([]float64, 10_000), make([]float64, 10_000)
	for i := range x {
		x[i], y[i] = float64(i%2), float64(i%3%2)
	}
	for b.Loop() {
		if _, err := stats.Compare(x, y, stats.Options{}); err != nil {
			b.Fatal(err)
		}
	}
}
