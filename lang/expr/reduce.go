package expr

import (
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"

	"github.com/hashicorp/hcl/v2/ext/typeexpr"

	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/eval"
	"github.com/quern-dev/quern/lang/funcs"
	"github.com/quern-dev/quern/lang/kind"
	"github.com/quern-dev/quern/lang/limit"
	"github.com/quern-dev/quern/lang/value"
)

// reducer folds an expression. Every part that is known when planning becomes a
// literal, names that will not exist later are replaced with their definitions,
// and different ways to write the same thing become one. Source ranges are
// kept, so that errors in the result point to the user's text.
type reducer struct {
	scope *Scope
	// source contains the scope's values and functions, and the conversion
	// function: what the user's text is evaluated with.
	source *hcl.EvalContext
	// eval is what reduced parts are evaluated with: the source of the outermost
	// scope and, with their whole addresses, the stages of other modules.
	eval   *hcl.EvalContext
	known  *knownNames
	locals names
	// lenient is positive inside try and can, and in branches that are never
	// taken. Errors there are not reported but kept as failing expressions.
	lenient int
	// tries counts how many of them are try and can. Something that always
	// fails is reported there nevertheless, because it is useless for every
	// row.
	tries int
	// inside are the definitions that are being inserted.
	inside []*Definition
	// only are the attributes that are read of the elements of collections.
	only map[hclsyntax.Expression][]string
	// parts counts the parts that have been reduced, because definitions that
	// refer to others twice double the expression each time.
	parts int
	diags hcl.Diagnostics
	// foreign are the functions of plugins that are called, by their names in compiled
	// texts, and plugins is where they are found.
	foreign map[string]*Foreign
	plugins Plugins
}

var conversions = map[string]function.Function{convertName: typeexpr.ConvertFunc}

func newReducer(s *Scope) *reducer {
	source := sourceOf(s)
	r := &reducer{scope: s, source: source, eval: source.NewChild()}
	r.known = &knownNames{to: r.eval, inRoot: s.Module.IsRoot(), foreign: !s.Module.IsRoot()}
	return r
}

// sourceOf returns what the text in a scope is evaluated with.
func sourceOf(s *Scope) *hcl.EvalContext {
	values := s.Eval
	if values == nil {
		values = &hcl.EvalContext{}
	}
	values = values.NewChild()
	values.Functions = conversions
	if s.Foreign != nil {
		values.Functions = s.Foreign.source
	}
	return values
}

func literal(v cty.Value, r hcl.Range) *hclsyntax.LiteralValueExpr {
	return &hclsyntax.LiteralValueExpr{Val: v, SrcRange: r}
}

// failing is an expression that always fails.
func failing(r hcl.Range) hclsyntax.Expression {
	return &hclsyntax.IndexExpr{
		Collection: &hclsyntax.TupleConsExpr{SrcRange: r, OpenRange: r},
		Key:        literal(cty.Zero, r),
		SrcRange:   r, OpenRange: r, BracketRange: r,
	}
}

func isFailing(e hclsyntax.Expression) bool {
	index, ok := e.(*hclsyntax.IndexExpr)
	if !ok {
		return false
	}
	tuple, ok := index.Collection.(*hclsyntax.TupleConsExpr)
	return ok && len(tuple.Exprs) == 0
}

func (r *reducer) reduce(e hclsyntax.Expression) hclsyntax.Expression {
	const partsPerElement = 10
	if r.parts++; r.parts > limit.Now().Elements/partsPerElement {
		if r.parts == limit.Now().Elements/partsPerElement+1 {
			r.diags = append(r.diags, diag.Errorf(e.Range().Ptr(), "Limit exceeded", "%s", diag.Sentence(limit.TooManyElements("the expression with the definitions of all locals that it refers to"))))
		}
		return failing(e.Range())
	}
	switch w := e.(type) {
	case *hclsyntax.ParenthesesExpr:
		return r.reduce(w.Expression)
	case *hclsyntax.TemplateWrapExpr:
		return r.reduce(w.Wrapped)
	case *hclsyntax.LiteralValueExpr, *hclsyntax.AnonSymbolExpr:
		return e
	}
	if r.closed(e) {
		if folded, ok := r.fold(e, r.source); ok {
			return folded
		}
		return r.reduceParts(e)
	}
	reduced := r.reduceParts(e)
	// The discarded branch may have been the only part that read the row.
	if _, done := reduced.(*hclsyntax.LiteralValueExpr); !done && !isFailing(reduced) && r.closed(reduced) {
		if folded, ok := r.fold(reduced, r.eval); ok {
			return folded
		}
	}
	return reduced
}

