package estimate

import (
	"context"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/planner/decide"
	"github.com/quern-dev/quern/planner/module"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/planner/secrets"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
	"github.com/quern-dev/quern/store/dataset"
)

// forecast is what is known in advance about a dataset that does not exist yet,
// derived from its sources.
type forecast struct {
	// until is the stage that has to run before anything is known.
	until string
	// rows is the number of rows that the dataset will have, fresh the number
	// of those that it did not have before.
	rows, fresh spread
	// exact is set if both were counted.
	exact bool
	// atMost is set if both are upper bounds, because a condition on the way cannot
	// be evaluated.
	atMost bool
	// repeated is how often a row may be among them, if that is more than once. Then there
	// are fewer different requests about the rows.
	repeated float64
	// sample returns some of the rows. They are read when this is first called: the
	// number of rows is often all that is needed.
	sample func() sample
	// proxy is set if rows of the sample represent others that were not read.
	proxy bool
}

func unknownUntil(address string) *forecast { return &forecast{until: address} }

// forecastOnce is a forecast that is computed when it is first needed.
type forecastOnce struct {
	once sync.Once
	made *forecast
}

// forecaster forecasts datasets. It is safe for concurrent use.
type forecaster struct {
	Options
	secrets *secrets.Variables
	bytes   int64 // how much of a source is read
	glances bool  // only what takes little time is done

	mu    sync.Mutex
	notes map[string]note          // by address
	made  map[string]*forecastOnce // by address and port
}

func newForecaster(s *secrets.Variables, o Options) *forecaster {
	return &forecaster{Options: o, secrets: s, bytes: previewBytes, notes: map[string]note{}, made: map[string]*forecastOnce{}}
}

// glanceWithin makes later forecasts take little time, and none after ctx ends.
func (e *forecaster) glanceWithin(ctx context.Context) {
	e.Context, e.bytes, e.glances = ctx, glanceBytes, true
}

// note is what a forecast needs to know about an instance that is not
// published.
type note struct {
	question   string
	selections map[string][]*pluginv1.Selection
}

// note records what a forecast will need to know about an instance.
func (e *forecaster) note(n *decide.Instance) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.notes[n.Address] = note{n.Question, n.Selections}
}

func (e *forecaster) noted(n *module.Instance) note {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.notes[n.Address]
}

// forecast forecasts a dataset as far as possible.
func (e *forecaster) forecast(h *module.Handle) *forecast {
	e.mu.Lock()
	key := h.From.Address + "\n" + h.Port.Name
	f := e.made[key]
	if f == nil {
		f = &forecastOnce{}
		e.made[key] = f
	}
	e.mu.Unlock()
	f.once.Do(func() { f.made = e.newForecast(h) })
	return f.made
}

func (e *forecaster) newForecast(h *module.Handle) *forecast {
	if m := h.Manifest(); m != nil {
		return e.forecastMade(h, m)
	}
	n := h.From
	var f *forecast
	switch {
	case n.Mode == plan.ModeRead:
		f = e.forecastSource(n, h.Port)
	case h.Port.IsAligned() && h.Port.SelectedFrom != "":
		f = e.forecastDropping(n, h.Port)
	case h.Port.IsAligned() && n.Mode != plan.ModeFlatMap:
		f = e.forecastMap(n, h.Port)
	case e.noted(n).selections[h.Port.Name] != nil:
		f = e.forecastSelections(n, h.Port, e.noted(n).selections[h.Port.Name])
	}
	if f == nil || f.until == n.Address {
		f = e.forecastAsBefore(n, h.Port)
	}
	if f.until == "" && !e.unchanged(n.Node) {
		f = f.allFresh()
	}
	return f
}

// unchanged reports whether the instance computes the same results for the same
// rows as in its last run.
func (e *forecaster) unchanged(n *plan.Node) bool {
	prior := e.Prior[n.Address]
	return n.Mode == plan.ModeRead || prior != nil && n.Definition != "" && prior.Definition == n.Definition
}

func (f *forecast) allFresh() *forecast {
	out := *f
	out.fresh = f.rows
	out.sample = f.changed(sample.allFresh)
	return &out
}

// forecastMade returns the forecast of a dataset that exists.
func (e *forecaster) forecastMade(h *module.Handle, m *dataset.Manifest) *forecast {
	f := &forecast{rows: exactly(float64(m.Rows)), exact: true}
	f.sample = sync.OnceValue(func() sample { return e.sampleOf(h.From.Address, m, h.Port.Columns) })
	prior := e.priorDataset(h.From.Address, h.Port.Name)
	if prior == nil || h.From.Action != plan.Keep {
		return f.allFresh()
	}
	return f
}

