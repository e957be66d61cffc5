package classification

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/quern-dev/quern/sdk/go/stats"
)

var usual = stats.Options{Confidence: 0.95, Resamples: 1000}

func near(a, b, tolerance float64) bool { return math.Abs(a-b) <= tolerance }

func tally(target, predicted []string) *Tally {
	t := NewTally()
	for i := range target {
		t.Add(target[i], predicted[i], true)
	}
	return t
}

// letters makes labels that the scikit-learn run of the test below made with
// the same formula.
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

func TestFiguresAreThoseOfScikitLearn(t *testing.T) {
	// Expected values: scikit-learn 1.9.1, accuracy_score, f1_score and
	// precision_recall_fscore_support with zero_division=0. The first two
	// examples are those in its documentation of f1_score and
	// classification_report.
	target, predicted := letters()
	cases := map[string]struct {
		target, predicted         []string
		accuracy, macro, weighted float64
		classes                   map[string]Class
	}{
		"documentation of f1_score": {
			split("0 1 2 0 1 2"), split("0 2 1 0 0 1"), 0.3333333333, 0.2666666667, 0.2666666667,
			map[string]Class{"0": {0.6666666667, 1, 0.8, 2}, "1": {Support: 2}, "2": {Support: 2}},
		},
		"documentation of classification_report": {
			split("0 1 2 2 2"), split("0 0 2 2 1"), 0.6, 0.4888888889, 0.6133333333,
			map[string]Class{"0": {0.5, 1, 0.6666666667, 1}, "1": {Support: 1}, "2": {1, 0.6666666667, 0.8, 3}},
		},
		"labels that are never right or never predicted": {
			target, predicted, 0.53, 0.3046423057, 0.6092846114,
			map[string]Class{
				"a": {0.8, 0.65, 0.7172413793, 80}, "b": {}, "d": {1, 0.675, 0.8059701493, 80},
				"e": {Support: 40}, "f": {},
			},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s, err := tally(c.target, c.predicted).Scores(usual)
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
				if !near(got.Precision, want.Precision, 1e-9) || !near(got.Recall, want.Recall, 1e-9) || !near(got.F1, want.F1, 1e-9) || got.Support != want.Support {
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

func TestARowWithoutALabelIsWrongAndSpoilsNoPrecision(t *testing.T) {
	x := NewTally()
	x.Add("a", "a", true)
	x.Add("a", "", false)
	x.Add("b", "b", true)
	x.Add("b", "b", true)
	s, err := x.Scores(usual)
	if err != nil {
		t.Fatal(err)
	}
	if s.Accuracy.Value != 0.75 || s.Coverage.Value != 0.75 {
		t.Errorf("accuracy %g, coverage %g", s.Accuracy.Value, s.Coverage.Value)
	}
	if a := s.Classes["a"]; a.Precision != 1 || a.Recall != 0.5 {
		t.Errorf("class a: %+v", a)
	}
	if _, is := s.Classes[""]; is {
		t.Error("no label counts as a class")
	}
}

func TestALabelThatIsAnEmptyTextIsALabel(t *testing.T) {
	x := NewTally()
	x.Add("", "", true)
	x.Add("a", "", false)
	s, err := x.Scores(usual)
	if err != nil {
		t.Fatal(err)
	}
	if s.Accuracy.Value != 0.5 || s.Coverage.Value != 0.5 || s.Classes[""].Recall != 1 {
		t.Errorf("%+v", s)
	}
}

func TestTheBootstrapOfCountsIsThatOfRows(t *testing.T) {
	// The plain bootstrap, row by row, as the definition has it.
	target, predicted := letters()
	o := stats.Options{Confidence: 0.95, Resamples: 4000, Seed: 3}
	byRows := func(f1 func(*margins) float64) stats.Estimate {
		e, err := stats.Bootstrap(len(target), func(rows []int) float64 {
			x := NewTally()
			for _, i := range rows {
				x.Add(target[i], predicted[i], true)
			}
			m := x.matrix()
			return f1(m.margins(m.counts))
		}, o)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	s, err := tally(target, predicted).Scores(o)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ got, want stats.Estimate }{
		{s.MacroF1, byRows((*margins).macro)}, {s.WeightedF1, byRows((*margins).weighted)},
	} {
		if !near(c.got.Low, c.want.Low, 0.01) || !near(c.got.High, c.want.High, 0.01) {
			t.Errorf("%+v, by rows %+v", c.got, c.want)
		}
	}
}

func TestOneRowLeavesEveryFigureOpen(t *testing.T) {
	s, err := tally([]string{"a"}, []string{"a"}).Scores(usual)
	if err != nil {
		t.Fatal(err)
	}
	if s.MacroF1.Value != 1 || s.MacroF1.Low != 0 || s.MacroF1.High != 1 {
		t.Errorf("%+v", s.MacroF1)
	}
}

func TestTheSeedDecidesTheBootstrapAndTheOrderOfRowsDoesNot(t *testing.T) {
	target, predicted := letters()
	scores := func(o stats.Options) string {
		s, err := tally(target, predicted).Scores(o)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%+v", s.MacroF1)
	}
	want := scores(usual)
	slices.Reverse(target)
	slices.Reverse(predicted)
	if got := scores(usual); got != want {
		t.Errorf("%s became %s", want, got)
	}
	if scores(stats.Options{Confidence: 0.95, Resamples: 1000, Seed: 1}) == want {
		t.Error("another seed makes the same interval")
	}
}

func TestIntervalsNarrowWithMoreRows(t *testing.T) {
	target, predicted := letters()
	x := NewTally()
	for range 100 {
		for i := range target {
			x.Add(target[i], predicted[i], true)
		}
	}
	few, _ := tally(target, predicted).Scores(usual)
	many, err := x.Scores(usual)
	if err != nil {
		t.Fatal(err)
	}
	if many.MacroF1.High-many.MacroF1.Low > 0.2*(few.MacroF1.High-few.MacroF1.Low) {
		t.Errorf("%+v with 200 rows, %+v with 20,000", few.MacroF1, many.MacroF1)
	}
	if v := many.MacroF1; v.Value < v.Low || v.Value > v.High {
		t.Errorf("the figure is outside of its interval: %+v", v)
	}
}

func TestNoRowsMakeNoFigures(t *testing.T) {
	if _, err := NewTally().Scores(usual); err == nil {
		t.Error("there were figures")
	}
}