// fold evaluates an expression now. It returns false if the value is not known
// or must not be written out.
func (r *reducer) fold(e hclsyntax.Expression, with *hcl.EvalContext) (hclsyntax.Expression, bool) {
	v, diags := eval.Value(e, with)
	if diags.HasErrors() {
		return r.fail(e, diags), true
	}
	if foldable(v) {
		return literal(v, e.Range()), true
	}
	return nil, false
}

func (r *reducer) fail(e hclsyntax.Expression, diags hcl.Diagnostics) hclsyntax.Expression {
	if r.lenient == 0 || r.lenient == r.tries && len(config.Variables(e)) == 0 {
		r.diags = append(r.diags, diags...)
	}
	return failing(e.Range())
}

// perRow reports whether a name has a different value in each row.
func (r *reducer) perRow(root string) bool { return root == RowName || r.scope.isLate(root) }

// closed reports whether an expression reads neither the row, nor late values,
// nor a loop variable, so that it can be evaluated now.
func (r *reducer) closed(e hclsyntax.Expression) bool {
	return !config.AnyVariable(e, func(t hcl.Traversal) bool {
		root := t.RootName()
		return r.perRow(root) || r.locals.has(root)
	})
}

// foldable reports whether a value can be written as a literal.
func foldable(v cty.Value) bool {
	if v.ContainsMarked() || !v.IsWhollyKnown() {
		return false
	}
	ok := true
	_ = cty.Walk(v, func(_ cty.Path, v cty.Value) (bool, error) {
		switch t := v.Type(); {
		case t.IsCapsuleType():
			ok = false
		case t == cty.Number && !v.IsNull():
			ok = ok && limit.Writable(v.AsBigFloat())
		}
		return ok, nil
	})
	return ok
}

func (r *reducer) reduceParts(e hclsyntax.Expression) hclsyntax.Expression {
	switch e := e.(type) {
	case *hclsyntax.ScopeTraversalExpr:
		return r.reduceTraversal(e)
	case *hclsyntax.ConditionalExpr:
		return r.reduceConditional(e)
	case *hclsyntax.FunctionCallExpr:
		return r.reduceCall(e)
	case *hclsyntax.SplatExpr:
		r.readOnly(e.Source, splatAttributes(e))
	case *hclsyntax.ForExpr:
		r.readOnly(e.CollExpr, forAttributes(e))
	}
	reduced := eval.MapChildren(e, r.reduce, r.enter, r.exit)
	switch e := reduced.(type) {
	case *hclsyntax.TemplateExpr:
		return meld(e)
	case *hclsyntax.TemplateJoinExpr:
		if _, ok := e.Tuple.(*hclsyntax.ForExpr); !ok {
			return e.Tuple
		}
	case *hclsyntax.IndexExpr:
		return simplifyIndex(e)
	case *hclsyntax.RelativeTraversalExpr:
		return extend(e.Source, e.Traversal, e.SrcRange)
	case *hclsyntax.BinaryOpExpr:
		return r.shortCircuit(e)
	case *hclsyntax.ObjectConsExpr:
		sortItems(e)
	}
	return reduced
}

func (r *reducer) enter(e *hclsyntax.ForExpr) {
	r.locals = append(r.locals, map[string]struct{}{e.KeyVar: {}, e.ValVar: {}})
}

func (r *reducer) exit() { r.locals = r.locals[:len(r.locals)-1] }

// reduceTraversal reduces a reference without a known value.
func (r *reducer) reduceTraversal(e *hclsyntax.ScopeTraversalExpr) hclsyntax.Expression {
	root := e.Traversal.RootName()
	if r.perRow(root) || r.locals.has(root) {
		return e
	}
	if kind.Is(root) {
		return r.stage(e)
	}
	name := ""
	if len(e.Traversal) > 1 {
		if attr, ok := e.Traversal[1].(hcl.TraverseAttr); ok {
			name = attr.Name
		}
	}
	if def, ok := r.scope.Definitions[root+"."+name]; ok && name != "" {
		return r.inline(e, root+"."+name, def)
	}
	if addr.StartsReference(root) {
		return e // of another module, in an expression that is compiled again
	}
	if root == "var" && name != "" {
		if v, ok := r.secret(e); ok {
			r.known.variable(name, v)
			return e
		}
	}
	return r.fail(e, hcl.Diagnostics{diag.Errorf(e.SrcRange.Ptr(), "Value not known yet",
		"The value of %s is not known when planning, and this expression cannot wait for it. Refer to the stage that it comes from instead.", traversalText(e.Traversal))})
}

