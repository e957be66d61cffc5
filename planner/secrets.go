package planner

import (
	"slices"
	"strings"

	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/secret"
	"github.com/quern-dev/quern/planner/fingerprint"
	"github.com/quern-dev/quern/planner/plan"
)

// nameSet is a set of names of sensitive variables.
type nameSet map[string]bool

func (s nameSet) add(names []string) {
	for _, name := range names {
		s[name] = true
	}
}

func (s nameSet) expression(e *expr.Compiled) {
	if e != nil {
		s.add(e.Secrets)
	}
}

func (s nameSet) conditions(all []plan.Condition) {
	for _, c := range all {
		s.expression(c.Test)
		s.expression(c.Message)
	}
}

func (s nameSet) body(b *plan.Body) {
	if b != nil {
		b.AnyExpression(func(e *expr.Compiled) bool {
			s.add(e.Secrets)
			return false
		})
	}
}

// secretNames are the names of the sensitive variables that a plan refers to.
func secretNames(p *plan.Plan) []string {
	names := nameSet{}
	for _, n := range p.Nodes {
		names.body(n.Body)
		names.conditions(n.Conditions)
	}
	for _, m := range p.Models {
		names.body(m.Body)
	}
	for _, o := range p.Outputs {
		names.expression(o.Expr)
		names.conditions(o.Conditions)
	}
	for _, c := range p.Checks {
		names.conditions(c.Conditions)
	}
	for _, plugin := range p.Plugins {
		names.body(plugin.Config)
	}
	return ordered.Keys(names)
}

// sealPlan records which secrets the plan's keys were computed with.
func (b *builder) sealPlan(p *plan.Plan) {
	if b.validating || len(p.Secrets) == 0 {
		return
	}
	names := nameSet{}
	for _, n := range p.Nodes {
		names.add(fingerprint.Secrets(n, n.Body))
	}
	for _, m := range p.Models {
		names.add(fingerprint.Secrets(&plan.Node{}, m.Body))
	}
	for _, name := range ordered.Keys(names) {
		digest, err := b.root.Secrets.Seal(name)
		if err != nil {
			b.Report(diag.Errorf(nil, "Cannot compute a key", "%s.", err))
			return
		}
		if p.Sealed == nil {
			p.Sealed = map[string]string{}
		}
		p.Sealed[name] = digest
	}
}

// hideAgain finds the values that sensitive() hides in a saved plan by
// evaluating the configuration as it was evaluated for the plan. It does not
// read sources or deployments.
func (b *builder) hideAgain(p *plan.Plan) {
	isHidden := func(name string) bool { return strings.HasPrefix(name, secret.HiddenPrefix) }
	if !slices.ContainsFunc(p.Secrets, isHidden) {
		return
	}
	o := b.Options
	o.Refresh, o.RefreshOnly, o.Destroy = false, p.RefreshOnly, p.Destroy
	o.Hidden = b.secrets.Learn
	if _, diags := Build(b.ctx, o); b.Report(diags...) {
		return
	}
	for _, name := range p.Secrets {
		if _, ok := b.secrets.Hidden(name); isHidden(name) && !ok {
			b.Report(diag.Errorf(nil, "The saved plan is stale", "A value that sensitive() hides has changed since the plan was made. Make a new plan."))
			return
		}
	}
}

// checkSealed reports secrets that differ from those that a saved plan was made
// with.
func (b *builder) checkSealed(p *plan.Plan) {
	for _, name := range ordered.Keys(p.Sealed) {
		digest, err := b.root.Secrets.Seal(name)
		if err == nil && digest == p.Sealed[name] {
			continue
		}
		b.Report(diag.Errorf(nil, "The saved plan is stale", "The sensitive %s has changed since the plan was made, and results depend on it. Apply the plan with the earlier value, or make a new plan.", secret.Ref(name)))
	}
}
