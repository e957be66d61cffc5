package classification

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/quern-dev/quern/plugins/stats"
)

var usual = stats.Options{Confidence: 0.95, Resamples: 1000}

func near(a, b, tolerance float64) bool { return math.Abs(a-b) <= tolerance }

// rows returns the labels of one subject. "-" means no label.
func rows(target, predicted []string) *numbered {
	l := newNumbered(1)
	for i := range target {
		l.addTarget(target[i])
		l.add(0, predicted[i], predicted[i] != "-")
	}
	l.sort()
	return l
}

// letters returns labels. The scikit-learn run for the test below used the same
// formula.
func letters() (target, predicted []string) {
	for i := range 200 {
		k := i*7 + i*i
		target = append(target, string("abcde"[k%5]))
		if i%3 == 0 {
			k++
		}
		predicted = append(predicted, string("abcdf"[k%5]))
	}
	return target, predicted
}

// want contains the expected figures of a class.
type want struct {
	precision, recall, f1 float64
	support               int64
}

func TestFiguresMatchScikitLearn(t *testing.T) {
	// The expected values come from accuracy_score, f1_score, and
	// precision_recall_fscore_support of scikit-learn 1.9.1, with
	// zero_division=0. The first two examples are from its documentation of
	// f1_score and classification_report.
	target, predicted := letters()
	cases := map[string]struct {
		target, predicted         []string
		accuracy, macro, weighted float64
		classes                   map[string]want
	}{
		"documentation of f1_score": {
			split("0 1 2 0 1 2"), split("0 2 1 0 0 1"), 0.3333333333, 0.2666666667, 0.2666666667,
			map[string]want{"0": {0.6666666667, 1, 0.8, 2}, "1": {support: 2}, "2": {support: 2}},
		},
		"documentation of classification_report": {
			split("0 1 2 2 2"), split("0 0 2 2 1"), 0.6, 0.4888888889, 0.6133333333,
			map[string]want{"0": {0.5, 1, 0.6666666667, 1}, "1": {support: 1}, "2": {1, 0.6666666667, 0.8, 3}},
		},
		"labels that are never right or never predicted": {
			target, predicted, 0.53, 0.3046423057, 0.6092846114,
			map[string]want{
				"a": {0.8, 0.65, 0.7172413793, 80}, "b": {}, "d": {1, 0.675, 0.8059701493, 80},
				"e": {support: 40}, "f": {},
			},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s, err := rows(c.target, c.predicted).scores(0, usual)
			if err != nil {
				t.Fatal(err)
			}
			if !near(s.Accuracy.Value, c.accuracy, 1e-9) || !near(s.MacroF1.Value, c.macro, 1e-9) || !near(s.WeightedF1.Value, c.weighted, 1e-9) {
				t.Errorf("accuracy %g, macro F1 %g, weighted F1 %g", s.Accuracy.Value, s.MacroF1.Value, s.WeightedF1.Value)
			}
			if len(s.Classes) != len(c.classes) {
				t.Errorf("%d classes, want %d", len(s.Classes), len(c.classes))
			}
			for label, want := range c.classes {
				got := s.Classes[label]
				if !near(*got.Precision.Value, want.precision, 1e-9) || !near(*got.Recall.Value, want.recall, 1e-9) || !near(*got.F1.Value, want.f1, 1e-9) || got.Support != want.support {
					t.Errorf("class %s: %+v, want %+v", label, got, want)
				}
			}
		})
	}
}

func split(s string) (out []string) {
	for _, r := range s {
		if r != ' ' {
			out = append(out, string(r))
		}
	}
	return out
}

func TestARowWithoutALabelLowersRecallButNotPrecision(t *testing.T) {
	s, err := rows(split("a a b b"), split("a - b b")).scores(0, usual)
	if err != nil {
		t.Fatal(err)
	}
	if s.Accuracy.Value != 0.75 || s.Coverage.Value != 0.75 {
		t.Errorf("accuracy %g, coverage %g", s.Accuracy.Value, s.Coverage.Value)
	}
	if a := s.Classes["a"]; *a.Precision.Value != 1 || *a.Recall.Value != 0.5 {
		t.Errorf("class a: %+v", a)
	}
	if _, is := s.Classes[""]; is {
		t.Error("no label counts as a class")
	}
}

func TestALabelThatIsAnEmptyTextIsALabel(t *testing.T) {
	s, err := rows([]string{"", "a"}, []string{"", "-"}).scores(0, usual)
	if err != nil {
		t.Fatal(err)
	}
	if s.Accuracy.Value != 0.5 || s.Coverage.Value != 0.5 || *s.Classes[""].Recall.Value != 1 {
		t.Errorf("%+v", s)
	}
}