// secret returns the variable that a reference begins with if the reference leads
// to a value that must not be written out.
func (r *reducer) secret(e *hclsyntax.ScopeTraversalExpr) (variable cty.Value, ok bool) {
	v, diags := e.Traversal.TraverseAbs(r.source)
	if diags.HasErrors() || !value.IsSensitive(v) {
		return cty.NilVal, false
	}
	variable, diags = e.Traversal[:2].TraverseAbs(r.source)
	return variable, !diags.HasErrors()
}

// reduceConditional takes the branch that will be taken, if that is known and
// the other branch does not affect the type of the result.
func (r *reducer) reduceConditional(e *hclsyntax.ConditionalExpr) hclsyntax.Expression {
	c := *e
	c.Condition = r.reduce(e.Condition)
	cond, known := knownBool(c.Condition)
	if !known {
		c.TrueResult, c.FalseResult = r.reduce(e.TrueResult), r.reduce(e.FalseResult)
		return &c
	}
	taken, other := &c.TrueResult, &c.FalseResult
	if !cond {
		taken, other = other, taken
	}
	*taken = r.reduce(*taken)
	r.lenient++
	*other = r.reduce(*other)
	r.lenient--
	if result, ok := r.takeBranch(*taken, *other); ok {
		return result
	}
	return &c
}

// takeBranch returns the branch with the conversion that hcl would apply to it.
// It returns false if that is not known.
func (r *reducer) takeBranch(taken, other hclsyntax.Expression) (hclsyntax.Expression, bool) {
	if len(r.locals) > 0 {
		return nil, false
	}
	t, ok1 := r.staticType(taken)
	o, ok2 := r.staticType(other)
	// As in hcl, a failing branch that is not taken does not matter, either.
	if isNull(other) || holdsFailing(other) {
		return taken, ok1
	}
	if !ok1 || !ok2 {
		return nil, false
	}
	unified, _ := convert.UnifyUnsafe([]cty.Type{t, o})
	switch {
	case unified == cty.NilType || unified.HasDynamicTypes():
		return nil, false
	case unified.Equals(t):
		return taken, true
	}
	return conversion(taken, unified)
}

// holdsFailing reports whether a part of an expression is known to fail.
func holdsFailing(e hclsyntax.Expression) bool {
	found := false
	visit(e, func(n hclsyntax.Node, _ names) {
		part, ok := n.(hclsyntax.Expression)
		found = found || ok && isFailing(part)
	})
	return found
}

func isNull(e hclsyntax.Expression) bool {
	l, ok := e.(*hclsyntax.LiteralValueExpr)
	return ok && l.Val.RawEquals(cty.NullVal(cty.DynamicPseudoType))
}

// shortCircuit drops an operand that can no longer matter, which requires that
// it is certainly a bool.
func (r *reducer) shortCircuit(e *hclsyntax.BinaryOpExpr) hclsyntax.Expression {
	if (e.Op != hclsyntax.OpLogicalAnd && e.Op != hclsyntax.OpLogicalOr) || len(r.locals) > 0 {
		return e
	}
	decisive := e.Op == hclsyntax.OpLogicalOr
	for _, side := range [][2]hclsyntax.Expression{{e.LHS, e.RHS}, {e.RHS, e.LHS}} {
		b, known := knownBool(side[0])
		if !known || b != decisive {
			continue
		}
		if t, ok := r.staticType(side[1]); ok && t == cty.Bool {
			return literal(cty.BoolVal(decisive), e.SrcRange)
		}
	}
	return e
}

func knownBool(e hclsyntax.Expression) (is, known bool) {
	l, ok := e.(*hclsyntax.LiteralValueExpr)
	if !ok || l.Val.IsNull() {
		return false, false
	}
	b, err := convert.Convert(l.Val, cty.Bool)
	if err != nil || !b.IsKnown() || b.IsNull() {
		return false, false
	}
	return b.True(), true
}

