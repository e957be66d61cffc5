// Package condition compiles and checks the conditions of a module: those of
// stages, gates, outputs, and checks.
package condition

import (
	"maps"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/eval"
	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/kind"
	"github.com/quern-dev/quern/lang/limit"
	"github.com/quern-dev/quern/planner/expand"
	"github.com/quern-dev/quern/planner/module"
	"github.com/quern-dev/quern/planner/plan"
)

// Conditions are the conditions of a module.
type Conditions struct {
	*module.Module
	// RefreshOnly compiles preconditions without checking them.
	RefreshOnly bool
}

// Decode compiles an instance's conditions and checks those that come before it
// and whose values are known. It returns false if they have errors or are not
// met. If the instance has outputs, its node must contain them already.
func (cs *Conditions) Decode(n *expand.Instance) bool {
	cfg := n.Stage.Config
	ok := cs.Compile(n, plan.WhenPre, cfg.Pre, n.Scope)
	for _, r := range cs.Requirements(n.Stage.Refs) {
		ok = cs.Compile(n, plan.WhenPre, r.Conditions, r.Scope) && ok
	}
	ok = cs.Compile(n, plan.WhenGate, cfg.Conditions, n.Scope) && ok
	if len(cfg.Post) > 0 {
		ok = cs.Compile(n, plan.WhenPost, cfg.Post, withSelf(n)) && ok
	}
	for i := range n.Conditions {
		c := &n.Conditions[i]
		if c.When != plan.WhenPre || cs.RefreshOnly {
			continue
		}
		if v := cs.Evaluate(c, nil); v.Known && !v.Holds {
			ok = !cs.Report(cs.Unmet("Precondition", c, v, nil, n.Scope.Values)) && ok
		}
	}
	return ok
}

// Compile compiles some of an instance's conditions. It returns false if they
// have errors, which it has reported.
func (cs *Conditions) Compile(n *expand.Instance, when string, all []config.Condition, sc *module.Scope) bool {
	fine := true
	for _, c := range all {
		scope := keyless(sc)
		if cs.Blind(n.Stage, c.Condition) || cs.Blind(n.Stage, c.ErrorMessage) {
			cs.checkBlind(c.Condition, scope)
			cs.checkBlind(c.ErrorMessage, scope)
			continue
		}
		c.Condition, c.ErrorMessage = selfless(n, c.Condition), selfless(n, c.ErrorMessage)
		compiled, ok := cs.condition(c, when, scope)
		if !ok {
			fine = false
			continue
		}
		n.Conditions = append(n.Conditions, compiled)
	}
	return fine
}

// keyless returns the scope of conditions, which are no part of a key.
func keyless(sc *module.Scope) *expr.Scope {
	s := sc.Expr()
	s.Keyless = true
	return s
}

// condition compiles a condition and its message. It returns false if there are
// errors, which it has reported.
func (cs *Conditions) condition(c config.Condition, when string, scope *expr.Scope) (plan.Condition, bool) {
	test, diags := compileCondition(c.Condition, scope, cty.Bool)
	message, more := compileCondition(c.ErrorMessage, scope, cty.String)
	diags = append(diags, more...)
	if message != nil && len(message.Refs) == 0 && len(message.Secrets) == 0 {
		if v, failed := message.Eval(nil); !failed.HasErrors() && config.IsBlank(v) {
			diags = append(diags, config.EmptyMessage(c.ErrorMessage.Range()))
		}
	}
	if cs.Report(diags...) {
		return plan.Condition{}, false
	}
	return plan.Condition{When: when, Test: test, Message: message}, true
}

func (cs *Conditions) checkBlind(e hcl.Expression, s *expr.Scope) {
	if written, ok := e.(hclsyntax.Expression); ok {
		cs.Report(expr.CheckBlind(written, s)...)
	}
}

// compileCondition compiles a part of a condition. If that fails for the
// present values of stages, as for a division by a count of zero rows,
// evaluation is left to the time when the condition is checked. The condition
// is then not met.
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

// withoutValues returns an object of stages with only their types known.
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

