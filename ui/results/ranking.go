package results

import (
	"cmp"
	"math"
	"slices"
)

// Few is the number of subjects that people can compare pair by pair, and that
// have colors of their own. If there are more, the others are shown compared
// with the baseline or the best one.
const Few = 8

// Many reports whether there are more than a few subjects.
func (e *Evaluation) Many() bool { return len(e.Subjects) > Few }

// Ranked returns the indices of the subjects, sorted by the first metric,
// highest figure first. Those without a figure come last.
func (e *Evaluation) Ranked() []int {
	places := make([]int, len(e.Subjects))
	for i := range places {
		places[i] = i
	}
	slices.SortStableFunc(places, func(a, b int) int { return cmp.Compare(e.leading(b), e.leading(a)) })
	return places
}

// leading returns a subject's figure for the first metric.
func (e *Evaluation) leading(place int) float64 {
	if len(e.Metrics) == 0 {
		return 0
	}
	if v := e.Subjects[place].Figures[e.Metrics[0].Name].Value; v != nil {
		return *v
	}
	return math.Inf(-1)
}

// Comparisons returns the differences that people are shown: all of them for a
// few subjects and, for many, those between the Reference and each other
// subject by the first metric. Corrected p-values account for all differences
// that were computed, so the best subject may be chosen after the fact.
func (e *Evaluation) Comparisons() []Difference {
	if !e.Many() {
		return e.Differences
	}
	with := e.Reference()
	var out []Difference
	for _, d := range e.Differences {
		if d.Metric == e.Metrics[0].Name && (d.A == with || d.B == with) {
			out = append(out, d)
		}
	}
	return out
}

// Reference returns the subject that many others are compared with: the
// baseline or, without one, the best one by the first metric.
func (e *Evaluation) Reference() string {
	if e.Baseline != "" {
		return e.Baseline
	}
	return e.Subjects[e.Ranked()[0]].Name
}
