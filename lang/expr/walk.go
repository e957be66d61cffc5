package expr

import (
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// names are the variables of `for` expressions that are in force somewhere.
type names []map[string]struct{}

func (n names) has(name string) bool {
	return slices.ContainsFunc(n, func(m map[string]struct{}) bool {
		_, ok := m[name]
		return ok
	})
}

// visit calls f for every node that is evaluated, outer ones first, and tells
// it which names are those of loop variables there. The type in a conversion
// is not evaluated and so left out.
func visit(e hclsyntax.Expression, f func(n hclsyntax.Node, locals names)) {
	_ = hclsyntax.Walk(e, &visitor{visit: f})
}

type visitor struct {
	visit  func(hclsyntax.Node, names)
	locals names
	// types are the arguments that are types, and inside how many we are.
	types  []hclsyntax.Node
	inside int
}

func (v *visitor) Enter(n hclsyntax.Node) hcl.Diagnostics {
	scope, isScope := n.(hclsyntax.ChildScope)
	if isScope {
		v.locals = append(v.locals, scope.LocalNames)
		return nil
	}
	if slices.Contains(v.types, n) {
		v.inside++
	}
	if v.inside > 0 {
		return nil
	}
	if call, ok := n.(*hclsyntax.FunctionCallExpr); ok && call.Name == convertName && len(call.Args) > 1 {
		v.types = append(v.types, call.Args[1])
	}
	v.visit(n, v.locals)
	return nil
}

func (v *visitor) Exit(n hclsyntax.Node) hcl.Diagnostics {
	if _, ok := n.(hclsyntax.ChildScope); ok {
		v.locals = v.locals[:len(v.locals)-1]
		return nil
	}
	if slices.Contains(v.types, n) {
		v.inside--
	}
	return nil
}

// mapChildren copies a node with f applied to all its parts. enter and exit
// are called around the parts that see the loop variables of a `for`. Nodes
// without parts are returned as they are.
func mapChildren(e hclsyntax.Expression, f func(hclsyntax.Expression) hclsyntax.Expression, enter func(*hclsyntax.ForExpr), exit func()) hclsyntax.Expression {
	switch e := e.(type) {
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
	if e.Name == convertName && len(e.Args) == 2 {
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

// mapKey gives keys one form: an expression that is evaluated. A key that hcl
// calls ambiguous is left alone for hcl to complain about.
func mapKey(e hclsyntax.Expression, f func(hclsyntax.Expression) hclsyntax.Expression) hclsyntax.Expression {
	key, ok := e.(*hclsyntax.ObjectConsKeyExpr)
	if !ok {
		return f(e)
	}
	if !key.ForceNonLiteral {
		if name := hcl.ExprAsKeyword(key.Wrapped); name != "" {
			return &hclsyntax.ObjectConsKeyExpr{Wrapped: literal(cty.StringVal(name), key.Range()), ForceNonLiteral: true}
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
