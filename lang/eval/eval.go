// Package eval evaluates HCL expressions within the limits of package limit.
//
// hcl's own evaluator computes the values. It does not know how much that
// costs, so it gets the expression with checks around loops, calls, and
// the parts of templates. An evaluation that exceeds a limit ends with one error
// that names the limit. An evaluation that panics also ends with an error.
//
// All evaluation of users' expressions goes through this package, which
// also defines what the operators mean in quern (see operators.go) and makes
// templates keep the bytes of text (see texts.go).
package eval

import (
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"

	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/limit"
	"github.com/quern-dev/quern/lang/value"
)

// Value evaluates an expression. Unlike hcl's method of the same name, it ends with
// an error if the evaluation would exceed a limit.
func Value(e hcl.Expression, ctx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	return New(e).Value(ctx)
}

// Expression is an expression that can be evaluated within limits any number of
// times, by one goroutine at a time.
type Expression struct {
	guarded hcl.Expression
	budget  budget
}

// New prepares an expression for evaluation within limits.
func New(e hcl.Expression) *Expression {
	x := &Expression{guarded: e}
	if syntax, ok := e.(hclsyntax.Expression); ok {
		x.guarded = x.budget.guard(syntax)
	}
	return x
}

// Value evaluates the expression. Each evaluation has the whole budget.
func (x *Expression) Value(ctx *hcl.EvalContext) (v cty.Value, diags hcl.Diagnostics) {
	x.budget.reset()
	defer func() {
		if r := recover(); r != nil {
			v, diags = cty.DynamicVal, x.budget.failed(r, x.guarded.Range())
		}
	}()
	v, diags = x.guarded.Value(ctx)
	if err := x.budget.exceeded; err != nil {
		return cty.DynamicVal, hcl.Diagnostics{beyond(err, x.guarded.Range())}
	}
	if diags.HasErrors() {
		return v, diag.Unique(diags) // a for expression repeats the mistake for each element
	}
	if _, err := limit.Measure(v); err != nil {
		return cty.DynamicVal, append(diags, beyond(err, x.guarded.Range()))
	}
	return v, diags
}

func beyond(err error, at hcl.Range) *hcl.Diagnostic {
	return diag.Errorf(&at, "Limit exceeded", "%s", diag.Sentence(err))
}

// budget is what remains of the limits during an evaluation.
type budget struct {
	limits   limit.Set
	deadline time.Time
	loops    int // iterations that may still run
	bytes    int // bytes of text that may still be produced
	steps    int
	// exceeded stays set, so that neither try nor a function that handles
	// errors itself can hide it.
	exceeded error
}

func (b *budget) reset() {
	b.limits = limit.Now()
	// Intermediate results may be larger than the final
	// result, but only by this factor.
	const waste = 4
	b.deadline = time.Time{}
	b.loops, b.bytes, b.steps, b.exceeded = waste*b.limits.Elements, waste*b.limits.Bytes, 0, nil
}

// stop ends the evaluation.
func (b *budget) stop(err error) {
	b.exceeded = err
	panic(err)
}

// step is called often during an evaluation. It reads the clock from time to time.
func (b *budget) step() {
	if b.exceeded != nil {
		panic(b.exceeded)
	}
	if b.steps++; b.steps%64 != 0 {
		return
	}
	now := time.Now()
	if b.deadline.IsZero() {
		b.deadline = now.Add(b.limits.Time)
	} else if now.After(b.deadline) {
		b.stop(limit.TooSlow("the expression"))
	}
}

func (b *budget) loop() {
	b.step()
	if b.loops--; b.loops < 0 {
		b.stop(limit.TooManyElements("all loops of the expression together"))
	}
}

func (b *budget) text(n int) {
	if b.bytes -= n; b.bytes < 0 {
		b.stop(limit.TooLong("the text that the expression creates"))
	}
}

// failed returns the error about a panic, including that of stop.
func (b *budget) failed(r any, at hcl.Range) hcl.Diagnostics {
	if err := b.exceeded; err != nil {
		return hcl.Diagnostics{beyond(err, at)}
	}
	return hcl.Diagnostics{diag.Errorf(&at, "Cannot evaluate expression",
		"The evaluation failed because of a bug in quern: %v. Please report it with this expression.", r)}
}

// guard returns the expression with checks in it. Expressions that need none are returned
// unchanged.
func (b *budget) guard(e hclsyntax.Expression) hclsyntax.Expression {
	if harmless(e) {
		return e
	}
	g := MapChildren(e, b.guard, func(*hclsyntax.ForExpr) {}, func() {})
	switch g := g.(type) {
	case *hclsyntax.FunctionCallExpr:
		b.guardArguments(g)
		return &call{FunctionCallExpr: g, budget: b}
	case *hclsyntax.ForExpr:
		if g.KeyExpr != nil {
			g.KeyExpr = &body{g.KeyExpr, b}
		}
		g.ValExpr = &body{g.ValExpr, b}
		if g.CondExpr != nil {
			g.CondExpr = &body{g.CondExpr, b}
		}
	case *hclsyntax.SplatExpr:
		g.Each = &body{g.Each, b}
	case *hclsyntax.TemplateExpr:
		for i, p := range g.Parts {
			g.Parts[i] = &part{p, b}
		}
	}
	return keepText(g)
}

// guardArguments guards the arguments of a call, except those that are not
// values: types, and lists whose elements become arguments.
func (b *budget) guardArguments(g *hclsyntax.FunctionCallExpr) {
	for i, arg := range g.Args {
		if builds(arg) {
			arg = &argument{arg, b}
		}
		_, constant := arg.(*hclsyntax.LiteralValueExpr)
		if constant || g.Name == ConvertName || g.ExpandFinal && i == len(g.Args)-1 {
			g.Args[i] = arg
			continue
		}
		g.Args[i] = &parameter{arg, g.Name, i}
	}
}

