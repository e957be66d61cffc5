package stats

import (
	"fmt"
	"math"
)

// Weights says how much a disagreement counts, depending on the distance
// between the labels' numbers.
type Weights int

// The weights.
const (
	// Unweighted: all disagreements count the same.
	Unweighted Weights = iota
	// Linear: by the distance.
	Linear
	// Quadratic: by the square of the distance.
	Quadratic
)

// NoLabel is a missing label.
const NoLabel = -1

// CohenKappa returns the agreement of two annotators beyond chance (Cohen 1960;
// 1968 with weights). a[i] and b[i] are their labels for the same item,
// numbered from 0, and in order if weights are used. Items for which one of
// them has NoLabel are left out, together with their clusters. If only one
// label occurs, the error wraps ErrUndefined.
func CohenKappa(a, b []int, weights Weights, o Options) (Estimate, error) {
	if len(a) != len(b) {
		return Estimate{}, fmt.Errorf("the first annotator has %d labels, the second %d", len(a), len(b))
	}
	if _, err := o.checked(len(a)); err != nil {
		return Estimate{}, err
	}
	table, err := newContingency(a, b, weights)
	if err != nil {
		return Estimate{}, err
	}
	if o.Clusters != nil {
		clusters := make([]int, len(table.items))
		for i, item := range table.items {
			clusters[i] = o.Clusters[item]
		}
		o.Clusters = clusters
	}
	return bootstrapItems(table.pairs, o, table.kappa)
}

// contingency counts the labels that two annotators gave to the same items.
type contingency struct {
	weights Weights
	labels  int
	pairs   [][]int // the two labels of each item
	items   []int   // that both labeled
}

func newContingency(a, b []int, weights Weights) (*contingency, error) {
	t := &contingency{weights: weights}
	for i := range a {
		if a[i] < NoLabel || b[i] < NoLabel {
			return nil, fmt.Errorf("item %d has the labels %d and %d; labels are numbered from 0", i, a[i], b[i])
		}
		if a[i] == NoLabel || b[i] == NoLabel {
			continue
		}
		t.pairs = append(t.pairs, []int{a[i], b[i]})
		t.items = append(t.items, i)
		t.labels = max(t.labels, a[i]+1, b[i]+1)
	}
	return t, nil
}

// kappa returns kappa as a function of how many items have each pair of labels:
// one minus the ratio of the observed disagreement to the one expected by
// chance.
func (t *contingency) kappa(pairs [][]int) func(counts []int) float64 {
	return func(counts []int) float64 {
		first, second := make([]float64, t.labels), make([]float64, t.labels)
		var seen, n float64
		for i, pair := range pairs {
			c := float64(counts[i])
			first[pair[0]] += c
			second[pair[1]] += c
			seen += c * t.weights.of(pair[0], pair[1])
			n += c
		}
		chance := t.weights.byChance(first, second, n)
		if chance == 0 {
			return math.NaN()
		}
		return 1 - seen*n/chance
	}
}

func (w Weights) of(a, b int) float64 {
	distance := math.Abs(float64(a - b))
	switch w {
	case Linear:
		return distance
	case Quadratic:
		return distance * distance
	}
	return min(distance, 1)
}

// byChance returns n² times the mean weight of independent labels that occur as
// often as the two counts say.
func (w Weights) byChance(first, second []float64, n float64) float64 {
	var sum, means [2]float64
	var same, apart float64
	for i := range first {
		x, a, b := float64(i), first[i], second[i]
		same += a * b
		means[0] += x * a
		means[1] += x * b
		// A label between i and i+1 counts once for each pair around it.
		sum[0] += a
		sum[1] += b
		switch w {
		case Linear:
			apart += sum[0]*(n-sum[1]) + sum[1]*(n-sum[0])
		case Quadratic:
			apart += x * x * (a + b) * n
		}
	}
	switch w {
	case Linear:
		return apart
	case Quadratic:
		return apart - 2*means[0]*means[1]
	}
	return n*n - same
}

// FleissKappa returns the agreement of several annotators beyond chance (Fleiss
// 1971). counts[i][k] is the number of annotators who gave item i the label k.
// All items must have the same number of labels, at least two; otherwise, use
// KrippendorffAlpha. If only one label occurs, the error wraps ErrUndefined.
func FleissKappa(counts [][]int, o Options) (Estimate, error) {
	if _, err := o.checked(len(counts)); err != nil {
		return Estimate{}, err
	}
	votes, labels, err := votesPerItem(counts)
	if err != nil {
		return Estimate{}, err
	}
	return bootstrapItems(counts, o, func(kinds [][]int) func(counts []int) float64 {
		agreeing := make([]float64, len(kinds)) // pairs of equal votes, for each kind of item
		for i, kind := range kinds {
			for _, c := range kind {
				agreeing[i] += float64(c * (c - 1))
			}
		}
		return func(counts []int) float64 { return fleiss(kinds, agreeing, counts, votes, labels) }
	})
}

func fleiss(kinds [][]int, agreeing []float64, counts []int, votes, labels int) float64 {
	totals := make([]int, labels)
	var agree, n float64
	for i, count := range counts {
		if count == 0 {
			continue
		}
		n += float64(count)
		agree += float64(count) * agreeing[i]
		for k, c := range kinds[i] {
			totals[k] += count * c
		}
	}
	var chance float64
	for _, total := range totals {
		share := float64(total) / (n * float64(votes))
		chance += share * share
	}
	if chance == 1 {
		return math.NaN()
	}
	return (agree/(n*float64(votes*(votes-1))) - chance) / (1 - chance)
}

func votesPerItem(counts [][]int) (votes, labels int, err error) {
	for i, item := range counts {
		sum := 0
		for _, c := range item {
			if c < 0 {
				return 0, 0, fmt.Errorf("item %d has a label %d times", i, c)
			}
			sum += c
		}
		switch {
		case i == 0:
			votes, labels = sum, len(item)
		case sum != votes || len(item) != labels:
			return 0, 0, fmt.Errorf("item %d has %d labels of %d kinds, item 0 %d of %d: Fleiss' kappa needs as many for each; Krippendorff's alpha does not", i, sum, len(item), votes, labels)
		}
	}
	if votes < 2 {
		return 0, 0, fmt.Errorf("there is %d label for each item; agreement takes two or more", votes)
	}
	return votes, labels, nil
}
