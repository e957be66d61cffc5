package stats

import (
	"fmt"
	"math"
	"slices"
)

// Level is the level of measurement of labels. It says which differences
// between labels are meaningful.
type Level int

// The levels.
const (
	// Nominal: labels are either equal or different.
	Nominal Level = iota
	// Ordinal: labels have an order. The distance between two labels depends on
	// how often the labels between them occur.
	Ordinal
	// Interval: labels are numbers, and equal differences mean the same.
	Interval
)

// KrippendorffAlpha returns the agreement of any number of annotators beyond
// chance, if not everyone labeled every item (Krippendorff, Computing
// Krippendorff's Alpha-Reliability, 2011). items[i] contains the labels of item
// i as numbers, in any order. NaN is a missing label. Items with fewer than two
// labels contain no information and are left out, together with their clusters;
// N counts the items that remain. The interval comes from a bootstrap over
// items. If only one label occurs, the error wraps ErrUndefined.
func KrippendorffAlpha(items [][]float64, level Level, o Options) (Estimate, error) {
	if o.Clusters != nil && len(o.Clusters) != len(items) {
		return Estimate{}, fmt.Errorf("there are clusters for %d items, but %d items", len(o.Clusters), len(items))
	}
	var paired [][]float64
	var clusters []int
	for i, labels := range items {
		given := defined(slices.Clone(labels))
		if err := (Options{}).usable("a label of the item", given); err != nil {
			return Estimate{}, fmt.Errorf("item %d: %w", i, err)
		}
		if len(given) < 2 {
			continue
		}
		slices.Sort(given)
		paired = append(paired, given)
		if o.Clusters != nil {
			clusters = append(clusters, o.Clusters[i])
		}
	}
	o.Clusters = clusters
	return bootstrapItems(paired, o, func(kinds [][]float64) func(counts []int) float64 {
		if level == Interval {
			return newSpreads(kinds).alpha
		}
		return newRankings(kinds, level).alpha
	})
}

// disagreement returns the sum of the squared differences over all ordered
// pairs of n numbers, given their sum and the sum of their squares.
func disagreement(n, sum, squares float64) float64 {
	return max(2*(n*squares-sum*sum), 0)
}

// fromDisagreements returns alpha: one minus the ratio of the disagreement
// within items to the disagreement of all n labels, each as a mean over pairs.
func fromDisagreements(within, total, n float64) float64 {
	if total == 0 {
		return math.NaN()
	}
	return 1 - (n-1)*within/total
}

// spreads contains the data of each item for the interval level.
type spreads struct {
	n, sum, squares, within []float64
	// first is one label of each item. If within is 0, all labels are equal to
	// it.
	first []float64
}

func newSpreads(items [][]float64) *spreads {
	// Differences do not depend on the center, but are more accurate if the
	// center is that of the labels.
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

// itemDisagreement adds up the pairs of an item's labels, so that the result is
// exactly 0 if all labels are equal.
func itemDisagreement(labels []float64) (sum float64) {
	for i, x := range labels {
		for _, y := range labels[:i] {
			sum += 2 * (x - y) * (x - y)
		}
	}
	return sum
}

func (s *spreads) alpha(counts []int) float64 {
	var n, sum, squares, within float64
	varied, before := false, -1
	for kind, count := range counts {
		if count == 0 {
			continue
		}
		times := float64(count)
		n += times * s.n[kind]
		sum += times * s.sum[kind]
		squares += times * s.squares[kind]
		within += times * s.within[kind]
		varied = varied || s.within[kind] > 0 || before >= 0 && s.first[kind] != s.first[before]
		before = kind
	}
	if !varied {
		return math.NaN()
	}
	return fromDisagreements(within, disagreement(n, sum, squares), n)
}

// rankings contains the data for the nominal and ordinal levels: labels by
// their position among those that occur.
type rankings struct {
	level  Level
	labels int
	items  [][]int
	within []float64 // the disagreement of each item at the nominal level
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

func (r *rankings) alpha(counts []int) float64 {
	labels := make([]float64, r.labels)
	var n float64
	for kind, count := range counts {
		if count == 0 {
			continue
		}
		for _, place := range r.items[kind] {
			labels[place] += float64(count)
		}
		n += float64(count * len(r.items[kind]))
	}
	if r.level == Nominal {
		return r.nominal(counts, labels, n)
	}
	return r.ordinal(counts, labels, n)
}

func (r *rankings) nominal(counts []int, labels []float64, n float64) float64 {
	total := n * n
	for _, c := range labels {
		total -= c * c
	}
	var within float64
	for kind, count := range counts {
		within += float64(count) * r.within[kind]
	}
	return fromDisagreements(within, total, n)
}

// differentPairs counts the ordered pairs of different places. The places must
// be sorted, so these are all pairs except those within runs.
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

// ordinal measures the distance between two labels by the number of labels
// between their middle ranks. The ranks are those in the drawn labels.
func (r *rankings) ordinal(counts []int, labels []float64, n float64) float64 {
	ranks := make([]float64, len(labels))
	var below, sum, squares float64
	for i, c := range labels {
		ranks[i] = below + c/2 - n/2
		below += c
		sum += c * ranks[i]
		squares += c * ranks[i] * ranks[i]
	}
	var within float64
	for kind, count := range counts {
		if count == 0 {
			continue
		}
		var itemSum, itemSquares float64
		for _, place := range r.items[kind] {
			itemSum += ranks[place]
			itemSquares += ranks[place] * ranks[place]
		}
		m := float64(len(r.items[kind]))
		within += float64(count) * disagreement(m, itemSum, itemSquares) / (m - 1)
	}
	if slices.Max(labels) == n {
		return math.NaN()
	}
	return fromDisagreements(within, disagreement(n, sum, squares), n)
}
