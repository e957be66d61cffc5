package expr

import (
	"slices"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/eval"
	"github.com/quern-dev/quern/lang/limit"
)

// typist finds types where hcl's evaluator, given unknown values, gives up or
// ignores errors: in `for` over an unknown collection, in try, and in branches
// that may not be taken. It replaces these parts with unknown values of the
// right type.
type typist struct {
	reducer *reducer
	diags   hcl.Diagnostics
	// lenient is set where texts may be converted to numbers and bools: in try, which
	// says what to do with other texts, and in expressions that are not evaluated for
	// each row.
	lenient bool
	// unequal are the comparisons that are false for every row. They are not
	// errors of evaluation, so that try does not swallow them.
	unequal *hcl.Diagnostics
	// softened caches what is known about the parts, for all typists of an
	// expression. A part is examined by itself and within each part around it,
	// which would otherwise double the work at each level.
	softened map[place]*softened
	// reported are the parts whose errors are in diags.
	reported map[place]bool
	// deadline is when the search for types is given up.
	deadline time.Time
}

// place is a part of an expression, evaluated with certain values.
type place struct {
	expr hclsyntax.Expression
	ctx  *hcl.EvalContext
}

type softened struct {
	expr  hclsyntax.Expression
	diags hcl.Diagnostics
}

func newTypist(r *reducer, unequal *hcl.Diagnostics) *typist {
	return &typist{reducer: r, lenient: !r.scope.isPerRow(), unequal: unequal, softened: map[place]*softened{}, reported: map[place]bool{},
		deadline: time.Now().Add(limit.Now().Time)}
}

// inner returns a typist for a part whose errors are not those of the whole.
func (t *typist) inner() *typist {
	return &typist{reducer: t.reducer, lenient: t.lenient, unequal: t.unequal, softened: t.softened, reported: map[place]bool{}, deadline: t.deadline}
}

// value returns an expression's value: usually unknown, but of its type.
func (t *typist) value(e hclsyntax.Expression, ctx *hcl.EvalContext) cty.Value {
	v, diags := eval.Value(t.soften(e, ctx), ctx)
	t.diags = append(t.diags, diags...)
	return v
}

// soften replaces the parts whose type hcl would not find.
func (t *typist) soften(e hclsyntax.Expression, ctx *hcl.EvalContext) hclsyntax.Expression {
	switch e.(type) {
	case *hclsyntax.LiteralValueExpr, *hclsyntax.ScopeTraversalExpr, *hclsyntax.AnonSymbolExpr:
		return e
	}
	at := place{e, ctx}
	s, ok := t.softened[at]
	if !ok {
		own := t.inner()
		s = &softened{}
		if time.Now().After(t.deadline) {
			s.expr = literal(cty.DynamicVal, e.Range())
			s.diags = hcl.Diagnostics{diag.Errorf(e.Range().Ptr(), "Limit exceeded", "%s", diag.Sentence(limit.TooSlow("inferring the type of this expression")))}
		} else {
			s.expr = own.replace(e, ctx)
			s.diags = own.diags
		}
		t.softened[at] = s
	}
	if !t.reported[at] {
		t.reported[at] = true
		t.diags = append(t.diags, s.diags...)
	}
	return s.expr
}

func (t *typist) replace(e hclsyntax.Expression, ctx *hcl.EvalContext) hclsyntax.Expression {
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
		t.arguments(e, ctx)
		if v, ok := t.expanded(e, ctx); ok {
			return literal(v, e.Range())
		}
	case *hclsyntax.ConditionalExpr:
		t.condition(e, ctx)
		t.value(e.TrueResult, ctx)
		t.value(e.FalseResult, ctx)
	case *hclsyntax.BinaryOpExpr:
		switch {
		case e.Op.ShortCircuit != nil:
			t.value(e.LHS, ctx)
			t.value(e.RHS, ctx)
		case e.Op == hclsyntax.OpEqual, e.Op == hclsyntax.OpNotEqual:
			t.compare(e, ctx)
		}
	}
	t.texts(e, ctx)
	none := func(*hclsyntax.ForExpr) {}
	return eval.MapChildren(e, sub, none, func() {})
}

// condition reports a condition that no value of its type can be. hcl looks at the type
// only once the value is known.
func (t *typist) condition(e *hclsyntax.ConditionalExpr, ctx *hcl.EvalContext) {
	v, _ := t.inner().value(e.Condition, ctx).Unmark()
	if v.IsKnown() {
		return
	}
	if _, err := convert.Convert(v, cty.Bool); err != nil {
		t.diags = append(t.diags, diag.Errorf(e.Condition.Range().Ptr(), "Incorrect condition type", "The condition must be true or false, but it is %s.", withArticle(v.Type())))
	}
}

// expanded returns the result of f(list...) for an unknown list, as if it had
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
	inner := t.inner()
	v := inner.value(&one, ctx)
	if inner.diags.HasErrors() || v.Type() == cty.DynamicPseudoType {
		return cty.NilVal, false
	}
	return cty.UnknownVal(v.Type()), true
}

// tryValue returns a value of the type that all alternatives that can succeed
// have in common.
func (t *typist) tryValue(e *hclsyntax.FunctionCallExpr, ctx *hcl.EvalContext) cty.Value {
	var types []cty.Type
	var errs hcl.Diagnostics
	for _, arg := range e.Args {
		inner := t.inner()
		inner.lenient = true
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
			"The arguments of try() have different types, so the type of the result is not known. Convert them to one type, for example with tostring()."))
		return cty.DynamicVal
	}
	return cty.UnknownVal(unified)
}

// forValue returns the result of a `for`, evaluating its body once for an
// unknown element.
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
		for _, name := range ordered.Keys(ty.AttributeTypes()) {
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
		t.needs(e.CondExpr, child, cty.Bool)
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
