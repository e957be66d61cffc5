package planner

import (
	"slices"

	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/store/state"
)

// deposed returns the nodes for the deployments that others have replaced and that
// still exist. there are the addresses of configured instances.
func (b *builder) deposed(gone map[string]*state.Instance, there map[string]bool) []*plan.Node {
	replaced := map[string]*state.Instance{}
	actions := map[string]plan.Action{}
	for address, i := range gone {
		a, err := addr.Parse(address)
		if err != nil || a.Deposed == 0 || !there[a.Current().String()] {
			continue
		}
		delete(gone, address)
		if action, ok := b.root.decide.Deposed(address); ok {
			replaced[address], actions[address] = i, action
		}
	}
	nodes := removals(replaced, "")
	for _, n := range nodes {
		a, _ := addr.Parse(n.Address)
		n.Reasons = []plan.Reason{becauseDeposed(a)}
		if actions[n.Address] == plan.Forget {
			n.Action, n.Mode, n.Deployment = plan.Forget, "", nil
			n.Reasons[0].Text = "is what " + a.Current().String() + " manages"
		}
	}
	return nodes
}

// isDeposed reports whether an address is that of a deployment that another one has
// replaced.
func isDeposed(address string) bool {
	a, err := addr.Parse(address)
	return err == nil && a.Deposed > 0
}

func becauseDeposed(a addr.Instance) plan.Reason {
	current := a.Current().String()
	return plan.Reason{Code: plan.BecauseDeposed, Subject: current, Text: current + " has replaced it"}
}

// replaced returns the nodes that delete the deployments that the plan replaces after
// it has created others.
func (b *builder) replaced(nodes []*plan.Node) []*plan.Node {
	var out []*plan.Node
	for _, n := range nodes {
		if n.Deposes == "" {
			continue
		}
		a, err := addr.Parse(n.Deposes)
		if err != nil {
			continue
		}
		old := removal(b.prior[n.Address].Depose(n.Deposes), n.Deposes, "")
		old.DependsOn, old.Reasons = nil, []plan.Reason{becauseDeposed(a)}
		out = append(out, old)
	}
	return out
}

// succeeding gives the nodes of deployments that replace those of other types the nodes
// that delete these first.
func (b *builder) succeeding(nodes []*plan.Node) {
	var formers []*plan.Node
	for _, n := range nodes {
		prior := b.prior[n.Address]
		if n.Action != plan.Replace || n.Deposes != "" || prior == nil || prior.Type == n.Type {
			continue
		}
		n.Former = removal(prior, n.Address, "has another type now")
		formers = append(formers, n.Former)
	}
	b.canDelete(formers)
}

// deleteLast lets the nodes of replaced deployments wait for those that replace them
// and for everything that depends on these, such as a gate that calls the new
// deployment. If something fails, the old deployment remains.
func deleteLast(nodes, gone []*plan.Node) {
	for _, n := range gone {
		a, err := addr.Parse(n.Address)
		if err != nil || a.Deposed == 0 {
			continue
		}
		n.DependsOn = append(n.DependsOn, dependents(nodes, a.Current().String())...)
		slices.Sort(n.DependsOn)
		n.DependsOn = slices.Compact(n.DependsOn)
	}
}

// dependents returns an instance, if it is among the nodes, and those that directly or
// indirectly depend on it.
func dependents(nodes []*plan.Node, address string) []string {
	found := map[string]bool{}
	var all []string
	for _, n := range nodes { // each comes after what it needs
		if n.Address == address || slices.ContainsFunc(n.DependsOn, func(d string) bool { return found[d] }) {
			found[n.Address] = true
			all = append(all, n.Address)
		}
	}
	return all
}
