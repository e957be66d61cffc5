package stats

import (
	"fmt"
	"math"
	"slices"
)

// Level is the level of measurement of labels: what of their difference
// means anything.
type Level int

// The levels.
const (
	// Nominal: labels are alike or not.
	Nominal Level = iota
	// Ordinal: labels have an order; what lies between two counts by how
	// often it occurs.
	Ordinal
	// Interval: labels are numbers whose differences are comparable.
	Interval
)

// KrippendorffAlpha is the agreement of any number of annotators, beyond that
// by chance, where not everyone gave a label to every item (Krippendorff,
// Computing Krippendorff's Alpha-Reliability, 2011). items[i] holds the
// labels of item i as numbers, in any order; NaN stands for a label that is
// missing. Items with fewer than two labels say nothing and are left out, with
// their clusters; N counts those that are left. The interval is that of a
// bootstrap of items. It wraps ErrUndefined where only one label occurs.
func KrippendorffAlpha(items [][]float64, level Level, o Options) (Estimate, error) {
	if o.Clusters != nil && len(o.Clusters) != len(items) {
		return Estimate{}, fmt.Errorf("there are clusters for %d items, but %d items", len(o.Clusters), len(items))
	}
	var paired [][]float64
	var clusters []int
	for i, labels := range items {
		given := defined(slices.Clone(labels))
		if err := finite("a label of the item", given); err != nil {
			return Estimate{}, fmt.Errorf("item %d: %w", i, err)
		}
		if len(given) < 2 {
			continue
		}
		paired = append(paired, given)
		if o.Clusters != nil {
			clusters = append(clusters, o.Clusters[i])
		}
	}
	o.Clusters = clusters
	if level == Interval {
		return Bootstrap(len(paired), newSpreads(paired).alpha, o)
	}
	return Bootstrap(len(paired), newRankings(paired, level).alpha, o)
}

// disagreement is, within a set of n numbers with the given sum and sum of
// squares, the sum of the squared differences of all ordered pairs.
func disagreement(n, sum, squares float64) float64 {
	return max(2*(n*squares-sum*sum), 0)
}

// fromDisagreements is alpha: one less the ratio of the disagreement within
// items to that of all n labels, each as a mean over pairs.
func fromDisagreements(within, total, n float64) float64 {
	if total == 0 {
		return math.NaN()
	}
	return 1 - (n-1)*within/total
}

// spreads are what the interval level needs of each item.
type spreads struct {
	n, sum, squares, within []float64
	// first is one label of each item, and all of them where within is 0.
	first []float64
}

func newSpreads(items [][]float64) *spreads {
	// Differences are the same around any middle, and more accurate around
	// that of the labels.
	var middle, count float64
	for _, labels := range items {
		for _, x := range labels {
			count++
			middle += (x - middle) / count
		}
	}
	s := &spreads{}
	for _, labels := range items {
		var sum, squares float64
		for _, x := range labels {
			sum += x - middle
			squares += (x - middle) * (x - middle)
		}
		n := float64(len(labels))
		s.n, s.sum, s.squares = append(s.n, n), append(s.sum, sum), append(s.squares, squares)
		s.within, s.first = append(s.within, itemDisagreement(labels)/(n-1)), append(s.first, labels[0])
	}
	return s
}

// itemDisagreement goes through the pairs of an item's labels, so that labels
// that are all alike have exactly none.
func itemDisagreement(labels []float64) (sum float64) {
	for i, x := range labels {
		for _, y := range labels[:i] {
			sum += 2 * (x - y) * (x - y)
		}
	}
	return sum
}

func (s *spreads) alpha(rows []int) float64 {
	var n, sum, squares, within float64
	varied := false
	for _, row := range rows {
		n += s.n[row]
		sum += s.sum[row]
		squares += s.squares[row]
		within += s.within[row]
		varied = varied || s.within[row] > 0 || s.first[row] != s.first[rows[0]]
	}
	if !varied {
		return math.NaN()
	}
	return fromDisagreements(within, disagreement(n, sum, squares), n)
}

// rankings are what the nominal and the ordinal level need: labels by their
// place in the order of those that occur.
type rankings struct {
	level  Level
	labels int
	items  [][]int
	within []float64 // the disagreement of each item, on the nominal level
}

func newRankings(items [][]float64, level Level) *rankings {
	var all []float64
	for _, labels := range items {
		all = append(all, labels...)
	}
	slices.Sort(all)
	all = slices.Compact(all)
	r := &rankings{level: level, labels: len(all)}
	for _, labels := range items {
		places := make([]int, len(labels))
		for i, x := range labels {
			places[i], _ = slices.BinarySearch(all, x)
		}
		slices.Sort(places)
		r.items = append(r.items, places)
		r.within = append(r.within, differentPairs(places)/float64(len(places)-1))
	}
	return r
}

func (r *rankings) alpha(rows []int) float64 {
	counts := make([]float64, r.labels)
	var n float64
	for _, row := range rows {
		for _, place := range r.items[row] {
			counts[place]++
		}
		n += float64(len(r.items[row]))
	}
	if r.level == Nominal {
		return r.nominal(rows, counts, n)
	}
	return r.ordinal(rows, counts, n)
}

func (r *rankings) nominal(rows []int, counts []float64, n float64) float64 {
	total := n * n
	for _, c := range counts {
		total -= c * c
	}
	var within float64
	for _, row := range rows {
		within += r.within[row]
	}
	return fromDisagreements(within, total, n)
}

// differentPairs counts the ordered pairs of different places, which are
// sorted: all but those within runs.
func differentPairs(places []int) float64 {
	n := float64(len(places))
	pairs, run := n*n, 0.0
	for i, place := range places {
		run++
		if i+1 == len(places) || places[i+1] != place {
			pairs -= run * run
			run = 0
		}
	}
	return pairs
}

// ordinal: how far two labels are apart is how many labels lie between their
// middle ranks, which are those of the labels drawn.
func (r *rankings) ordinal(rows []int, counts []float64, n float64) float64 {
	ranks := make([]float64, len(counts))
	var below, sum, squares float64
	for i, c := range counts {
		ranks[i] = below + c/2 - n/2
		below += c
		sum += c * ranks[i]
		squares += c * ranks[i] * ranks[i]
	}
	var within float64
	for _, row := range rows {
		var itemSum, itemSquares float64
		for _, place := range r.items[row] {
			itemSum += ranks[place]
			itemSquares += ranks[place] * ranks[place]
		}
		m := float64(len(r.items[row]))
		within += disagreement(m, itemSum, itemSquares) / (m - 1)
	}
	if slices.Max(counts) == n {
		return math.NaN()
	}
	return fromDisagreements(within, disagreement(n, sum, squares), n)
}
