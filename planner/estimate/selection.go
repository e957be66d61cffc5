package estimate

import (
	"math"
	"slices"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/planner/module"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// portion is what a dataset contains of one input.
type portion struct {
	*forecast
	*pluginv1.Selection
	// size is the mean size of a row in the unit of Exactly and Weight, and deviation
	// the standard deviation of sizes.
	size      spread
	deviation float64
	// unsure is set if only the stage itself can tell which rows are candidates.
	unsure bool
}

// mostRows is the largest number of rows that is shown. More are a mistake in the
// configuration.
const mostRows = 1 << 53

// forecastSelections forecasts a dataset that consists of rows of others.
func (e *forecaster) forecastSelections(n *module.Instance, port *plan.Port, of []*pluginv1.Selection) *forecast {
	portions := make([]*portion, len(of))
	unsure := false
	for i, s := range of {
		p := e.portion(n, s)
		if p.until != "" {
			return p.forecast
		}
		portions[i], unsure = p, unsure || p.unsure
	}
	proportion(portions)
	parts := make([]*forecast, len(portions))
	for i, p := range portions {
		if len(port.Lineage) > 0 {
			p.sample = p.changed(func(s sample) sample { return s.derive(n.Address, port, p.RowsOf) })
		}
		if e.dependsOnChanges(n, port, p, of) {
			p.forecast = p.anyFresh()
		}
		parts[i] = p.forecast
	}
	all := union(n.Address, port, parts)
	if !(all.rows.mid <= mostRows) {
		return unknownUntil(n.Address)
	}
	if times := occurrences(n, of); times > 1 {
		all.repeat(times)
	}
	if unsure {
		if before := e.forecastAsBefore(n, port); before.until == "" {
			before.rows = before.rows.atMost(all.rows.high) // a condition adds no rows
			return before
		}
	}
	return all
}

// occurrences returns how often the same dataset is selected from.
func occurrences(n *module.Instance, of []*pluginv1.Selection) (most float64) {
	times := map[string]float64{}
	for _, s := range of {
		h := n.Inputs[s.RowsOf]
		key := h.From.Address + "\n" + h.Port.Name
		times[key]++
		most = max(most, times[key])
	}
	return most
}

// repeat records that a row may be among the rows several times.
func (f *forecast) repeat(times float64) {
	f.repeated, f.exact = max(f.repeated, 1)*times, false
}

// portion forecasts what a dataset contains of an input, except for the proportions of
// its inputs.
func (e *forecaster) portion(n *module.Instance, s *pluginv1.Selection) *portion {
	in := e.forecast(n.Inputs[s.RowsOf])
	if in.until != "" {
		in = unseen(in.until, n.Inputs[s.RowsOf].Port, s)
	}
	out := *in
	p := &portion{forecast: &out, Selection: s, size: exactly(1)}
	if out.until != "" {
		return p
	}
	if s.Where != "" && !e.where(n, s.Where, &out) {
		p.unsure = s.Exactly == nil
		out.none()
	}
	if s.Size != "" {
		p.measure(e, n)
	}
	if s.Share != nil && *s.Share != 1 {
		out.scale(*s.Share)
		if *s.Share > 1 {
			out.repeat(*s.Share)
		}
	}
	if s.Most != nil && float64(*s.Most) < out.rows.high {
		out.cut(exactly(float64(*s.Most)))
	}
	if s.MostOf != "" {
		if most := e.forecast(n.Inputs[s.MostOf]); most.until == "" && most.rows.high < out.rows.high {
			out.cut(most.rows)
		}
	}
	if s.Exactly != nil && out.until == "" {
		candidates := max(out.rows.low, 1)
		if p.fill(exactly(*s.Exactly)); out.rows.high > candidates {
			out.repeat(math.Ceil(out.rows.high / candidates))
		}
	}
	return p
}

// unseen forecasts what a selection takes of an input of which nothing is known until a
// stage has run.
func unseen(until string, of *plan.Port, s *pluginv1.Selection) *forecast {
	f := &forecast{sample: func() sample { return unread(until, of.Columns) }}
	switch {
	case s.Size != "":
		return unknownUntil(until)
	case s.Exactly != nil:
		f.rows = exactly(*s.Exactly)
		f.repeat(max(*s.Exactly, 1)) // as far as is known
	case s.Most != nil:
		f.rows, f.atMost = spread{0, float64(*s.Most), float64(*s.Most)}, true
	default:
		return unknownUntil(until)
	}
	f.fresh = f.rows
	return f
}

// measure sets the mean size of a row. If it cannot be computed, nothing is known about
// the portion.
func (p *portion) measure(e *forecaster, n *module.Instance) {
	until := n.Address
	if bound, ok := e.boundAgain(n); ok {
		var values arrow.Array
		some := p.sample()
		if values, until = some.eval(e, n.Address, bound.Rows[p.Size]); values != nil {
			sizes := make([]float64, values.Len())
			for i := range sizes {
				sizes[i] = number(values, i)
			}
			p.size = meanOf(sizes, some.weights, p.rows.mid)
			p.deviation = deviationOf(sizes, some.weights, p.size.mid)
		}
	}
	if p.size.mid == 0 {
		until = n.Address
	}
	p.until = until
}

// number returns a value of a numeric column. What is not a valid size counts as 0: the
// stage will report it.
func number(values arrow.Array, i int) float64 {
	if values.IsNull(i) {
		return 0
	}
	switch v := values.(type) {
	case *array.Int64:
		return max(0, float64(v.Value(i)))
	case *array.Float64:
		if x := v.Value(i); x >= 0 && !math.IsInf(x, 0) {
			return x
		}
	}
	return 0
}

// proportion takes of the portions with weights as much as the scarcest allows.
func proportion(all []*portion) {
	scarcest, atMost := exactly(math.Inf(1)), false
	for _, p := range all {
		if p.Weight != nil {
			scarcest = scarcest.least(p.rows.times(p.size).scaled(1 / *p.Weight))
			atMost = atMost || p.atMost
		}
	}
	for _, p := range all {
		if p.Weight != nil {
			most := p.rows.high
			p.fill(scarcest.scaled(*p.Weight))
			p.rows, p.fresh = p.rows.atMost(most), p.fresh.atMost(most)
			p.atMost = atMost
		}
	}
}

// leastMean is the least that the mean size of some rows is assumed to be, as a share of
// the mean of all rows.
const leastMean = 0.25

// fill takes as many rows as add up to a size. The sizes of the rows that happen to be
// drawn vary.
func (p *portion) fill(total spread) {
	size := p.size
	if rows := total.mid / size.mid; p.deviation > 0 && rows > 0 {
		half := confidence * p.deviation / math.Sqrt(rows)
		size = spread{max(size.low-half, size.mid*leastMean), size.mid, size.high + half}
	}
	rows := total.over(size)
	if p.Size == "" {
		rows = spread{math.Round(rows.low), math.Round(rows.mid), math.Round(rows.high)}
	}
	p.resize(rows)
}

// resize sets the number of rows. The sample represents them.
func (f *forecast) resize(rows spread) {
	were, fresh := f.rows, f.fresh
	f.scale(rows.mid / max(were.mid, 1))
	f.rows, f.fresh, f.atMost = rows, spread{0, rows.mid * fresh.mid / max(were.mid, 1), rows.high}, false
	if fresh.low >= were.high {
		f.fresh = rows
	}
	f.exact = rows.low == rows.high && f.fresh.low == f.fresh.high
}

// dependsOnChanges reports whether rows of a portion contain values of other datasets
// that have changed.
func (e *forecaster) dependsOnChanges(n *module.Instance, port *plan.Port, p *portion, all []*pluginv1.Selection) bool {
	if port.Lineage == nil {
		return false
	}
	for _, key := range ordered.Keys(n.Inputs) {
		h := n.Inputs[key]
		if key == p.RowsOf || !h.IsDataset() || h.From.Action == plan.Keep {
			continue
		}
		hasRows := slices.ContainsFunc(all, func(s *pluginv1.Selection) bool { return s.RowsOf == key })
		for _, c := range port.Columns {
			_, passedOn := port.Lineage[c.Name].PassedOn(key)
			if port.Lineage[c.Name].ComputedFrom(key) || passedOn && !hasRows {
				return true
			}
		}
	}
	return false
}

// anyFresh records that any of the rows may be new.
func (f *forecast) anyFresh() *forecast {
	out := f.allFresh()
	out.fresh.low = f.fresh.low
	out.exact = f.exact && out.fresh.low == out.fresh.high
	return out
}

// union forecasts a dataset that contains the rows of others.
func union(address string, port *plan.Port, parts []*forecast) *forecast {
	if len(parts) == 1 {
		return parts[0]
	}
	out := &forecast{exact: true}
	for _, f := range parts {
		out.add(f)
		out.proxy, out.repeated = out.proxy || f.proxy, max(out.repeated, f.repeated)
	}
	out.sample = sync.OnceValue(func() sample {
		samples := make([]sample, len(parts))
		for i, f := range parts {
			samples[i] = f.sample()
		}
		return together(address, port.Columns, samples)
	})
	return out
}
