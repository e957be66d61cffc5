package classification

import (
	"cmp"
	"slices"
)

// Tally counts which label was predicted where another was right.
type Tally struct {
	counts map[pair]int64
}

// pair is a right label and the one predicted; with abstained set there is
// none.
type pair struct {
	target, predicted string
	abstained         bool
}

// NewTally returns an empty tally.
func NewTally() *Tally { return &Tally{counts: map[pair]int64{}} }

// Add counts a row. given false: no label was predicted.
func (t *Tally) Add(target, predicted string, given bool) {
	if !given {
		predicted = ""
	}
	t.counts[pair{target, predicted, !given}]++
}

// Cell is a field of the confusion matrix that is not zero.
type Cell struct {
	Target, Predicted string
	// Abstained: no label was predicted, Predicted is empty.
	Abstained bool
	Rows      int64
}

// Cells returns the confusion matrix, sorted by right and predicted label.
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
