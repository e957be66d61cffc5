package stats

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// Vote is a label that an annotator gave an item; all three are numbered from
// 0. An annotator may vote on an item more than once.
type Vote struct{ Item, Annotator, Label int }

// Choice is the label that votes on an item come to.
type Choice struct {
	// Label is NoLabel where there are no votes.
	Label int
	// Confidence is the share of votes, or the probability, of the label.
	Confidence float64
	// Tied: other labels have as much for them. Label is the lowest of these.
	Tied bool
	// Votes is how many votes the item has.
	Votes int
}

// CountVotes returns how many votes each label got on each item, as
// FleissKappa wants them.
func CountVotes(votes []Vote, items, labels int) ([][]int, error) {
	counts := make([][]int, items)
	all := make([]int, items*labels)
	for i := range counts {
		counts[i] = all[i*labels : (i+1)*labels : (i+1)*labels]
	}
	for i, v := range votes {
		if err := v.check(i, items, math.MaxInt, labels); err != nil {
			return nil, err
		}
		counts[v.Item][v.Label]++
	}
	return counts, nil
}

// LabelsByItem returns the labels that each item got, as KrippendorffAlpha
// wants them.
func LabelsByItem(votes []Vote, items int) ([][]float64, error) {
	labels := make([][]float64, items)
	for i, v := range votes {
		if err := v.check(i, items, math.MaxInt, math.MaxInt); err != nil {
			return nil, err
		}
		labels[v.Item] = append(labels[v.Item], float64(v.Label))
	}
	return labels, nil
}

func (v Vote) check(i, items, annotators, labels int) error {
	for _, number := range []struct {
		name         string
		value, count int
	}{{"item", v.Item, items}, {"annotator", v.Annotator, annotators}, {"label", v.Label, labels}} {
		if number.value < 0 || number.value >= number.count {
			return fmt.Errorf("vote %d has the %s %d; there are %d, numbered from 0", i, number.name, number.value, number.count)
		}
	}
	return nil
}

// MajorityVote chooses for each item the label with the most votes.
func MajorityVote(votes []Vote, items, labels int) ([]Choice, error) {
	for i, v := range votes {
		if err := v.check(i, items, math.MaxInt, labels); err != nil {
			return nil, err
		}
	}
	choices := make([]Choice, items)
	for i := range choices {
		choices[i].Label = NoLabel
	}
	// Votes of an item, and of them those for a label, follow each other, so
	// that no table of items by labels is needed.
	sorted := slices.SortedFunc(slices.Values(votes), func(a, b Vote) int {
		return cmp.Or(cmp.Compare(a.Item, b.Item), cmp.Compare(a.Label, b.Label))
	})
	for from, to := 0, 0; from < len(sorted); from = to {
		for to = from; to < len(sorted) && sorted[to].Item == sorted[from].Item && sorted[to].Label == sorted[from].Label; to++ {
		}
		c := &choices[sorted[from].Item]
		c.Votes += to - from
		switch got := float64(to - from); {
		case got > c.Confidence:
			c.Label, c.Confidence, c.Tied = sorted[from].Label, got, false
		case got == c.Confidence:
			c.Tied = true
		}
	}
	for i := range choices {
		choices[i].Confidence /= float64(max(choices[i].Votes, 1))
	}
	return choices, nil
}

// choose takes the label with the largest weight, which becomes the
// confidence. Weights that differ by rounding alone are tied.
func choose(weights []float64, votes int) Choice {
	if votes == 0 {
		return Choice{Label: NoLabel}
	}
	c := Choice{Label: 0, Confidence: weights[0], Votes: votes}
	for label, w := range weights[1:] {
		switch {
		case w > c.Confidence*(1+tolerance):
			c.Label, c.Confidence, c.Tied = label+1, w, false
		case w >= c.Confidence*(1-tolerance):
			c.Tied = true
		}
	}
	return c
}
