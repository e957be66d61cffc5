package expr

import (
	"maps"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/secret"
	"github.com/quern-dev/quern/sdk/go/data"
)

// typed is an expression with the type of its result.
type typed struct {
	expr hclsyntax.Expression
	typ  cty.Type
	// column is the column type, if the scope has a row.
	column string
}

// fit infers an expression's type and adds a conversion to the wanted type.
func (r *reducer) fit(e hclsyntax.Expression, want cty.Type) (typed, hcl.Diagnostics) {
	t, diags := r.typeOf(e)
	if diags.HasErrors() {
		return typed{}, diags
	}
	out := typed{expr: e, typ: t}
	if r.scope.isPerRow() {
		want = want.WithoutOptionalAttributesDeep()
	}
	if want != cty.DynamicPseudoType {
		out, diags = r.convertTo(e, t, want)
		if diags.HasErrors() {
			return typed{}, diags
		}
	}
	if r.scope.isPerRow() {
		out.typ = listsForTuples(out.typ)
		column, diags := r.columnType(e, out.typ, want)
		out.column = column
		return out, diags
	}
	if hasCapsule(out.typ) {
		out.typ = cty.DynamicPseudoType
	}
	return out, nil
}

func (r *reducer) convertTo(e hclsyntax.Expression, t, want cty.Type) (typed, hcl.Diagnostics) {
	if l, ok := e.(*hclsyntax.LiteralValueExpr); ok {
		v, err := convert.Convert(l.Val, want)
		if err != nil {
			return typed{}, hcl.Diagnostics{wrongType(e, l.Val.Type(), want, err)}
		}
		return typed{expr: literal(v, l.SrcRange), typ: v.Type()}, nil
	}
	converted, err := convert.Convert(cty.UnknownVal(t), want)
	if err != nil {
		return typed{}, hcl.Diagnostics{wrongType(e, t, want, err)}
	}
	if r.scope.isPerRow() && parses(t, want) {
		return typed{}, hcl.Diagnostics{r.textFor(e, t, want)}
	}
	out := typed{expr: e, typ: converted.Type()}
	if !r.scope.isPerRow() || t.Equals(out.typ) && !r.isEncoded(e) {
		return out, nil
	}
	out.expr, _ = conversion(e, want)
	return out, nil
}

// listsForTuples returns the type of values in a column, where all elements of
// a list have one type. A type without such a form is returned unchanged.
func listsForTuples(t cty.Type) cty.Type {
	switch {
	case t.IsListType():
		return cty.List(listsForTuples(t.ElementType()))
	case t.IsTupleType() && t.Length() > 0:
		if elem, err := unify(t.TupleElementTypes()); err == nil {
			return cty.List(listsForTuples(elem))
		}
	case t.IsObjectType():
		attrs := maps.Clone(t.AttributeTypes())
		for name, a := range attrs {
			attrs[name] = listsForTuples(a)
		}
		return cty.Object(attrs)
	}
	return t
}

// isEncoded reports whether an expression is just a column whose values
// expressions see as strings although they are not: dates, times, bytes. Passed
// through, they would not have the wanted type.
func (r *reducer) isEncoded(e hclsyntax.Expression) bool {
	c, ok := r.column(e)
	return ok && containsEncoded(c.Type)
}

// column returns the column that an expression consists of, if it is just a
// column.
func (r *reducer) column(e hclsyntax.Expression) (data.Column, bool) {
	t, ok := e.(*hclsyntax.ScopeTraversalExpr)
	if !ok || t.Traversal.RootName() != RowName || len(t.Traversal) != 2 {
		return data.Column{}, false
	}
	name, _ := columnOf(t.Traversal)
	return LookupColumn(r.scope.Row, name)
}

func wrongType(e hclsyntax.Expression, is, want cty.Type, err error) *hcl.Diagnostic {
	return diag.Errorf(e.Range().Ptr(), "Wrong type of value", "This expression has type %s, but type %s is needed: %s.",
		is.FriendlyName(), want.FriendlyNameForConstraint(), err)
}

// conversion returns a call that converts an expression to a type. It returns
// false if the type cannot be written.
func conversion(e hclsyntax.Expression, t cty.Type) (hclsyntax.Expression, bool) {
	if !expressible(t) {
		return e, false
	}
	if l, ok := e.(*hclsyntax.LiteralValueExpr); ok {
		v, err := convert.Convert(l.Val, t)
		return literal(v, l.SrcRange), err == nil
	}
	r := e.Range()
	return &hclsyntax.FunctionCallExpr{Name: convertName, NameRange: r, OpenParenRange: r, CloseParenRange: r,
		Args: []hclsyntax.Expression{e, typeExpr(t)}}, true
}

