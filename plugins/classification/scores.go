package classification

import (
	"errors"
)

// Interval is a figure with what is known about its accuracy.
type Interval struct {
	Value, Low, High float64
	// N is the number of rows behind it.
	N int64
}

// Class is how well one label is found. A quotient by zero counts as 0, as in
// scikit-learn.
type Class struct {
	Precision, Recall, F1 float64
	// Support is the number of rows that have the label.
	Support int64
}

// Scores are the figures of one subject.
type Scores struct {
	Accuracy, MacroF1, WeightedF1 Interval
	// Coverage is the share of rows that got any label.
	Coverage Interval
	Classes  map[string]Class
}

// Options say how intervals are made.
type Options struct {
	// Confidence is the share of intervals that hold the true figure: 0.95.
	Confidence float64
	// Resamples of the bootstrap.
	Resamples int
	Seed      int64
}

// Scores makes the figures. Accuracy and coverage have Wilson score
// intervals, the F1 figures percentile intervals of a bootstrap over rows.
func (t *Tally) Scores(o Options) (*Scores, error) {
	m := t.matrix()
	n := m.rows()
	if n == 0 {
		return nil, errors.New("there are no rows to score")
	}
	var right, given int64
	for _, c := range m.cells {
		if c.target == c.predicted {
			right += c.rows
		}
		if c.predicted >= 0 {
			given += c.rows
		}
	}
	s := &Scores{
		Accuracy: Wilson(right, n, o.Confidence),
		Coverage: Wilson(given, n, o.Confidence),
		Classes:  map[string]Class{},
	}
	margins := newMargins(len(m.classes))
	macro, weighted := margins.f1(m.cells)
	for i, class := range m.classes {
		s.Classes[class] = margins.class(i)
	}
	s.MacroF1, s.WeightedF1 = bootstrap(m, o)
	s.MacroF1.Value, s.WeightedF1.Value = macro, weighted
	return s, nil
}

// margins are the sums of a confusion matrix. They are a buffer, filled anew
// by f1.
type margins struct{ right, support, predicted []int64 }

func newMargins(classes int) *margins {
	return &margins{make([]int64, classes), make([]int64, classes), make([]int64, classes)}
}

// f1 returns the mean F1 over the classes that occur in cells, as right or
// predicted label, and the mean weighted by support.
func (g *margins) f1(cells []field) (macro, weighted float64) {
	clear(g.right)
	clear(g.support)
	clear(g.predicted)
	for _, c := range cells {
		g.support[c.target] += c.rows
		if c.predicted >= 0 {
			g.predicted[c.predicted] += c.rows
		}
		if c.target == c.predicted {
			g.right[c.target] += c.rows
		}
	}
	var present, rows int64
	for i := range g.support {
		if g.support[i]+g.predicted[i] == 0 {
			continue
		}
		f1 := quotient(2*g.right[i], g.support[i]+g.predicted[i])
		macro += f1
		weighted += f1 * float64(g.support[i])
		present++
		rows += g.support[i]
	}
	return macro / float64(max(present, 1)), weighted / float64(max(rows, 1))
}

func (g *margins) class(i int) Class {
	return Class{
		Precision: quotient(g.right[i], g.predicted[i]),
		Recall:    quotient(g.right[i], g.support[i]),
		F1:        quotient(2*g.right[i], g.support[i]+g.predicted[i]),
		Support:   g.support[i],
	}
}

func quotient(a, b int64) float64 {
	if b == 0 {
		return 0
	}
	return float64(a) / float64(b)
}
