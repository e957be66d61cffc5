package expr

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/diag"
)

// compare reports a comparison of values whose types differ: hcl considers them
// unequal in any case, without an error.
func (t *typist) compare(e *hclsyntax.BinaryOpExpr, ctx *hcl.EvalContext) {
	// Errors in the operands themselves are reported where they are evaluated.
	sides := t.inner()
	left, right := loopType(e.LHS, sides.value(e.LHS, ctx).Type()), loopType(e.RHS, sides.value(e.RHS, ctx).Type())
	if t.unequal == nil || sides.diags.HasErrors() || left.HasDynamicTypes() || right.HasDynamicTypes() || left.Equals(right) || mayBeEqual(left, right) {
		return
	}
	sign, always := "==", "false"
	if e.Op == hclsyntax.OpNotEqual {
		sign, always = "!=", "true"
	}
	*t.unequal = append(*t.unequal, diag.Errorf(e.Range().Ptr(), "Values of different types are never equal",
		"The left side is %s and the right side is %s, so this is always %s. %s", withArticle(left), withArticle(right), always, sameType(e, left, right, sign)))
}

// loopType returns the type of an operand as a comparison sees it: a `for` gives a
// tuple or an object, although its elements are typed as those of a list or a map.
// The empty ones match any.
func loopType(e hclsyntax.Expression, t cty.Type) cty.Type {
	switch e := e.(type) {
	case *hclsyntax.ParenthesesExpr:
		return loopType(e.Expression, t)
	case *hclsyntax.ConditionalExpr:
		if loop := loopType(e.TrueResult, t); !loop.Equals(t) {
			return loop
		}
		return loopType(e.FalseResult, t)
	case *hclsyntax.ForExpr:
		if t.IsListType() {
			return cty.EmptyTuple
		}
		if t.IsMapType() {
			return cty.EmptyObject
		}
	}
	return t
}

// mayBeEqual reports whether one of the types matches any tuple or object, and the
// other one is such a type, too.
func mayBeEqual(a, b cty.Type) bool {
	either := func(of cty.Type) bool { return a.Equals(of) || b.Equals(of) }
	return a.IsTupleType() && b.IsTupleType() && either(cty.EmptyTuple) || a.IsObjectType() && b.IsObjectType() && either(cty.EmptyObject)
}

func withArticle(t cty.Type) string {
	name := t.FriendlyName()
	if t.IsObjectType() {
		return "an " + name
	}
	return "a " + name
}

// sameType suggests how to compare values of one type.
func sameType(e *hclsyntax.BinaryOpExpr, left, right cty.Type, sign string) string {
	l, r := printExpr(e.LHS), printExpr(e.RHS)
	written := func(l, r string) string { return fmt.Sprintf("Write %s %s %s", l, sign, r) }
	call := func(function, of string) string { return function + "(" + of + ")" }
	switch {
	case left == cty.String && right == cty.Number:
		return written(l, call("tostring", r)) + ", or " + written(call("tonumber", l), r)[len("Write "):] + "."
	case left == cty.Number && right == cty.String:
		return written(call("tostring", l), r) + ", or " + written(l, call("tonumber", r))[len("Write "):] + "."
	case left == cty.String && right.IsPrimitiveType():
		return written(l, call("tostring", r)) + "."
	case right == cty.String && left.IsPrimitiveType():
		return written(call("tostring", l), r) + "."
	case left.IsListType() && right.IsTupleType():
		return written(l, call("tolist", r)) + "."
	case left.IsTupleType() && right.IsListType():
		return written(call("tolist", l), r) + "."
	}
	return "Compare values of the same type, or compare their JSON with jsonencode()."
}
