package stats

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/stat"
)

// Methods for the intervals of associations.
const (
	// MethodFisher is the interval that follows from Fisher's transformation of a
	// correlation.
	MethodFisher Method = "fisher"
	// MethodNoncentral is the interval that follows from the noncentral
	// chi-square distribution.
	MethodNoncentral Method = "noncentral-chi-square"
)

// Pearson returns the correlation of pairs of numbers with Fisher's interval.
// The order of the pairs does not matter. It is undefined if all numbers of a side
// are equal.
func Pearson(x, y []float64, confidence float64) (Estimate, error) {
	return correlation(x, y, confidence, func(float64) float64 { return 1 })
}

// Spearman returns the correlation of ranks. Equal numbers have their mean rank.
// The interval is Fisher's with the variance of Bonett and Wright (2000).
func Spearman(x, y []float64, confidence float64) (Estimate, error) {
	if len(x) != len(y) {
		return Estimate{}, fmt.Errorf("there are %d numbers on one side and %d on the other", len(x), len(y))
	}
	return correlation(ranks(x), ranks(y), confidence, func(r float64) float64 { return 1 + r*r/2 })
}

// correlation computes Pearson's correlation. variance returns the variance of its
// transformation times n-3.
func correlation(x, y []float64, confidence float64, variance func(r float64) float64) (Estimate, error) {
	o, err := Options{Confidence: confidence}.checked(len(x))
	if err != nil {
		return Estimate{}, err
	}
	if len(x) != len(y) {
		return Estimate{}, fmt.Errorf("there are %d numbers on one side and %d on the other", len(x), len(y))
	}
	for _, side := range [][]float64{x, y} {
		if err := o.usable("number", side); err != nil {
			return Estimate{}, err
		}
	}
	if slices.Min(x) == slices.Max(x) || slices.Min(y) == slices.Max(y) {
		return Estimate{}, ErrUndefined
	}
	x, y = ordered(x, y)
	r := min(max(stat.Correlation(x, y, nil), -1), 1)
	if math.IsNaN(r) {
		return Estimate{}, ErrUndefined // sums of their squares are infinite
	}
	e := unbounded(r, len(x), len(x)).Within(-1, 1)
	if len(x) > 3 {
		e.SE, e.Method = math.Sqrt(variance(r)/float64(len(x)-3)), MethodFisher
		reach := normalQuantile(o.Confidence) * e.SE
		e.Low, e.High = math.Tanh(math.Atanh(r)-reach), math.Tanh(math.Atanh(r)+reach)
	}
	return e, nil
}

// ordered returns the pairs in an order that depends only on the numbers, so that
// sums do, too.
func ordered(x, y []float64) (a, b []float64) {
	at := make([]int, len(x))
	for i := range at {
		at[i] = i
	}
	slices.SortFunc(at, func(i, j int) int { return cmp.Or(cmp.Compare(x[i], x[j]), cmp.Compare(y[i], y[j])) })
	a, b = make([]float64, len(x)), make([]float64, len(x))
	for i, from := range at {
		a[i], b[i] = x[from], y[from]
	}
	return a, b
}

// ranks returns the rank of each number, counted from 1.
func ranks(x []float64) []float64 {
	at := make([]int, len(x))
	for i := range at {
		at[i] = i
	}
	slices.SortFunc(at, func(i, j int) int { return cmp.Compare(x[i], x[j]) })
	out := make([]float64, len(x))
	for from := 0; from < len(at); {
		until := from + 1
		for until < len(at) && x[at[until]] == x[at[from]] {
			until++
		}
		for _, i := range at[from:until] {
			out[i] = float64(from+until+1) / 2
		}
		from = until
	}
	return out
}

// CramersV returns Cramér's V of a table of counts, corrected for its bias
// (Bergsma 2013). The interval follows from the noncentral chi-square distribution
// (Smithson 2003). Rows and columns without counts are left out. V is undefined if
// fewer than two of either remain.
func CramersV(table [][]int, confidence float64) (Estimate, error) {
	statistic, rows, columns, n, err := independence(table)
	if err != nil {
		return Estimate{}, err
	}
	if _, err := (Options{Confidence: confidence}).checked(n); err != nil {
		return Estimate{}, err
	}
	if rows < 2 || columns < 2 || n < 3 {
		return Estimate{}, ErrUndefined
	}
	size := float64(n)
	corrected := func(k int) float64 { return float64(k) - float64(k-1)*float64(k-1)/(size-1) }
	dimension := min(corrected(rows), corrected(columns)) - 1
	if dimension <= 0 {
		return Estimate{}, ErrUndefined // every row has values of its own
	}
	df := float64((rows - 1) * (columns - 1))
	v := func(square float64) float64 { return min(1, math.Sqrt(max(square, 0)/dimension)) }
	low, high := noncentrality(statistic, df, confidence)
	e := unbounded(v(statistic/size-df/(size-1)), n, n)
	e.Low, e.High, e.Method = v(low/size), v(high/size), MethodNoncentral
	e.Low, e.High = min(e.Low, e.Value), max(e.High, e.Value)
	return e, nil
}

// independence returns Pearson's chi-square statistic of a table, and the number
// of rows and columns with counts.
func independence(table [][]int) (statistic float64, rows, columns, n int, err error) {
	var across []int
	down := make([]int, len(table))
	for i, line := range table {
		if across == nil {
			across = make([]int, len(line))
		}
		if len(line) != len(across) {
			return 0, 0, 0, 0, fmt.Errorf("row %d of the table has %d counts, the first one %d", i, len(line), len(across))
		}
		for j, count := range line {
			if count < 0 {
				return 0, 0, 0, 0, fmt.Errorf("a count is %d", count)
			}
			down[i] += count
			across[j] += count
			n += count
		}
	}
	for i, line := range table {
		if down[i] > 0 {
			rows++
		}
		for j, count := range line {
			if expected := float64(down[i]) * float64(across[j]) / float64(n); expected > 0 {
				statistic += (float64(count) - expected) * (float64(count) - expected) / expected
			}
		}
	}
	for _, count := range across {
		if count > 0 {
			columns++
		}
	}
	return statistic, rows, columns, n, nil
}
