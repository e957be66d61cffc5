// Package estimate is the last phase of planning. It estimates the rows,
// requests to models, tokens, and seconds of the instances that will run, and
// what that costs, and compares the whole plan with the budget. Rows that do
// not exist yet are forecast from the sources that they come from.
package estimate

import (
	"context"
	"sync"

	"github.com/quern-dev/quern/planner/decide"
	"github.com/quern-dev/quern/planner/module"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/planner/prepare"
	"github.com/quern-dev/quern/planner/processes"
	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/history"
	"github.com/quern-dev/quern/store/state"
)

// Estimator estimates the instances of a module. It is safe for concurrent use.
type Estimator struct {
	*module.Module
	Options
	forecasts *forecaster

	mu   sync.Mutex
	runs map[string]map[string]*history.Instance // records that were read, by ID and address
	kept []*decide.Instance                      // instances that call models, but not now
	// rowless are the instances that will run and whose rows are not known yet, or
	// some of them if they are too many for a glance.
	rowless []*decide.Instance
}

// Options are what estimates are based on.
type Options struct {
	Context   context.Context
	Processes *processes.Processes
	Store     *store.Store
	// Prior contains the instances in the state, by address.
	Prior map[string]*state.Instance
	// Refresh allows reading sources.
	Refresh bool
	// Environment names the cached previews of sources.
	Environment string
	// Cache caches what plugins say about samples.
	Cache *prepare.Cache
}

// New returns an estimator for the instances of a module.
func New(m *module.Module, o Options) *Estimator {
	return &Estimator{Module: m, Options: o, forecasts: newForecaster(m.Secrets, o), runs: map[string]map[string]*history.Instance{}}
}

// Estimate fills in the estimate of an instance.
func (e *Estimator) Estimate(n *decide.Instance) {
	if !n.Result.Known {
		e.forecasts.note(n)
	}
	if n.Runs() && n.Mode != plan.ModeDeploy {
		e.checkSample(n)
		e.estimatePayment(n)
		e.estimateCalls(n)
		byPlugin := n.Estimate.Seconds != nil
		e.estimateSeconds(n)
		e.rangeSeconds(n, !byPlugin)
		e.checkDraws(n)
		if n.Estimate.Rows == nil && n.Estimate.Calls == nil {
			e.mu.Lock()
			defer e.mu.Unlock()
			if len(e.rowless) > glancedStages {
				return // more would keep what the phases know about all stages
			}
			e.rowless = append(e.rowless, n)
		}
		return
	}
	if len(n.Calls) > 0 && (n.Action == plan.Keep || n.Action == plan.Reuse) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.kept = append(e.kept, n)
	}
}