// harmless reports whether an expression neither loops, nor calls, nor joins text.
func harmless(e hclsyntax.Expression) bool {
	switch e := e.(type) {
	case *hclsyntax.LiteralValueExpr, *hclsyntax.ScopeTraversalExpr, *hclsyntax.AnonSymbolExpr:
		return true
	case *hclsyntax.TemplateExpr:
		return e.IsStringLiteral()
	case *hclsyntax.ObjectConsKeyExpr:
		return !e.ForceNonLiteral && hcl.ExprAsKeyword(e.Wrapped) != ""
	}
	return false
}

// builds reports whether an expression can construct a value that is larger
// than any of its parts, each of which has been checked.
func builds(e hclsyntax.Expression) bool {
	switch e := e.(type) {
	case *hclsyntax.TupleConsExpr:
		return len(e.Exprs) > 0
	case *hclsyntax.ObjectConsExpr:
		return len(e.Items) > 0
	case *template:
		return true
	case *hclsyntax.ForExpr, *hclsyntax.SplatExpr, *hclsyntax.ConditionalExpr, *hclsyntax.ParenthesesExpr:
		return !harmless(e)
	}
	return false
}

// argument is an argument of a function, which may take long for a large one.
type argument struct {
	hclsyntax.Expression
	budget *budget
}

func (a *argument) Value(ctx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	v, diags := a.Expression.Value(ctx)
	if diags.HasErrors() {
		return v, diag.Unique(diags) // a for expression repeats the mistake for each element
	}
	if _, err := limit.Measure(v); err != nil {
		return cty.DynamicVal, append(diags, beyond(err, a.Range()))
	}
	return v, diags
}

// parameter is an argument of a function that converts it to the type of its
// parameter.
type parameter struct {
	hclsyntax.Expression
	function string
	index    int
}

func (p *parameter) Value(ctx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	v, diags := p.Expression.Value(ctx)
	if t := v.Type(); t.IsTupleType() || t.IsObjectType() {
		v = value.Collection(v, p.want(ctx))
	}
	return v, diags
}

// want returns the type of the parameter.
func (p *parameter) want(ctx *hcl.EvalContext) cty.Type {
	for ; ctx != nil; ctx = ctx.Parent() {
		f, ok := ctx.Functions[p.function]
		switch {
		case !ok:
		case p.index < len(f.Params()):
			return f.Params()[p.index].Type
		case f.VarParam() != nil:
			return f.VarParam().Type
		}
	}
	return cty.DynamicPseudoType
}

// call is a function call. Its result is checked immediately, because it may
// be an argument of the next call.
type call struct {
	*hclsyntax.FunctionCallExpr
	budget *budget
}

func (c *call) Value(ctx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	c.budget.step()
	v, diags := c.FunctionCallExpr.Value(ctx)
	if diags.HasErrors() {
		return v, Explain(diags)
	}
	size, err := limit.Measure(v)
	if err != nil {
		return cty.DynamicVal, append(diags, &hcl.Diagnostic{
			Severity: hcl.DiagError, Summary: "Error in function call",
			Detail:  fmt.Sprintf("Call to function %q failed: %s.", c.Name, err),
			Subject: c.Range().Ptr(), Expression: c.FunctionCallExpr, EvalContext: ctx,
		})
	}
	c.budget.text(size.Bytes)
	return v, diags
}

// unguarded returns the part of an expression that a guard of an argument wraps.
func unguarded(n hclsyntax.Node) hclsyntax.Node {
	for {
		switch guard := n.(type) {
		case *argument:
			n = guard.Expression
		case *parameter:
			n = guard.Expression
		default:
			return n
		}
	}
}

// Calls reports whether a part of an expression is a call of a function. The
// expression may be that of a diagnostic of Value.
func Calls(e hcl.Expression, name string) bool {
	node, ok := e.(hclsyntax.Node)
	if !ok {
		return false
	}
	found := false
	_ = hclsyntax.VisitAll(node, func(n hclsyntax.Node) hcl.Diagnostics {
		switch n := unguarded(n).(type) {
		case *hclsyntax.FunctionCallExpr:
			found = found || n.Name == name
		case *call:
			found = found || n.Name == name
		}
		return nil
	})
	return found
}

// Explain replaces the stack trace that cty reports when a function panics with
// a plain message.
func Explain(diags hcl.Diagnostics) hcl.Diagnostics {
	for i, d := range diags {
		extra, ok := hcl.DiagnosticExtra[hclsyntax.FunctionCallDiagExtra](d)
		if !ok {
			continue
		}
		var panicked function.PanicError
		if errors.As(extra.FunctionCallError(), &panicked) {
			ours := *d
			ours.Detail = fmt.Sprintf("Call to function %q failed: the function cannot handle these arguments (%v).", extra.CalledFunctionName(), panicked.Value)
			diags[i] = &ours
		}
	}
	return diags
}

// body is the expression that a loop evaluates repeatedly.
type body struct {
	hclsyntax.Expression
	budget *budget
}

func (l *body) Value(ctx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	l.budget.loop()
	return l.Expression.Value(ctx)
}

// part is a part of a template, which the template copies.
type part struct {
	hclsyntax.Expression
	budget *budget
}

func (p *part) Value(ctx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	v, diags := p.Expression.Value(ctx)
	if plain, _ := v.Unmark(); plain.Type() == cty.String && plain.IsKnown() && !plain.IsNull() {
		p.budget.text(len(plain.AsString()))
	}
	return v, diags
}
