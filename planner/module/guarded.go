package module

import (
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/quern-dev/quern/lang/config"
)

// guarded reports whether a reference need not resolve: it is inside try or
// can, in a branch of a conditional, or after && or ||. Whether the instance
// exists then matters only if the reference is evaluated.
func guarded(t hcl.Traversal, within []hcl.Expression, bodies ...*hclsyntax.Body) bool {
	g := &guards{wanted: t.SourceRange(), marked: map[hclsyntax.Expression]bool{}}
	for _, e := range within {
		if n, ok := e.(hclsyntax.Node); ok {
			_ = hclsyntax.Walk(n, g)
		}
	}
	for _, body := range bodies {
		if body != nil {
			_ = hclsyntax.Walk(body, g)
		}
	}
	return g.found
}

// guards walks the syntax and counts the guards around an expression.
type guards struct {
	wanted hcl.Range
	// marked are the guarded expressions.
	marked map[hclsyntax.Expression]bool
	depth  int
	found  bool
}

func (g *guards) Enter(n hclsyntax.Node) hcl.Diagnostics {
	switch n := n.(type) {
	case *hclsyntax.ConditionalExpr:
		g.mark(n.TrueResult, n.FalseResult)
	case *hclsyntax.BinaryOpExpr:
		if n.Op == hclsyntax.OpLogicalAnd || n.Op == hclsyntax.OpLogicalOr {
			g.mark(n.RHS)
		}
	case *hclsyntax.FunctionCallExpr:
		if n.Name == "try" || n.Name == "can" {
			g.mark(n.Args...)
		}
	}
	if g.behind(n) {
		g.depth++
	}
	if e, ok := n.(*hclsyntax.ScopeTraversalExpr); ok && g.depth > 0 && e.Traversal.SourceRange() == g.wanted {
		g.found = true
	}
	return nil
}

func (g *guards) Exit(n hclsyntax.Node) hcl.Diagnostics {
	if g.behind(n) {
		g.depth--
	}
	return nil
}

func (g *guards) behind(n hclsyntax.Node) bool {
	e, ok := n.(hclsyntax.Expression)
	return ok && g.marked[e]
}

func (g *guards) mark(nodes ...hclsyntax.Expression) {
	for _, n := range nodes {
		g.marked[n] = true
	}
}

// expressionsOf returns the expressions of a stage outside its body.
func expressionsOf(s *config.Stage) []hcl.Expression {
	all := []hcl.Expression{s.Count, s.ForEach, s.Timeout, s.Retries}
	for _, c := range slices.Concat(s.Pre, s.Post, s.Conditions) {
		all = append(all, c.Condition, c.ErrorMessage)
	}
	return slices.DeleteFunc(all, func(e hcl.Expression) bool { return e == nil })
}
