package stats

import (
	"cmp"
	"math"
	"slices"
)

// part contains what a mean needs from a unit: the sum and the number of its
// values.
type part struct{ sum, size float64 }

// parts sums up the values of each unit. The order of addition and the order of
// the parts depend only on the values, so equal observations give equal
// results, bit for bit, in any order of the rows.
func (u *units) parts(values []float64) []part {
	out := make([]part, u.count())
	var members []float64
	for unit := range out {
		members = members[:0]
		for _, row := range u.rows(unit) {
			members = append(members, values[row])
		}
		slices.Sort(members)
		out[unit] = part{total(members), float64(len(members))}
	}
	slices.SortFunc(out, func(a, b part) int { return cmp.Or(cmp.Compare(a.sum, b.sum), cmp.Compare(a.size, b.size)) })
	return out
}

// total adds numbers with Neumaier's compensation, so the result is that of
// exact addition, except for one rounding.
func total(values []float64) float64 {
	var sum, lost float64
	for _, v := range values {
		next := sum + v
		if math.Abs(sum) >= math.Abs(v) {
			lost += (sum - next) + v
		} else {
			lost += (v - next) + sum
		}
		sum = next
	}
	return sum + lost
}

// ratio returns the mean of the observations of all parts.
func ratio(parts []part) float64 {
	sums, size := make([]float64, len(parts)), 0.0
	for i, p := range parts {
		sums[i] = p.sum
		size += p.size
	}
	return total(sums) / size
}

// alike reports whether all parts have the same mean, except for rounding.
func alike(parts []part, mean float64) bool {
	for _, p := range parts {
		if math.Abs(p.sum-mean*p.size) > tolerance*max(math.Abs(p.sum), math.Abs(mean*p.size)) {
			return false
		}
	}
	return true
}
