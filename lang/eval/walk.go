package eval

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// ConvertName is the function that converts a value to a type, which is its
// second argument: convert([], list(string)).
const ConvertName = "convert"

// MapChildren copies a node with f applied to all its parts. It calls enter and
// exit around the parts that see the loop variables of a `for`. Nodes without
// parts are returned unchanged.
func MapChildren(e hclsyntax.Expression, f func(hclsyntax.Expression) hclsyntax.Expression, enter func(*hclsyntax.ForExpr), exit func()) hclsyntax.Expression {
	switch e := e.(type) {
	case *hclsyntax.ParenthesesExpr:
		c := *e
		c.Expression = f(e.Expression)
		return &c
	case *hclsyntax.TemplateWrapExpr:
		c := *e
		c.Wrapped = f(e.Wrapped)
		return &c
	case *hclsyntax.RelativeTraversalExpr:
		c := *e
		c.Source = f(e.Source)
		return &c
	case *hclsyntax.FunctionCallExpr:
		return mapCall(e, f)
	case *hclsyntax.ConditionalExpr:
		c := *e
		c.Condition, c.TrueResult, c.FalseResult = f(e.Condition), f(e.TrueResult), f(e.FalseResult)
		return &c
	case *hclsyntax.IndexExpr:
		c := *e
		c.Collection, c.Key = f(e.Collection), f(e.Key)
		return &c
	case *hclsyntax.TupleConsExpr:
		c := *e
		c.Exprs = mapAll(e.Exprs, f)
		return &c
	case *hclsyntax.ObjectConsExpr:
		return mapObject(e, f)
	case *hclsyntax.ForExpr:
		return mapFor(e, f, enter, exit)
	case *hclsyntax.SplatExpr:
		return &hclsyntax.SplatExpr{Source: f(e.Source), Each: f(e.Each), Item: e.Item,
			SrcRange: e.SrcRange, MarkerRange: e.MarkerRange}
	case *hclsyntax.TemplateExpr:
		c := *e
		c.Parts = mapAll(e.Parts, f)
		return &c
	case *hclsyntax.TemplateJoinExpr:
		c := *e
		c.Tuple = f(e.Tuple)
		return &c
	case *hclsyntax.BinaryOpExpr:
		c := *e
		c.LHS, c.RHS = f(e.LHS), f(e.RHS)
		return &c
	case *hclsyntax.UnaryOpExpr:
		c := *e
		c.Val = f(e.Val)
		return &c
	}
	return e
}

func mapAll(list []hclsyntax.Expression, f func(hclsyntax.Expression) hclsyntax.Expression) []hclsyntax.Expression {
	out := make([]hclsyntax.Expression, len(list))
	for i, e := range list {
		out[i] = f(e)
	}
	return out
}

func mapCall(e *hclsyntax.FunctionCallExpr, f func(hclsyntax.Expression) hclsyntax.Expression) hclsyntax.Expression {
	c := *e
	if e.Name == ConvertName && len(e.Args) == 2 {
		c.Args = []hclsyntax.Expression{f(e.Args[0]), e.Args[1]}
		return &c
	}
	c.Args = mapAll(e.Args, f)
	return &c
}

func mapObject(e *hclsyntax.ObjectConsExpr, f func(hclsyntax.Expression) hclsyntax.Expression) hclsyntax.Expression {
	c := *e
	c.Items = make([]hclsyntax.ObjectConsItem, len(e.Items))
	for i, item := range e.Items {
		c.Items[i] = hclsyntax.ObjectConsItem{KeyExpr: mapKey(item.KeyExpr, f), ValueExpr: f(item.ValueExpr)}
	}
	return &c
}

// mapKey converts all keys to one form: an expression that is evaluated. It
// leaves a key that hcl calls ambiguous unchanged, so that hcl reports it.
func mapKey(e hclsyntax.Expression, f func(hclsyntax.Expression) hclsyntax.Expression) hclsyntax.Expression {
	key, ok := e.(*hclsyntax.ObjectConsKeyExpr)
	if !ok {
		return f(e)
	}
	if !key.ForceNonLiteral {
		if name := hcl.ExprAsKeyword(key.Wrapped); name != "" {
			return &hclsyntax.ObjectConsKeyExpr{Wrapped: &hclsyntax.LiteralValueExpr{Val: cty.StringVal(name), SrcRange: key.Range()}, ForceNonLiteral: true}
		}
		if _, ambiguous := key.Wrapped.(*hclsyntax.ScopeTraversalExpr); ambiguous {
			return key
		}
	}
	return &hclsyntax.ObjectConsKeyExpr{Wrapped: f(key.Wrapped), ForceNonLiteral: true}
}

func mapFor(e *hclsyntax.ForExpr, f func(hclsyntax.Expression) hclsyntax.Expression, enter func(*hclsyntax.ForExpr), exit func()) hclsyntax.Expression {
	c := *e
	c.CollExpr = f(e.CollExpr)
	enter(e)
	defer exit()
	if e.KeyExpr != nil {
		c.KeyExpr = f(e.KeyExpr)
	}
	c.ValExpr = f(e.ValExpr)
	if e.CondExpr != nil {
		c.CondExpr = f(e.CondExpr)
	}
	return &c
}
