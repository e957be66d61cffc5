package decide

import (
	"slices"

	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/planner/expand"
	"github.com/quern-dev/quern/planner/fingerprint"
	"github.com/quern-dev/quern/planner/module"
	"github.com/quern-dev/quern/planner/plan"
)

// DecideGate decides about a gate. If its conditions are known to be met, the
// gate is kept. DecideGate returns nil if the gate has errors, which it has
// reported.
func (d *Decider) DecideGate(n *expand.Instance) *module.Instance {
	gate := &module.Instance{Node: n.Node, Addr: n.Addr}
	if d.Validating {
		return gate
	}
	definition, fields, err := fingerprint.Definition(n.Node, nil, d.Secrets.Seal)
	if err != nil {
		n.Stage.Module.Report(diag.Errorf(n.Range.Ptr(), "Cannot compute a key", "%s.", err))
		return nil
	}
	n.Definition, n.ActionKey, n.Preimage = definition, definition, fields
	n.Action = plan.Keep
	for i := range n.Conditions {
		c := &n.Conditions[i]
		v := d.Conditions.Evaluate(c, nil)
		switch {
		case v.Holds:
		case v.Known:
			n.Action = plan.Check
			n.Reasons = append(n.Reasons, plan.Reason{Code: plan.BecauseCondition, Subject: c.Test.Text, Text: "condition is not met: " + d.Conditions.Message(c, nil)})
		default:
			n.Action = plan.Check
			for _, r := range waitsFor(c.Test.Refs) {
				if !slices.Contains(n.Reasons, r) { // another condition may wait for the same
					n.Reasons = append(n.Reasons, r)
				}
			}
		}
	}
	if n.Action == plan.Keep && d.Prior[n.Address] == nil {
		n.Action, n.Reasons = plan.Check, []plan.Reason{newReason()}
	}
	return gate
}

func waitsFor(refs []string) []plan.Reason {
	var reasons []plan.Reason
	for _, r := range refs {
		reasons = append(reasons, plan.Reason{Code: plan.BecauseUpstream, Subject: r, Text: "waits for " + r})
	}
	return reasons
}
