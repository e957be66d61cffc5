package runner

import (
	"fmt"

	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/runner/modelhost"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/store/history"
)

// thisRun is the run in messages about its budget.
const thisRun = "this run"

// sharedBudget returns the budget of a run, with what earlier runs have spent. If
// the environment's runs share a budget, the run's record says at any time at
// least what the run has spent so that it counts even if the run is killed.
func sharedBudget(p *plan.Plan, runs *history.Store, record *history.Run) (*modelhost.RunBudget, error) {
	if p.Budget == nil || len(p.Budget.Periods) == 0 {
		return modelhost.NewBudget(thisRun, p.Budget), nil
	}
	limits := *p.Budget
	limits.Periods = make([]plan.PeriodBudget, len(p.Budget.Periods))
	for i, period := range p.Budget.Periods {
		spent, err := runs.Spent(p.Environment, period.Began(record.Started))
		if err != nil {
			return nil, fmt.Errorf("the budget cannot be enforced, because what the environment has spent %s is not known: %w", period.Name(), err)
		}
		period.Spent = spent
		limits.Periods[i] = period
	}
	budget := modelhost.NewBudget(thisRun, &limits)
	budget.Promise(func(most llm.Spend) error {
		promised := *record
		promised.Spent = &most
		return runs.Put(&promised)
	})
	return budget, nil
}
