// Package output compiles a module's outputs and checks. It runs after all
// stages are decided.
package output

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/eval"
	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/secret"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/planner/condition"
	"github.com/quern-dev/quern/planner/module"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/state"
)

// Outputs are the outputs and checks of a module.
type Outputs struct {
	*module.Module
	Conditions *condition.Conditions
	Store      *store.Store
	// Prior are the outputs in the state.
	Prior map[string]*state.Output
}

// All returns the outputs of the configuration. In a plan that leaves nothing
// out, it adds those that only the state has.
func (o *Outputs) All(partial bool) []*plan.Output {
	var all []*plan.Output
	for _, name := range ordered.Keys(o.Config.Outputs) {
		if out := o.output(o.Config.Outputs[name]); out != nil {
			all = append(all, out)
		}
	}
	if partial {
		return all
	}
	return append(all, o.Removed(o.Config.Outputs)...)
}

// Removed deletes the outputs of the state that are not in kept.
func (o *Outputs) Removed(kept map[string]*config.Output) []*plan.Output {
	var all []*plan.Output
	for _, name := range ordered.Keys(o.Prior) {
		if kept[name] == nil {
			was := o.Prior[name]
			all = append(all, &plan.Output{Name: name, Sensitive: was.Sensitive, Action: plan.Delete, Before: was.Value})
		}
	}
	return all
}

func (o *Outputs) output(cfg *config.Output) *plan.Output {
	exprs := append(condition.Expressions(cfg.Pre), cfg.Expr)
	r := module.RefsOf(exprs...)
	r.Add(cfg.DependsOn...)
	if o.LeftOut(r) || o.BrokenUpstream(r) {
		return nil
	}
	if o.Report(o.CheckTraversals(r, exprs...)...) {
		return nil
	}
	if len(o.DeferredUpstream(r)) > 0 {
		return o.deferred(cfg, r)
	}
	sc := o.Scope(r)
	conditions, ok := o.Conditions.OfModule(cfg.Pre, plan.WhenOutput, sc)
	if !ok || o.unmetOutput(conditions, sc) {
		return nil
	}
	if cfg.Artifact != nil {
		handles, _ := eval.Value(cfg.Expr, sc.Handles) // compiling reports its errors
		if d := module.CheckType(cfg.Artifact, handles, cfg.Expr.Range(), fmt.Sprintf("The output %q", cfg.Name)); d != nil {
			o.Report(d)
			return nil
		}
	}
	scope := sc.Expr()
	scope.Keyless, scope.Output = true, true
	c, diags := expr.Compile(cfg.Expr, scope, cfg.Type.WithoutOptionalAttributesDeep())
	if o.Report(diags...) {
		return nil
	}
	out := &plan.Output{Name: cfg.Name, Description: cfg.Description, Sensitive: cfg.Sensitive, Expr: c, DependsOn: o.Upstream(r), Conditions: conditions}
	if !cfg.Sensitive && (c.Conceals() || slices.ContainsFunc(c.Secrets, o.Secrets.IsSensitive)) {
		o.Report(diag.Errorf(cfg.Expr.Range().Ptr(), "Output is sensitive", "The value of output %q comes from %s. Add sensitive = true to hide it.", cfg.Name, origin(c.Secrets)))
		return nil
	}
	o.decide(out)
	return out
}

// deferred returns an output that depends on a stage that is planned during the
// run.
func (o *Outputs) deferred(cfg *config.Output, r *module.Refs) *plan.Output {
	out := &plan.Output{Name: cfg.Name, Description: cfg.Description, Sensitive: cfg.Sensitive, Deferred: true, Action: plan.Create, DependsOn: o.Upstream(r)}
	if before := o.Prior[cfg.Name]; before != nil {
		out.Action, out.Before = plan.MayRun, before.Value
	}
	return out
}

// unmetOutput reports preconditions of an output that are known not to be met.
func (o *Outputs) unmetOutput(conditions []plan.Condition, sc *module.Scope) bool {
	unmet := false
	for i := range conditions {
		if v := o.Conditions.Evaluate(&conditions[i], nil); v.Known && !v.Holds {
			unmet = o.Report(o.Conditions.Unmet("Output precondition", &conditions[i], v, nil, sc.Values)) || unmet
		}
	}
	return unmet
}

// origin describes what makes a value sensitive.
func origin(secrets []string) string {
	if len(secrets) == 0 || strings.HasPrefix(secrets[0], secret.HiddenPrefix) {
		return "sensitive(…)"
	}
	return "a sensitive variable"
}

