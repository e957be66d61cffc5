package module

import (
	"runtime"
	"slices"
	"sync/atomic"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/planner/diagnostics"
	"github.com/quern-dev/quern/planner/schema"
	"github.com/quern-dev/quern/planner/secrets"
	"github.com/quern-dev/quern/sdk/go/host/parallel"
)

// Tree contains all modules of a plan. The calls of modules are known from the
// configuration; the instances of a module exist once the values are known that
// its count or for_each depends on.
type Tree struct {
	Root *Module
	// New is called with each module other than the root module.
	New func(*Module)

	nodes    []*node // the root module's first
	modules  map[addr.Module]*Module
	all      []*Module // in the order in which they were created
	vertices []vertex
	defers   atomic.Bool // a stage or a call is deferred
}

// node is a module in the configuration: the root module, or one that a certain
// path of calls leads to. It has the same instances everywhere in the graph.
type node struct {
	config   *config.Module
	call     *config.Call // nil for the root module
	parent   *node
	children map[string]*node
	// plugins are the root module's names of plugins by the module's, for those
	// that differ.
	plugins   map[string]string
	stages    []*declared
	indices   map[addr.Stage]int // of the stages
	instances []*Module
	// first is the vertex of the first stage, and static is set if the instances
	// do not depend on any value.
	first  int
	static bool
}

// declared is what is known about a stage block before any value.
type declared struct {
	config         *config.Stage
	typed          *schema.Type // nil for a gate or a prompt
	refs           Refs
	broken, flawed bool
}

// NewTree returns a tree with only the root module, whose stages are not declared
// yet. all are the secrets of the plan, to which it adds its own.
func NewTree(c *config.Module, s Settings, all *secrets.Secrets, diags *diagnostics.Collector) *Tree {
	root := newRoot(c, s, all, diags)
	t := &Tree{Root: root, New: func(*Module) {}, modules: map[addr.Module]*Module{{}: root}}
	root.Tree = t
	root.node = t.grow(c, nil, nil)
	root.node.static, root.node.instances = true, []*Module{root}
	return t
}

// grow adds the nodes of a module and of all modules that it calls.
func (t *Tree) grow(c *config.Module, by *config.Call, parent *node) *node {
	n := &node{config: c, call: by, parent: parent, children: make(map[string]*node, len(c.Calls))}
	if by != nil {
		n.plugins = by.PluginNames(parent.plugins)
		n.static = parent.static && by.Count == nil && by.ForEach == nil
	} else {
		n.static = true
	}
	t.nodes = append(t.nodes, n)
	for _, name := range ordered.Keys(c.Calls) {
		if inner := c.Calls[name]; inner.Module != nil {
			n.children[name] = t.grow(inner.Module, inner, n)
		}
	}
	return n
}

// TypeOf returns the type of a stage: nil if it has none or one that does not
// exist, which TypeOf has reported. plugin is the root module's name of the stage's
// plugin, or empty.
type TypeOf func(s *config.Stage, plugin string) (*schema.Type, bool)

// Declare adds the stages of the configuration, and the modules that do not depend
// on any value.
func (t *Tree) Declare(typeOf TypeOf) {
	seen := map[declaration]*declared{}
	var blocks []*config.Stage
	of := map[*config.Stage][]*declared{} // several if its plugin has several names
	for _, n := range t.nodes {
		n.stages = make([]*declared, len(n.config.Stages))
		n.indices = make(map[addr.Stage]int, len(n.config.Stages))
		for i, cfg := range n.config.Stages {
			n.indices[cfg.Addr] = i
			key := declaration{cfg, n.plugin(cfg.Plugin)}
			if seen[key] == nil {
				if of[cfg] == nil {
					blocks = append(blocks, cfg)
				}
				seen[key] = newDeclared(key, typeOf)
				of[cfg] = append(of[cfg], seen[key])
			}
			n.stages[i] = seen[key]
		}
	}
	parallel.For(len(blocks), runtime.GOMAXPROCS(0), func(i int) {
		for _, d := range of[blocks[i]] { // the type decides how JSON is read
			t.check(d)
		}
	})
	t.Root.addStages()
	t.all = append(t.all, t.Root)
	t.expandStatic(t.Root)
}

// declaration identifies a stage block whose plugin has a name in the root module.
type declaration struct {
	config *config.Stage
	plugin string
}

func (n *node) plugin(name string) string {
	if of, ok := n.plugins[name]; ok && name != "" {
		return of
	}
	return name
}

func newDeclared(of declaration, typeOf TypeOf) *declared {
	found, ok := typeOf(of.config, of.plugin)
	return &declared{config: of.config, typed: found, broken: !ok}
}

// check finds the references of a stage, and compares its block with its type.
func (t *Tree) check(d *declared) {
	cfg := d.config
	d.refs = stageRefs(cfg)
	if d.broken || d.typed == nil {
		return
	}
	d.flawed = t.Root.Report(cfg.Shape(d.typed.Body.Shape)...)
	d.flawed = d.flawed || t.Root.Report(schema.Check(cfg.Body, d.typed.Body, cfg.Addr.String())...)
	d.refs.artifacts = artifactPlaces(cfg.Body, d.typed.Body.Args)
}

