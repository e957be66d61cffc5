package classification

import (
	"errors"

	"github.com/quern-dev/quern/internal/measurement"
	"github.com/quern-dev/quern/plugins/figures"
	"github.com/quern-dev/quern/plugins/stats"
)

// Scores contains the figures of one subject.
type Scores struct {
	Accuracy, MacroF1, WeightedF1 stats.Estimate
	// Coverage is the share of rows that got a label.
	Coverage stats.Estimate
	Classes  map[string]measurement.Class
}

// scores computes the figures of a subject. Accuracy, coverage, precision, and
// recall are shares with Wilson score intervals. The F1 figures are weighted
// shares of the rows (stats.Composite).
func (l *numbered) scores(subject int, o stats.Options) (*Scores, error) {
	if len(l.targets) == 0 {
		return nil, errors.New("there are no rows to score")
	}
	s := &Scores{}
	g := l.margins(subject)
	var err error
	if s.Accuracy, err = stats.Proportion(hits(l.right(subject)), o); err != nil {
		return nil, err
	}
	if s.Coverage, err = stats.Proportion(hits(l.covered(subject)), o); err != nil {
		return nil, err
	}
	if s.MacroF1, err = l.composite(subject, g, g.equally()).Estimate(o); err != nil {
		return nil, err
	}
	if s.WeightedF1, err = l.composite(subject, g, g.bySupport()).Estimate(o); err != nil {
		return nil, err
	}
	s.Classes, err = l.classes(subject, g, o)
	return s, err
}

func hits(values []float64) []bool {
	out := make([]bool, len(values))
	for i, v := range values {
		out[i] = v == 1
	}
	return out
}

// margins contains the row and column sums of a confusion matrix, by label.
type margins struct{ right, support, predicted []int }

func (l *numbered) margins(subject int) *margins {
	g := &margins{make([]int, len(l.labels)), make([]int, len(l.labels)), make([]int, len(l.labels))}
	for i, target := range l.targets {
		given := l.given[subject][i]
		g.support[target]++
		if given >= 0 {
			g.predicted[given]++
		}
		if target == given {
			g.right[target]++
		}
	}
	return g
}

// present reports whether a label occurs as a correct or predicted label.
func (g *margins) present(k int) bool { return g.support[k]+g.predicted[k] > 0 }

func (g *margins) f1(k int) float64 { return quotient(2*g.right[k], g.support[k]+g.predicted[k]) }

func quotient(a, b int) float64 {
	if b == 0 {
		return 0
	}
	return float64(a) / float64(b)
}

// shares contains each label's share of a mean F1. The shares sum to 1. moving
// says that they depend on how often each label is correct.
type shares struct {
	of     []float64
	moving bool
}

// equally returns the shares for macro F1, the mean over the labels that occur.
func (g *margins) equally() shares {
	s := shares{of: make([]float64, len(g.support))}
	present := 0
	for k := range s.of {
		if g.present(k) {
			present++
		}
	}
	for k := range s.of {
		if g.present(k) {
			s.of[k] = 1 / float64(present)
		}
	}
	return s
}

// bySupport returns the shares for weighted F1.
func (g *margins) bySupport() shares {
	s := shares{of: make([]float64, len(g.support)), moving: true}
	rows := 0
	for _, n := range g.support {
		rows += n
	}
	for k, n := range g.support {
		s.of[k] = float64(n) / float64(rows)
	}
	return s
}

