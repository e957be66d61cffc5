package profile

import (
	"math"
	"strconv"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/quern-dev/quern/internal/measurement"
)

// scalar profiles numbers, times, and bools.
type scalar struct {
	common
	typ  string
	of   scale
	grid *grid
	// exact is set while the grid counts each value. After that, values counts
	// those that are frequent.
	exact   bool
	moments moments

	nan, infinite, zeros, negatives int64
	sampled                         *series
}

func newScalar(typ string, o options) *scalar {
	return &scalar{
		common: common{values: newValues(o.dir, mix)}, typ: typ, of: scaleOf(typ), grid: newGrid(), exact: true,
		sampled: &series{numeric: typ != "bool"},
	}
}

func (c *scalar) add(a arrow.Array, _ []uint64, sampled []int) error {
	keys, _ := keysOf(a)
	for i := range a.Len() {
		if a.IsNull(i) {
			c.nulls++
			continue
		}
		c.valid++
		k, ok := keys(i)
		if !ok {
			c.nan++
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
		c.infinite++
		return nil
	case v == 0:
		c.zeros++
	case v < 0:
		c.negatives++
	}
	c.moments.add(v)
	fits := c.grid.add(k)
	if fits && c.exact {
		return nil
	}
	if c.exact {
		if err := c.approximate(); err != nil {
			return err
		}
	} else if err := c.values.add(k, 1, ""); err != nil {
		return err
	}
	if !fits {
		c.grid.coarsen()
	}
	return nil
}

// approximate passes on the values that the grid has counted exactly, because
// from now on it does not.
func (c *scalar) approximate() error {
	c.exact = false
	for _, cell := range c.grid.sorted() {
		if err := c.values.add(cell.low, cell.n, ""); err != nil {
			return err
		}
	}
	return nil
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

func (c *scalar) finish(out *measurement.ProfileColumn, o options) error {
	cells := c.grid.sorted()
	if c.exact {
		for _, cell := range cells {
			if err := c.values.add(cell.low, cell.n, ""); err != nil {
				return err
			}
		}
	}
	if err := c.common.finish(out, o, c.text); err != nil || c.typ == "bool" {
		return err
	}
	n := &measurement.Numbers{
		NaN: c.nan, Infinite: c.infinite, Zeros: c.zeros, Negatives: c.negatives,
		Mean: known(c.moments.mean()), Std: known(c.moments.std()),
		Quantiles: []measurement.Quantile{}, Histogram: []measurement.Bin{},
	}
	out.Numbers = n
	if len(cells) == 0 {
		return nil
	}
	n.Quantiles = quantiles(cells, c.grid.n, numberShares, c.of)
	n.Histogram = histogram(cells, c.of)
	low, high := *n.Quantile(0.25), *n.Quantile(0.75)
	if reach := 3 * (high - low); reach > 0 && !math.IsInf(reach, 0) {
		outliers := c.grid.n - within(cells, low-reach, high+reach, c.of)
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
	return formatTime(c.typ, timeOf(c.typ, float64(keyInt(v.id))))
}

func formatTime(typ string, t time.Time) string {
	if typ == "date" {
		return t.Format(time.DateOnly)
	}
	return t.Format(time.RFC3339Nano)
}

func (c *scalar) series() *series { return c.sampled }

func (c *scalar) sketch(s *sketch) {
	s.grid("values", c.grid)
	if c.typ == "bool" {
		s.classes(c.values)
	}
}
