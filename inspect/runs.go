package inspect

import (
	"context"
	"errors"

	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/history"
	"github.com/quern-dev/quern/store/state"
	"github.com/quern-dev/quern/ui/results"
)

// Filter selects runs.
type Filter struct {
	// Environment selects the runs of one environment. If it is empty, all
	// match.
	Environment string
	// Last is the maximum number of runs, or 0 for all.
	Last int
}

// Runs returns the runs that a filter selects, the latest first. If some records cannot
// be read, it returns the others with the error.
func Runs(runs *history.Store, f Filter) ([]*history.Run, error) {
	all, err := runs.List()
	selected := []*history.Run{}
	for _, r := range all {
		if (f.Last == 0 || len(selected) < f.Last) && (f.Environment == "" || r.Environment == f.Environment) {
			selected = append(selected, r)
		}
	}
	return selected, err
}

// Tally counts the instances of a run with an action.
type Tally struct {
	// Action is a plan's action, or "failed", "pending", or "not reached" for those
	// that were not done.
	Action string `json:"action"`
	N      int    `json:"n"`
}

// Tallies counts the instances of a run by action, in the order in which the actions
// first occur.
func Tallies(r *history.Run) []Tally {
	var all []Tally
	at := map[string]int{}
	for _, i := range r.Instances {
		action := i.Action
		switch i.Status {
		case history.Failed, history.Pending:
			action = i.Status
		case history.Skipped:
			action = "not reached"
		}
		if action == "" {
			continue
		}
		if _, seen := at[action]; !seen {
			at[action] = len(all)
			all = append(all, Tally{Action: action})
		}
		all[at[action]].N++
	}
	return all
}

// Evaluation is what an evaluation of a run measured.
type Evaluation struct {
	Address string
	// Found is nil if Err says why it cannot be read: its report may no longer be in
	// the store.
	Found *results.Evaluation
	Err   error
}

// Evaluations returns what the evaluations of a run measured, in the order of its
// instances.
func Evaluations(ctx context.Context, s *store.Store, r *history.Run) []Evaluation {
	var all []Evaluation
	for _, i := range r.Instances {
		found, err := results.Read(ctx, s, &state.Instance{Address: i.Address, Outputs: i.Outputs, Value: i.Value})
		if errors.Is(err, results.ErrNoSubjects) {
			continue
		}
		all = append(all, Evaluation{Address: i.Address, Found: found, Err: err})
	}
	return all
}
