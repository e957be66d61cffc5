package planner

import (
	"maps"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/eval"
	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/kind"
	"github.com/quern-dev/quern/lang/limit"
	"github.com/quern-dev/quern/planner/fingerprint"
	"github.com/quern-dev/quern/planner/plan"
)

// decodeConditions compiles an instance's conditions, and checks those before
// it whose values are known.
func (b *builder) decodeConditions(n *node) {
	cfg := n.stage.cfg
	b.conditions(n, plan.WhenPre, cfg.Pre, n.scope)
	b.conditions(n, plan.WhenGate, cfg.Conditions, n.scope)
	if len(cfg.Post) > 0 {
		b.conditions(n, plan.WhenPost, cfg.Post, n.scope.withSelf(n))
	}
	for i := range n.Conditions {
		c := &n.Conditions[i]
		if c.When != plan.WhenPre || b.RefreshOnly {
			continue
		}
		if v := b.evaluate(c, nil); v.Known && !v.Holds {
			n.broken = b.report(b.unmet("Precondition", c, v, nil, n.scope.values))
		}
	}
}

func (b *builder) conditions(n *node, when string, all []config.Condition, sc *scope) {
	for _, c := range all {
		scope := &expr.Scope{Eval: sc.values, Definitions: sc.definitions, Keyless: true}
		if b.blind(n.stage, c.Condition) || b.blind(n.stage, c.ErrorMessage) {
			b.checkBlind(c.Condition, scope)
			b.checkBlind(c.ErrorMessage, scope)
			continue
		}
		c.Condition, c.ErrorMessage = b.selfless(n, c.Condition), b.selfless(n, c.ErrorMessage)
		compiled, ok := b.condition(c, when, scope)
		if !ok {
			n.broken = true
			continue
		}
		n.Conditions = append(n.Conditions, compiled)
	}
}

// condition compiles a condition and its message; false: there are errors, which
// are reported.
func (b *builder) condition(c config.Condition, when string, scope *expr.Scope) (plan.Condition, bool) {
	test, diags := compileCondition(c.Condition, scope, cty.Bool)
	message, more := compileCondition(c.ErrorMessage, scope, cty.String)
	diags = append(diags, more...)
	if message != nil && len(message.Refs) == 0 && len(message.Secrets) == 0 {
		if v, failed := message.Eval(nil); !failed.HasErrors() && config.IsBlank(v) {
			diags = append(diags, config.EmptyMessage(c.ErrorMessage.Range()))
		}
	}
	if b.report(diags...) {
		return plan.Condition{}, false
	}
	return plan.Condition{When: when, Test: test, Message: message}, true
}

func (b *builder) checkBlind(e hcl.Expression, s *expr.Scope) {
	if written, ok := e.(hclsyntax.Expression); ok {
		b.report(expr.CheckBlind(written, s)...)
	}
}

// compileCondition compiles a part of a condition. If that fails for the values
// that stages have now, such as a division by a count of zero rows, it is left
// to be evaluated when the condition is checked, which then does not hold.
func compileCondition(e hcl.Expression, s *expr.Scope, want cty.Type) (*expr.Compiled, hcl.Diagnostics) {
	c, diags := expr.Compile(e, s, want)
	if !diags.HasErrors() {
		return c, diags
	}
	later := *s
	later.Eval = s.Eval.NewChild()
	later.Eval.Variables = map[string]cty.Value{}
	for _, name := range kind.Names() {
		for ctx := s.Eval; ctx != nil; ctx = ctx.Parent() {
			if v, ok := ctx.Variables[name]; ok {
				later.Eval.Variables[name] = withoutValues(v)
				break
			}
		}
	}
	if c, more := expr.Compile(e, &later, want); !more.HasErrors() {
		return c, more
	}
	return nil, diags
}

// withoutValues is an object of stages of which only the types are known.
func withoutValues(stages cty.Value) cty.Value {
	if !stages.IsKnown() || stages.IsNull() || !stages.Type().IsObjectType() {
		return stages
	}
	unknown := map[string]cty.Value{}
	for name, v := range stages.AsValueMap() {
		unknown[name] = cty.UnknownVal(v.Type())
	}
	return cty.ObjectVal(unknown)
}

// withSelf adds the instance's own value, which its postconditions may name
// by address or as self.
func (s *scope) withSelf(n *node) *scope {
	var own plan.Scope
	own.Set(n.address, plan.StageValue(n.Node, nil))
	value, _ := own.Stage(n.address.Stage)
	siblings := map[string]cty.Value{}
	for ctx := s.values; ctx != nil; ctx = ctx.Parent() {
		if v, ok := ctx.Variables[n.Kind]; ok {
			siblings = maps.Clone(v.AsValueMap())
			break
		}
	}
	if siblings == nil {
		siblings = map[string]cty.Value{}
	}
	siblings[n.address.Name] = value
	vars := map[string]cty.Value{n.Kind: cty.ObjectVal(siblings)}
	return s.with(vars, vars)
}

