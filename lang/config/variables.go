package config

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// Variables are the traversals that an expression refers to outside of itself,
// as its own method Variables has them. That method makes closures for each
// node; a large pipeline is asked for little else, so what binds no names is
// looked through here.
func Variables(e hcl.Expression) []hcl.Traversal {
	if syntax, ok := e.(hclsyntax.Expression); ok {
		return appendVariables(nil, syntax)
	}
	return e.Variables()
}

func appendVariables(to []hcl.Traversal, exprs ...hclsyntax.Expression) []hcl.Traversal {
	for _, e := range exprs {
		switch e := e.(type) {
		case *hclsyntax.LiteralValueExpr:
		case *hclsyntax.ScopeTraversalExpr:
			to = append(to, e.Traversal)
		case *hclsyntax.TemplateExpr:
			to = appendVariables(to, e.Parts...)
		case *hclsyntax.TemplateWrapExpr:
			to = appendVariables(to, e.Wrapped)
		case *hclsyntax.ObjectConsExpr:
			for _, item := range e.Items {
				to = appendVariables(to, item.KeyExpr, item.ValueExpr)
			}
		case *hclsyntax.ObjectConsKeyExpr:
			if e.ForceNonLiteral || hcl.ExprAsKeyword(e.Wrapped) == "" {
				to = appendVariables(to, e.Wrapped)
			}
		case *hclsyntax.TupleConsExpr:
			to = appendVariables(to, e.Exprs...)
		case *hclsyntax.FunctionCallExpr:
			to = appendVariables(to, e.Args...)
		case *hclsyntax.ConditionalExpr:
			to = appendVariables(to, e.Condition, e.TrueResult, e.FalseResult)
		case *hclsyntax.BinaryOpExpr:
			to = appendVariables(to, e.LHS, e.RHS)
		case *hclsyntax.UnaryOpExpr:
			to = appendVariables(to, e.Val)
		case *hclsyntax.ParenthesesExpr:
			to = appendVariables(to, e.Expression)
		default:
			to = append(to, hclsyntax.Variables(e)...)
		}
	}
	return to
}
