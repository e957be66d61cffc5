package expand

import (
	"maps"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/eval"
	"github.com/quern-dev/quern/lang/kind"
	"github.com/quern-dev/quern/planner/module"
	"github.com/quern-dev/quern/planner/schema"
)

// valueRef is a reference to a stage in an expression that needs values, not
// artifacts.
type valueRef struct {
	stage addr.Stage
	// key names a single instance, and index computes which one.
	key   addr.Instance
	index hclsyntax.Expression
}

// Dependencies are the addresses of the instances that the values of an instance
// come from, and of those that it names in depends_on.
func (x *Expander) Dependencies(n *Instance) map[string]bool {
	on := map[string]bool{}
	for _, r := range n.refs {
		at := r.key
		if r.index != nil {
			if v, diags := eval.Value(r.index, n.Scope.Values); !diags.HasErrors() && v.IsKnown() && !v.IsNull() && !v.IsMarked() {
				at = addr.Instance{Stage: r.stage, Key: v}
			}
		}
		at.Stage = r.stage
		x.Needs(at, on)
	}
	for _, t := range n.Stage.Config.DependsOn {
		if a, _, ok := addr.FromTraversal(t); ok {
			x.Needs(a, on)
		}
	}
	return on
}

// valueRefs returns the references of a stage's expressions to values.
// Arguments that take artifacts declare their dependencies themselves.
func (x *Expander) valueRefs(s *module.Stage) []valueRef {
	if len(s.Refs.Stages) == 0 && len(s.Refs.Locals) == 0 && !s.Refs.AllLocals {
		return nil
	}
	c := &collector{m: x.Module, seen: map[string]bool{}, looked: map[string]bool{}}
	for _, conditions := range [][]config.Condition{s.Config.Pre, s.Config.Post, s.Config.Conditions} {
		for _, cond := range conditions {
			c.expression(cond.Condition)
			c.expression(cond.ErrorMessage)
		}
	}
	switch {
	case s.Type != nil:
		c.body(s.Config.Body, s.Type.Body)
	case s.Config.Addr.Kind == kind.Prompt:
		c.promptBody(s.Config.Body)
	}
	return c.refs
}

type collector struct {
	m    *module.Module
	refs []valueRef
	// seen and looked are the locals whose expressions were followed, seen for
	// all references and looked for indices only.
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

// promptBody is body for a prompt: everything in it needs values, except the
// rows that examples are drawn from. They become an input of the stage that
// uses the prompt.
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
					c.refs = append(c.refs, valueRef{stage: a.Stage, index: n.Key})
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

// indices records the references in the indices of an expression. An index
// needs values even if the reference leads to an artifact.
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
			if l := c.local(n.Traversal); l != nil && !c.looked[l.Config.Name] {
				c.looked[l.Config.Name] = true
				c.indices(l.Config.Expr)
			}
		}
		return nil
	})
}

func (c *collector) traversal(t hcl.Traversal) {
	if a, _, ok := addr.FromTraversal(t); ok {
		c.refs = append(c.refs, valueRef{stage: a.Stage, key: a})
		return
	}
	if l := c.local(t); l != nil && !c.seen[l.Config.Name] {
		c.seen[l.Config.Name] = true
		c.expression(l.Config.Expr)
	}
}

// local returns the local that a traversal refers to, or nil if it refers to
// none.
func (c *collector) local(t hcl.Traversal) *module.Local {
	if t.RootName() != "local" || len(t) < 2 {
		return nil
	}
	step, ok := t[1].(hcl.TraverseAttr)
	if !ok {
		return nil
	}
	return c.m.Local(step.Name)
}
