package config

import (
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
		refs = appendFree(refs, Variables(body.Attributes[name].Expr), bound)
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
			refs = appendFree(refs, Variables(e), bound)
		default:
			refs = appendFree(refs, Variables(e), inside)
		}
	}
	for _, nested := range block.Body.Blocks {
		refs = bodyReferences(refs, nested.Body, inside)
	}
	return refs
}

func appendFree(refs, more []hcl.Traversal, bound []string) []hcl.Traversal {
next:
	for _, t := range more {
		for _, name := range bound {
			if t.RootName() == name {
				continue next
			}
		}
		refs = append(refs, t)
	}
	return refs
}

// Variables returns the traversals in an expression that refer to something outside it,
// in the order of the text. They are those of its method Variables, which creates
// a closure for each node; in a large pipeline, that was most of the garbage. Nodes that
// bind no names are walked here instead.
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