// expandStatic creates the modules that a module calls once, and those that they
// call.
func (t *Tree) expandStatic(m *Module) {
	m.calls = make(map[string]*Call, len(m.node.children))
	for _, name := range ordered.Keys(m.node.children) {
		child := m.node.children[name]
		c := &Call{Addr: addr.Target{Module: m.Addr, Name: name}, from: m, node: child}
		m.calls[name] = c
		if child.call.Count == nil && child.call.ForEach == nil {
			c.expanded = true
			c.modules = []*Module{t.add(m, child, nil)}
		}
	}
}

// add creates an instance of a module, and those that do not depend on any value
// within it.
func (t *Tree) add(m *Module, n *node, each *Each) *Module {
	c := m.child(n, each)
	n.instances = append(n.instances, c)
	t.modules[c.Addr] = c
	t.all = append(t.all, c)
	c.addStages()
	c.take(n)
	t.New(c)
	t.expandStatic(c)
	return c
}

// Expand creates the instances of a module that m calls. ok is false if they
// could not be computed, or are not known yet.
func (m *Module) Expand(name string, keyed Keying, instances []*Each, ok bool) {
	c := m.calls[name]
	c.keyed, c.expanded, c.broken = keyed, ok, !ok && c.deferred == nil
	for _, each := range instances {
		c.modules = append(c.modules, m.Tree.add(m, c.node, each))
	}
}

// Former returns an instance of a module that m calls, or nil if m does not call it.
// The instance is not part of the tree, and it calls no other modules itself.
func (m *Module) Former(name string, each *Each) *Module {
	n := m.node.children[name]
	if n == nil {
		return nil
	}
	c := m.child(n, each)
	c.addStages()
	m.Tree.New(c)
	return c
}

// Stage returns the stage with a whole address, or nil.
func (t *Tree) Stage(a addr.Stage) *Stage {
	m := t.modules[a.Module]
	if m == nil {
		return nil
	}
	return m.Stage(a.In(addr.Module{}))
}

// Module returns the module with an address, or nil.
func (t *Tree) Module(a addr.Module) *Module { return t.modules[a] }

// Modules returns all modules that exist, the root module first.
func (t *Tree) Modules() []*Module { return t.all }

// Declared reports whether the configuration has the stage of an address, if the
// module that contains it exists or may still be created.
func (t *Tree) Declared(a addr.Stage) bool {
	if m := t.modules[a.Module]; m != nil {
		return m.Stage(a.In(addr.Module{})) != nil
	}
	n := t.open(a.Module)
	return n != nil && n.stage(a.In(addr.Module{})) >= 0
}

// open returns the node of a module that does not exist yet but may still be
// created, or nil.
func (t *Tree) open(a addr.Module) *node {
	m := t.Root
	n := m.node
	for _, step := range a.Calls() {
		n = n.children[step.Name]
		if n == nil {
			return nil
		}
		if m == nil {
			continue
		}
		c := m.calls[step.Name]
		m = nil
		if c.expanded {
			i := slices.IndexFunc(c.modules, func(of *Module) bool { return sameInstance(of.each.key(), step.Key) })
			if i < 0 {
				return nil
			}
			m = c.modules[i]
		}
	}
	return n
}

func sameInstance(a, b cty.Value) bool {
	if a == cty.NilVal || b == cty.NilVal {
		return a == b
	}
	return sameKey(a, b)
}

// StageValues adds the values of stages, by their whole addresses, as far as they
// are published.
func (t *Tree) StageValues(refs []string, values map[addr.Stage]cty.Value) {
	for _, ref := range refs {
		a, err := addr.Parse(ref)
		if err != nil {
			continue
		}
		if s := t.Stage(a.Stage); s != nil {
			values[a.Stage], _ = s.Module.value(s, true)
		}
	}
}

// Vars returns the values that compiled expressions with these references are
// evaluated with. Secrets are in clear text.
func (t *Tree) Vars(refs, secrets []string) map[string]cty.Value {
	stages := make(map[addr.Stage]cty.Value, len(refs))
	t.StageValues(refs, stages)
	vars := expr.Stages(stages)
	vars["var"] = cty.ObjectVal(t.Root.Secrets.Values(secrets))
	return vars
}

// Compiled returns the scope of a text that consists of compiled expressions with
// these references, and calls these functions of plugins.
func (t *Tree) Compiled(refs, secrets []string, functions []expr.ForeignName) (*expr.Scope, error) {
	stages := make(map[addr.Stage]cty.Value, len(refs))
	t.StageValues(refs, stages)
	ctx := t.Root.root.NewChild()
	ctx.Variables = expr.Stages(stages)
	ctx.Variables["var"] = pick(t.Root.Variables, secrets)
	s := &expr.Scope{Eval: t.Root.Secrets.WithHidden(ctx)}
	if len(functions) == 0 {
		return s, nil
	}
	var err error
	s.Foreign, err = expr.NamedForeign(t.Root.Settings.Foreign, functions)
	return s, err
}
