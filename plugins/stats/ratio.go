package stats

import (
	"cmp"
	"fmt"
	"slices"
)

// Ratio estimates the ratio of two sums over rows, such as the bits per byte of
// texts: the sum of values divided by the sum of sizes, which are at least 1. It
// treats a row as Mean treats a cluster with as many observations as its size.
func Ratio(values []float64, sizes []int, o Options) (Estimate, error) {
	parts, size, o, err := ratioParts(values, sizes, o)
	if err != nil {
		return Estimate{}, err
	}
	e, err := mean(parts, size, o)
	e.N = len(values)
	return e, err
}

// CompareRatios compares two subjects by ratios with the same sizes, as Compare
// compares them by means.
func CompareRatios(a, b []float64, sizes []int, o Options) (Comparison, error) {
	if len(a) != len(b) {
		return Comparison{}, fmt.Errorf("the first subject has %d values, the second %d", len(a), len(b))
	}
	differences := make([]float64, len(a))
	for i := range a {
		differences[i] = a[i] - b[i]
	}
	parts, size, o, err := ratioParts(differences, sizes, o)
	if err != nil {
		return Comparison{}, err
	}
	c := shift(parts, size, [2]float64{}, float64(len(parts)), false, o)
	c.N = len(a)
	return c, nil
}

// ratioParts returns the sums of the units, and the sum of all sizes.
func ratioParts(values []float64, sizes []int, o Options) (parts []part, size int, checked Options, err error) {
	if len(values) != len(sizes) {
		return nil, 0, o, fmt.Errorf("there are %d values, but %d sizes", len(values), len(sizes))
	}
	if o, err = o.checked(len(values)); err != nil {
		return nil, 0, o, err
	}
	if err := o.usable("value", values); err != nil {
		return nil, 0, o, err
	}
	u := newUnits(len(values), o.Clusters)
	parts = make([]part, u.count())
	for unit := range parts {
		var members []float64
		for _, row := range u.rows(unit) {
			if sizes[row] < 1 {
				return nil, 0, o, fmt.Errorf("size %d is %d, but must be at least 1", row, sizes[row])
			}
			members = append(members, values[row])
			parts[unit].size += float64(sizes[row])
			size += sizes[row]
		}
		slices.Sort(members)
		parts[unit].sum = total(members)
	}
	slices.SortFunc(parts, func(a, b part) int { return cmp.Or(cmp.Compare(a.sum, b.sum), cmp.Compare(a.size, b.size)) })
	return parts, size, o, nil
}
