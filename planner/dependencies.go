package planner

import (
	"maps"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/kind"
	"github.com/quern-dev/quern/planner/schema"
)

// stageRef is a reference to a stage in an expression that wants values, not
// artifacts.
type stageRef struct {
	stage addr.Stage
	// key names one instance, index computes which.
	key   addr.Instance
	index hclsyntax.Expression
}

// valueRefs are what a stage's expressions refer to for values: arguments that
// take artifacts tell by those where they come from.
func (s *stage) valueRefs(b *builder) []stageRef {
	if s.collected {
		return s.forValues
	}
	s.collected = true
	if len(s.refs.stages) == 0 && len(s.refs.locals) == 0 && !s.refs.allLocals {
		return nil
	}
	c := &collector{b: b, seen: map[string]bool{}, looked: map[string]bool{}}
	for _, conditions := range [][]config.Condition{s.cfg.Pre, s.cfg.Post, s.cfg.Conditions} {
		for _, cond := range conditions {
			c.expression(cond.Condition)
			c.expression(cond.ErrorMessage)
		}
	}
	switch {
	case s.typ != nil:
		c.body(s.cfg.Body, s.typ.Body)
	case s.cfg.Addr.Kind == kind.Prompt:
		c.promptBody(s.cfg.Body)
	}
	s.forValues = c.refs
	return s.forValues
}

type collector struct {
	b    *builder
	refs []stageRef
	// seen and looked are the locals whose expressions were followed, for all
	// that they refer to and for indices.
	seen, looked map[string]bool
}

func (c *collector) body(src *hclsyntax.Body, of *schema.Body) {
	for name, attr := range src.Attributes {
		switch a := of.Args[name]; {
		case a == nil:
		case len(a.Kinds) == 0:
			c.expression(attr.Expr)
		default:
			c.indices(attr.Expr)
		}
	}
	for _, block := range src.Blocks {
		name, inner := block.Type, block.Body
		if name == "dynamic" && len(block.Labels) == 1 {
			content := schema.DynamicContent(block)
			if content == nil {
				continue
			}
			name, inner = block.Labels[0], content.Body
			if each := block.Body.Attributes["for_each"]; each != nil {
				c.expression(each.Expr)
			}
		}
		if nested := of.Blocks[name]; nested != nil {
			c.body(inner, nested.Body)
		}
	}
}

// promptBody is body for a prompt: all in it is for values but what examples
// are drawn from, which becomes an input of the stage that uses the prompt.
func (c *collector) promptBody(src *hclsyntax.Body) {
	for _, attr := range src.Attributes {
		c.expression(attr.Expr)
	}
	for _, block := range src.Blocks {
		inner := *block.Body
		if block.Type == "examples" {
			inner.Attributes = maps.Clone(inner.Attributes)
			delete(inner.Attributes, "dataset")
			delete(inner.Attributes, "model")
		}
		c.promptBody(&inner)
	}
}

func (c *collector) expression(e hcl.Expression) {
	syntax, ok := e.(hclsyntax.Node)
	if !ok {
		return
	}
	indexed := map[*hclsyntax.ScopeTraversalExpr]bool{}
	_ = hclsyntax.VisitAll(syntax, func(n hclsyntax.Node) hcl.Diagnostics {
		switch n := n.(type) {
		case *hclsyntax.IndexExpr:
			if t, ok := n.Collection.(*hclsyntax.ScopeTraversalExpr); ok && len(t.Traversal) == 2 {
				if a, _, ok := addr.FromTraversal(t.Traversal); ok {
					indexed[t] = true
					c.refs = append(c.refs, stageRef{stage: a.Stage, index: n.Key})
				}
			}
		case *hclsyntax.ScopeTraversalExpr:
			if !indexed[n] {
				c.traversal(n.Traversal)
			}
		}
		return nil
	})
}

// indices notes what the indices in an expression are computed from: they want
// values also where what they lead to is an artifact.
func (c *collector) indices(e hcl.Expression) {
	syntax, ok := e.(hclsyntax.Node)
	if !ok {
		return
	}
	_ = hclsyntax.VisitAll(syntax, func(n hclsyntax.Node) hcl.Diagnostics {
		switch n := n.(type) {
		case *hclsyntax.IndexExpr:
			c.expression(n.Key)
		case *hclsyntax.ScopeTraversalExpr:
			if l := c.local(n.Traversal); l != nil && !c.looked[l.cfg.Name] {
				c.looked[l.cfg.Name] = true
				c.indices(l.cfg.Expr)
			}
		}
		return nil
	})
}

func (c *collector) traversal(t hcl.Traversal) {
	if a, _, ok := addr.FromTraversal(t); ok {
		c.refs = append(c.refs, stageRef{stage: a.Stage, key: a})
		return
	}
	if l := c.local(t); l != nil && !c.seen[l.cfg.Name] {
		c.seen[l.cfg.Name] = true
		c.expression(l.cfg.Expr)
	}
}

// local is the local that a traversal leads to; nil: it leads to none.
func (c *collector) local(t hcl.Traversal) *local {
	if t.RootName() != "local" || len(t) < 2 {
		return nil
	}
	step, ok := t[1].(hcl.TraverseAttr)
	if !ok {
		return nil
	}
	return c.b.locals[step.Name]
}
