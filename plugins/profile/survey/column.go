package survey

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/quern-dev/quern/internal/measurement"
	"github.com/quern-dev/quern/plugins/profile/drift"
	"github.com/quern-dev/quern/sdk/go/data"
)

// column profiles one column.
type column interface {
	// add adds the values of a batch. hashes has a hash for each row, and sampled
	// lists the rows of the batch that belong to the sample.
	add(a arrow.Array, hashes []uint64, sampled []int) error
	// finish adds what was found to a column. No values can be added after that.
	finish(out *measurement.ProfileColumn, o Options) error
	// series returns the values of the sampled rows for associations with other
	// columns, or nil if there are none.
	series() *series
	// sketch adds the distribution to a sketch, after finish.
	sketch(*drift.Column)
	// parts returns pointers to what is known, apart from what hashed returns.
	parts() []any
	// forget removes sampled rows.
	forget(keep []bool)
	// hashed returns the values that are counted exactly, or nil.
	hashed() **repeats
	close()
}

// newColumn returns the profile of a column of a type.
func newColumn(c data.Column, o Options) (column, error) {
	switch c.Type {
	case "string":
		return newText(o)
	case "bool", "int64", "float64", "date", "timestamp":
		return newScalar(c.Type, o), nil
	}
	return newNested(c.Type, o), nil
}

// common is the part of a profile that all types have.
type common struct {
	Values       values
	Nulls, Valid int64
	// Block contains the last values, which are not yet in Values.
	Block block
}

func newCommon(o Options, hash func(id uint64) uint64) common {
	return common{Values: values{dir: o.Dir, hash: hash}}
}

func (c *common) hashed() **repeats { return &c.Values.unique }

func (c *common) close() { c.Values.close() }

// describe fills in what all types have. text returns a value for people.
func (c *common) describe(out *measurement.ProfileColumn, o Options, text func(frequentValue) string) error {
	out.Nulls, out.Values = c.Nulls, c.Valid
	var err error
	if out.Distinct, out.Duplicates, err = c.Values.counted(zOf(o.Confidence)); err != nil {
		return err
	}
	out.Constant = out.Distinct.Exact() && out.Distinct.Value == 1 && c.Nulls == 0
	out.Unique = out.Duplicates.Exact() && out.Duplicates.Value == 0 && c.Values.N > 0
	out.Top = []measurement.TopValue{}
	if text == nil {
		return nil
	}
	for _, v := range c.Values.Frequent.top(o.Top) {
		if v.n == 1 && c.Values.N > int64(o.Top) {
			break // of values that occur once, none is more frequent than another
		}
		out.Top = append(out.Top, measurement.TopValue{Value: text(v), Cut: v.Cut, Count: v.n, Most: v.n + c.Values.Frequent.Lost})
	}
	out.Balance = c.balance()
	return nil
}

// balance returns nil if not all values are counted, or if there are fewer than
// two.
func (c *common) balance() *measurement.Balance {
	if c.Values.Distinct != nil || len(c.Values.Frequent.Cells) < 2 {
		return nil
	}
	counts := make([]int64, len(c.Values.Frequent.Cells))
	for i, v := range c.Values.Frequent.Cells {
		counts[i] = v.N
	}
	slices.Sort(counts)
	b := &measurement.Balance{
		Majority:  float64(counts[len(counts)-1]) / float64(c.Values.N),
		Imbalance: float64(counts[len(counts)-1]) / float64(counts[0]),
	}
	for _, n := range counts {
		p := float64(n) / float64(c.Values.N)
		b.Entropy -= p * math.Log2(p)
	}
	b.Evenness = min(1, b.Entropy/math.Log2(float64(len(counts))))
	return b
}

// classes adds the values of a column, if all are known and there are not too
// many.
func (c *common) classes(s *drift.Column) {
	if c.Values.Distinct == nil && len(c.Values.Frequent.Cells) <= drift.MostClasses {
		s.Classes = slices.Clone(c.Values.Frequent.Cells)
	}
}

// nested profiles binary values, lists, and structs: what is known without
// looking inside.
type nested struct {
	common
	// lengths are the bytes of binary values, or the items of lists; structs have
	// none.
	lengths  lengths
	measured bool
}

func newNested(typ string, o Options) *nested {
	return &nested{common: newCommon(o, itself), lengths: newLengths(), measured: !strings.HasPrefix(typ, "struct<")}
}

