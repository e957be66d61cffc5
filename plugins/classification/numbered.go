package classification

import "github.com/quern-dev/quern/sdk/go/stats"

// numbered are the labels of each row, numbered: what comparisons of subjects
// and figures of rows that hang together are made of.
type numbered struct {
	numbers map[string]int32
	targets []int32
	given   [][]int32 // by subject; -1: no label
}

func newNumbered(subjects int) *numbered {
	return &numbered{numbers: map[string]int32{}, given: make([][]int32, subjects)}
}

func (l *numbered) number(label string) int32 {
	n, known := l.numbers[label]
	if !known {
		n = int32(len(l.numbers))
		l.numbers[label] = n
	}
	return n
}

func (l *numbered) addTarget(label string) { l.targets = append(l.targets, l.number(label)) }

func (l *numbered) add(subject int, label string, given bool) {
	n := int32(-1)
	if given {
		n = l.number(label)
	}
	l.given[subject] = append(l.given[subject], n)
}

// right says by 1 and 0 on which rows a subject is.
func (l *numbered) right(subject int) []float64 {
	return l.where(subject, func(target, given int32) bool { return target == given })
}

// covered says by 1 and 0 which rows got any label.
func (l *numbered) covered(subject int) []float64 {
	return l.where(subject, func(_, given int32) bool { return given >= 0 })
}

func (l *numbered) where(subject int, holds func(target, given int32) bool) []float64 {
	out := make([]float64, len(l.targets))
	for i, target := range l.targets {
		if holds(target, l.given[subject][i]) {
			out[i] = 1
		}
	}
	return out
}

// scores are those of a subject on rows that lie in clusters.
func (l *numbered) scores(subject int, t *Tally, o stats.Options) (*Scores, error) {
	s, err := t.figures()
	if err != nil {
		return nil, err
	}
	if s.Accuracy, err = stats.Proportion(hits(l.right(subject)), o); err != nil {
		return nil, err
	}
	if s.Coverage, err = stats.Proportion(hits(l.covered(subject)), o); err != nil {
		return nil, err
	}
	if s.MacroF1, err = l.estimate(subject, (*margins).macro, o); err != nil {
		return nil, err
	}
	s.WeightedF1, err = l.estimate(subject, (*margins).weighted, o)
	return s, err
}

func hits(values []float64) []bool {
	out := make([]bool, len(values))
	for i, v := range values {
		out[i] = v == 1
	}
	return out
}

func (l *numbered) estimate(subject int, f1 func(*margins) float64, o stats.Options) (stats.Estimate, error) {
	e, err := stats.Bootstrap(len(l.targets), func(rows []int) float64 {
		g := newMargins(len(l.numbers))
		for _, i := range rows {
			g.add(int(l.targets[i]), int(l.given[subject][i]), 1)
		}
		return f1(g)
	}, o)
	return e.Within(0, 1), err
}

// Of more kinds of rows than these it is quicker to go through the rows.
// exchanged bounds how many labels a test exchanges in all: of many rows it
// takes fewer permutations, 999 at the least.
const (
	mostKinds    = 1000
	exchanged    = 20_000_000
	fewest, most = 999, 9999
)

// compare compares two subjects by an F1: by kinds of rows or, where there are
// many or rows lie in clusters, by the rows themselves.
func (l *numbered) compare(first, second int, f1 func(*margins) float64, clusters []string, o stats.Options) (stats.Comparison, error) {
	o.Permutations = min(max(exchanged/len(l.targets), fewest), most)
	if kinds, counts := l.kinds(first, second); clusters == nil && len(kinds) <= mostKinds {
		return stats.CompareCounts(counts, func(counts, swapped []int) float64 {
			a, b := newMargins(len(l.numbers)), newMargins(len(l.numbers))
			for k, kind := range kinds {
				target, first, second := int(kind[0]), int(kind[1]), int(kind[2])
				a.add(target, first, counts[k]-swapped[k])
				a.add(target, second, swapped[k])
				b.add(target, second, counts[k]-swapped[k])
				b.add(target, first, swapped[k])
			}
			return f1(a) - f1(b)
		}, o)
	}
	n := len(l.targets)
	if clusters != nil {
		o.Clusters = stats.Clusters(clusters)
	}
	return stats.CompareStatistic(n, func(answers []int) float64 {
		g := newMargins(len(l.numbers))
		for _, i := range answers {
			of := first
			if i >= n {
				of, i = second, i-n
			}
			g.add(int(l.targets[i]), int(l.given[of][i]), 1)
		}
		return f1(g)
	}, o)
}

// kinds are the different rows, a right label with those of two subjects, in
// the order of first occurrence, and how often each occurs.
func (l *numbered) kinds(first, second int) (kinds [][3]int32, counts []int) {
	places := map[[3]int32]int{}
	for i, target := range l.targets {
		kind := [3]int32{target, l.given[first][i], l.given[second][i]}
		at, known := places[kind]
		if !known {
			at = len(kinds)
			places[kind] = at
			kinds, counts = append(kinds, kind), append(counts, 0)
		}
		counts[at]++
	}
	return kinds, counts
}
