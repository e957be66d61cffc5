package estimate

import (
	"math"
	"slices"

	"github.com/quern-dev/quern/planner/decide"
	"github.com/quern-dev/quern/planner/module"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
	"github.com/quern-dev/quern/store/artifact"
	"github.com/quern-dev/quern/store/dataset"
)

// askedRows are the rows of a dataset that a stage calls models for.
type askedRows struct {
	// until is the stage that has to run before anything is known about them.
	until string
	// all counts the rows of the dataset, asked those with requests.
	all, asked spread
	// atMost is set if both are upper bounds.
	atMost bool
	// forecast is set if the dataset does not exist yet. If it is nil, the rows
	// were counted.
	forecast *forecast
	// counted is set if texts returns the texts of all rows with requests.
	counted bool
	// texts evaluates a row expression for some of the rows with requests. If
	// it returns none, until is the stage that has to run first.
	texts func(row *plan.RowArg) (texts []weighted, until string)
}

// weighted is a text and the number of rows that it represents.
type weighted struct {
	text   string
	weight float64
}

func equally(texts []string) []weighted {
	out := make([]weighted, len(texts))
	for i, text := range texts {
		out[i] = weighted{text, 1}
	}
	return out
}

// rowsAsked returns the rows of a dataset that an instance receives.
func (e *Estimator) rowsAsked(n *decide.Instance, key string) *askedRows {
	h := n.Inputs[key]
	if h == nil || h.Port == nil {
		return &askedRows{until: n.Address}
	}
	if m := h.Manifest(); m != nil {
		return e.rowsMade(n, m)
	}
	f := e.forecasts.forecast(h)
	if f.until != "" {
		return &askedRows{until: f.until}
	}
	f = e.newTo(n, key, f)
	some := f.sample()
	rows := some.fresh()
	if len(rows) == 0 {
		rows = some.every()
	}
	all := spread{f.rows.low, math.Round(f.rows.mid), f.rows.high}
	return &askedRows{
		all: all, asked: askedOf(f.fresh, all), atMost: f.atMost, forecast: f, counted: f.exact && some.whole() && len(rows) <= sampledRows,
		texts: func(row *plan.RowArg) ([]weighted, string) { return some.texts(e.forecasts, n.Address, row, rows) },
	}
}

// askedOf returns the number of new rows, which is a whole number of all rows.
func askedOf(fresh, all spread) spread {
	return spread{min(fresh.low, all.low), min(math.Ceil(fresh.mid), all.mid), min(math.Ceil(fresh.high), math.Ceil(all.high))}
}

// rowsMade returns the rows of a dataset that exists.
func (e *Estimator) rowsMade(n *decide.Instance, m *dataset.Manifest) *askedRows {
	all := exactly(float64(m.Rows))
	asked := all
	if n.Estimate.NewRows != nil && *n.Estimate.NewRows < m.Rows {
		asked = spread{0, float64(*n.Estimate.NewRows), float64(*n.Estimate.NewRows)} // some may be known individually
	}
	return &askedRows{
		all: all, asked: asked, counted: m.Rows <= sampledRows,
		texts: func(row *plan.RowArg) ([]weighted, string) {
			if len(row.Expr.Refs) > 0 {
				return nil, row.Expr.Refs[0]
			}
			if len(row.Expr.Secrets) > 0 {
				return nil, ""
			}
			return equally(e.sample(m, row)), ""
		},
	}
}

// repeated returns how often a row may be among the rows.
func (r *askedRows) repeated() float64 {
	if r.forecast == nil {
		return 1
	}
	return max(r.forecast.repeated, 1)
}

// note sets the number of rows of an estimate that lacks it.
func (r *askedRows) note(e *plan.Estimate) {
	if r.forecast == nil || e.Rows != nil {
		return
	}
	all, fresh := int64(r.all.mid), int64(r.asked.mid)
	e.Rows, e.NewRows, e.RowsEstimated, e.RowsAtMost = &all, &fresh, !r.forecast.exact && !r.atMost, r.atMost
}

// newTo returns a forecast in which the rows that the instance has no answers
// for are new.
func (e *Estimator) newTo(n *decide.Instance, key string, f *forecast) *forecast {
	if n.Replaced || !e.keepsAnswers(n) {
		return f.allFresh()
	}
	before := e.inputBefore(n, n.Inputs[key])
	if before == nil {
		return f.allFresh()
	}
	columns := n.Reads[key].Columns
	if n.Reads[key].All {
		columns = n.Inputs[key].Port.Columns.Names()
	}
	some := f.sample()
	if f.proxy || slices.ContainsFunc(columns, func(c string) bool { return some.madeBy[c] != "" || !hasColumn(before, c) }) {
		return f
	}
	known := e.forecasts.rowsOfDataset(before, columns)
	if known == nil {
		return f
	}
	fresh, _ := apart(some.rows, columns, known)
	if slices.Equal(fresh, some.fresh()) {
		return f
	}
	return f.withFresh(fresh)
}

func hasColumn(m *dataset.Manifest, name string) bool {
	_, _, ok := m.Schema.Lookup(name)
	return ok
}

// keepsAnswers reports whether the answers for rows of the last result do not
// have to be requested again.
func (e *Estimator) keepsAnswers(n *decide.Instance) bool {
	if n.Prior == nil || n.Prior.Errors > 0 || !e.forecasts.unchanged(n.Node) {
		return false
	}
	return n.RowWise() || !slices.ContainsFunc(n.Calls, func(c *pluginv1.ModelCalls) bool {
		h := n.Inputs[c.Model]
		return h == nil || h.Port.Model == nil || !h.Port.Model.Cache
	})
}

// inputBefore returns the dataset that an instance received in its last run, or
// nil if it no longer exists.
func (e *Estimator) inputBefore(n *decide.Instance, h *module.Handle) *dataset.Manifest {
	entry := e.lastEntry(n)
	if entry == nil {
		return nil
	}
	for _, in := range entry.Inputs {
		if in.Address != h.From.Address || in.Port != h.Port.Name || in.Role != "" {
			continue
		}
		if prior := e.Prior[in.Address]; prior != nil && prior.Outputs[in.Port].Digest == in.Digest {
			return e.forecasts.priorDataset(in.Address, in.Port)
		}
		maker, err := e.Store.Actions.Get(in.Action)
		if err != nil || maker == nil || maker.Outputs[in.Port].Digest != in.Digest {
			return nil
		}
		if a, err := artifact.Get(e.Store.Blobs, maker.Outputs[in.Port]); err == nil {
			return a.Dataset
		}
	}
	return nil
}

// withFresh returns a forecast in which these rows of the sample are new.
func (f *forecast) withFresh(rows []int) *forecast {
	some := f.sample()
	some.isFresh = make([]bool, len(some.weights))
	for _, i := range rows {
		some.isFresh[i] = true
	}
	out := *f
	out.sample, out.exact = func() sample { return some }, f.exact && some.whole()
	all, fresh := some.sizes()
	if out.fresh = f.rows.selected(fresh, all); out.exact {
		out.fresh = exactly(fresh.weight)
	}
	return &out
}
