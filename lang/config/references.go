package config

import (
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// References returns all traversals in the stage's expressions that begin outside
// of them: arguments, meta-arguments, conditions, and depends_on. It leaves out names that
// for expressions, splats, and dynamic blocks bind. The order
// is that of the fields of Stage, then that of the text.
func (s *Stage) References() []hcl.Traversal {
	var refs []hcl.Traversal
	add := func(exprs ...hcl.Expression) {
		for _, e := range exprs {
			if e != nil {
				refs = append(refs, Variables(e)...)
			}
		}
	}
	add(s.Count, s.ForEach)
	refs = append(refs, s.DependsOn...)
	for _, conditions := range [][]Condition{s.Pre, s.Post, s.Conditions} {
		for _, c := range conditions {
			add(c.Condition, c.ErrorMessage)
		}
	}
	for i := range s.Contracts {
		add(s.Contracts[i].expressions()...)
	}
	add(s.Timeout, s.Retries)
	if s.Resources != nil {
		add(s.Resources.CPU, s.Resources.Memory, s.Resources.GPU)
	}
	return append(refs, s.inBody...)
}

// BodyReferences returns the traversals in a body's expressions, in the order of
// the text, without the names that dynamic blocks bind.
func BodyReferences(body *hclsyntax.Body) []hcl.Traversal {
	return bodyReferences(nil, body, nil)
}

// bodyReferences appends to refs. bound are the iterators of the dynamic
// blocks around body.
func bodyReferences(refs []hcl.Traversal, body *hclsyntax.Body, bound []string) []hcl.Traversal {
	if body == nil {
		return refs
	}
	for _, name := range sortedAttributes(body.Attributes) {
		refs = appendFree(refs, body.Attributes[name].Expr, bound)
	}
	for _, block := range body.Blocks {
		if block.Type == "dynamic" && len(block.Labels) == 1 {
			refs = dynamicReferences(refs, block, bound)
			continue
		}
		refs = bodyReferences(refs, block.Body, bound)
	}
	return refs
}

// dynamicReferences handles a dynamic block: for_each is evaluated outside
// the scope of its iterator, labels and content inside; iterator is a bare name
// and not a reference.
func dynamicReferences(refs []hcl.Traversal, block *hclsyntax.Block, bound []string) []hcl.Traversal {
	iterator := block.Labels[0]
	if attr := block.Body.Attributes["iterator"]; attr != nil {
		if name := hcl.ExprAsKeyword(attr.Expr); name != "" {
			iterator = name
		}
	}
	inside := append(bound[:len(bound):len(bound)], iterator)
	for _, name := range sortedAttributes(block.Body.Attributes) {
		e := block.Body.Attributes[name].Expr
		switch name {
		case "iterator":
		case "for_each":
			refs = appendFree(refs, e, bound)
		default:
			refs = appendFree(refs, e, inside)
		}
	}
	for _, nested := range block.Body.Blocks {
		refs = bodyReferences(refs, nested.Body, inside)
	}
	return refs
}

// appendFree appends the variables of an expression that bound does not contain.
func appendFree(refs []hcl.Traversal, e hcl.Expression, bound []string) []hcl.Traversal {
	AnyVariable(e, func(t hcl.Traversal) bool {
		if !slices.Contains(bound, t.RootName()) {
			refs = append(refs, t)
		}
		return false
	})
	return refs
}

// Variables returns the traversals in an expression that refer to something outside it,
// in the order of the text. They are those of its method Variables.
func Variables(e hcl.Expression) []hcl.Traversal {
	var all []hcl.Traversal
	AnyVariable(e, func(t hcl.Traversal) bool {
		all = append(all, t)
		return false
	})
	return all
}

// AnyVariable reports whether f is true for any of an expression's Variables. It
// calls f no more once it is. hcl's method Variables creates
// a closure for each node; in a large pipeline, that was most of the garbage. Nodes that
// bind no names are walked here instead.
func AnyVariable(e hcl.Expression, f func(hcl.Traversal) bool) bool {
	if syntax, ok := e.(hclsyntax.Expression); ok {
		return anyVariable(f, syntax)
	}
	return slices.ContainsFunc(e.Variables(), f)
}

func anyVariable(f func(hcl.Traversal) bool, exprs ...hclsyntax.Expression) bool {
	for _, e := range exprs {
		if anyVariableIn(e, f) {
			return true
		}
	}
	return false
}

func anyVariableIn(e hclsyntax.Expression, f func(hcl.Traversal) bool) bool {
	switch e := e.(type) {
	case *hclsyntax.LiteralValueExpr:
		return false
	case *hclsyntax.ScopeTraversalExpr:
		return f(e.Traversal)
	case *hclsyntax.TemplateExpr:
		return anyVariable(f, e.Parts...)
	case *hclsyntax.TemplateWrapExpr:
		return anyVariableIn(e.Wrapped, f)
	case *hclsyntax.ObjectConsExpr:
		return slices.ContainsFunc(e.Items, func(item hclsyntax.ObjectConsItem) bool {
			return anyVariable(f, item.KeyExpr, item.ValueExpr)
		})
	case *hclsyntax.ObjectConsKeyExpr:
		return (e.ForceNonLiteral || hcl.ExprAsKeyword(e.Wrapped) == "") && anyVariableIn(e.Wrapped, f)
	case *hclsyntax.TupleConsExpr:
		return anyVariable(f, e.Exprs...)
	case *hclsyntax.FunctionCallExpr:
		return anyVariable(f, e.Args...)
	case *hclsyntax.ConditionalExpr:
		return anyVariable(f, e.Condition, e.TrueResult, e.FalseResult)
	case *hclsyntax.BinaryOpExpr:
		return anyVariable(f, e.LHS, e.RHS)
	case *hclsyntax.UnaryOpExpr:
		return anyVariableIn(e.Val, f)
	case *hclsyntax.ParenthesesExpr:
		return anyVariableIn(e.Expression, f)
	}
	return slices.ContainsFunc(hclsyntax.Variables(e), f)
}
