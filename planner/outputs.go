package planner

import (
	"maps"
	"slices"
	"strings"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/kind"
	"github.com/quern-dev/quern/lang/secret"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/store/state"
)

// outputs compiles the module's outputs and says which of them change.
func (b *builder) outputs() []*plan.Output {
	var all []*plan.Output
	for _, name := range sortedKeys(b.Module.Outputs) {
		if o := b.output(b.Module.Outputs[name]); o != nil {
			all = append(all, o)
		}
	}
	if len(b.Targets) > 0 || len(b.Excludes) > 0 {
		return all
	}
	return append(all, b.removedOutputs(b.Module.Outputs)...)
}

// removedOutputs deletes the outputs of the state that are not among those kept.
func (b *builder) removedOutputs(kept map[string]*config.Output) []*plan.Output {
	if b.State == nil {
		return nil
	}
	var all []*plan.Output
	for _, name := range sortedKeys(b.State.Outputs) {
		if kept[name] == nil {
			was := b.State.Outputs[name]
			all = append(all, &plan.Output{Name: name, Sensitive: was.Sensitive, Action: plan.Delete, Before: was.Value})
		}
	}
	return all
}

func (b *builder) output(cfg *config.Output) *plan.Output {
	var r refs
	r.add(cfg.DependsOn...)
	exprs := append(conditionExpressions(cfg.Pre), cfg.Expr)
	for _, e := range exprs {
		r.add(config.Variables(e)...)
	}
	if b.leftOut(&r) || b.brokenUpstream(&r) {
		return nil
	}
	if b.report(b.checkTraversals(&r, nil, exprs...)...) {
		return nil
	}
	sc := b.scope(&r)
	conditions, ok := b.moduleConditions(cfg.Pre, plan.WhenOutput, sc)
	if !ok || b.unmetOutput(conditions, sc) {
		return nil
	}
	c, diags := expr.Compile(cfg.Expr, &expr.Scope{Eval: sc.values, Definitions: sc.definitions, Keyless: true, Output: true}, cty.DynamicPseudoType)
	if b.report(diags...) {
		return nil
	}
	o := &plan.Output{Name: cfg.Name, Description: cfg.Description, Sensitive: cfg.Sensitive, Expr: c, DependsOn: b.upstream(&r), Conditions: conditions}
	if !cfg.Sensitive && (c.Conceals() || slices.ContainsFunc(c.Secrets, b.isSensitive)) {
		b.report(diag.Errorf(cfg.Expr.Range().Ptr(), "Output is sensitive", "The value of output %q comes from %s. Add sensitive = true to hide it.", cfg.Name, origin(c.Secrets)))
		return nil
	}
	b.decideOutput(o)
	return o
}

// unmetOutput reports preconditions of an output that are known not to be met.
func (b *builder) unmetOutput(conditions []plan.Condition, sc *scope) bool {
	unmet := false
	for i := range conditions {
		if v := b.evaluate(&conditions[i], nil); v.Known && !v.Holds {
			unmet = b.report(b.unmet("Output precondition", &conditions[i], v, nil, sc.values)) || unmet
		}
	}
	return unmet
}

// origin is what makes a value sensitive.
func origin(secrets []string) string {
	if len(secrets) == 0 || strings.HasPrefix(secrets[0], secret.HiddenPrefix) {
		return "sensitive(…)"
	}
	return "a sensitive variable"
}

// isSensitive says whether a variable is declared to be.
func (b *builder) isSensitive(variable string) bool {
	if _, hidden := b.hiddenValue(variable); hidden {
		return true
	}
	v := b.Module.Variables[variable]
	return v != nil && v.Sensitive
}

// openVariables are the values of the variables that are not sensitive.
func (b *builder) openVariables() map[string]value.Value {
	open := map[string]value.Value{}
	for name, v := range b.Variables {
		if !b.isSensitive(name) && v.IsWhollyKnown() {
			open[name] = value.Value{Value: v}
		}
	}
	return open
}

// leftOut says whether something that is referred to is not in the plan.
func (b *builder) leftOut(r *refs) bool {
	if len(b.Targets) == 0 && len(b.Excludes) == 0 {
		return false
	}
	_, all := b.openLocals(r)
	for _, a := range all.stages {
		if s := b.byAddress[a]; s == nil || !b.planned[s] {
			return true
		}
	}
	for _, name := range all.locals {
		if l := b.locals[name]; l == nil || l.value == cty.NilVal {
			return true
		}
	}
	return false
}

// upstream are the addresses of the stages that are carried out and that
// something refers to, directly or through locals.
func (b *builder) upstream(r *refs) []string {
	all := &refs{}
	all.merge(r)
	if all.allLocals {
		all.locals = sortedKeys(b.locals)
	}
	for i := 0; i < len(all.locals); i++ {
		if l := b.locals[all.locals[i]]; l != nil {
			all.merge(&l.refs)
		}
	}
	var addresses []string
	for _, a := range all.stages {
		if kind.Of(a.Kind).IsStage() {
			addresses = append(addresses, a.String())
		}
	}
	slices.Sort(addresses)
	return addresses
}

// waitsForPruned says of an output or a check that it needs an instance that -target
// or -exclude left out, so that it stays as it is.
func (b *builder) waitsForPruned(dependsOn []string) bool {
	return slices.ContainsFunc(dependsOn, func(ref string) bool {
		a, err := addr.Parse(ref)
		return err == nil && b.partial[a.Stage]
	})
}

func (b *builder) decideOutput(o *plan.Output) {
	var before *state.Output
	if b.State != nil {
		before = b.State.Outputs[o.Name]
	}
	if before != nil {
		o.Before = before.Value
	}
	o.Action = plan.MayRun
	if before == nil {
		o.Action = plan.Create
	}
	if len(o.Expr.Refs) > 0 {
		return
	}
	v, diags := o.Expr.Eval(b.withSecrets(nil, o.Expr.Secrets))
	if diags.HasErrors() {
		b.report(diags...)
		return
	}
	v, _ = v.UnmarkDeep()
	switch {
	case before == nil || !v.IsWhollyKnown():
	case before.Sensitive == o.Sensitive && before.Is(value.Value{Value: v}, b.Store.Seal):
		o.Action = plan.Keep
	default:
		o.Action = plan.Update
	}
}

// secrets are the names of the sensitive variables that a plan refers to.
func secrets(p *plan.Plan) []string {
	names := map[string]bool{}
	add := func(e *expr.Compiled) {
		if e != nil {
			mark(names, e.Secrets)
		}
	}
	addConditions := func(all []plan.Condition) {
		for _, c := range all {
			add(c.Test)
			add(c.Message)
		}
	}
	for _, n := range p.Nodes {
		if n.Body != nil {
			n.Body.Expressions(func(_ string, _ *plan.Arg, e *expr.Compiled) { add(e) })
		}
		addConditions(n.Conditions)
	}
	for _, m := range p.Models {
		m.Body.Expressions(func(_ string, _ *plan.Arg, e *expr.Compiled) { add(e) })
	}
	for _, o := range p.Outputs {
		add(o.Expr)
		addConditions(o.Conditions)
	}
	for _, c := range p.Checks {
		addConditions(c.Conditions)
	}
	for _, plugin := range p.Plugins {
		if plugin.Config != nil {
			plugin.Config.Expressions(func(_ string, _ *plan.Arg, e *expr.Compiled) { add(e) })
		}
	}
	return slices.Sorted(maps.Keys(names))
}
