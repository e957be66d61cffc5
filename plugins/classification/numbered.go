package classification

import "slices"

// numbered contains the labels of each row as numbers, at four bytes for each
// row and subject. All figures are computed from it.
type numbered struct {
	numbers map[string]int32
	labels  []string // by number
	targets []int32
	given   [][]int32 // by subject; -1: no label
}

func newNumbered(subjects int) *numbered {
	return &numbered{numbers: map[string]int32{}, given: make([][]int32, subjects)}
}

func (l *numbered) number(label string) int32 {
	n, known := l.numbers[label]
	if !known {
		n = int32(len(l.labels))
		l.numbers[label] = n
		l.labels = append(l.labels, label)
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

// sort numbers the labels in alphabetical order, so that no figure depends on
// which row came first. Call it once, after all rows are added.
func (l *numbered) sort() {
	sorted := slices.Sorted(slices.Values(l.labels))
	place := make([]int32, len(sorted))
	for i, label := range sorted {
		place[l.numbers[label]] = int32(i)
		l.numbers[label] = int32(i)
	}
	l.labels = sorted
	for _, list := range append(slices.Clone(l.given), l.targets) {
		for i, n := range list {
			if n >= 0 {
				list[i] = place[n]
			}
		}
	}
}

// right returns 1 for each row on which a subject is right, and 0 for the
// others.
func (l *numbered) right(subject int) []float64 {
	return l.where(subject, func(target, given int32) bool { return target == given })
}

// covered returns 1 for each row that got a label, and 0 for the others.
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
