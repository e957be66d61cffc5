package module

import (
	"slices"
	"strconv"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/planner/plan"
)

// Call is a module block of one module, with the instances of the module that it
// calls.
type Call struct {
	// Addr means all of the instances.
	Addr addr.Target

	from *Module // that contains the block
	node *node
	// broken is set if the number of instances cannot be computed, and expanded
	// once they exist.
	broken, expanded bool
	// deferred is set if they exist only during the run.
	deferred *Deferral
	keyed    Keying
	modules  []*Module
}

// Config returns the block.
func (c *Call) Config() *config.Call { return c.node.call }

// Deferral returns why the instances are not known yet, or nil.
func (c *Call) Deferral() *Deferral { return c.deferred }

// Module returns the path of the module as if it had one instance without a key.
func (c *Call) Module() addr.Module { return c.Addr.Module.Child(c.Addr.Name, cty.NilVal) }

// EachBlock calls f for the stages of each instance and of the modules that it calls,
// with the addresses that they would have if no instance had a key.
func (c *Call) EachBlock(f func(addr.Stage, *config.Stage)) {
	c.node.eachBlock(c.Module(), f)
}

func (n *node) eachBlock(at addr.Module, f func(addr.Stage, *config.Stage)) {
	for _, s := range n.config.Stages {
		f(s.Addr.In(at), s)
	}
	for _, name := range ordered.Keys(n.children) {
		n.children[name].eachBlock(at.Child(name, cty.NilVal), f)
	}
}

// Each is what distinguishes an instance: its key, with each or count in the two
// kinds of scope. nil is a single instance.
type Each struct {
	Key             cty.Value
	Values, Handles map[string]cty.Value
	// Value is the definition of each.value, or nil if its value is known.
	Value *expr.Definition
}

func (e *Each) key() cty.Value {
	if e == nil {
		return cty.NilVal
	}
	return e.Key
}

// In returns a scope with each or count.
func (e *Each) In(sc *Scope) *Scope { return e.in(sc) }

func (e *Each) in(sc *Scope) *Scope {
	if e == nil {
		return sc
	}
	out := sc.With(e.Values, e.Handles)
	if e.Value != nil {
		out = out.Define("each.value", e.Value)
	}
	return out
}

// seen returns what expressions see of a call: the outputs of its module, or of
// each instance. The definition is nil if all of it is known.
func (c *Call) seen() (values, handles cty.Value, definition *expr.Definition) {
	if !c.expanded {
		return cty.DynamicVal, cty.DynamicVal, nil
	}
	open := false
	v, h := make([]cty.Value, len(c.modules)), make([]cty.Value, len(c.modules))
	d := make([]*expr.Definition, len(c.modules))
	for i, m := range c.modules {
		var unknown bool
		v[i], h[i], unknown = m.seenOutputs()
		d[i] = &expr.Definition{Object: m.definitions()}
		open = open || unknown
	}
	definition = &expr.Definition{List: d}
	switch c.keyed {
	case Single:
		values, handles, definition = v[0], h[0], d[0]
	case ByNumber:
		values, handles = cty.TupleVal(v), cty.TupleVal(h)
	default:
		ov, oh, od := map[string]cty.Value{}, map[string]cty.Value{}, map[string]*expr.Definition{}
		for i, m := range c.modules {
			key := m.each.Key.AsString()
			ov[key], oh[key], od[key] = v[i], h[i], d[i]
		}
		values, handles, definition = cty.ObjectVal(ov), cty.ObjectVal(oh), &expr.Definition{Object: od}
	}
	if !open {
		definition = nil
	}
	return values, handles, definition
}