// itself returns the hash of a value that is identified by it.
func itself(id uint64) uint64 { return id }

func (c *nested) add(a arrow.Array, hashes []uint64, _ []int) error {
	length := lengthOf(a)
	for i, h := range hashes {
		if a.IsNull(i) {
			c.Nulls++
			continue
		}
		c.Valid++
		if length != nil {
			c.lengths.add(length(i))
		}
		if c.Block.add(h) {
			if err := c.empty(); err != nil {
				return err
			}
		}
	}
	return nil
}

// empty empties the block.
func (c *nested) empty() error {
	room := workrooms.Get().(*workroom)
	defer workrooms.Put(room)
	_, err := c.Values.add(c.Block.runs(room), room)
	c.Block.Keys = c.Block.Keys[:0]
	return err
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

func (c *nested) finish(out *measurement.ProfileColumn, o Options) error {
	if err := c.empty(); err != nil {
		return err
	}
	if c.measured && c.Nulls+c.Valid > 0 {
		out.Items = c.lengths.describe()
	}
	return c.describe(out, o, nil)
}

func (c *nested) series() *series { return nil }

func (c *nested) forget([]bool) {}

func (c *nested) sketch(s *drift.Column) {
	if c.measured {
		c.lengths.sketch(s, "items")
	}
}

func (c *nested) parts() []any { return []any{&c.common, &c.lengths} }

// lengths describes lengths, which are not negative.
type lengths struct {
	Grid  grid
	Block block
	Total int64
}

func newLengths() lengths { return lengths{Grid: newGrid()} }

func (l *lengths) add(n int64) {
	l.Total += n
	if l.Block.add(uint64(n)) {
		l.empty()
	}
}

// empty empties the block.
func (l *lengths) empty() {
	room := workrooms.Get().(*workroom)
	defer workrooms.Put(room)
	l.Grid.add(l.Block.runs(room), room)
	l.Block.Keys = l.Block.Keys[:0]
}

func lengthScale(k uint64) float64 { return float64(k) }

// lengthShares are the quantiles of lengths.
var lengthShares = []float64{0, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1}

func (l *lengths) describe() *measurement.Lengths {
	l.empty()
	out := &measurement.Lengths{Total: l.Total, Quantiles: []measurement.Quantile{}, Histogram: []measurement.Bin{}}
	if l.Grid.N == 0 {
		return out
	}
	mean := float64(l.Total) / float64(l.Grid.N)
	out.Mean = &mean
	all := l.Grid.spans()
	out.Quantiles = quantiles(all, l.Grid.N, lengthShares, lengthScale)
	out.Histogram = histogram(all, lengthScale)
	return out
}

func (l *lengths) sketch(s *drift.Column, of string) { s.SetCells(of, l.Grid.Level, l.Grid.Cells) }

func quantiles(all []span, n int64, shares []float64, of scale) []measurement.Quantile {
	out := make([]measurement.Quantile, len(shares))
	for i, share := range shares {
		out[i] = measurement.Quantile{Share: share, Value: quantile(all, n, share, of)}
	}
	return out
}

// mostBins is the number of bins of a histogram.
const mostBins = 24

// histogram counts values in bins of equal width or, if there are few distinct
// values, each of them.
func histogram(all []span, of scale) []measurement.Bin {
	bins := []measurement.Bin{}
	single := !slices.ContainsFunc(all, func(s span) bool { return s.low != s.high })
	if single && len(all) <= mostBins {
		for _, s := range all {
			bins = append(bins, measurement.Bin{Low: of(s.low), High: of(s.low), Count: s.n})
		}
		return bins
	}
	// Halves, because the difference of two doubles can be infinite.
	low, high := of(all[0].low), of(all[len(all)-1].high)
	width := high/mostBins - low/mostBins
	for i := range mostBins {
		bins = append(bins, measurement.Bin{Low: low + float64(i)*width, High: low + float64(i+1)*width})
	}
	bins[mostBins-1].High = high
	for _, s := range all {
		v := middle(s, of)
		i, found := slices.BinarySearchFunc(bins, v, func(b measurement.Bin, v float64) int { return cmp.Compare(b.Low, v) })
		if !found {
			i--
		}
		bins[max(i, 0)].Count += s.n
	}
	return bins
}