// forecastMap forecasts an output with the rows of an input: as many rows as the
// input, with the columns that come from the input or from row expressions.
func (e *forecaster) forecastMap(n *module.Instance, port *plan.Port) *forecast {
	in := e.forecast(n.Inputs[port.RowsOf])
	if in.until != "" {
		return in
	}
	out := *in
	out.sample = in.changed(func(s sample) sample {
		bound, _ := e.boundAgain(n)
		rows, madeBy := &columns{}, map[string]string{}
		for _, c := range port.Columns {
			values, until := s.columnOf(e, n, bound, port.Origins[c.Name])
			if values == nil {
				madeBy[c.Name] = until
				continue
			}
			rows.add(arrow.Field{Name: c.Name, Type: values.DataType(), Nullable: true}, values)
		}
		s.rows, s.madeBy = rows.batch(s.rows.NumRows()), madeBy
		return s
	})
	return &out
}

// forecastDropping forecasts the output of a stage that drops rows of its input, which
// ones is not known.
func (e *forecaster) forecastDropping(n *module.Instance, port *plan.Port) *forecast {
	if before := e.forecastAsBefore(n, port); before.until == "" {
		return before
	}
	f := e.forecastMap(n, port)
	if f.until == "" {
		f.none()
	}
	return f
}

// where keeps the rows of a sample that meet a condition. It returns false if
// the condition cannot be evaluated.
func (e *forecaster) where(n *module.Instance, key string, f *forecast) bool {
	bound, ok := e.boundAgain(n)
	if !ok {
		return false
	}
	of := f.sample()
	values, _ := of.eval(e, n.Address, bound.Rows[key])
	holds, ok := values.(*array.Boolean)
	if !ok || holds.Len() == 0 && f.rows.high > 0 {
		return false
	}
	var rows []int
	for i := range holds.Len() {
		if holds.IsValid(i) && holds.Value(i) {
			rows = append(rows, i)
		}
	}
	some, err := of.pick(rows)
	if err != nil {
		return false
	}
	were, wereFresh := of.sizes()
	are, areFresh := some.sizes()
	whole := f.exact && of.whole()
	f.sample = func() sample { return some }
	if f.exact = whole; whole {
		f.rows, f.fresh = exactly(are.weight), exactly(areFresh.weight)
		return true
	}
	f.rows = f.rows.selected(are, were)
	f.fresh = f.fresh.selected(areFresh, wereFresh)
	return true
}

// none records that any of the rows may be left out.
func (f *forecast) none() {
	f.exact, f.atMost = false, true
	f.rows, f.fresh = spread{0, f.rows.mid, f.rows.high}, spread{0, f.fresh.mid, f.fresh.high}
}

// cut takes at most some of the rows.
func (f *forecast) cut(most spread) {
	rows, fresh, exact := f.rows.least(most), f.fresh, f.exact
	f.scale(min(1, most.mid/max(f.rows.mid, 1)))
	// Any of the rows may be new, unless all are.
	if f.rows = rows; fresh.low >= rows.high {
		f.fresh, f.exact = rows, exact && rows.low == rows.high
		return
	}
	f.fresh, f.exact = spread{0, f.fresh.mid, min(rows.high, fresh.high)}, false
}

// scale draws a share of the rows, or repeats them.
func (f *forecast) scale(share float64) {
	f.rows, f.fresh, f.exact = f.rows.drawn(share), f.fresh.drawn(share), false
	f.sample = f.changed(func(s sample) sample { return s.scaled(share) })
}

// forecastAsBefore forecasts a dataset from the one that the instance produced
// in its last run, assuming the same ratio of output rows to input rows.
func (e *forecaster) forecastAsBefore(n *module.Instance, port *plan.Port) *forecast {
	m := e.priorDataset(n.Address, port.Name)
	if m == nil || n.Mode == plan.ModeRead || !e.unchanged(n.Node) || !m.Schema.Equal(port.Columns) {
		return unknownUntil(n.Address)
	}
	var then float64
	var now, fresh spread
	for _, key := range ordered.Keys(n.Inputs) {
		h := n.Inputs[key]
		if h.Port == nil || h.Port.Kind != plan.KindDataset {
			continue
		}
		was, is := e.priorDataset(h.From.Address, h.Port.Name), e.forecast(h)
		if is.until != "" {
			return is
		}
		if was == nil {
			return unknownUntil(n.Address)
		}
		then, now, fresh = then+float64(was.Rows), now.plus(is.rows), fresh.plus(is.fresh)
	}
	if then == 0 || now.mid == 0 {
		return unknownUntil(n.Address)
	}
	f := &forecast{proxy: true}
	f.rows = now.scaled(float64(m.Rows)/then).within(ratioLow, ratioHigh)
	f.fresh = fresh.scaled(float64(m.Rows)/then).within(0, ratioHigh)
	f.sample = sync.OnceValue(func() sample {
		return e.sampleOf(n.Address, m, port.Columns).scaled(now.mid / then).standIn(fresh.mid / now.mid)
	})
	return f
}
