package expr

import (
	"maps"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/sdk/go/data"
)

// typed is an expression with the type of its result.
type typed struct {
	expr hclsyntax.Expression
	typ  cty.Type
	// column is the column type, where the scope has a row.
	column string
}

// fit infers an expression's type and adds the conversion that makes the
// wanted type of it.
func (r *reducer) fit(e hclsyntax.Expression, want cty.Type) (typed, hcl.Diagnostics) {
	t, diags := r.typeOf(e)
	if diags.HasErrors() {
		return typed{}, diags
	}
	out := typed{expr: e, typ: t}
	if r.scope.Row != nil {
		want = want.WithoutOptionalAttributesDeep()
	}
	if want != cty.DynamicPseudoType {
		out, diags = r.convertTo(e, t, want)
		if diags.HasErrors() {
			return typed{}, diags
		}
	}
	if r.scope.Row != nil {
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
	out := typed{expr: e, typ: converted.Type()}
	if r.scope.Row == nil || t.Equals(out.typ) && !r.isEncoded(e) {
		return out, nil
	}
	out.expr, _ = conversion(e, want)
	return out, nil
}

// listsForTuples is the type that values take in a column, where all elements
// of a list have one type. What has no such type is left as it is.
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

// isEncoded says whether an expression is no more than a column whose values
// expressions see as strings though they are none: dates, times, bytes.
// Passed on as they are they would not have the type that is wanted.
func (r *reducer) isEncoded(e hclsyntax.Expression) bool {
	t, ok := e.(*hclsyntax.ScopeTraversalExpr)
	if !ok || t.Traversal.RootName() != rowRoot || len(t.Traversal) != 2 {
		return false
	}
	name, _ := columnOf(t.Traversal)
	c, _, _ := r.scope.Row.Lookup(name)
	return containsEncoded(c.Type)
}

func wrongType(e hclsyntax.Expression, is, want cty.Type, err error) *hcl.Diagnostic {
	return diag.Errorf(e.Range().Ptr(), "Wrong type of value", "This gives %s where %s is needed: %s.",
		is.FriendlyName(), want.FriendlyNameForConstraint(), err)
}

// conversion is a call that gives an expression a type; false where the type
// cannot be written.
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

// typeExpr is a type constraint as an expression.
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

// staticType is the type of a reduced expression's result where it is known
// to the last detail.
func (r *reducer) staticType(e hclsyntax.Expression) (cty.Type, bool) {
	if isFailing(e) {
		return cty.NilType, false
	}
	t, diags := r.typeOf(e)
	return t, !diags.HasErrors() && !t.HasDynamicTypes()
}

// typeOf evaluates a reduced expression over a row of unknown values. It
// finds the errors that any row would meet, whichever way its values go.
func (r *reducer) typeOf(e hclsyntax.Expression) (cty.Type, hcl.Diagnostics) {
	t := &typist{}
	v := t.value(e, r.unknowns(e))
	var errs hcl.Diagnostics
	for _, d := range t.diags {
		if d.Severity == hcl.DiagError {
			errs = append(errs, d)
		}
	}
	return v.Type(), errs
}

// unknowns is a context in which the columns and the secrets that an
// expression reads are unknown values of their types.
func (r *reducer) unknowns(e hclsyntax.Expression) *hcl.EvalContext {
	ctx := r.eval.NewChild()
	ctx.Variables = map[string]cty.Value{}
	var columns data.Schema
	readsRow := false
	for _, t := range e.Variables() {
		switch t.RootName() {
		case rowRoot:
			columns, readsRow = append(columns, r.columnsRead(t)...), true
		case "var":
			if vars, ok := lookupVariable(r.scope.Eval, "var"); ok {
				ctx.Variables["var"] = withoutSecrets(vars)
			}
		}
	}
	if readsRow {
		attrs := map[string]cty.Value{}
		for name, t := range RowType(columns).AttributeTypes() {
			attrs[name] = cty.UnknownVal(t)
		}
		ctx.Variables[rowRoot] = cty.ObjectVal(attrs)
	}
	return ctx
}

// columnsRead are the columns that a traversal of the row can reach.
func (r *reducer) columnsRead(t hcl.Traversal) data.Schema {
	if name, ok := columnOf(t); ok {
		if c, _, ok := r.scope.Row.Lookup(name); ok {
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

// withoutSecrets makes marked values unknown, so that no message can hold one.
func withoutSecrets(v cty.Value) cty.Value {
	if !v.ContainsMarked() {
		return v
	}
	out, err := cty.TransformWithTransformer(v, hider{})
	if err != nil {
		return cty.DynamicVal
	}
	return out
}

type hider struct{}

func (hider) Enter(_ cty.Path, v cty.Value) (cty.Value, error) {
	if v.IsMarked() {
		u, _ := v.UnmarkDeep()
		return cty.UnknownVal(u.Type()), nil
	}
	return v, nil
}

func (hider) Exit(_ cty.Path, v cty.Value) (cty.Value, error) { return v, nil }

// typist finds types where hcl's evaluator, meeting unknown values, gives up
// or looks away: in `for` over an unknown collection, in try, and in branches
// that need not be taken. It puts unknown values of the right type there.
type typist struct{ diags hcl.Diagnostics }

// value is an expression's value; unknown in general, but of its type.
func (t *typist) value(e hclsyntax.Expression, ctx *hcl.EvalContext) cty.Value {
	v, diags := t.soften(e, ctx).Value(ctx)
	t.diags = append(t.diags, diags...)
	return v
}

// soften replaces the parts of which hcl would not find the type.
func (t *typist) soften(e hclsyntax.Expression, ctx *hcl.EvalContext) hclsyntax.Expression {
	sub := func(e hclsyntax.Expression) hclsyntax.Expression { return t.soften(e, ctx) }
	switch e := e.(type) {
	case *hclsyntax.ForExpr:
		return literal(t.forValue(e, ctx), e.SrcRange)
	case *hclsyntax.TemplateJoinExpr:
		t.value(e.Tuple, ctx)
		return literal(cty.UnknownVal(cty.String).RefineNotNull(), e.Range())
	case *hclsyntax.FunctionCallExpr:
		switch e.Name {
		case "try":
			return literal(t.tryValue(e, ctx), e.Range())
		case "can":
			return literal(cty.UnknownVal(cty.Bool).RefineNotNull(), e.Range())
		}
		if v, ok := t.expanded(e, ctx); ok {
			return literal(v, e.Range())
		}
	case *hclsyntax.ConditionalExpr:
		t.value(e.TrueResult, ctx)
		t.value(e.FalseResult, ctx)
	case *hclsyntax.BinaryOpExpr:
		if e.Op.ShortCircuit != nil {
			t.value(e.LHS, ctx)
			t.value(e.RHS, ctx)
		}
	}
	none := func(*hclsyntax.ForExpr) {}
	return mapChildren(e, sub, none, func() {})
}

// expanded is what f(list...) gives where the list is not known: as if it had
// one element.
func (t *typist) expanded(e *hclsyntax.FunctionCallExpr, ctx *hcl.EvalContext) (cty.Value, bool) {
	if !e.ExpandFinal {
		return cty.NilVal, false
	}
	last := len(e.Args) - 1
	list := t.value(e.Args[last], ctx)
	if ty := list.Type(); list.IsKnown() || !ty.IsListType() && !ty.IsSetType() {
		return cty.NilVal, false
	}
	one := *e
	one.ExpandFinal = false
	one.Args = append(slices.Clone(e.Args[:last]), literal(cty.UnknownVal(list.Type().ElementType()), e.Args[last].Range()))
	inner := &typist{}
	v := inner.value(&one, ctx)
	if inner.diags.HasErrors() || v.Type() == cty.DynamicPseudoType {
		return cty.NilVal, false
	}
	return cty.UnknownVal(v.Type()), true
}

// tryValue has the one type of all alternatives that can succeed.
func (t *typist) tryValue(e *hclsyntax.FunctionCallExpr, ctx *hcl.EvalContext) cty.Value {
	var types []cty.Type
	var errs hcl.Diagnostics
	for _, arg := range e.Args {
		inner := &typist{}
		v := inner.value(arg, ctx)
		if inner.diags.HasErrors() {
			errs = append(errs, inner.diags...)
			continue
		}
		if !v.RawEquals(cty.NullVal(cty.DynamicPseudoType)) {
			types = append(types, v.Type())
		}
	}
	if len(types) == 0 {
		if len(errs) == 0 {
			return cty.NullVal(cty.DynamicPseudoType)
		}
		t.diags = append(t.diags, errs...)
		return cty.DynamicVal
	}
	unified, _ := convert.UnifyUnsafe(types)
	if unified == cty.NilType {
		t.diags = append(t.diags, diag.Errorf(e.Range().Ptr(), "Inconsistent types",
			"The alternatives of try() give values of different types, so that the type of the result is not known. Convert them to one type, with tostring() for instance."))
		return cty.DynamicVal
	}
	return cty.UnknownVal(unified)
}

// forValue is what a `for` gives, its body evaluated once over an unknown
// element.
func (t *typist) forValue(e *hclsyntax.ForExpr, ctx *hcl.EvalContext) cty.Value {
	coll := t.value(e.CollExpr, ctx)
	coll, _ = coll.UnmarkDeep()
	ty := coll.Type()
	switch {
	case ty == cty.DynamicPseudoType:
		return cty.DynamicVal
	case ty.IsObjectType(), ty.IsTupleType():
		return t.forStructure(e, coll, ctx)
	case !ty.IsCollectionType():
		_, diags := (&hclsyntax.ForExpr{KeyVar: e.KeyVar, ValVar: e.ValVar, CollExpr: literal(coll, e.CollExpr.Range()),
			KeyExpr: e.KeyExpr, ValExpr: e.ValExpr, SrcRange: e.SrcRange}).Value(ctx)
		t.diags = append(t.diags, diags...)
		return cty.DynamicVal
	}
	keyType := cty.String
	if ty.IsListType() {
		keyType = cty.Number
	} else if ty.IsSetType() {
		keyType = ty.ElementType()
	}
	_, elem := t.body(e, ctx, cty.UnknownVal(keyType), cty.UnknownVal(ty.ElementType()))
	return forResult(e, elem.Type())
}

// forStructure evaluates the body for each attribute or element, which may
// differ in type.
func (t *typist) forStructure(e *hclsyntax.ForExpr, coll cty.Value, ctx *hcl.EvalContext) cty.Value {
	var keys, elems []cty.Value
	ty := coll.Type()
	each := func(k cty.Value, et cty.Type) {
		key, elem := t.body(e, ctx, k, cty.UnknownVal(et))
		keys, elems = append(keys, key), append(elems, elem)
	}
	if ty.IsTupleType() {
		for i, et := range ty.TupleElementTypes() {
			each(cty.NumberIntVal(int64(i)), et)
		}
	} else {
		for _, name := range slices.Sorted(maps.Keys(ty.AttributeTypes())) {
			each(cty.StringVal(name), ty.AttributeType(name))
		}
	}
	switch {
	case e.KeyExpr == nil && e.CondExpr == nil:
		return cty.UnknownVal(cty.Tuple(typesOf(elems)))
	case e.KeyExpr != nil && e.CondExpr == nil && !e.Group:
		if attrs, ok := attributes(keys, elems); ok {
			return cty.UnknownVal(cty.Object(attrs))
		}
	}
	unified, _ := convert.UnifyUnsafe(typesOf(elems))
	if unified == cty.NilType {
		return cty.DynamicVal
	}
	return forResult(e, unified)
}

func (t *typist) body(e *hclsyntax.ForExpr, ctx *hcl.EvalContext, k, v cty.Value) (key, elem cty.Value) {
	child := ctx.NewChild()
	child.Variables = map[string]cty.Value{e.ValVar: v}
	if e.KeyVar != "" {
		child.Variables[e.KeyVar] = k
	}
	if e.CondExpr != nil {
		cond := t.value(e.CondExpr, child)
		if _, err := convert.Convert(cond, cty.Bool); err != nil {
			t.diags = append(t.diags, diag.Errorf(e.CondExpr.Range().Ptr(), "Invalid 'for' condition", "The 'if' clause value is invalid: %s.", err))
		}
	}
	if e.KeyExpr != nil {
		key = t.value(e.KeyExpr, child)
	}
	return key, t.value(e.ValExpr, child)
}

func forResult(e *hclsyntax.ForExpr, elem cty.Type) cty.Value {
	switch {
	case e.KeyExpr == nil:
		return cty.UnknownVal(cty.List(elem)).RefineNotNull()
	case e.Group:
		return cty.UnknownVal(cty.Map(cty.List(elem))).RefineNotNull()
	}
	return cty.UnknownVal(cty.Map(elem)).RefineNotNull()
}

func typesOf(vals []cty.Value) []cty.Type {
	types := make([]cty.Type, len(vals))
	for i, v := range vals {
		types[i] = v.Type()
	}
	return types
}

func attributes(keys, elems []cty.Value) (map[string]cty.Type, bool) {
	attrs := map[string]cty.Type{}
	for i, k := range keys {
		s, err := convert.Convert(k, cty.String)
		if err != nil || !s.IsKnown() || s.IsNull() {
			return nil, false
		}
		attrs[s.AsString()] = elems[i].Type()
	}
	return attrs, len(attrs) > 0
}
