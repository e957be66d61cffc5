package planner

import (
	"slices"

	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/store/state"
)

// takeOver finds deployments to be created that can reuse an existing deployment
// under an address that is no longer configured: according to their plugin, it
// is right as it is or after an update in place. Most often, the block was
// renamed. They get that deployment and its entry in the state. Deleting the old
// one and then creating the new one would leave a gap; the other order would
// delete what was just created.
func (b *builder) takeOver(nodes []*node) {
	if b.validating || b.RefreshOnly || b.State == nil || len(b.Targets) > 0 || len(b.Excludes) > 0 {
		return
	}
	for _, n := range nodes {
		if n.broken || n.Mode != plan.ModeDeploy || n.Action != plan.Create || n.prior != nil || !n.bound.Config.IsWhollyKnown() {
			continue
		}
		for _, address := range b.abandoned(n) {
			if b.takesOver(n, address) {
				break
			}
		}
	}
}

// abandoned are the addresses of deployments of the same type that are no
// longer configured.
func (b *builder) abandoned(n *node) []string {
	var found []string
	for _, address := range sortedKeys(b.prior) {
		if i := b.prior[address]; i.Deployment != nil && i.Type == n.Type && i.Plugin == n.Plugin && !b.configured(address, i) && !b.taken[address] {
			found = append(found, address)
		}
	}
	return found
}

// configured says whether an address of the state may be in the plan.
func (b *builder) configured(address string, i *state.Instance) bool {
	for _, s := range b.stages {
		if s.cfg.Addr.Kind != i.Kind || !within(address, s.cfg.Addr.String()) {
			continue
		}
		// Of a stage that is not expanded yet, any instance may be.
		return len(s.instances) == 0 || slices.ContainsFunc(s.instances, func(n *node) bool { return n.Address == address })
	}
	return false
}

// within says whether an address is a stage's, or that of one of its instances.
func within(address, stage string) bool {
	return address == stage || len(address) > len(stage) && address[:len(stage)] == stage && address[len(stage)] == '['
}

// takesOver plans an instance as the deployment of another address, if possible.
func (b *builder) takesOver(n *node, address string) bool {
	fresh := *n.Node
	n.prior, n.Reasons, n.Changes, n.Action = b.prior[address], nil, nil, ""
	b.lookAtDeployment(n)
	if n.broken {
		return true
	}
	if n.Deployment == nil || !slices.Contains([]plan.Action{plan.Keep, plan.Update, plan.MayRun}, n.Action) {
		*n.Node, n.prior = fresh, nil
		return false
	}
	if n.Action == plan.Keep {
		n.Action = plan.Update // of the state
	}
	b.taken[address] = true
	n.MovedFrom = address
	n.Reasons = append([]plan.Reason{{Code: plan.BecauseMoved, Subject: address, Text: "takes over the deployment of " + address}}, n.Reasons...)
	return true
}
