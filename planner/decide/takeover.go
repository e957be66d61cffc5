package decide

import (
	"slices"

	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/store/state"
)

// takeOver finds deployments to be created that can reuse an existing
// deployment under an address that is no longer configured, or one that was
// replaced and still exists: according to their plugin, it is right as it is or
// after an update in place. Most often, the block was renamed. They get that
// deployment and its entry in the state. Deleting the old one and then creating
// the new one would leave a gap; the other order would delete what was just
// created.
//
// takeOver leaves out instances in which it finds errors.
func (d *Decider) takeOver(level []*Instance) []*Instance {
	if !d.TakeOver || d.RefreshOnly {
		return level
	}
	return slices.DeleteFunc(level, func(n *Instance) bool {
		for _, address := range d.candidates(n) {
			taken, ok := d.takesOver(n, address)
			if taken || !ok {
				return !ok
			}
		}
		return false
	})
}

// abandoned returns the addresses of deployments of the same type that are no
// longer configured.
func (d *Decider) abandoned(n *Instance) []string {
	var found []string
	for _, address := range ordered.Keys(d.Prior) {
		if i := d.Prior[address]; i.Deployment != nil && i.Type == n.Type && i.Plugin == n.Plugin && !d.configured(address, i) && !d.taken[address] && !d.Keeps(address) {
			found = append(found, address)
		}
	}
	return found
}

// configured reports whether an address in the state may be in the plan.
func (d *Decider) configured(address string, i *state.Instance) bool {
	a, err := addr.Parse(address)
	if err != nil || a.Kind != i.Kind || !d.Tree.Declared(a.Stage) {
		return false
	}
	s := d.Tree.Stage(a.Stage)
	// If the stage is not expanded yet, any of its instances may be.
	return s == nil || len(s.Names()) == 0 || s.Has(address)
}

// takesOver tries to plan an instance as the deployment of another address. ok
// is false if that failed, which it has reported.
func (d *Decider) takesOver(n *Instance, address string) (taken, ok bool) {
	fresh, prior := *n.Node, n.Prior
	n.Prior, n.Reasons, n.Changes, n.Action = d.Prior[address], nil, nil, ""
	if !d.lookAtDeployment(n) {
		return false, false
	}
	if n.Deployment == nil || !slices.Contains([]plan.Action{plan.Keep, plan.Update, plan.MayRun}, n.Action) {
		*n.Node, n.Prior = fresh, prior
		return false, true
	}
	n.Deposes = fresh.Deposes
	if n.Action == plan.Keep {
		n.Action = plan.Update // the state is updated
	}
	if d.taken == nil {
		d.taken = map[string]bool{}
	}
	d.taken[address] = true
	n.MovedFrom = address
	n.Reasons = append([]plan.Reason{{Code: plan.BecauseMoved, Subject: address, Text: "takes over the deployment of " + address}}, n.Reasons...)
	return true, true
}
