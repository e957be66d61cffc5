package drift

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/quern-dev/quern/internal/measurement"
	"github.com/quern-dev/quern/plugins/figures"
	"github.com/quern-dev/quern/plugins/stats"
)

// Compare says how distributions differ from those of a baseline.
func Compare(base, now *Sketches, confidence float64) (*measurement.Drift, error) {
	out := &measurement.Drift{
		BaselineRows: base.Rows, Columns: []measurement.ColumnDrift{},
		Added: []string{}, Removed: []string{}, Retyped: []string{}, Drifted: []string{},
	}
	for _, b := range base.Columns {
		if now.column(b.Name) == nil {
			out.Removed = append(out.Removed, b.Name)
		}
	}
	for i := range now.Columns {
		is := &now.Columns[i]
		was := base.column(is.Name)
		switch {
		case was == nil:
			out.Added = append(out.Added, is.Name)
			continue
		case was.Type != is.Type:
			out.Retyped = append(out.Retyped, is.Name)
			continue
		case was.Nulls+was.Values == 0 || is.Nulls+is.Values == 0:
			continue // there is nothing to compare
		}
		d, err := difference(was, is, confidence)
		if err != nil {
			return nil, fmt.Errorf("compare the column %q: %w", is.Name, err)
		}
		out.Columns = append(out.Columns, *d)
	}
	conclude(out, confidence)
	return out, nil
}

// conclude corrects the p-values for their number and says which columns have
// drifted.
func conclude(d *measurement.Drift, confidence float64) {
	var tested []*measurement.ColumnDrift
	var p []float64
	for i := range d.Columns {
		c := &d.Columns[i]
		if c.P != nil {
			tested, p = append(tested, c), append(p, *c.P)
		}
		if v := c.PSI.Value; v != nil && (d.Largest == nil || *v > *d.Largest) {
			d.Largest = v
		}
	}
	for i, adjusted := range stats.Holm(p) {
		tested[i].PAdjusted = figures.Known(adjusted)
		if adjusted < 1-confidence {
			d.Drifted = append(d.Drifted, tested[i].Name)
		}
	}
}

// difference compares two distributions of the same type.
func difference(was, is *Column, confidence float64) (*measurement.ColumnDrift, error) {
	d := &measurement.ColumnDrift{Name: is.Name, Of: "values"}
	nulls, err := stats.ShareDifference(int(is.Nulls), int(is.Nulls+is.Values), int(was.Nulls), int(was.Nulls+was.Values), confidence)
	if err != nil {
		return nil, err
	}
	d.Nulls = figures.Of(nulls, nulls.N)
	var p []float64
	if was.Nulls+is.Nulls > 0 {
		h, err := stats.ChiSquare([]int64{is.Nulls, is.Values}, []int64{was.Nulls, was.Values}, confidence)
		if err != nil {
			return nil, err
		}
		p, d.Test = append(p, h.P), string(h.Test)
	}
	h, err := compare(d, was, is, confidence)
	switch {
	case errors.Is(err, stats.ErrNoObservations):
	case err != nil:
		return nil, err
	case h != nil:
		p, d.Test = append(p, h.P), string(h.Test)
		d.Distance = figures.Of(h.Distance, h.Distance.N)
	}
	if len(p) > 0 {
		// Of two tests, the better one counts twice (Bonferroni).
		d.P = figures.Known(min(1, slices.Min(p)*float64(len(p))))
	}
	return d, nil
}

// compare compares the values that are not null. It returns nil if they cannot be
// compared.
func compare(d *measurement.ColumnDrift, was, is *Column, confidence float64) (*stats.Homogeneity, error) {
	a, b := classCounts(is, was)
	binsOfA, binsOfB, test := a, b, stats.ChiSquare
	if a == nil {
		// Numbers, and texts that are not classes: the latter by their lengths.
		if is.Of == "" || was.Of == "" {
			return nil, nil
		}
		d.Of = is.Of
		a, b = aligned(*is, *was)
		binsOfA, binsOfB = binned(a, b)
		test = stats.KolmogorovSmirnov
	}
	psi, err := stats.PSI(binsOfA, binsOfB, confidence)
	if err != nil {
		return nil, err
	}
	d.PSI = figures.Of(psi, psi.N)
	h, err := test(a, b, confidence)
	return &h, err
}

// classCounts returns the counts of classes, or nil if the values are not classes or
// nearly all of them are too rare for a test.
func classCounts(is, was *Column) (a, b []int64) {
	if is.Classes == nil || was.Classes == nil || is.Type != "string" && is.Type != "bool" {
		return nil, nil
	}
	a, b = pooled(is.Classes, was.Classes)
	if len(a) < 2 && (len(is.Classes) > 1 || len(was.Classes) > 1) {
		return nil, nil
	}
	return a, b
}

// aligned returns the counts of both grids in the same cells.
func aligned(is, was Column) (a, b []int64) {
	level := max(is.Level, was.Level)
	is.coarsen(level)
	was.coarsen(level)
	var keys []uint64
	for _, cells := range [][]Cell{is.Cells, was.Cells} {
		for _, c := range cells {
			keys = append(keys, c.Key)
		}
	}
	slices.Sort(keys)
	keys = slices.Compact(keys)
	return countsOf(is.Cells, keys), countsOf(was.Cells, keys)
}

// countsOf returns the counts of sorted keys.
func countsOf(sorted []Cell, keys []uint64) []int64 {
	out := make([]int64, len(keys))
	for i, key := range keys {
		if at, found := slices.BinarySearchFunc(sorted, Cell{Key: key}, Cell.Compare); found {
			out[i] = sorted[at].N
		}
	}
	return out
}

// psiBins is the number of bins for the stability index of numbers, each with
// about the same share of the baseline.
const psiBins = 10

func binned(a, b []int64) (x, y []int64) {
	var all, done int64
	for _, n := range b {
		all += n
	}
	x, y = []int64{0}, []int64{0}
	for i := range a {
		last := len(x) - 1
		if done*psiBins >= all*int64(len(x)) && len(x) < psiBins {
			x, y = append(x, 0), append(y, 0)
			last++
		}
		x[last], y[last] = x[last]+a[i], y[last]+b[i]
		done += b[i]
	}
	return x, y
}

const (
	// mostPooled is the number of classes that are compared. Rarer ones become
	// one.
	mostPooled = 20
	// leastExpected is the least number of observations of a class that the
	// chi-square test expects in either sample.
	leastExpected = 5
)

// pooled returns the counts of classes in both samples. The last one can contain
// all rare classes.
func pooled(is, was []Cell) (a, b []int64) {
	var keys []uint64
	var n, m int64
	for _, c := range is {
		keys, n = append(keys, c.Key), n+c.N
	}
	for _, c := range was {
		keys, m = append(keys, c.Key), m+c.N
	}
	slices.Sort(keys)
	keys = slices.Compact(keys)
	x, y := countsOf(is, keys), countsOf(was, keys)
	order := make([]int, len(keys))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return -cmp.Compare(x[i]+y[i], x[j]+y[j]) })
	smaller := float64(min(n, m)) / math.Max(float64(n+m), 1)
	var rest [2]int64
	for rank, i := range order {
		if rank >= mostPooled-1 || float64(x[i]+y[i])*smaller < leastExpected {
			rest[0], rest[1] = rest[0]+x[i], rest[1]+y[i]
			continue
		}
		a, b = append(a, x[i]), append(b, y[i])
	}
	if rest[0]+rest[1] > 0 {
		a, b = append(a, rest[0]), append(b, rest[1])
	}
	return a, b
}
