package estimate

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/quern-dev/quern/internal/amount"
	"github.com/quern-dev/quern/planner/decide"
	"github.com/quern-dev/quern/planner/module"
	"github.com/quern-dev/quern/planner/phase"
	"github.com/quern-dev/quern/planner/plan"
)

// Rows that no cost depends on are only shown, so little is spent on them.
const (
	// glancedStages is the number of stages from which their rows are not shown.
	glancedStages = 500
	// glanceBytes is how much of a source is read for it, and glanceTime how long
	// that may take.
	glanceBytes = 1 << 20
	glanceTime  = 10 * time.Second
)

// glance estimates the rows of the instances whose rows no estimate of calls needed.
func (e *Estimator) glance(p *plan.Plan) {
	if len(e.rowless) > glancedStages {
		return
	}
	ctx, stop := context.WithTimeout(e.Context, glanceTime)
	defer stop()
	e.forecasts.glanceWithin(ctx)
	planned := make(map[*plan.Node]bool, len(p.Nodes))
	for _, n := range p.Nodes {
		planned[n] = true
	}
	rowless := slices.DeleteFunc(e.rowless, func(n *decide.Instance) bool { return !planned[n.Node] })
	phase.Each(ctx, rowless, func(n *decide.Instance) *decide.Instance {
		e.showRows(n)
		return n
	})
}

// showRows estimates the number that a run reports as the rows of an instance.
func (e *Estimator) showRows(n *decide.Instance) {
	var f *forecast
	switch {
	case len(n.Outputs) == 0:
		return
	case n.Mode == plan.ModeFlatMap:
		f = e.forecasts.forecast(n.Inputs[n.Outputs[0].RowsOf])
	case n.Outputs[0].Kind == plan.KindDataset:
		f = e.rowsMadeBy(n)
	default:
		f = e.rowsReadBy(n)
	}
	if f == nil || f.until != "" {
		return
	}
	rows, est := int64(math.Round(f.rows.mid)), &n.Estimate
	if f.atMost {
		rows = int64(math.Ceil(f.rows.high))
	}
	certain := f.rows.low == f.rows.high
	est.Rows, est.RowsEstimated, est.RowsAtMost = &rows, !certain && !f.atMost, !certain && f.atMost
	if !certain {
		est.Range = withRows(est.Range, f.rows)
		est.Whole = withRows(est.Whole, f.rows)
	}
	if n.RowWise() && est.NewRows == nil && n.Prior != nil && n.Prior.ActionKey != "" && !n.Replaced {
		fresh := min(int64(math.Ceil(f.fresh.mid)), rows)
		est.NewRows = &fresh
	}
}

func withRows(a *amount.Amounts, rows spread) *amount.Amounts {
	if a == nil {
		a = &amount.Amounts{}
	}
	a.Rows = rows.rangeOf(true)
	return a
}

// rowsMadeBy adds up the datasets that an instance produces. It returns nil if one of
// them is not known.
func (e *Estimator) rowsMadeBy(n *decide.Instance) *forecast {
	all := &forecast{exact: true}
	from := n.Publish()
	for i := range n.Outputs {
		p := &n.Outputs[i]
		if p.Kind != plan.KindDataset || p.Violations || n.RowWise() && i > 0 {
			continue
		}
		f := e.forecasts.forecast(&module.Handle{From: from, Port: p})
		if f.until != "" {
			return nil
		}
		all.add(f)
		if p.Name == "" {
			return all // the others are about its rows
		}
	}
	return e.withinInput(n, all)
}

// withinInput limits the rows of datasets that share the rows of an input.
func (e *Estimator) withinInput(n *decide.Instance, all *forecast) *forecast {
	var shares float64
	var of string
	for _, one := range n.Selections {
		s := one[0]
		if len(one) > 1 || s.Share == nil || s.Where != "" || of != "" && s.RowsOf != of {
			return all
		}
		shares, of = shares+*s.Share, s.RowsOf
	}
	switch in := n.Inputs[of]; {
	case in == nil || len(n.Selections) != len(n.Outputs):
		return all
	case math.Abs(shares-1) < 1e-9:
		return e.forecasts.forecast(in)
	default:
		all.rows = all.rows.atMost(e.forecasts.forecast(in).rows.high)
		return all
	}
}

// rowsReadBy returns the largest dataset that an instance reads, or nil if one of them
// is not known.
func (e *Estimator) rowsReadBy(n *decide.Instance) *forecast {
	var most *forecast
	for _, h := range n.Inputs {
		if !h.IsDataset() {
			continue
		}
		if h.Among != nil {
			return nil
		}
		f := e.forecasts.forecast(h)
		if f.until != "" {
			return nil
		}
		if most == nil || f.rows.mid > most.rows.mid {
			most = f
		}
	}
	return most
}

// add adds the rows of another dataset.
func (f *forecast) add(o *forecast) {
	f.rows, f.fresh = f.rows.plus(o.rows), f.fresh.plus(o.fresh)
	f.exact, f.atMost = f.exact && o.exact, f.atMost || o.atMost
}
