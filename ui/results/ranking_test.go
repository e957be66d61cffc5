package results

import (
	"fmt"
	"testing"

	"github.com/quern-dev/quern/internal/measurement"
)

func TestManySubjectsAreComparedWithTheBestOne(t *testing.T) {
	e := &Evaluation{Metrics: []Metric{{measurement.Metric{Name: "accuracy"}}, {measurement.Metric{Name: "f1"}}}}
	for i := range 10 {
		v := float64((i * 7) % 10) // the best is 7
		e.Subjects = append(e.Subjects, Subject{Name: fmt.Sprint("s", i), Figures: map[string]measurement.Figure{"accuracy": {Value: &v}}})
		for j := range i {
			for _, m := range e.Metrics {
				e.Differences = append(e.Differences, Difference{A: fmt.Sprint("s", j), B: fmt.Sprint("s", i), Metric: m.Name})
			}
		}
	}
	e.Subjects[2].Figures = nil
	if got := fmt.Sprint(e.Ranked()); got != "[7 4 1 8 5 9 6 3 0 2]" {
		t.Errorf("ranked %s", got)
	}
	shown := e.Comparisons()
	if len(shown) != 9 {
		t.Fatalf("%d comparisons, want 9", len(shown))
	}
	for _, d := range shown {
		if d.Metric != "accuracy" || d.A != "s7" && d.B != "s7" {
			t.Errorf("%s - %s by %s is shown", d.A, d.B, d.Metric)
		}
	}
	e.Baseline = "s0"
	for _, d := range e.Comparisons() {
		if d.Metric != "accuracy" || d.A != "s0" && d.B != "s0" {
			t.Errorf("%s - %s by %s is shown of a baseline", d.A, d.B, d.Metric)
		}
	}
	e.Subjects = e.Subjects[:Few]
	if len(e.Comparisons()) != len(e.Differences) {
		t.Error("of a few subjects, not all differences are shown")
	}
}