// selfless puts the instance's address in place of self. Instances share the
// expression of their block, so it is copied.
func (b *builder) selfless(n *node, e hcl.Expression) hcl.Expression {
	written, ok := e.(hclsyntax.Expression)
	if !ok || !expr.Mentions(e, "self") {
		return e
	}
	var replace func(hclsyntax.Expression) hclsyntax.Expression
	replace = func(e hclsyntax.Expression) hclsyntax.Expression {
		if t, ok := e.(*hclsyntax.ScopeTraversalExpr); ok && t.Traversal.RootName() == "self" {
			return &hclsyntax.ScopeTraversalExpr{Traversal: append(n.traversal(t.Traversal[0].SourceRange()), t.Traversal[1:]...), SrcRange: t.SrcRange}
		}
		return eval.MapChildren(e, replace, func(*hclsyntax.ForExpr) {}, func() {})
	}
	return replace(written)
}

// traversal is the instance's address as it is written in expressions.
func (n *node) traversal(r hcl.Range) hcl.Traversal {
	t := hcl.Traversal{
		hcl.TraverseRoot{Name: n.Kind, SrcRange: r},
		hcl.TraverseAttr{Name: n.address.Name, SrcRange: r},
	}
	if n.address.HasKey() {
		t = append(t, hcl.TraverseIndex{Key: n.address.Key, SrcRange: r})
	}
	return t
}

// evaluate decides whether a condition is met, as far as that is known yet.
func (b *builder) evaluate(c *plan.Condition, vars map[string]cty.Value) expr.Verdict {
	if len(c.Test.Refs) > 0 && vars == nil {
		return expr.Verdict{}
	}
	return c.Test.Decide(b.withSecrets(vars, c.Test.Secrets))
}

// unmet is the error about a condition that is not met. vars are the values
// that its message may use; those of seen that mattered are shown with it.
func (b *builder) unmet(what string, c *plan.Condition, v expr.Verdict, vars map[string]cty.Value, seen *hcl.EvalContext) *hcl.Diagnostic {
	d := diag.Errorf(c.Test.Range.Ptr(), what+" failed", "%s%s", b.message(c, vars), v.Undecided())
	if written, ok := b.parseAgain(c.Test.Range.HCL()); ok {
		d.Expression, d.EvalContext = written, seen
	}
	return d
}

// moduleConditions compiles conditions of an output or a check, which see what an
// output does; false: there are errors.
func (b *builder) moduleConditions(all []config.Condition, when string, sc *scope) (compiled []plan.Condition, ok bool) {
	ok = true
	for _, c := range all {
		condition, fine := b.condition(c, when, &expr.Scope{Eval: sc.values, Definitions: sc.definitions, Keyless: true})
		compiled, ok = append(compiled, condition), ok && fine
	}
	return compiled, ok
}

// checks compiles the module's checks, and warns of those that are known to fail.
func (b *builder) checks() []*plan.CheckBlock {
	var all []*plan.CheckBlock
	for _, name := range sortedKeys(b.Module.Checks) {
		if c := b.check(b.Module.Checks[name]); c != nil {
			all = append(all, c)
		}
	}
	return all
}

func (b *builder) check(cfg *config.Check) *plan.CheckBlock {
	var r refs
	exprs := conditionExpressions(cfg.Asserts)
	for _, e := range exprs {
		r.add(config.Variables(e)...)
	}
	if b.leftOut(&r) || b.brokenUpstream(&r) || b.report(b.checkTraversals(&r, nil, exprs...)...) {
		return nil
	}
	sc := b.scope(&r)
	conditions, ok := b.moduleConditions(cfg.Asserts, plan.WhenCheck, sc)
	if !ok {
		return nil
	}
	c := &plan.CheckBlock{Name: cfg.Name, Status: plan.Pass, Conditions: conditions, DependsOn: b.upstream(&r), Range: diag.NewRange(cfg.Range)}
	unknown := false
	for i := range c.Conditions {
		v := b.evaluate(&c.Conditions[i], nil)
		unknown = unknown || !v.Known
		if v.Known && !v.Holds {
			d := b.unmet("", &c.Conditions[i], v, nil, sc.values)
			d.Severity, d.Summary = hcl.DiagWarning, "Check failed"
			b.report(d)
			c.Status = plan.Fail
		}
	}
	if unknown && c.Status == plan.Pass {
		c.Status = plan.Unknown
	}
	return c
}

