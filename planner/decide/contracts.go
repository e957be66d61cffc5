package decide

import (
	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/planner/contract"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/planner/terms"
	"github.com/quern-dev/quern/store/action"
	"github.com/quern-dev/quern/store/artifact"
	"github.com/quern-dev/quern/store/state"
)

// checkContracts judges a result by the contracts of its instance, as far as it
// was checked before. If a kept result was not, the instance is to be checked,
// which reads its rows and computes nothing. checkContracts returns false if the
// result is known to violate a contract.
func (d *Decider) checkContracts(n *Instance) bool {
	if d.RefreshOnly || !n.Result.Known {
		return true
	}
	ok, checked := true, map[string]state.Checked{}
	for _, c := range n.Contracts {
		entry, err := d.lookUp(n, c)
		if err != nil {
			n.Stage.Module.Report(diag.Errorf(c.Contract.Range.Ptr(), "Cannot look up a contract", "%s.", err))
			return false
		}
		if entry == nil {
			continue
		}
		checked[c.Violations()] = state.Checked{Key: c.Key, Violations: entry.Outputs[contract.Port]}
		ok = d.judge(n, c, entry) && ok
	}
	if n.Action == plan.Keep {
		d.compareContracts(n, checked)
	}
	return ok
}

// lookUp returns the entry of the check of a contract over a result, or nil if it
// was not checked. It adds the violations to the result.
func (d *Decider) lookUp(n *Instance, c *terms.Contract) (*action.Entry, error) {
	of := n.Result.Artifacts[c.Output]
	if of == nil || of.Dataset == nil {
		return nil, nil
	}
	key, _, known, err := contract.Key(c.Contract, of.Dataset, c.Dataset)
	if err != nil || !known {
		return nil, err
	}
	c.Key = key
	entry, err := d.Store.Actions.Get(key)
	if err != nil || entry == nil {
		return nil, nil // if it was damaged, it is set aside, and the check is repeated
	}
	violations, err := artifact.Present(d.Store.Blobs, entry.Outputs[contract.Port])
	if err != nil {
		return nil, nil
	}
	n.Result.Artifacts[c.Violations()] = violations
	n.Result.Digests[c.Violations()] = entry.Outputs[contract.Port].Digest
	return entry, nil
}

// judge reports the rules that a result violates. It returns false if one of them
// is an error.
func (d *Decider) judge(n *Instance, c *terms.Contract, entry *action.Entry) bool {
	figures, err := contract.Load(entry.Value)
	if err != nil {
		n.Stage.Module.Report(diag.Errorf(c.Contract.Range.Ptr(), "Cannot look up a contract", "%s.", err))
		return false
	}
	rows := n.Result.Artifacts[c.Output].Dataset.Rows
	return !n.Stage.Module.Report(contract.Diagnose(contract.Judge(c.Contract, figures, rows, d.Started), d.Environment, n.Address, c.Contract)...)
}

// compareContracts decides about a kept result whose contracts are not those that
// the state says it met.
func (d *Decider) compareContracts(n *Instance, checked map[string]state.Checked) {
	reason := func(text string) { n.Reasons = append(n.Reasons, plan.Reason{Code: plan.BecauseContract, Text: text}) }
	for _, c := range n.Contracts {
		was, had := n.Prior.Contracts[c.Violations()]
		is, known := checked[c.Violations()]
		switch {
		case known && had && was == is:
			continue
		case c.Key == "":
			n.Reasons = append(n.Reasons, waitsFor(c.Unknown())...)
		case !had:
			reason("its contract is new")
		case c.Key == was.Key:
			reason("the result of its contract's check is no longer in the store")
		default:
			reason("its contract, or a dataset that it refers to, changed")
		}
		n.Action = plan.Check
	}
	for _, name := range ordered.Keys(n.Prior.Contracts) {
		if port, ok := n.Port(name); !ok || !port.Violations {
			n.Action = plan.Check
			reason("its contract was removed")
		}
	}
}
