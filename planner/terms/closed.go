package terms

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// closed returns a condition in which a comparison with null is not met, whichever
// operator compares: row.a != "x" is not met if row.a is null. What tests for null
// itself stays as it is, as in row.a == null || row.a != "x". met is false below a
// negation, where a comparison with null has to be true for the condition not to be
// met.
func closed(e hcl.Expression, met bool) hcl.Expression {
	switch e := e.(type) {
	case *hclsyntax.ParenthesesExpr:
		inner := *e
		inner.Expression = within(e.Expression, met)
		return &inner
	case *hclsyntax.UnaryOpExpr:
		if e.Op == hclsyntax.OpLogicalNot {
			negated := *e
			negated.Val = within(e.Val, !met)
			return &negated
		}
	case *hclsyntax.ConditionalExpr:
		branches := *e
		branches.TrueResult, branches.FalseResult = within(e.TrueResult, met), within(e.FalseResult, met)
		return &branches
	case *hclsyntax.BinaryOpExpr:
		switch e.Op {
		case hclsyntax.OpLogicalAnd, hclsyntax.OpLogicalOr:
			both := *e
			both.LHS, both.RHS = within(e.LHS, met), within(e.RHS, met)
			return &both
		case hclsyntax.OpEqual, hclsyntax.OpNotEqual:
			return comparison(e, met)
		}
	}
	return e
}

func within(e hclsyntax.Expression, met bool) hclsyntax.Expression {
	return closed(e, met).(hclsyntax.Expression)
}

// comparison adds tests for null to a comparison.
func comparison(e *hclsyntax.BinaryOpExpr, met bool) hclsyntax.Expression {
	if isNull(e.LHS) || isNull(e.RHS) {
		return e
	}
	null, join := hclsyntax.OpNotEqual, hclsyntax.OpLogicalAnd
	if !met {
		null, join = hclsyntax.OpEqual, hclsyntax.OpLogicalOr
	}
	var out hclsyntax.Expression = e
	for _, side := range []hclsyntax.Expression{e.RHS, e.LHS} {
		if _, constant := side.(*hclsyntax.LiteralValueExpr); constant || isText(side) {
			continue
		}
		at := side.Range()
		test := &hclsyntax.BinaryOpExpr{LHS: side, Op: null, RHS: &hclsyntax.LiteralValueExpr{Val: cty.NullVal(cty.DynamicPseudoType), SrcRange: at}, SrcRange: at}
		out = &hclsyntax.BinaryOpExpr{LHS: test, Op: join, RHS: out, SrcRange: e.SrcRange}
	}
	if out == hclsyntax.Expression(e) {
		return e
	}
	return &hclsyntax.ParenthesesExpr{Expression: out, SrcRange: e.SrcRange}
}

func isNull(e hclsyntax.Expression) bool {
	l, ok := e.(*hclsyntax.LiteralValueExpr)
	return ok && l.Val.IsNull()
}

// isText reports whether an expression is a text in quotes, which is never null.
func isText(e hclsyntax.Expression) bool {
	_, ok := e.(*hclsyntax.TemplateExpr)
	return ok
}
