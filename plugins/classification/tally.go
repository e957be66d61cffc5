package classification

import (
	"cmp"
	"slices"
)

// Tally counts pairs of correct and predicted labels.
type Tally struct {
	counts map[pair]int64
}

// pair is a correct label and the predicted one. If abstained is set, no label
// was predicted.
type pair struct {
	target, predicted string
	abstained         bool
}

// NewTally returns an empty tally.
func NewTally() *Tally { return &Tally{counts: map[pair]int64{}} }

// Add counts a row. given is false if no label was predicted.
func (t *Tally) Add(target, predicted string, given bool) {
	if !given {
		predicted = ""
	}
	t.counts[pair{target, predicted, !given}]++
}

// Cell is a cell of the confusion matrix that is not zero.
type Cell struct {
	Target, Predicted string
	// Abstained says that no label was predicted. Predicted is then empty.
	Abstained bool
	Rows      int64
}

// Cells returns the confusion matrix, sorted by correct and predicted label.
func (t *Tally) Cells() []Cell {
	cells := make([]Cell, 0, len(t.counts))
	for p, n := range t.counts {
		cells = append(cells, Cell{p.target, p.predicted, p.abstained, n})
	}
	slices.SortFunc(cells, func(a, b Cell) int {
		return cmp.Or(
			cmp.Compare(a.Target, b.Target),
			cmp.Compare(a.Predicted, b.Predicted),
			compareBool(a.Abstained, b.Abstained),
		)
	})
	return cells
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}
