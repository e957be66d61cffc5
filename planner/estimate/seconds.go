package estimate

import (
	"github.com/quern-dev/quern/internal/amount"
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

// How far the time of a stage may be from its last time, or from what its plugin
// expects, and what starting it may take in addition, in seconds.
const (
	slowerThanBefore   = 2.5
	slowerThanExpected = 4
	starting           = 1
)

// rangeSeconds adds the range of the time, and the time if nothing existed. before
// is set if the time was estimated from the last one.
func (e *Estimator) rangeSeconds(n *decide.Instance, before bool) {
	if n.Estimate.Seconds == nil {
		return
	}
	factor := float64(slowerThanExpected)
	if before {
		factor = slowerThanBefore
	}
	seconds := exactly(*n.Estimate.Seconds).within(1/factor, factor)
	seconds.high += starting
	if n.Estimate.Range == nil {
		n.Estimate.Range = &amount.Amounts{}
	}
	n.Estimate.Range.Seconds = seconds.rangeOf(true)
	if more := fromScratch(&n.Estimate); more > 0 {
		if n.Estimate.Whole == nil {
			n.Estimate.Whole = &amount.Amounts{}
		}
		n.Estimate.Whole.Seconds = seconds.scaled(more).rangeOf(true)
	}
}

// fromScratch returns how many times the work of an estimate there would be if nothing
// existed, or 0 if that is unknown.
func fromScratch(e *plan.Estimate) float64 {
	ratio := func(all, now float64) float64 {
		if now == 0 {
			return 0
		}
		return all / now
	}
	switch {
	case e.Calls != nil && *e.Calls > 0 && e.Whole != nil && e.Whole.Calls != nil && e.Whole.Calls.Expected != nil:
		return ratio(*e.Whole.Calls.Expected, float64(*e.Calls))
	case e.NewRows != nil && e.Rows != nil && *e.NewRows < *e.Rows:
		return ratio(float64(*e.Rows), float64(*e.NewRows))
	}
	return 1
}

// amounts returns the amount of work when a result was computed and the amount
// now, in the same unit. It returns false if they say nothing about the time.
func (e *Estimator) amounts(n *decide.Instance, entry *action.Entry) (then, now float64, ok bool) {
	if calls := n.Estimate.Calls; calls != nil && *calls > 0 && entry.Spend != nil {
		// The models determine how long the stage takes.
		return float64(entry.Spend.Calls), float64(*calls), entry.Spend.Calls > 0
	}
	done := e.inRun(entry.Run, n.Address)
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

// inRun returns the record of what a run did with an instance, or nil if there is
// none or the run did not compute it. It reads the record of a run once.
func (e *Estimator) inRun(id, address string) *history.Instance {
	e.mu.Lock()
	defer e.mu.Unlock()
	computed, ok := e.runs[id]
	if !ok && id != "" {
		computed = map[string]*history.Instance{}
		if r, err := e.Store.Runs().Get(id); err == nil { // otherwise, only the durations are lost
			for i := range r.Instances {
				if r.Instances[i].Action == string(plan.Run) {
					computed[r.Instances[i].Address] = &r.Instances[i]
				}
			}
		}
		e.runs[id] = computed
	}
	return computed[address]
}