// withSelf returns a scope with the instance's own value, which its
// postconditions may refer to by address or as self.
func withSelf(n *expand.Instance) *module.Scope {
	var own plan.Scope
	own.Set(n.Addr, plan.StageValue(n.Node, nil))
	value, _ := own.Stage(n.Addr.Stage)
	siblings := map[string]cty.Value{}
	for ctx := n.Scope.Values; ctx != nil; ctx = ctx.Parent() {
		if v, ok := ctx.Variables[n.Kind]; ok {
			siblings = maps.Clone(v.AsValueMap())
			break
		}
	}
	if siblings == nil {
		siblings = map[string]cty.Value{}
	}
	siblings[n.Addr.Name] = value
	vars := map[string]cty.Value{n.Kind: cty.ObjectVal(siblings)}
	return n.Scope.With(vars, vars)
}

// selfless replaces self with the instance's address. Instances share the
// expression of their block, so it is copied.
func selfless(n *expand.Instance, e hcl.Expression) hcl.Expression {
	written, ok := e.(hclsyntax.Expression)
	if !ok || !expr.Mentions(e, "self") {
		return e
	}
	var replace func(hclsyntax.Expression) hclsyntax.Expression
	replace = func(e hclsyntax.Expression) hclsyntax.Expression {
		if t, ok := e.(*hclsyntax.ScopeTraversalExpr); ok && t.Traversal.RootName() == "self" {
			return &hclsyntax.ScopeTraversalExpr{Traversal: append(traversal(n, t.Traversal[0].SourceRange()), t.Traversal[1:]...), SrcRange: t.SrcRange}
		}
		return eval.MapChildren(e, replace, func(*hclsyntax.ForExpr) {}, func() {})
	}
	return replace(written)
}

// traversal returns the instance's address as an expression refers to it.
func traversal(n *expand.Instance, r hcl.Range) hcl.Traversal {
	t := hcl.Traversal{
		hcl.TraverseRoot{Name: n.Kind, SrcRange: r},
		hcl.TraverseAttr{Name: n.Addr.Name, SrcRange: r},
	}
	if n.Addr.HasKey() {
		t = append(t, hcl.TraverseIndex{Key: n.Addr.Key, SrcRange: r})
	}
	return t
}

// Evaluate decides whether a condition is met, as far as that is known.
func (cs *Conditions) Evaluate(c *plan.Condition, vars map[string]cty.Value) expr.Verdict {
	if len(c.Test.Refs) > 0 && vars == nil {
		return expr.Verdict{}
	}
	return c.Test.Decide(cs.Secrets.With(vars, c.Test.Secrets))
}

// Unmet returns the error about a condition that is not met. vars are the
// values that its message may use. The error shows those of seen that mattered.
func (cs *Conditions) Unmet(what string, c *plan.Condition, v expr.Verdict, vars map[string]cty.Value, seen *hcl.EvalContext) *hcl.Diagnostic {
	d := diag.Errorf(c.Test.Range.Ptr(), what+" failed", "%s%s", cs.Message(c, vars), v.Undecided())
	if written, ok := cs.parseAgain(c.Test.Range.HCL()); ok {
		d.Expression, d.EvalContext = written, seen
	}
	return d
}

// OfModule compiles conditions of an output or a check, which see the same
// values as an output. It returns false if there are errors.
func (cs *Conditions) OfModule(all []config.Condition, when string, sc *module.Scope) (compiled []plan.Condition, ok bool) {
	ok = true
	for _, c := range all {
		condition, fine := cs.condition(c, when, keyless(sc))
		compiled, ok = append(compiled, condition), ok && fine
	}
	return compiled, ok
}

// Expressions returns the expressions of conditions.
func Expressions(all []config.Condition) []hcl.Expression {
	var exprs []hcl.Expression
	for _, c := range all {
		exprs = append(exprs, c.Condition, c.ErrorMessage)
	}
	return exprs
}

// parseAgain parses the expression at a source range again.
func (cs *Conditions) parseAgain(r hcl.Range) (hclsyntax.Expression, bool) {
	src := cs.Config.Sources[r.Filename]
	if r.End.Byte > len(src) {
		return nil, false
	}
	e, diags := limit.ParseExpression(src[r.Start.Byte:r.End.Byte], r.Filename, r.Start)
	return e, !diags.HasErrors()
}

// Message returns the author's message about a condition.
func (cs *Conditions) Message(c *plan.Condition, vars map[string]cty.Value) string {
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
