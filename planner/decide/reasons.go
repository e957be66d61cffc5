package decide

import (
	"github.com/quern-dev/quern/planner/fingerprint"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/store/action"
)

// compare lists how an instance's keys differ from those in the state.
func (n *Instance) compare() []plan.Reason {
	if n.Prior == nil {
		return []plan.Reason{{Code: plan.BecauseNew, After: n.Summary, Text: "is new"}}
	}
	reasons := fingerprint.Compare(fields(n.Prior.Preimage), n.Preimage, n.Summary)
	if len(reasons) == 0 {
		return []plan.Reason{{Code: plan.BecauseUpstream, Text: "its key differs from the key of its result"}}
	}
	return reasons
}

// fields returns a preimage in the form that plans have.
func fields(preimage action.Preimage) []plan.Field {
	all := preimage.Fields()
	out := make([]plan.Field, len(all))
	for i, f := range all {
		out[i] = plan.Field(f)
	}
	return out
}
