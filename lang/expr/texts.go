package expr

import (
	"fmt"
	"regexp"
	"strconv"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/diag"
)

// texts reports the operands of an expression that are texts where a number or a bool
// is needed. hcl converts them, so the first row whose text is not one would fail the
// stage when it runs.
func (t *typist) texts(e hclsyntax.Expression, ctx *hcl.EvalContext) {
	switch e := e.(type) {
	case *hclsyntax.BinaryOpExpr:
		params := e.Op.Impl.Params()
		t.needs(e.LHS, ctx, params[0].Type)
		t.needs(e.RHS, ctx, params[1].Type)
	case *hclsyntax.UnaryOpExpr:
		t.needs(e.Val, ctx, e.Op.Impl.Params()[0].Type)
	case *hclsyntax.ConditionalExpr:
		t.needs(e.Condition, ctx, cty.Bool)
	case *hclsyntax.IndexExpr:
		if of := t.quietly(e.Collection, ctx).Type(); of.IsListType() || of.IsTupleType() {
			t.needs(e.Key, ctx, cty.Number)
		}
	}
}

// arguments reports the arguments of a call that are texts where numbers or bools are
// needed.
func (t *typist) arguments(e *hclsyntax.FunctionCallExpr, ctx *hcl.EvalContext) {
	f, ok := lookupFunction(ctx, e.Name)
	if !ok {
		return
	}
	if e.Name == "format" || e.Name == "formatlist" {
		t.formatted(e, ctx)
		return
	}
	params, tail := f.Params(), f.VarParam()
	for i, arg := range e.Args {
		param := tail
		if i < len(params) {
			param = &params[i]
		}
		switch {
		case param == nil:
			return // too many arguments, which hcl reports
		case e.ExpandFinal && i == len(e.Args)-1:
			t.needs(arg, ctx, cty.List(param.Type))
		case e.Name == "sum": // of a list, set, or tuple, which no type covers
			t.needs(arg, ctx, cty.List(cty.Number))
		default:
			t.needs(arg, ctx, param.Type)
		}
	}
}

// verb matches a verb of format, and the number of its argument if it has one.
var verb = regexp.MustCompile(`%[-+ #0]*[0-9]*(?:\.[0-9]*)?(?:\[([0-9]+)\])?(.)`)

// formatted is like arguments, for format and formatlist: the verbs in the first argument
// determine the types of the others.
func (t *typist) formatted(e *hclsyntax.FunctionCallExpr, ctx *hcl.EvalContext) {
	if len(e.Args) == 0 {
		return
	}
	spec, _ := t.inner().value(e.Args[0], ctx).Unmark()
	if !spec.IsKnown() || spec.IsNull() || spec.Type() != cty.String {
		return
	}
	last := 0
	for _, m := range verb.FindAllStringSubmatch(spec.AsString(), -1) {
		if m[2] == "%" {
			continue
		}
		last++
		if m[1] != "" {
			last, _ = strconv.Atoi(m[1]) // 0 if it is too large, which no argument is
		}
		if last <= 0 || last >= len(e.Args) || e.ExpandFinal && last == len(e.Args)-1 {
			continue
		}
		want := cty.Number
		switch m[2] {
		case "s", "q", "v":
			continue
		case "t":
			want = cty.Bool
		}
		t.needs(e.Args[last], ctx, want)
		if e.Name == "formatlist" {
			t.needs(e.Args[last], ctx, cty.List(want))
		}
	}
}

// needs reports an expression that is a text for each row if numbers or bools are
// needed.
func (t *typist) needs(e hclsyntax.Expression, ctx *hcl.EvalContext, want cty.Type) {
	if _, fixed := e.(*hclsyntax.LiteralValueExpr); fixed || t.lenient || !mayParse(want) || isOperation(e) {
		return
	}
	if v := t.quietly(e, ctx); parses(v.Type(), want) && !v.IsWhollyKnown() {
		t.diags = append(t.diags, t.reducer.textFor(e, v.Type(), want))
	}
}

// quietly returns an expression's value without its errors.
func (t *typist) quietly(e hclsyntax.Expression, ctx *hcl.EvalContext) cty.Value {
	if _, simple := e.(*hclsyntax.ScopeTraversalExpr); simple {
		v, _ := e.Value(ctx)
		return v
	}
	return t.inner().value(e, ctx)
}

// isOperation reports whether an expression is an operation, none of which has a text
// as its result.
func isOperation(e hclsyntax.Expression) bool {
	switch e := e.(type) {
	case *hclsyntax.ParenthesesExpr:
		return isOperation(e.Expression)
	case *hclsyntax.BinaryOpExpr, *hclsyntax.UnaryOpExpr:
		return true
	}
	return false
}

// mayParse reports whether values of a type can be made from texts: it is, or
// contains, a number or a bool.
func mayParse(t cty.Type) bool {
	return t == cty.Number || t == cty.Bool || t.IsCollectionType() && mayParse(t.ElementType())
}

// parses reports whether the conversion between two types reads numbers or bools
// from texts, which fails for most texts.
func parses(is, want cty.Type) bool {
	if is.IsCollectionType() && want.IsCollectionType() {
		return parses(is.ElementType(), want.ElementType())
	}
	return is == cty.String && (want == cty.Number || want == cty.Bool)
}

// longestRepeated is the longest expression, in bytes, that a message repeats.
const longestRepeated = 60

// textFor is the error about texts where numbers or bools are needed.
func (r *reducer) textFor(e hclsyntax.Expression, is, want cty.Type) *hcl.Diagnostic {
	name, typ := printExpr(e), is.FriendlyName()
	subject := name
	if len(name) > longestRepeated {
		subject, name = "This expression", "…"
	}
	c, isColumn := r.column(e)
	if isColumn {
		typ = c.Type
	}
	d := diag.Errorf(e.Range().Ptr(), "Wrong type of value", "%s has type %s, but type %s is needed.", subject, typ, want.FriendlyName())
	switch {
	case is.IsCollectionType():
		d.Detail += fmt.Sprintf(" If each of its texts is a %[1]s, write [for x in %[2]s : to%[1]s(x)].", want.ElementType().FriendlyName(), name)
	case !isColumn, typ == "string":
		d.Detail += fmt.Sprintf(" If each of its texts is a %[1]s, write to%[1]s(%[2]s).", want.FriendlyName(), name)
	case typ == "timestamp" && want == cty.Number:
		d.Detail += fmt.Sprintf(" To compare times, write timecmp(%s, …) < 0.", name)
	case typ == "date" && want == cty.Number:
		d.Detail += fmt.Sprintf(` To compare dates, write timecmp("${%s}T00:00:00Z", …) < 0.`, name)
	}
	return d
}