func conditionExpressions(all []config.Condition) []hcl.Expression {
	var exprs []hcl.Expression
	for _, c := range all {
		exprs = append(exprs, c.Condition, c.ErrorMessage)
	}
	return exprs
}

// parseAgain parses the expression at a place of the configuration again.
func (b *builder) parseAgain(r hcl.Range) (hclsyntax.Expression, bool) {
	src := b.Module.Sources[r.Filename]
	if r.End.Byte > len(src) {
		return nil, false
	}
	e, diags := limit.ParseExpression(src[r.Start.Byte:r.End.Byte], r.Filename, r.Start)
	return e, !diags.HasErrors()
}

// message is what a condition's author says about it.
func (b *builder) message(c *plan.Condition, vars map[string]cty.Value) string {
	const silent = "The condition is not met."
	if len(c.Message.Refs) > 0 && vars == nil {
		return silent
	}
	if len(c.Message.Secrets) > 0 {
		return "The condition is not met. (Its message contains a sensitive value.)"
	}
	v, diags := c.Message.Eval(vars)
	v, _ = v.Unmark()
	if diags.HasErrors() || !v.IsKnown() || v.IsNull() || v.Type() != cty.String {
		return silent
	}
	return v.AsString()
}

func (b *builder) withSecrets(vars map[string]cty.Value, names []string) map[string]cty.Value {
	if len(names) == 0 {
		return vars
	}
	out := maps.Clone(vars)
	if out == nil {
		out = map[string]cty.Value{}
	}
	out["var"] = cty.ObjectVal(b.secrets(names))
	return out
}

// decideGate decides about a gate: one whose conditions are known to be met is
// kept.
func (b *builder) decideGate(n *node) {
	definition, fields, err := fingerprint.Definition(n.Node, nil, b.seal)
	if err != nil {
		n.broken = b.report(diag.Errorf(n.Range.Ptr(), "Cannot compute a key", "%s.", err))
		return
	}
	n.Definition, n.ActionKey, n.Preimage = definition, definition, fields
	n.Action = plan.Keep
	for i := range n.Conditions {
		c := &n.Conditions[i]
		v := b.evaluate(c, nil)
		switch {
		case v.Holds:
		case v.Known:
			n.Action = plan.Check
			n.Reasons = append(n.Reasons, plan.Reason{Code: plan.BecauseCondition, Subject: c.Test.Text, Text: "condition is not met: " + b.message(c, nil)})
		default:
			n.Action = plan.Check
			for _, r := range waitsFor(c.Test.Refs) {
				if !slices.Contains(n.Reasons, r) { // as another condition waits for it, too
					n.Reasons = append(n.Reasons, r)
				}
			}
		}
	}
	if n.Action == plan.Keep && n.prior == nil {
		n.Action, n.Reasons = plan.Check, []plan.Reason{newReason()}
	}
}

func waitsFor(refs []string) []plan.Reason {
	var reasons []plan.Reason
	for _, r := range refs {
		reasons = append(reasons, plan.Reason{Code: plan.BecauseUpstream, Subject: r, Text: "waits for " + r})
	}
	return reasons
}

// checkPost checks the postconditions of an instance whose result is there.
func (b *builder) checkPost(n *node) {
	made := b.made(n, len(n.stage.cfg.Post) > 0)
	if made == nil || n.broken || b.RefreshOnly {
		return
	}
	var own plan.Scope
	own.Set(n.address, plan.StageValue(n.Node, made))
	for i := range n.Conditions {
		c := &n.Conditions[i]
		if c.When != plan.WhenPost {
			continue
		}
		vars := b.postVars(n, &own)
		if v := b.evaluate(c, vars); v.Known && !v.Holds {
			seen := n.scope.values.NewChild()
			seen.Variables = maps.Clone(vars)
			seen.Variables["self"] = plan.StageValue(n.Node, made)
			n.broken = b.report(b.unmet("Postcondition", c, v, vars, seen))
		}
	}
}

// postVars are the values that postconditions see when the instance is done.
func (b *builder) postVars(n *node, own *plan.Scope) map[string]cty.Value {
	vars := maps.Clone(n.stage.scope.values.Variables)
	of := map[string]cty.Value{}
	if v, ok := vars[n.Kind]; ok {
		of = v.AsValueMap()
		if of == nil {
			of = map[string]cty.Value{}
		}
	}
	if v, ok := own.Stage(addr.Stage{Kind: n.Kind, Name: n.address.Name}); ok {
		of[n.address.Name] = v
	}
	vars[n.Kind] = cty.ObjectVal(of)
	return vars
}