// called returns the call that a reference begins with, and the key and the output
// that follow: cty.NilVal and "" if they are not written out. It returns nil if
// there is no such call.
func (m *Module) called(t hcl.Traversal) (c *Call, key cty.Value, output string) {
	if len(t) < 2 {
		return nil, cty.NilVal, ""
	}
	name, _ := t[1].(hcl.TraverseAttr)
	c, t = m.calls[name.Name], t[2:]
	if c == nil {
		return nil, cty.NilVal, ""
	}
	if len(t) > 0 && c.keyed != Single {
		if index, ok := t[0].(hcl.TraverseIndex); ok {
			key, t = index.Key, t[1:]
		} else {
			return c, cty.NilVal, ""
		}
	}
	if len(t) > 0 {
		output, _ = expr.AttributeName(t[0])
	}
	return c, key, output
}

func sameKey(a, b cty.Value) bool {
	if a == cty.NilVal || a.Type() != b.Type() {
		return false
	}
	return a.RawEquals(b)
}

// checkOutputs reports references to instances of modules that do not exist.
func (m *Module) checkOutputs(r *Refs, within []hcl.Expression, bodies []*hclsyntax.Body) []*hcl.Diagnostic {
	var diags []*hcl.Diagnostic
	for _, t := range r.outputs {
		c, key, _ := m.called(t)
		if c == nil || !c.expanded || key == cty.NilVal || slices.ContainsFunc(c.modules, func(of *Module) bool { return sameKey(of.each.key(), key) }) {
			continue
		}
		if !guarded(t, within, bodies...) {
			diags = append(diags, c.noInstance(t, key))
		}
	}
	return diags
}

func (c *Call) noInstance(t hcl.Traversal, key cty.Value) *hcl.Diagnostic {
	subject, name := t.SourceRange(), callRoot+"."+c.node.call.Name
	if len(c.modules) == 0 {
		return diag.Errorf(&subject, noInstance, "%s has no instances.", name)
	}
	var keys []string
	for _, m := range c.modules {
		keys = append(keys, plan.ChoiceKey(m.each.key()))
	}
	if c.keyed == ByNumber {
		return diag.Errorf(&subject, noInstance, "%s has %d instances: 0 to %d.", name, len(keys), len(keys)-1)
	}
	hint := ""
	if key.Type() == cty.String {
		hint = diag.Suggest(key.AsString(), keys)
	}
	for i, k := range keys {
		keys[i] = strconv.Quote(k)
	}
	return diag.Errorf(&subject, noInstance, "%s has no such instance.%s Its keys are: %s.", name, hint, diag.List(keys))
}

// Waits returns the addresses of everything that all stages of the module wait for,
// because of depends_on in the calls around it.
func (m *Module) Waits() []string {
	m.needsOnce.Do(func() {
		on := map[string]bool{}
		for at := m; at.parent != nil; at = at.parent {
			for _, t := range at.node.call.DependsOn {
				at.parent.WaitFor(t, on)
			}
		}
		m.needs = ordered.Keys(on)
	})
	return m.needs
}

// WaitFor adds the addresses of what a reference in depends_on means: a stage, or
// everything in a module.
func (m *Module) WaitFor(t hcl.Traversal, on map[string]bool) {
	if a, _, ok := addr.FromTraversal(t); ok {
		a.Stage = a.In(m.Addr)
		m.Tree.Needs(a, on)
		return
	}
	c, key, _ := m.called(t)
	if c == nil {
		return
	}
	c.eachStage(key, func(t addr.Target) { m.Tree.needs(t, on) })
}

// eachStage calls f for all stages in the instances of a call, or in the one with a
// key, and in the modules that these call. A module whose instances are not known yet
// takes the place of its stages.
func (c *Call) eachStage(key cty.Value, f func(addr.Target)) {
	if c.deferred != nil {
		f(c.Addr)
	}
	for _, m := range c.modules {
		if key != cty.NilVal && !sameKey(m.each.key(), key) {
			continue
		}
		for _, s := range m.stages {
			f(s.Addr.Target())
		}
		for _, name := range ordered.Keys(m.calls) {
			m.calls[name].eachStage(cty.NilVal, f)
		}
	}
}
