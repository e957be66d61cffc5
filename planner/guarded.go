package planner

import (
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/quern-dev/quern/lang/config"
)

// guarded says whether a reference stands where it need not hold: inside try or
// can, in a branch of a condition, or behind && or ||. Whether there is such an
// instance is then seen when it is evaluated, if it is.
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

// guards walks syntax and counts how many guards it is behind.
type guards struct {
	wanted hcl.Range
	// marked are the expressions that are behind a guard.
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

// expressionsOf are the expressions of a stage beside its body.
func expressionsOf(s *config.Stage) []hcl.Expression {
	all := []hcl.Expression{s.Count, s.ForEach, s.Timeout, s.Retries}
	for _, c := range slices.Concat(s.Pre, s.Post, s.Conditions) {
		all = append(all, c.Condition, c.ErrorMessage)
	}
	return slices.DeleteFunc(all, func(e hcl.Expression) bool { return e == nil })
}
