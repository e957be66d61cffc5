package classification

import (
	"errors"

	"github.com/quern-dev/quern/sdk/go/stats"
)

// Class is how well one label is found. A quotient by zero counts as 0, as in
// scikit-learn.
type Class struct {
	Precision float64 `json:"precision"`
	Recall    float64 `json:"recall"`
	F1        float64 `json:"f1"`
	// Support is the number of rows that have the label.
	Support int64 `json:"support"`
}

// Scores are the figures of one subject.
type Scores struct {
	Accuracy, MacroF1, WeightedF1 stats.Estimate
	// Coverage is the share of rows that got any label.
	Coverage stats.Estimate
	Classes  map[string]Class
}

// Scores makes the figures. Accuracy and coverage have Wilson score
// intervals, the F1 figures those of a bootstrap over rows. Drawing rows is
// drawing the counts of the confusion matrix, which takes time by cells.
func (t *Tally) Scores(o stats.Options) (*Scores, error) {
	s, err := t.figures()
	if err != nil {
		return nil, err
	}
	m := t.matrix()
	right, given := 0, 0
	for i, c := range m.cells {
		if c.target == c.predicted {
			right += m.counts[i]
		}
		if c.predicted >= 0 {
			given += m.counts[i]
		}
	}
	s.Accuracy, s.Coverage = stats.Wilson(right, m.rows, o.Confidence), stats.Wilson(given, m.rows, o.Confidence)
	if s.MacroF1, err = m.estimate((*margins).macro, o); err != nil {
		return nil, err
	}
	s.WeightedF1, err = m.estimate((*margins).weighted, o)
	return s, err
}

// figures are the scores without the headlines.
func (t *Tally) figures() (*Scores, error) {
	m := t.matrix()
	if m.rows == 0 {
		return nil, errors.New("there are no rows to score")
	}
	s := &Scores{Classes: map[string]Class{}}
	sums := m.margins(m.counts)
	for i, class := range m.classes {
		s.Classes[class] = sums.class(i)
	}
	return s, nil
}

// estimate bootstraps a mean F1. The same seed draws the same rows for both.
func (m *matrix) estimate(f1 func(*margins) float64, o stats.Options) (stats.Estimate, error) {
	e, err := stats.BootstrapCounts(m.counts, func(counts []int) float64 { return f1(m.margins(counts)) }, o)
	return e.Within(0, 1), err
}

// margins are the sums of a confusion matrix, by class.
type margins struct{ right, support, predicted []int }

func (m *matrix) margins(counts []int) *margins {
	g := newMargins(len(m.classes))
	for i, c := range m.cells {
		g.add(c.target, c.predicted, counts[i])
	}
	return g
}

func newMargins(classes int) *margins {
	all := make([]int, 3*classes)
	return &margins{all[:classes], all[classes : 2*classes], all[2*classes:]}
}

// add counts rows; predicted -1: no label.
func (g *margins) add(target, predicted, rows int) {
	g.support[target] += rows
	if predicted >= 0 {
		g.predicted[predicted] += rows
	}
	if target == predicted {
		g.right[target] += rows
	}
}

// macro is the mean F1 over the classes that occur, as right or predicted
// label.
func (g *margins) macro() float64 {
	var sum float64
	present := 0
	for i := range g.support {
		if g.support[i]+g.predicted[i] > 0 {
			sum += g.f1(i)
			present++
		}
	}
	return sum / float64(max(present, 1))
}

// weighted is the mean F1, weighted by support.
func (g *margins) weighted() float64 {
	var sum float64
	rows := 0
	for i, support := range g.support {
		sum += g.f1(i) * float64(support)
		rows += support
	}
	return sum / float64(max(rows, 1))
}

func (g *margins) f1(i int) float64 { return quotient(2*g.right[i], g.support[i]+g.predicted[i]) }

func (g *margins) class(i int) Class {
	return Class{
		Precision: quotient(g.right[i], g.predicted[i]),
		Recall:    quotient(g.right[i], g.support[i]),
		F1:        g.f1(i),
		Support:   int64(g.support[i]),
	}
}

func quotient(a, b int) float64 {
	if b == 0 {
		return 0
	}
	return float64(a) / float64(b)
}
