package stats

import (
	"cmp"
	"slices"
)

// mostKinds is the maximum number of kinds of items for which a bootstrap draws
// counts of kinds rather than items.
const mostKinds = 5000

// bootstrapItems bootstraps a statistic of items with labels that is between -1
// and 1. make returns the statistic as a function of how often each kind of
// item occurs. Items are sorted by their labels, so that the result does not
// depend on the order of the rows.
func bootstrapItems[T cmp.Ordered](items [][]T, o Options, make func(kinds [][]T) func(counts []int) float64) (Estimate, error) {
	order := byContent(items, o.Clusters)
	kinds, of := kindsOf(items)
	statistic := make(kinds)
	o.Range = [2]float64{-1, 1}
	counts := zeros(len(kinds))
	for _, kind := range of {
		counts[kind]++
	}
	if o.Clusters == nil && len(kinds) <= mostKinds {
		return BootstrapCounts(counts, statistic, o)
	}
	clusters := o.Clusters
	if clusters != nil {
		o.Clusters = zeros(len(order))
		for i, item := range order {
			o.Clusters[i] = clusters[item]
		}
	}
	o.Resamples = affordable(o.Resamples, len(items))
	return Bootstrap(len(items), func(rows []int) float64 {
		drawn := zeros(len(kinds))
		for _, row := range rows {
			drawn[of[order[row]]]++
		}
		return statistic(drawn)
	}, o)
}

func zeros(n int) []int { return make([]int, n) }

// affordable limits the resamples for a very large number of items, whose
// interval is narrow anyway.
func affordable(resamples, items int) int {
	if resamples == 0 {
		resamples = 2000
	}
	const draws, fewest = 100_000_000, 400
	return min(resamples, max(draws/max(items, 1), fewest))
}

// kindsOf numbers the different items in the order of their labels.
func kindsOf[T cmp.Ordered](items [][]T) (kinds [][]T, of []int) {
	kinds = slices.Clone(items)
	slices.SortFunc(kinds, slices.Compare[[]T])
	kinds = slices.CompactFunc(kinds, slices.Equal[[]T])
	of = zeros(len(items))
	for i, item := range items {
		of[i], _ = slices.BinarySearchFunc(kinds, item, slices.Compare[[]T])
	}
	return kinds, of
}

// byContent returns the order of the items by their labels. Items of a cluster
// are together, and clusters are sorted by their content.
func byContent[T cmp.Ordered](items [][]T, clusters []int) []int {
	order := zeros(len(items))
	for i := range order {
		order[i] = i
	}
	byLabels := func(i, k int) int { return slices.Compare(items[i], items[k]) }
	slices.SortFunc(order, byLabels)
	if len(clusters) != len(items) {
		return order
	}
	groups := map[int][]int{}
	for _, item := range order {
		groups[clusters[item]] = append(groups[clusters[item]], item)
	}
	sorted := make([][]int, 0, len(groups))
	for _, group := range groups {
		sorted = append(sorted, group)
	}
	slices.SortFunc(sorted, func(a, b []int) int { return slices.CompareFunc(a, b, byLabels) })
	return slices.Concat(sorted...)
}