// decide decides whether an output changes, as far as that is known.
func (o *Outputs) decide(out *plan.Output) {
	before := o.Prior[out.Name]
	if before != nil {
		out.Before = before.Value
	}
	out.Action = plan.MayRun
	if before == nil {
		out.Action = plan.Create
	}
	if len(out.Expr.Refs) > 0 {
		return
	}
	v, diags := out.Expr.Eval(o.Secrets.With(nil, out.Expr.Secrets))
	if diags.HasErrors() {
		o.Report(diags...)
		return
	}
	v, _ = v.UnmarkDeep()
	switch {
	case before == nil || !v.IsWhollyKnown():
	case before.Sensitive == out.Sensitive && before.Is(value.Value{Value: v}, o.Store.Seal):
		out.Action = plan.Keep
	default:
		out.Action = plan.Update
	}
}

// Checks compiles the module's checks and warns about those that are known to
// fail.
func (o *Outputs) Checks() []*plan.CheckBlock {
	var all []*plan.CheckBlock
	for _, name := range ordered.Keys(o.Config.Checks) {
		if c := o.check(o.Config.Checks[name]); c != nil {
			all = append(all, c)
		}
	}
	return all
}

func (o *Outputs) check(cfg *config.Check) *plan.CheckBlock {
	exprs := condition.Expressions(cfg.Asserts)
	r := module.RefsOf(exprs...)
	if o.LeftOut(r) || o.BrokenUpstream(r) || o.Report(o.CheckTraversals(r, exprs...)...) {
		return nil
	}
	if len(o.DeferredUpstream(r)) > 0 {
		return &plan.CheckBlock{Name: o.Addr.Of(cfg.Name), Status: plan.Unknown, Deferred: true, DependsOn: o.Upstream(r), Range: diag.NewRange(cfg.Range)}
	}
	sc := o.Scope(r)
	conditions, ok := o.Conditions.OfModule(cfg.Asserts, plan.WhenCheck, sc)
	if !ok {
		return nil
	}
	c := &plan.CheckBlock{Name: o.Addr.Of(cfg.Name), Status: plan.Pass, Conditions: conditions, DependsOn: o.Upstream(r), Range: diag.NewRange(cfg.Range)}
	unknown := false
	for i := range c.Conditions {
		v := o.Conditions.Evaluate(&c.Conditions[i], nil)
		unknown = unknown || !v.Known
		if v.Known && !v.Holds && o.Settled == nil { // a run evaluates its checks at the end
			d := o.Conditions.Unmet("", &c.Conditions[i], v, nil, sc.Values)
			d.Severity, d.Summary = hcl.DiagWarning, "Check failed"
			o.Report(d)
		}
		if v.Known && !v.Holds {
			c.Status = plan.Fail
		}
	}
	if unknown && c.Status == plan.Pass {
		c.Status = plan.Unknown
	}
	return c
}

// CheckInput checks the validations of an input. Those that wait for results are
// left to the stages that use the input.
func (o *Outputs) CheckInput(in *module.Input) {
	var waiting []config.Condition
	for _, cfg := range in.Config.Validations {
		r := module.RefsOf(cfg.Condition, cfg.ErrorMessage)
		if o.BrokenUpstream(r) {
			continue
		}
		sc := o.Scope(r)
		v, c := o.verdict(cfg, plan.WhenPre, sc)
		switch {
		case v.Known && !v.Holds:
			d := o.Conditions.Unmet("", c, v, nil, sc.Values)
			d.Summary, d.Subject = "Invalid value for variable", in.Place().Ptr()
			d.Detail += fmt.Sprintf("\n\nThis was checked by the validation at %s:%d.", cfg.Range.Filename, cfg.Range.Start.Line)
			o.Report(d)
		case c != nil && !v.Known && !o.Validating:
			waiting = append(waiting, cfg)
		}
	}
	if len(waiting) > 0 {
		in.Wait(waiting, o.Scope(module.RefsOf(condition.Expressions(waiting)...)))
	}
}

// CheckOutput checks the preconditions of an output of a module that another one
// calls. Those that wait for results are left to the stages that use the output.
func (o *Outputs) CheckOutput(out *module.Output) {
	var waiting []config.Condition
	for _, cfg := range out.Config.Pre {
		v, c := o.verdict(cfg, plan.WhenOutput, out.Scope())
		switch {
		case v.Known && !v.Holds:
			o.Report(o.Conditions.Unmet("Output precondition", c, v, nil, out.Scope().Values))
			out.Break()
		case c != nil && !v.Known && !o.Validating:
			waiting = append(waiting, cfg)
		}
	}
	if len(waiting) > 0 {
		out.Wait(waiting, out.Scope())
	}
}

// verdict compiles and evaluates a condition. It returns nil if the condition has
// errors, which are reported.
func (o *Outputs) verdict(cfg config.Condition, when string, sc *module.Scope) (expr.Verdict, *plan.Condition) {
	compiled, ok := o.Conditions.OfModule([]config.Condition{cfg}, when, sc)
	if !ok {
		return expr.Verdict{}, nil
	}
	return o.Conditions.Evaluate(&compiled[0], nil), &compiled[0]
}
