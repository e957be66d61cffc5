package profile

import (
	"cmp"
	"math"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/quern-dev/quern/internal/measurement"
	"github.com/quern-dev/quern/sdk/go/data"
)

// column profiles one column.
type column interface {
	// add adds the values of a batch. hashes has a hash for each row, and sampled
	// lists the rows of the batch that belong to the sample.
	add(a arrow.Array, hashes []uint64, sampled []int) error
	// finish adds what was found to a column.
	finish(out *measurement.ProfileColumn, o options) error
	// series returns the values of the sampled rows for associations with other
	// columns, or nil if there are none.
	series() *series
	// sketch adds the distribution to a sketch.
	sketch(*sketch)
	close()
}

// options are the arguments that figures depend on.
type options struct {
	top        int
	confidence float64
	tokenizer  string
	// sample is about how many rows to sample, and seed determines which.
	sample, seed int64
	// dir is a folder for temporary files.
	dir string
	// baseline is set for a dataset of which only distributions are wanted.
	baseline bool
	// whole is set if the sample contains all rows.
	whole bool
}

// newColumn returns the profile of a column of a type.
func newColumn(c data.Column, o options) (column, error) {
	switch c.Type {
	case "string":
		return newText(o)
	case "bool", "int64", "float64", "date", "timestamp":
		return newScalar(c.Type, o), nil
	}
	return newNested(o), nil
}

// common is the part of a profile that all types have.
type common struct {
	*values
	nulls, valid int64
}

// finish fills in what all types have. text returns a value for people.
func (c *common) finish(out *measurement.ProfileColumn, o options, text func(frequentValue) string) error {
	out.Nulls, out.Values = c.nulls, c.valid
	var err error
	if out.Distinct, out.Duplicates, err = c.counted(zOf(o.confidence)); err != nil {
		return err
	}
	out.Constant = out.Distinct.Exact() && out.Distinct.Value == 1 && c.nulls == 0
	out.Unique = out.Duplicates.Exact() && out.Duplicates.Value == 0 && c.n > 0
	out.Top = []measurement.TopValue{}
	if text == nil {
		return nil
	}
	for _, v := range c.frequent.top(o.top) {
		if v.n == 1 && c.n > int64(o.top) {
			break // of values that occur once, none is more frequent than another
		}
		out.Top = append(out.Top, measurement.TopValue{Value: text(v), Cut: v.cut, Count: v.n, Most: v.n + c.frequent.lost})
	}
	out.Balance = c.balance()
	return nil
}

// balance returns nil if not all values are counted, or if there are fewer than
// two.
func (c *common) balance() *measurement.Balance {
	if !c.frequent.exact() || c.distinct != nil || len(c.frequent.values) < 2 {
		return nil
	}
	counts := make([]int64, len(c.frequent.values))
	for i, v := range c.frequent.values {
		counts[i] = v.n
	}
	slices.Sort(counts)
	b := &measurement.Balance{
		Majority:  float64(counts[len(counts)-1]) / float64(c.n),
		Imbalance: float64(counts[len(counts)-1]) / float64(counts[0]),
	}
	for _, n := range counts {
		p := float64(n) / float64(c.n)
		b.Entropy -= p * math.Log2(p)
	}
	b.Evenness = min(1, b.Entropy/math.Log2(float64(len(counts))))
	return b
}

// nested profiles binary values, lists, and structs: what is known without
// looking inside.
type nested struct {
	common
	lengths *lengths
}

func newNested(o options) *nested {
	return &nested{common: common{values: newValues(o.dir, func(id uint64) uint64 { return id })}}
}

func (c *nested) add(a arrow.Array, hashes []uint64, _ []int) error {
	length := lengthOf(a)
	if length != nil && c.lengths == nil {
		c.lengths = newLengths()
	}
	for i, h := range hashes {
		if a.IsNull(i) {
			c.nulls++
			continue
		}
		c.valid++
		if length != nil {
			c.lengths.add(length(i))
		}
		if err := c.values.add(h, 1, ""); err != nil {
			return err
		}
	}
	return nil
}

// lengthOf returns the length of each value: the bytes of binary values, the
// items of lists. It returns nil for structs.
func lengthOf(a arrow.Array) func(i int) int64 {
	switch a := a.(type) {
	case *array.Binary:
		return func(i int) int64 { return int64(a.ValueLen(i)) }
	case *array.List:
		return func(i int) int64 {
			from, until := a.ValueOffsets(i)
			return until - from
		}
	}
	return nil
}

func (c *nested) finish(out *measurement.ProfileColumn, o options) error {
	if c.lengths != nil {
		out.Items = c.lengths.describe()
	}
	return c.common.finish(out, o, nil)
}

func (c *nested) series() *series { return nil }

func (c *nested) sketch(s *sketch) {
	if c.lengths != nil {
		s.grid("items", c.lengths.grid)
	}
}

// lengths describes lengths, which are not negative.
type lengths struct {
	grid  *grid
	total int64
}

func newLengths() *lengths { return &lengths{grid: newGrid()} }

func (l *lengths) add(n int64) {
	l.total += n
	if !l.grid.add(uint64(n)) {
		l.grid.coarsen()
	}
}

func lengthScale(k uint64) float64 { return float64(k) }

// lengthShares are the quantiles of lengths.
var lengthShares = []float64{0, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1}

func (l *lengths) describe() *measurement.Lengths {
	out := &measurement.Lengths{Total: l.total, Quantiles: []measurement.Quantile{}, Histogram: []measurement.Bin{}}
	if l.grid.n == 0 {
		return out
	}
	mean := float64(l.total) / float64(l.grid.n)
	out.Mean = &mean
	cells := l.grid.sorted()
	out.Quantiles = quantiles(cells, l.grid.n, lengthShares, lengthScale)
	out.Histogram = histogram(cells, lengthScale)
	return out
}

func quantiles(cells []cell, n int64, shares []float64, of scale) []measurement.Quantile {
	out := make([]measurement.Quantile, len(shares))
	for i, share := range shares {
		out[i] = measurement.Quantile{Share: share, Value: quantile(cells, n, share, of)}
	}
	return out
}

// mostBins is the number of bins of a histogram.
const mostBins = 24

// histogram counts values in bins of equal width or, if there are few distinct
// values, each of them.
func histogram(cells []cell, of scale) []measurement.Bin {
	bins := []measurement.Bin{}
	single := !slices.ContainsFunc(cells, func(c cell) bool { return c.low != c.high })
	if single && len(cells) <= mostBins {
		for _, c := range cells {
			bins = append(bins, measurement.Bin{Low: of(c.low), High: of(c.low), Count: c.n})
		}
		return bins
	}
	// Halves, because the difference of two doubles can be infinite.
	low, high := of(cells[0].low), of(cells[len(cells)-1].high)
	width := high/mostBins - low/mostBins
	for i := range mostBins {
		bins = append(bins, measurement.Bin{Low: low + float64(i)*width, High: low + float64(i+1)*width})
	}
	bins[mostBins-1].High = high
	for _, c := range cells {
		v := middle(c, of)
		i, found := slices.BinarySearchFunc(bins, v, func(b measurement.Bin, v float64) int { return cmp.Compare(b.Low, v) })
		if !found {
			i--
		}
		bins[max(i, 0)].Count += c.n
	}
	return bins
}
