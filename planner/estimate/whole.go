package estimate

import (
	"github.com/quern-dev/quern/internal/amount"
	"github.com/quern-dev/quern/planner/decide"
	"github.com/quern-dev/quern/planner/plan"
)

// recordsRead bounds the records of runs that are read for the durations of results
// that are kept.
const recordsRead = 16

// Finish completes the estimates of a plan: the rows of instances that call no models,
// and what the instances that do not run would take if nothing existed. A plan that computes nothing needs no estimate.
func (e *Estimator) Finish(p *plan.Plan) {
	if e.Store == nil || !p.Computes() {
		return
	}
	for _, n := range e.kept {
		e.wholeCalls(n)
	}
	for _, n := range p.Nodes {
		if n.Action == plan.Keep && n.Mode != "" && n.Mode != plan.ModeDeploy {
			e.wholeSeconds(n)
		}
	}
	e.glance(p)
}

// wholeCalls estimates the calls that a result took that exists.
func (e *Estimator) wholeCalls(n *decide.Instance) {
	if n.Bound == nil {
		return
	}
	last := e.lastSpend(n)
	var all []*foreseen
	for _, c := range n.Calls {
		f := e.foresee(n, c, last)
		if !f.known {
			return
		}
		all = append(all, f)
	}
	readAnswers(all)
	var ignored plan.Estimate
	addRanges(&ignored, all)
	n.Estimate.Whole = ignored.Whole
}

// wholeSeconds estimates the time that a result took that is kept, from the record of
// the run that produced it.
func (e *Estimator) wholeSeconds(n *plan.Node) {
	prior := e.Prior[n.Address]
	if prior == nil || prior.Run == "" {
		return
	}
	if _, read := e.runs[prior.Run]; !read && len(e.runs) >= recordsRead {
		return
	}
	done := e.inRun(prior.Run, n.Address)
	if done == nil {
		return
	}
	seconds := exactly(done.Seconds).within(1/slowerThanBefore, slowerThanBefore)
	if n.RowWise() && done.NewRows < max(done.Rows, done.RowsIn) {
		if done.NewRows == 0 {
			return
		}
		seconds = seconds.scaled(float64(max(done.Rows, done.RowsIn)) / float64(done.NewRows))
	}
	if n.Estimate.Whole == nil {
		n.Estimate.Whole = &amount.Amounts{}
	}
	n.Estimate.Whole.Seconds = seconds.rangeOf(true)
}
