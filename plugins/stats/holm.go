package stats

import (
	"cmp"
	"slices"
)

// Holm corrects p-values for their number (Holm 1979). If all corrected
// p-values below a level are called significant, the probability that any of
// these calls is wrong is at most that level. The result has the same order as
// p.
func Holm(p []float64) []float64 {
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(p[i], p[j]) })
	adjusted := make([]float64, len(p))
	var least float64
	for rank, i := range order {
		least = max(least, min(1, float64(len(p)-rank)*p[i]))
		adjusted[i] = least
	}
	return adjusted
}
