package expr

import (
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// names are the variables of `for` expressions that are in scope.
type names []map[string]struct{}

func (n names) has(name string) bool {
	return slices.ContainsFunc(n, func(m map[string]struct{}) bool {
		_, ok := m[name]
		return ok
	})
}

// visit calls f for every node that is evaluated, outer ones first, with the
// names of the loop variables in scope. It leaves out the type in a conversion,
// which is not evaluated.
func visit(e hclsyntax.Expression, f func(n hclsyntax.Node, locals names)) {
	switch e := e.(type) {
	case *hclsyntax.LiteralValueExpr, *hclsyntax.ScopeTraversalExpr:
		f(e, nil)
	case *hclsyntax.TemplateExpr: // which hcl would create a closure for
		f(e, nil)
		for _, part := range e.Parts {
			visit(part, f)
		}
	default:
		_ = hclsyntax.Walk(e, &visitor{visit: f})
	}
}

type visitor struct {
	visit  func(hclsyntax.Node, names)
	locals names
	// types are the arguments that are types. inside counts how many surround
	// the current node.
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