func TestThreeCorrectRowsLeaveAWideInterval(t *testing.T) {
	s, err := rows(split("a b c"), split("a b c")).scores(0, usual)
	if err != nil {
		t.Fatal(err)
	}
	low := stats.Wilson(3, 3, 0.95).Low // 0.4385
	for name, e := range map[string]stats.Estimate{"accuracy": s.Accuracy, "macro": s.MacroF1, "weighted": s.WeightedF1} {
		if e.Value != 1 || !near(e.Low, low, 1e-9) || e.High != 1 || e.N != 3 {
			t.Errorf("%s: %+v", name, e)
		}
	}
	if c := s.Classes["a"]; *c.Precision.Low > 0.21 || *c.Recall.Low > 0.21 || *c.F1.Low > 0.35 {
		t.Errorf("%+v", c)
	}
}

func TestTheRarestClassDecidesTheWidthOfMacroF1(t *testing.T) {
	target := append(slices.Repeat([]string{"a"}, 1000), "b")
	s, err := rows(target, target).scores(0, usual)
	if err != nil {
		t.Fatal(err)
	}
	if s.MacroF1.Value != 1 || s.MacroF1.Low > 0.6 || s.WeightedF1.Low < 0.99 {
		t.Errorf("macro %+v, weighted %+v", s.MacroF1, s.WeightedF1)
	}
}

func TestTheIntervalOfF1MatchesABootstrap(t *testing.T) {
	target, predicted := letters()
	for range 3 { // 1,600 rows
		target, predicted = append(target, target...), append(predicted, predicted...)
	}
	l := rows(target, predicted)
	s, err := l.scores(0, usual)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		got    stats.Estimate
		shares func(*margins) shares
	}{"macro": {s.MacroF1, (*margins).equally}, "weighted": {s.WeightedF1, (*margins).bySupport}} {
		e, err := stats.Bootstrap(len(target), func(drawn []int) float64 {
			x := newNumbered(1)
			for _, i := range drawn {
				x.addTarget(target[i])
				x.add(0, predicted[i], true)
			}
			g := x.margins(0)
			return x.composite(0, g, c.shares(g)).Value
		}, stats.Options{Resamples: 2000, Seed: 3})
		if err != nil {
			t.Fatal(err)
		}
		if !near(c.got.SE, e.SE, 0.05*e.SE) {
			t.Errorf("%s: standard error %g, by bootstrap %g", name, c.got.SE, e.SE)
		}
		// Kish's effective number of rows is a bound, so the interval may be
		// wider.
		if c.got.Low > e.Low+0.002 || c.got.High < e.High-0.002 {
			t.Errorf("%s: %+v, by bootstrap %+v", name, c.got, e)
		}
	}
}

func TestOneRowGivesVeryWideIntervals(t *testing.T) {
	s, err := rows([]string{"a"}, []string{"a"}).scores(0, usual)
	if err != nil {
		t.Fatal(err)
	}
	if s.MacroF1.Value != 1 || s.MacroF1.Low != 0 || s.MacroF1.High != 1 {
		t.Errorf("%+v", s.MacroF1)
	}
}

func TestTheOrderOfRowsChangesNoFigure(t *testing.T) {
	target, predicted := letters()
	for _, clustered := range []bool{false, true} {
		figures := func(seed uint64) string {
			order := rand.New(rand.NewPCG(seed, 1)).Perm(len(target))
			var x, y []string
			o := usual
			for _, i := range order {
				x, y = append(x, target[i]), append(y, predicted[i])
				if clustered {
					o.Clusters = append(o.Clusters, i/7)
				}
			}
			o.Clusters = append([]int(nil), o.Clusters...)
			s, err := rows(x, y).scores(0, o)
			if err != nil {
				t.Fatal(err)
			}
			return fmt.Sprintf("%+v %+v %+v %v", s.Accuracy, s.MacroF1, s.WeightedF1, s.Classes["a"].Recall)
		}
		if a, b := figures(1), figures(2); a != b {
			t.Errorf("clustered %t: %s became %s", clustered, a, b)
		}
	}
}

func TestManyLabelsAreScoredQuickly(t *testing.T) {
	var ids []string
	for i := range 100_000 {
		ids = append(ids, fmt.Sprint(i))
	}
	start := time.Now()
	s, err := rows(ids, ids).scores(0, usual)
	if err != nil || s.MacroF1.Value != 1 {
		t.Fatal(s.MacroF1, err)
	}
	// It would take hours if it were quadratic.
	if took := time.Since(start); took > 5*time.Minute {
		t.Errorf("it took %s", took)
	}
}

func TestWithoutRowsThereAreNoFigures(t *testing.T) {
	if _, err := newNumbered(1).scores(0, usual); err == nil {
		t.Error("there were figures")
	}
}