// composite expresses a mean F1 as a weighted share of correct rows. F1 of a
// label is its hits divided by m, the mean of how often it is correct and how
// often it is predicted. So a row contributes 1/2m for each of its two labels,
// times the label's share of the mean.
func (l *numbered) composite(subject int, g *margins, s shares) stats.Composite {
	n := len(l.targets)
	f1, decides := make([]float64, len(s.of)), make([]float64, len(s.of))
	var value, lost float64 // lost is Kahan's compensation
	for k, share := range s.of {
		if !g.present(k) {
			continue
		}
		f1[k] = g.f1(k)
		decides[k] = share / float64(g.support[k]+g.predicted[k])
		y := share*f1[k] - lost
		sum := value + y
		lost = (sum - value) - y
		value = sum
	}
	c := stats.Composite{Value: min(value, 1), Influence: make([]float64, n), Weight: make([]float64, n)}
	for i, target := range l.targets {
		labels := [2]int32{target, l.given[subject][i]}
		for _, k := range labels {
			if k >= 0 {
				c.Weight[i] += decides[k]
				c.Influence[i] -= decides[k] * f1[k]
			}
		}
		if labels[0] == labels[1] {
			c.Influence[i] += 2 * decides[target]
		}
		if s.moving {
			c.Influence[i] += (f1[target] - value) / float64(n)
		}
	}
	return c
}

// classes returns the figures of each label that occurs. As in scikit-learn, a
// quotient with a zero denominator is 0. Its interval is that of an unknown
// share.
func (l *numbered) classes(subject int, g *margins, o stats.Options) (map[string]measurement.Class, error) {
	out := map[string]measurement.Class{}
	if o.Clusters == nil {
		for k, label := range l.labels {
			if g.present(k) {
				out[label] = measurement.Class{
					Precision: share(stats.Share(g.right[k], g.predicted[k], o.Confidence)),
					Recall:    share(stats.Share(g.right[k], g.support[k], o.Confidence)),
					F1:        f1Of(stats.Share(g.right[k], g.support[k]+g.predicted[k]-g.right[k], o.Confidence)),
					Support:   int64(g.support[k]),
				}
			}
		}
		return out, nil
	}
	targeted, predicted := make([][]int, len(l.labels)), make([][]int, len(l.labels))
	for i, target := range l.targets {
		targeted[target] = append(targeted[target], i)
		if given := l.given[subject][i]; given >= 0 {
			predicted[given] = append(predicted[given], i)
		}
	}
	for k, label := range l.labels {
		if !g.present(k) {
			continue
		}
		either := predicted[k]
		for _, i := range targeted[k] {
			if l.given[subject][i] != int32(k) {
				either = append(either, i)
			}
		}
		c := measurement.Class{Support: int64(g.support[k])}
		var err error
		among := func(rows []int) stats.Estimate {
			e, failed := l.among(subject, rows, o)
			err = errors.Join(err, failed)
			return e
		}
		c.Precision, c.Recall, c.F1 = share(among(predicted[k])), share(among(targeted[k])), f1Of(among(either))
		if err != nil {
			return nil, err
		}
		out[label] = c
	}
	return out, nil
}

// among returns the share of the given rows that a subject is right on.
func (l *numbered) among(subject int, rows []int, o stats.Options) (stats.Estimate, error) {
	if len(rows) == 0 {
		return stats.Share(0, 0, o.Confidence), nil
	}
	right, clusters := make([]bool, len(rows)), make([]int, len(rows))
	for i, row := range rows {
		right[i], clusters[i] = l.targets[row] == l.given[subject][row], o.Clusters[row]
	}
	o.Clusters = clusters
	return stats.Proportion(right, o)
}

func share(e stats.Estimate) measurement.ClassFigure {
	return measurement.ClassFigure{Figure: figures.Of(e.Within(0, 1), e.N)}
}

// f1Of computes F1 from j, the share of hits among the rows whose correct or
// predicted label is this one: 2j/(1+j). The endpoints of Wilson's interval for
// j give those for F1 (Lam, Gopal and Qian 2023, Confidence Intervals for the
// F1 Score).
func f1Of(e stats.Estimate) measurement.ClassFigure {
	e = e.Within(0, 1)
	for _, v := range []*float64{&e.Value, &e.Low, &e.High} {
		*v = 2 * *v / (1 + *v)
	}
	return measurement.ClassFigure{Figure: figures.Of(e, e.N)}
}
