package stats_test

import (
	"errors"
	"math"
	"testing"

	"github.com/quern-dev/quern/plugins/stats"
)

// labeled converts a table of how often two annotators gave which labels to
// lists of their labels.
func labeled(table [][]int) (a, b []int) {
	for i, row := range table {
		for j, count := range row {
			for range count {
				a, b = append(a, i), append(b, j)
			}
		}
	}
	return a, b
}

func TestCohensKappaMatchesSASAndScikitLearn(t *testing.T) {
	// The table is from statsmodels' tests, with SAS's 0.4842 and, for linear
	// weights, 0.4701. More digits come from statsmodels' cohens_kappa. The
	// values for the other cases come from scikit-learn's cohen_kappa_score.
	tableA, tableB := labeled([][]int{{0, 4, 1}, {0, 8, 0}, {0, 1, 5}})
	a, b := pair(6, 80, 4, 55)
	cases := []struct {
		a, b    []int
		weights stats.Weights
		want    float64
	}{
		{tableA, tableB, stats.Unweighted, 0.48416290},
		{tableA, tableB, stats.Linear, 0.47011952},
		{a, b, stats.Unweighted, 0.53059514},
		{a, b, stats.Linear, 0.48593598},
		{a, b, stats.Quadratic, 0.44196952},
	}
	for _, c := range cases {
		e := must[stats.Estimate](t)(stats.CohenKappa(c.a, c.b, c.weights, stats.Options{}))
		within(t, "kappa", e.Value, c.want, 1e-8)
		if !(e.Low < e.Value && e.Value < e.High) || e.High > 1 || e.N != len(c.a) {
			t.Errorf("%+v", e)
		}
	}
}

func TestTheIntervalOfKappaMatchesItsAsymptoticError(t *testing.T) {
	// For the same table, SAS has an asymptotic standard error of 0.1380 for 19
	// items. For 50 times as many items, the bootstrap must give this divided
	// by the square root of 50.
	a, b := labeled([][]int{{0, 200, 50}, {0, 400, 0}, {0, 50, 250}})
	e := must[stats.Estimate](t)(stats.CohenKappa(a, b, stats.Unweighted, stats.Options{Resamples: 20_000}))
	within(t, "the standard error", e.SE, 0.1380/math.Sqrt(50), 0.0005)
}

func TestMissingLabelsAreLeftOut(t *testing.T) {
	a, b := pair(6, 80, 4, 55)
	want := must[stats.Estimate](t)(stats.CohenKappa(a, b, stats.Linear, stats.Options{}))
	a, b = append([]int{2, stats.NoLabel}, a...), append([]int{stats.NoLabel, 1}, b...)
	got := must[stats.Estimate](t)(stats.CohenKappa(a, b, stats.Linear, stats.Options{}))
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	clusters := make([]int, 82)
	for i := range clusters {
		clusters[i] = i
	}
	byItem := must[stats.Estimate](t)(stats.CohenKappa(a, b, stats.Linear, stats.Options{Clusters: clusters}))
	interval(t, byItem, want.Value, want.Low, want.High, 0.02)
	for i := range clusters {
		clusters[i] = i / 8
	}
	byCluster := must[stats.Estimate](t)(stats.CohenKappa(a, b, stats.Linear, stats.Options{Clusters: clusters}))
	if byCluster.Value != want.Value || byCluster.N != 80 || byCluster.Units != 11 {
		t.Errorf("%+v", byCluster)
	}
}

// diagnoses is table 1 of J. L. Fleiss, "Measuring nominal scale agreement
// among many raters", Psychological Bulletin 76 (1971), 378-382: how many of
// six psychiatrists made which of five diagnoses for each of 30 patients.
var diagnoses = [][]int{
	{0, 0, 0, 6, 0}, {0, 3, 0, 0, 3}, {0, 1, 4, 0, 1}, {0, 0, 0, 0, 6}, {0, 3, 0, 3, 0},
	{2, 0, 4, 0, 0}, {0, 0, 4, 0, 2}, {2, 0, 3, 1, 0}, {2, 0, 0, 4, 0}, {0, 0, 0, 0, 6},
	{1, 0, 0, 5, 0}, {1, 1, 0, 4, 0}, {0, 3, 3, 0, 0}, {1, 0, 0, 5, 0}, {0, 2, 0, 3, 1},
	{0, 0, 5, 0, 1}, {3, 0, 0, 1, 2}, {5, 1, 0, 0, 0}, {0, 2, 0, 4, 0}, {1, 0, 2, 0, 3},
	{0, 0, 0, 0, 6}, {0, 1, 0, 5, 0}, {0, 2, 0, 1, 3}, {2, 0, 0, 4, 0}, {1, 0, 0, 4, 1},
	{0, 5, 0, 1, 0}, {4, 0, 0, 0, 2}, {0, 2, 0, 4, 0}, {1, 0, 5, 0, 0}, {0, 0, 0, 0, 6},
}

