package stats

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// Vote is a label that an annotator gave to an item. All three are numbered
// from 0. An annotator can vote on an item more than once.
type Vote struct{ Item, Annotator, Label int }

// Choice is the label that the votes on an item result in.
type Choice struct {
	// Label is NoLabel if there are no votes.
	Label int
	// Confidence is the share of votes for the label, or its probability.
	Confidence float64
	// Tied says that other labels have the same support. Label is the lowest of
	// them.
	Tied bool
	// Votes is the number of votes on the item.
	Votes int
}

// CountVotes returns the number of votes for each label on each item, for
// FleissKappa.
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

// LabelsByItem returns the labels of each item, for KrippendorffAlpha.
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
	// Votes on an item, and votes for a label within these, are adjacent, so no
	// table of items by labels is needed.
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

// choose returns the label with the largest weight, which becomes the
// confidence. Weights that differ only by rounding are tied.
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