func (r *reducer) reduceCall(e *hclsyntax.FunctionCallExpr) hclsyntax.Expression {
	tries := e.Name == "try" || e.Name == "can"
	if tries {
		r.lenient++
		r.tries++
	}
	c, _ := eval.MapChildren(e, r.reduce, r.enter, r.exit).(*hclsyntax.FunctionCallExpr)
	if tries {
		r.lenient--
		r.tries--
	}
	expandFinal(c)
	r.rename(c)
	if r.lenient == r.tries {
		r.diags = append(r.diags, hopeless(c)...)
	}
	if c.Name == "templatefile" {
		return r.readTemplate(c)
	}
	if c.Name == "try" && !c.ExpandFinal {
		return reduceTry(c)
	}
	if c.Name == funcs.SensitiveName && len(c.Args) == 1 && r.closed(c) {
		return r.reduceSensitive(c)
	}
	return c
}

// reduceSensitive replaces a call of sensitive() with the name of the value
// that it hides, so that the text does not contain the value. It leaves a value
// that is not known yet unchanged if the value is already sensitive.
func (r *reducer) reduceSensitive(c *hclsyntax.FunctionCallExpr) hclsyntax.Expression {
	v, diags := eval.Value(c, r.eval)
	if diags.HasErrors() {
		return r.fail(c, diags)
	}
	v, marks := v.Unmark()
	for m := range marks {
		if hidden, ok := m.(value.Sensitive); ok && hidden.Variable != "" && v.IsWhollyKnown() {
			r.known.variable(hidden.Variable, v.WithMarks(marks))
			return &hclsyntax.ScopeTraversalExpr{SrcRange: c.Range(), Traversal: hcl.Traversal{
				hcl.TraverseRoot{Name: "var", SrcRange: c.Range()}, hcl.TraverseAttr{Name: hidden.Variable, SrcRange: c.Range()},
			}}
		}
	}
	if arg, diags := eval.Value(c.Args[0], r.eval); !diags.HasErrors() && arg.IsMarked() {
		return c.Args[0]
	}
	return c
}

// Conceals reports whether the expression calls sensitive() when it is evaluated.
func (c *Compiled) Conceals() bool {
	e, err := c.Syntax()
	return err == nil && eval.Calls(e, funcs.SensitiveName)
}

// readTemplate reads the file of a template whose variables are known only for
// each row, because files are available only when planning.
func (r *reducer) readTemplate(c *hclsyntax.FunctionCallExpr) hclsyntax.Expression {
	if len(c.Args) != 2 || c.ExpandFinal {
		return c
	}
	if _, known := c.Args[0].(*hclsyntax.LiteralValueExpr); !known {
		return c
	}
	read := *c
	read.Name, read.Args = "file", c.Args[:1]
	text, diags := eval.Value(&read, r.eval)
	if diags.HasErrors() {
		return r.fail(c, diags)
	}
	if !foldable(text) {
		return c
	}
	c.Name, c.Args = "templatestring", []hclsyntax.Expression{literal(text, c.Args[0].Range()), c.Args[1]}
	return c
}

// expandFinal converts f(known...) to a call with the elements.
func expandFinal(c *hclsyntax.FunctionCallExpr) {
	if !c.ExpandFinal {
		return
	}
	last := len(c.Args) - 1
	l, ok := c.Args[last].(*hclsyntax.LiteralValueExpr)
	if !ok || l.Val.IsNull() {
		return
	}
	if t := l.Val.Type(); !t.IsTupleType() && !t.IsListType() && !t.IsSetType() {
		return
	}
	c.Args, c.ExpandFinal = slices.Clone(c.Args[:last]), false
	for _, v := range l.Val.AsValueSlice() {
		c.Args = append(c.Args, literal(v, l.SrcRange))
	}
}

// reduceTry drops the alternatives that always fail, and those after one that
// always succeeds.
func reduceTry(c *hclsyntax.FunctionCallExpr) hclsyntax.Expression {
	var left []hclsyntax.Expression
	for _, arg := range c.Args {
		if isFailing(arg) {
			continue
		}
		left = append(left, arg)
		if _, ok := arg.(*hclsyntax.LiteralValueExpr); ok {
			break
		}
	}
	if len(left) == 0 {
		return failing(c.Range())
	}
	if l, ok := left[0].(*hclsyntax.LiteralValueExpr); ok {
		return l
	}
	c.Args = left
	return c
}