func TestFleissKappaMatchesThePublishedValue(t *testing.T) {
	e := must[stats.Estimate](t)(stats.FleissKappa(diagnoses, stats.Options{}))
	within(t, "kappa of Fleiss' example", e.Value, 0.430, 0.0005)
	if e.Low > 0.36 || e.High < 0.5 || e.N != 30 || e.Method != stats.MethodBCa {
		t.Errorf("%+v", e)
	}
	// The example in the Wikipedia article is 0.210. More digits come from
	// statsmodels' fleiss_kappa.
	wikipedia := [][]int{
		{0, 0, 0, 0, 14}, {0, 2, 6, 4, 2}, {0, 0, 3, 5, 6}, {0, 3, 9, 2, 0}, {2, 2, 8, 1, 1},
		{7, 7, 0, 0, 0}, {3, 2, 6, 3, 0}, {2, 5, 3, 2, 2}, {6, 5, 2, 1, 0}, {0, 2, 2, 3, 7},
	}
	e = must[stats.Estimate](t)(stats.FleissKappa(wikipedia, stats.Options{}))
	within(t, "kappa of the second example", e.Value, 0.20993070, 1e-8)
}

func TestFleissKappaNeedsTheSameNumberOfLabelsForEachItem(t *testing.T) {
	for name, counts := range map[string][][]int{
		"different numbers of labels": {{2, 1}, {2, 0}},
		"different kinds":             {{2, 1}, {2, 1, 0}},
		"one label":                   {{1, 0}, {0, 1}},
		"a negative count":            {{3, -1}, {1, 1}},
		"no items":                    nil,
	} {
		if _, err := stats.FleissKappa(counts, stats.Options{}); err == nil {
			t.Errorf("%s make a kappa", name)
		}
	}
}

// transpose converts the labels of each annotator to those of each item.
func transpose(annotators [][]float64) [][]float64 {
	items := make([][]float64, len(annotators[0]))
	for _, labels := range annotators {
		for i, label := range labels {
			items[i] = append(items[i], label)
		}
	}
	return items
}

func smallExample(t *testing.T) [][]float64 {
	c := readCrowd(t, "krippendorff-3x15.csv")
	return must[[][]float64](t)(stats.LabelsByItem(c.votes, len(c.items)))
}

func TestKrippendorffsAlphaMatchesThePublishedValue(t *testing.T) {
	// The data of four annotators is the example in K. Krippendorff, Computing
	// Krippendorff's Alpha-Reliability (2011): nominal 0.743, ordinal 0.815,
	// interval 0.849. The data of three annotators is the example in the
	// Wikipedia article: nominal 0.691, interval 0.811. More digits, and the
	// values for the third example, come from krippendorff.alpha.
	none := math.NaN()
	four := transpose([][]float64{
		{1, 2, 3, 3, 2, 1, 4, 1, 2, none, none, none},
		{1, 2, 3, 3, 2, 2, 4, 1, 2, 5, none, 3},
		{none, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, none},
		{1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, none},
	})
	r := numbers(8)
	many := make([][]float64, 5)
	for a := range many {
		for range 30 {
			label := math.NaN()
			if v := r.below(8); v < 7 {
				label = math.Pow(float64(v), 1.5)
			}
			many[a] = append(many[a], label)
		}
	}
	cases := []struct {
		name                       string
		items                      [][]float64
		n                          int
		nominal, ordinal, interval float64
	}{
		{"four annotators", four, 11, 0.74342105, 0.81538750, 0.84910714},
		{"three annotators", smallExample(t), 12, 0.69135802, 0.80672142, 0.81084489},
		{"labels at random", transpose(many), 30, -0.00224749, 0.01796878, 0.03099383},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			for level, want := range []float64{c.nominal, c.ordinal, c.interval} {
				e := must[stats.Estimate](t)(stats.KrippendorffAlpha(c.items, stats.Level(level), stats.Options{}))
				within(t, "alpha", e.Value, want, 1e-8)
				if !(e.Low < e.Value && e.Value < e.High) || e.High > 1+1e-12 || e.N != c.n {
					t.Errorf("%+v", e)
				}
			}
		})
	}
}

