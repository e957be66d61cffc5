package runner

import (
	"fmt"

	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/planner/plan"
)

// know lets expressions see the kept instances that they refer to.
func (b *binder) know(p *plan.Plan, todo []*plan.Node) error {
	wanted := map[string]bool{}
	for _, n := range todo {
		for _, ref := range nodeRefs(n) {
			wanted[ref] = true
		}
	}
	for _, m := range p.Models {
		refs, _ := m.Body.Refs()
		for _, ref := range refs {
			wanted[ref] = true
		}
	}
	for _, ref := range moduleRefs(p) {
		wanted[ref] = true
	}
	for _, n := range p.Nodes {
		if n.Action != plan.Keep && n.Action != plan.Adopt {
			continue
		}
		a, err := addr.Parse(n.Address)
		if err != nil {
			return err
		}
		if wanted[a.Stage.String()] {
			if err := b.knowKept(n); err != nil {
				return fmt.Errorf("%s, which the plan keeps: %w", n.Address, err)
			}
		}
	}
	return nil
}

func nodeRefs(n *plan.Node) []string {
	var refs []string
	if n.Body != nil {
		refs, _ = n.Body.Refs()
	}
	return append(refs, conditionRefs(n.Conditions)...)
}

// moduleRefs returns the stages that outputs and checks read.
func moduleRefs(p *plan.Plan) []string {
	var refs []string
	for _, o := range p.Outputs {
		if o.Expr != nil {
			refs = append(refs, o.Expr.Refs...)
		}
		refs = append(refs, conditionRefs(o.Conditions)...)
	}
	for _, c := range p.Checks {
		refs = append(refs, conditionRefs(c.Conditions)...)
	}
	return refs
}

func conditionRefs(all []plan.Condition) []string {
	var refs []string
	for i := range all {
		refs = append(refs, all[i].Refs()...)
	}
	return refs
}

// knowKept lets expressions see an instance whose result is already in the state.
func (b *binder) knowKept(n *plan.Node) error {
	inst, ok := b.state.instance(n.Address)
	if !ok {
		return fmt.Errorf("it is not in the state; make a new plan")
	}
	made := &plan.Made{Outputs: map[string]plan.Artifact{}}
	for port, ref := range inst.Outputs {
		a, err := b.artifacts.Get(ref)
		if err != nil {
			return err
		}
		made.Outputs[port] = seen(ref, a)
	}
	for port, check := range inst.Contracts {
		a, err := b.artifacts.Get(check.Violations)
		if err != nil {
			return err
		}
		made.Outputs[port] = seen(check.Violations, a)
	}
	switch {
	case inst.Deployment != nil && inst.Deployment.Value != nil:
		made.Value = inst.Deployment.Value.Value
	case inst.Value != nil:
		v, err := inst.Value.Get()
		if err != nil {
			return fmt.Errorf("read the values of %s: %w", inst.Address, err)
		}
		made.Value = v
	}
	return b.values.reveal(n, made)
}
