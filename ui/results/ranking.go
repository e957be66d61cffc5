package results

import (
	"cmp"
	"math"
	"slices"
)

// Few is how many subjects people can compare pair by pair, and how many have a
// color of their own. Of more, they see how the others compare with the baseline
// or the best one.
const Few = 8

// Many reports whether there are more than a few subjects.
func (e *Evaluation) Many() bool { return len(e.Subjects) > Few }

// Ranked are the places of the subjects, those first that have the highest figure
// of the first metric. Those without a figure come last.
func (e *Evaluation) Ranked() []int {
	places := make([]int, len(e.Subjects))
	for i := range places {
		places[i] = i
	}
	slices.SortStableFunc(places, func(a, b int) int { return cmp.Compare(e.leading(b), e.leading(a)) })
	return places
}

// leading is a subject's figure of the first metric.
func (e *Evaluation) leading(place int) float64 {
	if len(e.Metrics) == 0 {
		return 0
	}
	if v := e.Subjects[place].Figures[e.Metrics[0].Name].Value; v != nil {
		return *v
	}
	return math.Inf(-1)
}

// Comparisons are the differences that people are shown: all of a few subjects,
// and of many, by the first metric, those between the Reference and each other
// one. Corrected p-values allow for all differences that were computed, so the
// best subject may be chosen after the fact.
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

// Reference is the subject that many others are compared with for people: the
// baseline or, without one, the best one by the first metric.
func (e *Evaluation) Reference() string {
	if e.Baseline != "" {
		return e.Baseline
	}
	return e.Subjects[e.Ranked()[0]].Name
}
