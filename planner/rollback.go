package planner

import (
	"context"
	"fmt"
	"slices"

	"github.com/hashicorp/hcl/v2"

	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/store/history"
	"github.com/quern-dev/quern/store/state"
)

// Rollback plans to return an environment to what a run left: its results and
// gates, whatever the configuration says about them now, and its deployments. A
// deployment needs the block that it was deployed with. Nothing is computed or
// checked.
func Rollback(ctx context.Context, o Options, run *history.Run, left *state.State) (*plan.Plan, hcl.Diagnostics) {
	o.adopts, o.adopting = "run "+run.ID, true
	a := newAdopter(ctx, o, left, func(i *state.Instance) bool { return i.Deployment == nil })
	defer a.close()
	p, diags := a.build()
	if p == nil {
		return nil, diags
	}
	p.Moves, p.Deferred = nil, nil
	a.rollback(p, run)
	return a.finished(p)
}

// rollback replaces what a plan would do by a return to what a run left.
func (a *adopter) rollback(p *plan.Plan, run *history.Run) {
	p.Adopts = a.adopts
	planned := make(map[string]*plan.Node, len(p.Nodes))
	for _, n := range p.Nodes {
		planned[n.Address] = n
	}
	var nodes []*plan.Node
	for _, n := range p.Nodes {
		left := a.from.Instances[n.Address]
		switch {
		case isDeposed(n.Address): // as in any other plan
			nodes = append(nodes, n)
		case n.Action == plan.Delete || n.Action == plan.Forget || left == nil:
			a.dropped(n)
		case n.Mode == plan.ModeDeploy:
			a.checkDeployment(n, left, run)
			nodes = append(nodes, n)
		case n.Action == plan.Run:
			a.Report(diag.Errorf(n.Range.Ptr(), "Result is missing", "The environment cannot return to run %s: of %s, %s.", run.ID, n.Address, n.Reasons[0].Text))
		default:
			nodes = append(nodes, a.restored(n, left))
		}
	}
	nodes = append(nodes, a.unconfigured(planned, run)...)
	nodes = append(nodes, removals(a.created(nodes), "did not exist after run "+run.ID)...)
	a.protect(nodes)
	a.canDelete(nodes)
	p.Nodes = nodes
	p.Outputs = slices.DeleteFunc(p.Outputs, func(o *plan.Output) bool { return a.waitsForPruned(o.DependsOn) })
	p.Checks = slices.DeleteFunc(p.Checks, func(c *plan.CheckBlock) bool { return a.waitsForPruned(c.DependsOn) })
}

// dropped leaves a node out, and what depends on it.
func (a *adopter) dropped(n *plan.Node) {
	if at, err := addr.Parse(n.Address); err == nil {
		a.partial[at.Stage.String()] = true
	}
}

// restored turns a node into the adoption of what a run left, unless the
// environment still has it.
func (a *adopter) restored(n *plan.Node, left *state.Instance) *plan.Node {
	n.Conditions, n.Reasons, n.Action = nil, nil, plan.Keep
	if !same(a.to.Instances[n.Address], left) {
		n.Action, n.Adoption = plan.Adopt, &plan.Adoption{Instance: left}
		a.compare(n)
	}
	return n
}

// checkDeployment reports a deployment whose block is not the one that a run
// applied.
func (a *adopter) checkDeployment(n *plan.Node, left *state.Instance, run *history.Run) {
	switch {
	case n.Definition == left.Definition:
	case n.Definition == "":
		a.Report(diag.Errorf(n.Range.Ptr(), "Deployment cannot be restored", "The configuration of %s depends on results that run %s did not have. %s", n.Address, run.ID, checkOut(run)))
	default:
		a.Report(diag.Errorf(n.Range.Ptr(), "Deployment cannot be restored", "The block of %s has changed since run %s, and the state does not contain the earlier one. %s", n.Address, run.ID, checkOut(run)))
	}
}

func checkOut(run *history.Run) string {
	if run.Commit == "" || run.Dirty {
		return "Restore the configuration of that run, and roll back again."
	}
	return fmt.Sprintf("Check out commit %s, and roll back again.", run.Commit)
}

// unconfigured returns the nodes of results that a run left and whose stages are no
// longer in the configuration.
func (a *adopter) unconfigured(planned map[string]*plan.Node, run *history.Run) []*plan.Node {
	var nodes []*plan.Node
	for _, address := range ordered.Keys(a.from.Instances) {
		left, there := a.from.Instances[address], planned[address]
		if there != nil && there.Action != plan.Forget && there.Action != plan.Delete {
			continue
		}
		if isDeposed(address) {
			continue
		}
		if left.Deployment != nil {
			if is := a.to.Instances[address]; is == nil || is.ActionKey != left.ActionKey {
				a.Report(diag.Errorf(nil, "Deployment cannot be restored", "%s is no longer in the configuration, and the state does not contain its block. %s", address, checkOut(run)))
			}
			continue
		}
		n := a.restored(&plan.Node{Address: address, Kind: left.Kind, Type: left.Type, Plugin: left.Plugin}, left)
		if n.Action == plan.Adopt {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// created returns what the environment has and a run did not leave, except for
// deployments that nodes take over and those that others have replaced.
func (a *adopter) created(nodes []*plan.Node) map[string]*state.Instance {
	there := make(map[string]bool, len(a.from.Instances))
	for address := range a.from.Instances {
		there[address] = true
	}
	for _, n := range nodes {
		there[n.MovedFrom] = true
	}
	gone := a.others(there)
	for address, i := range a.to.Instances {
		if i.Deployment != nil && !there[address] && !isDeposed(address) {
			gone[address] = i
		}
	}
	return gone
}