// typeExpr returns a type constraint as an expression.
func typeExpr(t cty.Type) hclsyntax.Expression {
	e, diags := hclsyntax.ParseExpression([]byte(typeText(t)), "", hcl.InitialPos)
	if diags.HasErrors() {
		panic("type constraint " + typeText(t) + " does not parse: " + diags.Error())
	}
	return e
}

func hasCapsule(t cty.Type) bool {
	switch {
	case t.IsCapsuleType():
		return true
	case t.IsCollectionType():
		return hasCapsule(t.ElementType())
	case t.IsTupleType():
		return slices.ContainsFunc(t.TupleElementTypes(), hasCapsule)
	case t.IsObjectType():
		return slices.ContainsFunc(slices.Collect(maps.Values(t.AttributeTypes())), hasCapsule)
	}
	return false
}

// staticType returns the type of a reduced expression's result if it is known
// completely.
func (r *reducer) staticType(e hclsyntax.Expression) (cty.Type, bool) {
	if isFailing(e) {
		return cty.NilType, false
	}
	t, diags := r.typeOf(e)
	return t, !diags.HasErrors() && !t.HasDynamicTypes()
}

// typeOf evaluates a reduced expression over a row of unknown values. It finds
// the errors that would occur for every row.
func (r *reducer) typeOf(e hclsyntax.Expression) (cty.Type, hcl.Diagnostics) {
	if c, ok := r.column(e); ok { // the most common case
		return columnValueType(c), nil
	}
	if r.isText(e) {
		return cty.String, nil
	}
	var errs hcl.Diagnostics
	t := newTypist(r, &errs)
	v := t.value(e, r.unknowns(e))
	for _, d := range t.diags {
		if d.Severity == hcl.DiagError {
			errs = append(errs, d)
		}
	}
	return v.Type(), errs
}

// isText reports whether an expression is a template of text and columns of
// primitive types, so that its result is a string for every row.
func (r *reducer) isText(e hclsyntax.Expression) bool {
	t, ok := e.(*hclsyntax.TemplateExpr)
	return ok && !slices.ContainsFunc(t.Parts, func(part hclsyntax.Expression) bool {
		if l, ok := part.(*hclsyntax.LiteralValueExpr); ok {
			return l.Val.Type() != cty.String || l.Val.IsNull() || !l.Val.IsKnown() || l.Val.IsMarked()
		}
		c, ok := r.column(part)
		return !ok || !columnValueType(c).IsPrimitiveType()
	})
}

// unknowns returns a context in which the columns, late names, and secrets that
// an expression reads are unknown values of their types.
func (r *reducer) unknowns(e hclsyntax.Expression) *hcl.EvalContext {
	ctx := r.eval.NewChild()
	ctx.Variables = map[string]cty.Value{}
	var columns data.Schema
	readsRow := false
	for _, t := range config.Variables(e) {
		switch root := t.RootName(); {
		case r.scope.isLate(root):
			ctx.Variables[root] = unknownLate(r.scope.Late[root])
		case root == RowName:
			columns, readsRow = append(columns, r.columnsRead(t)...), true
		case root == "var":
			if vars, ok := lookupVariable(r.eval, "var"); ok {
				ctx.Variables["var"] = secret.Unknown(vars) // so that no message can contain one
			}
		}
	}
	if readsRow {
		attrs := make(map[string]cty.Value, len(columns))
		for _, c := range columns {
			attrs[c.Name] = cty.UnknownVal(columnValueType(c))
		}
		ctx.Variables[RowName] = cty.ObjectVal(attrs)
	}
	return ctx
}

// columnsRead returns the columns that a traversal of the row can reach.
func (r *reducer) columnsRead(t hcl.Traversal) data.Schema {
	if name, ok := columnOf(t); ok {
		if c, ok := LookupColumn(r.scope.Row, name); ok {
			return data.Schema{c}
		}
	}
	return r.scope.Row
}

func lookupVariable(ctx *hcl.EvalContext, name string) (cty.Value, bool) {
	for ; ctx != nil; ctx = ctx.Parent() {
		if v, ok := ctx.Variables[name]; ok {
			return v, true
		}
	}
	return cty.NilVal, false
}
