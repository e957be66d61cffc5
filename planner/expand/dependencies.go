package expand

import (
	"maps"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/eval"
	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/kind"
	"github.com/quern-dev/quern/planner/module"
	"github.com/quern-dev/quern/planner/schema"
)

// valueRef is a reference to a stage in an expression that needs values, not
// artifacts, or to what a depends_on names.
type valueRef struct {
	stage addr.Stage // a whole address
	// key names a single instance, and index computes which one, in scope or, if
	// that is nil, in the scope of the instance that has the reference.
	key   cty.Value
	index hclsyntax.Expression
	scope *module.Scope
	// wait is an element of the depends_on of an output of a module.
	wait hcl.Traversal
	in   *module.Module
}

// Dependencies are the addresses of the instances that the values of an instance
// come from, and of those that it and the modules around it name in depends_on.
func (x *Expander) Dependencies(n *Instance) map[string]bool {
	on := map[string]bool{}
	for _, r := range n.refs {
		if r.wait != nil {
			r.in.WaitFor(r.wait, on)
			continue
		}
		at := addr.Instance{Stage: r.stage, Key: r.key}
		if r.index != nil {
			scope := r.scope
			if scope == nil {
				scope = n.Scope
			}
			if v, diags := eval.Value(r.index, scope.Values); !diags.HasErrors() && v.IsKnown() && !v.IsNull() && !v.IsMarked() {
				at.Key = v
			}
		}
		x.Tree.Needs(at, on)
	}
	for _, t := range n.Stage.Config.DependsOn {
		x.WaitFor(t, on)
	}
	for _, address := range x.Waits() {
		on[address] = true
	}
	return on
}

// valueRefs returns the references of a stage's expressions to values.
// Arguments that take artifacts declare their dependencies themselves.
func (x *Expander) valueRefs(s *module.Stage) []valueRef {
	if !x.LeadsToStages(s.Refs) {
		return nil
	}
	c := newCollector(x.Module, nil)
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
	m *module.Module
	// scope is that of the expression if it is not in the block of the stage.
	scope *module.Scope
	refs  []valueRef
	// seen and looked are the names whose expressions were followed, seen for
	// all references and looked for indices only.
	seen, looked map[string]bool
}

func newCollector(m *module.Module, sc *module.Scope) *collector {
	return &collector{m: m, scope: sc, seen: map[string]bool{}, looked: map[string]bool{}}
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
	if !ok || !config.AnyVariable(e, leadsOut) {
		return
	}
	indexed := map[*hclsyntax.ScopeTraversalExpr]bool{}
	_ = hclsyntax.VisitAll(syntax, func(n hclsyntax.Node) hcl.Diagnostics {
		switch n := n.(type) {
		case *hclsyntax.IndexExpr:
			if t, ok := n.Collection.(*hclsyntax.ScopeTraversalExpr); ok && len(t.Traversal) == 2 {
				if a, _, ok := addr.FromTraversal(t.Traversal); ok {
					indexed[t] = true
					c.refs = append(c.refs, valueRef{stage: a.In(c.m.Addr), index: n.Key, scope: c.scope})
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

// leadsOut reports whether a reference leads out of the row, as few in row
// expressions do.
func leadsOut(t hcl.Traversal) bool { return t.RootName() != expr.RowName }

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
			if name := c.variable(n.Traversal); name != "" && !c.looked["var."+name] {
				c.looked["var."+name] = true
				c.elsewhere(name, (*collector).indices)
			}
		}
		return nil
	})
}

func (c *collector) traversal(t hcl.Traversal) {
	if a, _, ok := addr.FromTraversal(t); ok {
		c.refs = append(c.refs, valueRef{stage: a.In(c.m.Addr), key: a.Key})
		return
	}
	if l := c.local(t); l != nil && !c.seen[l.Config.Name] {
		c.seen[l.Config.Name] = true
		c.expression(l.Config.Expr)
	}
	if name := c.variable(t); name != "" && !c.seen["var."+name] {
		c.seen["var."+name] = true
		c.elsewhere(name, (*collector).expression)
	}
	c.outputs(t)
}

// variable returns the name of the variable that a traversal refers to, or "".
func (c *collector) variable(t hcl.Traversal) string {
	if t.RootName() != "var" || len(t) < 2 {
		return ""
	}
	step, _ := t[1].(hcl.TraverseAttr)
	return step.Name
}

// elsewhere collects the references of the expression that an input has in the
// module that calls this one.
func (c *collector) elsewhere(variable string, collect func(*collector, hcl.Expression)) {
	e, sc, ok := c.m.Defined(variable)
	if !ok {
		return
	}
	outer := newCollector(sc.Module, sc)
	collect(outer, e)
	c.refs = append(c.refs, outer.refs...)
}

// outputs collects the references of the outputs of another module that a traversal
// may lead to.
func (c *collector) outputs(t hcl.Traversal) {
	if t.RootName() != "module" {
		return
	}
	c.m.Outputs(t, func(of *module.Module, o *module.Output) {
		if c.seen[of.Addr.String()+"."+o.Config.Name] || o.Scope() == nil {
			return
		}
		c.seen[of.Addr.String()+"."+o.Config.Name] = true
		inner := newCollector(of, o.Scope())
		inner.expression(o.Config.Expr)
		for _, wait := range o.Config.DependsOn {
			inner.refs = append(inner.refs, valueRef{wait: wait, in: of})
		}
		c.refs = append(c.refs, inner.refs...)
	})
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
