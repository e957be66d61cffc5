package planner

import (
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/planner/plan"
)

// refreshOnly returns a plan that only updates the state to the current
// deployments. It shows changes of sources, but the state gets them only when
// the sources are read.
func (b *builder) refreshOnly() (*plan.Plan, hcl.Diagnostics) {
	p := b.newPlan()
	for _, known := range b.nodes(p) {
		if d := b.drift(known); d != nil {
			p.Nodes = append(p.Nodes, d)
		}
	}
	p.Models, p.Secrets = nil, secretNames(p)
	return b.finished(p)
}

// drift returns a node that says how an instance differs from the state, or nil
// if it does not.
func (b *builder) drift(n *plan.Node) *plan.Node {
	prior := b.prior[n.Address]
	if prior == nil {
		return nil
	}
	out := &plan.Node{
		Address: n.Address, Kind: n.Kind, Type: n.Type, Plugin: n.Plugin, Mode: n.Mode, Range: n.Range, Action: plan.Keep,
		Reasons: slices.DeleteFunc(slices.Clone(n.Reasons), func(r plan.Reason) bool { return !r.IsDrift() }),
	}
	switch {
	case n.Mode == plan.ModeRead && len(out.Reasons) > 0 && n.Definition == prior.Definition:
		return out
	case n.Mode != plan.ModeDeploy || prior.Deployment == nil:
		return nil
	case n.Action == plan.MayRun:
		out.Reasons = slices.Clone(n.Reasons)
		for i := range out.Reasons {
			out.Reasons[i].Text = "its configuration " + out.Reasons[i].Text
		}
		return out
	case len(out.Reasons) == 0:
		return nil
	}
	out.Action, out.Deployment = plan.Refresh, b.discreetDeployment(n.Deployment)
	if out.Deployment != nil {
		out.Changes = b.attributeChanges(prior.Deployment.Value, out.Deployment.Value)
	}
	return out
}

// discreetDeployment returns a deployment in the form in which it may be
// stored, because a plugin may have read a secret back.
func (b *builder) discreetDeployment(d *plan.Deployment) *plan.Deployment {
	if d == nil || b.secrets.Empty() {
		return d
	}
	out := *d
	if d.Value != nil {
		v, _ := b.secrets.Value(d.Value.Value)
		out.Value = &value.Value{Value: v}
	}
	if b.secrets.In(string(d.Private)) {
		out.Private = nil
	}
	return &out
}

// attributeChanges returns the attributes in which two objects differ.
func (b *builder) attributeChanges(before, after *value.Value) []plan.Change {
	was, is := attributes(before), attributes(after)
	names := ordered.Keys(was)
	for name := range is {
		if _, ok := was[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var changes []plan.Change
	for _, name := range names {
		from, had := was[name]
		to, has := is[name]
		if had && has && from.RawEquals(to) {
			continue
		}
		c := plan.Change{Argument: name}
		if had {
			c.Before = b.secrets.Text(value.Format(from))
		}
		if has {
			c.After = b.secrets.Text(value.Format(to))
		}
		changes = append(changes, c)
	}
	return changes
}

func attributes(v *value.Value) map[string]cty.Value {
	if v == nil || v.IsNull() || !v.Value.Type().IsObjectType() {
		return nil
	}
	return v.AsValueMap()
}
