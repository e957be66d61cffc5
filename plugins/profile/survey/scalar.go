package survey

import (
	"math"
	"strconv"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/quern-dev/quern/internal/measurement"
	"github.com/quern-dev/quern/plugins/profile/drift"
)

// scalar profiles numbers, times, and bools.
type scalar struct {
	common
	typ     string
	of      scale
	grid    grid
	moments moments
	odd     oddNumbers
	sampled series
}

// oddNumbers counts numbers that are not like others.
type oddNumbers struct{ NaN, Infinite, Zeros, Negatives int64 }

func newScalar(typ string, o Options) *scalar {
	return &scalar{common: newCommon(o, mix), typ: typ, of: scaleOf(typ), grid: newGrid(), sampled: series{numeric: typ != "bool"}}
}

func (c *scalar) add(a arrow.Array, _ []uint64, sampled []int) error {
	keys, _ := keysOf(a)
	for i := range a.Len() {
		if a.IsNull(i) {
			c.Nulls++
			continue
		}
		c.Valid++
		k, ok := keys(i)
		if !ok {
			c.odd.NaN++
			continue
		}
		if err := c.number(k); err != nil {
			return err
		}
	}
	for _, i := range sampled {
		c.sample(a, keys, i)
	}
	return nil
}

func (c *scalar) number(k uint64) error {
	v := c.of(k)
	switch {
	case math.IsInf(v, 0):
		c.odd.Infinite++
		return nil
	case v == 0:
		c.odd.Zeros++
	case v < 0:
		c.odd.Negatives++
	}
	c.moments.add(v)
	if c.Block.add(k) {
		return c.empty()
	}
	return nil
}

// empty empties the block.
func (c *scalar) empty() error {
	room := workrooms.Get().(*workroom)
	defer workrooms.Put(room)
	runs := c.Block.runs(room)
	c.grid.add(runs, room)
	_, err := c.Values.add(runs, room)
	c.Block.Keys = c.Block.Keys[:0]
	return err
}

func (c *scalar) sample(a arrow.Array, keys func(i int) (uint64, bool), i int) {
	if a.IsNull(i) {
		c.sampled.missing()
		return
	}
	k, ok := keys(i)
	if v := c.of(k); ok && !math.IsInf(v, 0) {
		c.sampled.add(v, mix(k))
		return
	}
	c.sampled.missing()
}

// numberShares are the quantiles of numbers.
var numberShares = []float64{0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1}

func (c *scalar) finish(out *measurement.ProfileColumn, o Options) error {
	if err := c.empty(); err != nil {
		return err
	}
	if err := c.describe(out, o, c.text); err != nil || c.typ == "bool" {
		return err
	}
	n := &measurement.Numbers{
		NaN: c.odd.NaN, Infinite: c.odd.Infinite, Zeros: c.odd.Zeros, Negatives: c.odd.Negatives,
		Mean: known(c.moments.mean()), Std: known(c.moments.std()),
		Quantiles: []measurement.Quantile{}, Histogram: []measurement.Bin{},
	}
	out.Numbers = n
	all := c.grid.spans()
	if len(all) == 0 {
		return nil
	}
	n.Quantiles = quantiles(all, c.grid.N, numberShares, c.of)
	n.Histogram = histogram(all, c.of)
	low, high := *n.Quantile(0.25), *n.Quantile(0.75)
	if reach := 3 * (high - low); reach > 0 && !math.IsInf(reach, 0) {
		outliers := c.grid.N - within(all, low-reach, high+reach, c.of)
		n.Outliers = &outliers
	}
	return nil
}

// known returns a pointer to a number, or nil if it is NaN or infinite.
func known(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}

// text formats a value by its key.
func (c *scalar) text(v frequentValue) string {
	switch c.typ {
	case "bool":
		return strconv.FormatBool(keyInt(v.id) == 1)
	case "int64":
		return strconv.FormatInt(keyInt(v.id), 10)
	case "float64":
		return strconv.FormatFloat(keyFloat(v.id), 'g', -1, 64)
	}
	return TimeText(c.typ, float64(keyInt(v.id)))
}

// TimeText formats a date, by its days since 1970, or a timestamp, by its
// microseconds.
func TimeText(typ string, v float64) string {
	if typ == "date" {
		return time.Unix(int64(math.Floor(v))*24*60*60, 0).UTC().Format(time.DateOnly)
	}
	return time.UnixMicro(int64(math.Round(v))).UTC().Format(time.RFC3339Nano)
}

func (c *scalar) series() *series { return &c.sampled }

func (c *scalar) sketch(s *drift.Column) {
	s.SetCells("values", c.grid.Level, c.grid.Cells)
	if c.typ == "bool" {
		c.classes(s)
	}
}

func (c *scalar) parts() []any {
	return []any{&c.common, &c.grid, &c.moments, &c.odd, &c.sampled}
}

func (c *scalar) forget(keep []bool) { c.sampled.forget(keep) }