func TestTheIntervalOfAlphaMatchesItsDefinition(t *testing.T) {
	// 20,000 resamples of the items with numpy and krippendorff.alpha give
	// 0.3867, a standard error of 0.0386, and the percentiles 0.309 and 0.461.
	c := readCrowd(t, "binary5.csv")
	items := must[[][]float64](t)(stats.LabelsByItem(c.votes, len(c.items)))
	e := must[stats.Estimate](t)(stats.KrippendorffAlpha(items, stats.Nominal, stats.Options{Resamples: 20_000}))
	within(t, "alpha", e.Value, 0.38667174, 1e-8)
	within(t, "the standard error", e.SE, 0.0386, 0.001)
	// The bias correction raises both ends by about 0.006.
	within(t, "the low end", e.Low, 0.315, 0.006)
	within(t, "the high end", e.High, 0.467, 0.006)
}

func TestTheIntervalOfAlphaDependsOnTheClustersOfItems(t *testing.T) {
	items := smallExample(t)
	clusters := make([]int, len(items))
	for i := range clusters {
		clusters[i] = i / 2
	}
	for level := stats.Nominal; level <= stats.Interval; level++ {
		byItem := must[stats.Estimate](t)(stats.KrippendorffAlpha(items, level, stats.Options{}))
		e := must[stats.Estimate](t)(stats.KrippendorffAlpha(items, level, stats.Options{Clusters: clusters}))
		if e.Value != byItem.Value || e.Units >= byItem.Units || e.Low == byItem.Low {
			t.Errorf("%+v, by items %+v", e, byItem)
		}
	}
}

func TestAgreementIsUndefinedIfOnlyOneLabelOccurs(t *testing.T) {
	o := stats.Options{}
	same := []int{1, 1, 1}
	labels := [][]float64{{0.1, 0.1, 0.1}, {0.1, 0.1}}
	_, cohen := stats.CohenKappa(same, same, stats.Quadratic, o)
	_, fleiss := stats.FleissKappa([][]int{{0, 3}, {0, 3}}, o)
	errs := map[string]error{"cohen": cohen, "fleiss": fleiss}
	for level, name := range []string{"nominal", "ordinal", "interval"} {
		_, errs[name] = stats.KrippendorffAlpha(labels, stats.Level(level), o)
	}
	for name, err := range errs {
		if !errors.Is(err, stats.ErrUndefined) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPerfectAgreementIsOne(t *testing.T) {
	a := []int{0, 1, 2, 1, 0, 2, 2, 1}
	items := make([][]float64, len(a))
	counts := make([][]int, len(a))
	for i, label := range a {
		items[i], counts[i] = []float64{float64(label) / 10, float64(label) / 10}, make([]int, 3)
		counts[i][label] = 2
	}
	o := stats.Options{}
	estimates := []stats.Estimate{
		must[stats.Estimate](t)(stats.CohenKappa(a, a, stats.Linear, o)),
		must[stats.Estimate](t)(stats.FleissKappa(counts, o)),
	}
	for level := stats.Nominal; level <= stats.Interval; level++ {
		estimates = append(estimates, must[stats.Estimate](t)(stats.KrippendorffAlpha(items, level, o)))
	}
	// Eight items do not prove that the next ones agree.
	low := 1 - 2*(1-stats.Wilson(8, 8, 0.95).Low)
	for _, e := range estimates {
		interval(t, e, 1, low, 1, 1e-12)
	}
}

func TestTwoItemsInAgreementDoNotProveAgreement(t *testing.T) {
	e := must[stats.Estimate](t)(stats.KrippendorffAlpha([][]float64{{0, 0}, {1, 1}}, stats.Nominal, stats.Options{}))
	if e.Value != 1 || e.High != 1 || e.Low > 0 || e.Low < -1 {
		t.Errorf("%+v", e)
	}
}

func TestItemsWithOneLabelSayNothingAboutAgreement(t *testing.T) {
	_, err := stats.KrippendorffAlpha([][]float64{{1}, {}, {math.NaN(), 2}}, stats.Nominal, stats.Options{})
	if !errors.Is(err, stats.ErrNoObservations) {
		t.Errorf("%v", err)
	}
}

// BenchmarkAgreement uses 10,000 items with five labels, and 2,000 resamples.
func BenchmarkAgreement(b *testing.B) {
	r := numbers(3)
	items, counts := make([][]float64, 10_000), make([][]int, 10_000)
	for i := range items {
		counts[i] = make([]int, 6)
		for range 5 {
			label := r.below(6)
			counts[i][label]++
			items[i] = append(items[i], float64(label))
		}
	}
	for level, name := range []string{"alpha nominal", "alpha ordinal", "alpha interval"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := stats.KrippendorffAlpha(items, stats.Level(level), stats.Options{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("fleiss", func(b *testing.B) {
		for b.Loop() {
			if _, err := stats.FleissKappa(counts, stats.Options{}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
