package estimate

import (
	"slices"

	"github.com/quern-dev/quern/planner/decide"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/store/action"
	"github.com/quern-dev/quern/store/history"
)

// estimateSeconds estimates how long an instance will take if its plugin does
// not: from the time it took to compute the result in the state, and the amount
// of work at that time. An amount that is unknown is assumed to be the same.
func (e *Estimator) estimateSeconds(n *decide.Instance) {
	if n.Estimate.Seconds != nil || n.Prior == nil || n.Prior.ActionKey == "" || e.Store == nil {
		return
	}
	entry, err := e.Store.Actions.Get(n.Prior.ActionKey)
	if err != nil || entry == nil || entry.Seconds <= 0 {
		return
	}
	then, now, ok := e.amounts(n, entry)
	if !ok {
		return
	}
	seconds := entry.Seconds * now / then
	n.Estimate.Seconds = &seconds
}

// amounts returns the amount of work when a result was computed and the amount
// now, in the same unit. It returns false if they say nothing about the time.
func (e *Estimator) amounts(n *decide.Instance, entry *action.Entry) (then, now float64, ok bool) {
	if calls := n.Estimate.Calls; calls != nil && *calls > 0 && entry.Spend != nil {
		// The models determine how long the stage takes.
		return float64(entry.Spend.Calls), float64(*calls), entry.Spend.Calls > 0
	}
	done := e.lastTime(n.Address, entry)
	if n.RowWise() {
		if done == nil || done.NewRows == 0 { // known rows take too little time to extrapolate from
			return 0, 0, false
		}
		return amountsOf(done.NewRows, n.Estimate.NewRows)
	}
	if done == nil {
		return 1, 1, true
	}
	return amountsOf(done.Rows, rowsIn(n))
}

// amountsOf returns two numbers of rows, as far as they are known.
func amountsOf(then int64, now *int64) (float64, float64, bool) {
	if then == 0 || now == nil {
		return 1, 1, true
	}
	return float64(then), float64(*now), true
}

// rowsIn returns the number of input rows of an instance that produces a model
// or a report, which is also the number in its record. It is nil if the number
// is not known or the instance produces something else.
func rowsIn(n *decide.Instance) *int64 {
	if len(n.Outputs) == 0 || n.Outputs[0].Kind == plan.KindDataset {
		return nil
	}
	var rows *int64
	for _, h := range n.Inputs {
		if h.Port.Kind != plan.KindDataset {
			continue
		}
		m := h.Manifest()
		if m == nil {
			return nil
		}
		if rows == nil || m.Rows > *rows {
			rows = &m.Rows
		}
	}
	return rows
}

// lastTime returns the record of the run that computed a result, or nil if
// there is none.
func (e *Estimator) lastTime(address string, entry *action.Entry) *history.Instance {
	run := e.run(entry.Run)
	if run == nil {
		return nil
	}
	i := slices.IndexFunc(run.Instances, func(i history.Instance) bool { return i.Address == address && i.Action == string(plan.Run) })
	if i < 0 {
		return nil
	}
	return &run.Instances[i]
}

// run reads the record of a run, once. It returns nil if the record cannot be
// read.
func (e *Estimator) run(id string) *history.Run {
	e.mu.Lock()
	defer e.mu.Unlock()
	if r, ok := e.runs[id]; ok || id == "" {
		return r
	}
	r, err := e.Store.Runs().Get(id)
	if err != nil {
		r = nil // only the durations are lost
	}
	e.runs[id] = r
	return r
}
