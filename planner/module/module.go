// Package module is the configuration of modules while they are planned: their
// variables, locals, stages, and outputs, and what the expressions of each module
// see of them. A Tree contains all modules of a plan.
//
// A plan goes through the stages level by level. A stage is declared, its
// instances are named, and once they are decided, they are published. Only then
// do other stages see them, and later levels know nothing about an instance
// beyond what is published.
package module

import (
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/eval"
	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/foreign"
	"github.com/quern-dev/quern/lang/funcs"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/planner/diagnostics"
	"github.com/quern-dev/quern/planner/secrets"
)

// Module is the root module, or an instance of another one.
type Module struct {
	*diagnostics.Collector
	Config *config.Module
	Settings
	// Secrets are what expressions can keep secret. All modules share those of the
	// root module, because compiled expressions have only its variables.
	Secrets *secrets.Variables
	Tree    *Tree
	Addr    addr.Module

	// parent is the module that calls this one, by the call of node, with what each
	// and count are for this instance. It is nil for the root module.
	parent *Module
	node   *node
	each   *Each

	stages    []*Stage // in the order of the configuration
	locals    map[string]*Local
	inputs    map[string]*Input // nil for the root module
	outputs   map[string]*Output
	calls     map[string]*Call
	needs     []string // what all stages wait for, computed when it is first needed
	needsOnce sync.Once
	root      *hcl.EvalContext   // the functions
	foreign   *expr.ForeignScope // those of plugins, or nil
	// base are the functions of quern, and names those of functions of plugins in all
	// modules. Only the root module has them.
	base  *hcl.EvalContext
	names []string
	paths cty.Value // path
	about cty.Value // quern
}

// Settings are what a module's expressions are evaluated with, in addition to
// its configuration.
type Settings struct {
	// Variables are the values of all variables. Sensitive ones carry the mark
	// value.Sensitive.
	Variables map[string]cty.Value
	// Once is set if the configuration is planned only once, so that the syntax of
	// decided stages can be dropped.
	Once bool
	// Validating is set if variables may have no value yet.
	Validating bool
	// Started is plantimestamp().
	Started time.Time
	// Version and Environment are quern's version and the name of the
	// environment.
	Version, Environment string
	// StartedIn is path.cwd, or empty for the working directory.
	StartedIn string
	// Foreign are the functions of plugins. It may be nil.
	Foreign *foreign.Set
	// Settled reports whether this run has already planned and done a stage, so
	// that it is taken as the state has it. nil means that no stage is settled.
	Settled func(addr.Stage) bool
}

// newRoot returns the root module.
func newRoot(c *config.Module, s Settings, all *secrets.Secrets, diags *diagnostics.Collector) *Module {
	m := &Module{
		Collector: diags, Config: c, Settings: s,
		Secrets: all.Variables(c.Variables, s.Variables),
		root:    &hcl.EvalContext{Functions: funcs.Functions(c.Dir)},
		paths:   paths(c.Dir, c.Dir, s.StartedIn),
		about: cty.ObjectVal(map[string]cty.Value{
			"version": cty.StringVal(s.Version), "environment": cty.StringVal(s.Environment),
		}),
	}
	m.root.Functions["plantimestamp"] = funcs.PlanTimestamp(s.Started)
	m.root.Functions[funcs.SensitiveName] = funcs.Sensitive(m.Secrets.Hide)
	m.base, m.names = m.root, foreignNames(c.Sources)
	m.addForeign(m.names)
	m.addLocals()
	return m
}

// child returns an instance of a module that m calls. Functions that read files see
// the same folder as those of the root module.
func (m *Module) child(n *node, each *Each) *Module {
	c := &Module{
		Collector: m.Collector, Config: n.config, Settings: m.Settings, Secrets: m.Secrets, Tree: m.Tree,
		Addr: m.Addr.Child(n.call.Name, each.key()), parent: m, node: n, each: each,
		root: m.Tree.Root.base, paths: paths(n.config.Dir, m.Tree.Root.Config.Dir, m.StartedIn), about: m.about,
	}
	c.Collector = m.Collector.In(c.Addr, n.config)
	c.addForeign(m.Tree.Root.names)
	c.addLocals()
	c.addInputs()
	c.addOutputs()
	return c
}

func (m *Module) addLocals() {
	m.locals = make(map[string]*Local, len(m.Config.Locals))
	for name, l := range m.Config.Locals {
		m.locals[name] = newLocal(l)
	}
}

// paths returns the folders that expressions can refer to.
func paths(module, root, cwd string) cty.Value {
	if cwd == "" {
		var err error
		if cwd, err = os.Getwd(); err != nil {
			cwd = "."
		}
	}
	folder := func(dir string) cty.Value { return cty.StringVal(filepath.ToSlash(dir)) }
	return cty.ObjectVal(map[string]cty.Value{"module": folder(module), "root": folder(root), "cwd": folder(cwd)})
}

// addStages adds the stages of the configuration, as far as they are declared.
func (m *Module) addStages() {
	m.stages = make([]*Stage, len(m.node.stages))
	for i, d := range m.node.stages {
		m.stages[i] = &Stage{Config: d.config, Addr: d.config.Addr.In(m.Addr), Module: m, Type: d.typed, Refs: &d.refs, broken: d.broken, flawed: d.flawed}
	}
}

// Stages returns all stages in the order of the configuration.
func (m *Module) Stages() []*Stage { return m.stages }

// Stage returns the stage with an address relative to the module, or nil.
func (m *Module) Stage(a addr.Stage) *Stage {
	if i := m.node.stage(a); i >= 0 {
		return m.stages[i]
	}
	return nil
}

// Local returns the local with that name, or nil.
func (m *Module) Local(name string) *Local { return m.locals[name] }

// BrokenUpstream reports whether something that is referred to does not exist
// or has an error of its own.
func (m *Module) BrokenUpstream(r *Refs) bool {
	for _, a := range r.Stages {
		if s := m.Stage(a); s == nil || s.unordered || s.broken {
			return true
		}
	}
	for _, name := range r.Locals {
		if l := m.locals[name]; l == nil || l.broken {
			return true
		}
	}
	return m.brokenInputs(r) || m.brokenCalls(r)
}

// Blind reports whether an expression of a stage with an error cannot be
// checked, because what it refers to does not exist or has an error of its own.
func (m *Module) Blind(s *Stage, e hcl.Expression) bool {
	if !s.flawed || e == nil {
		return false
	}
	within := e.Range()
	return m.BrokenUpstream(RefsOf(e)) || slices.ContainsFunc(s.unresolved, func(at hcl.Range) bool {
		return at.Filename == within.Filename && within.ContainsPos(at.Start)
	})
}

// Impure returns the name of an impure function that an expression calls, or
// "".
func (m *Module) Impure(e hcl.Expression, r *Refs) string {
	for _, name := range r.Locals {
		if l := m.locals[name]; l != nil && l.Impure {
			return "local." + name
		}
	}
	if name := m.impureBorder(r); name != "" {
		return name
	}
	syntax, ok := e.(hclsyntax.Node)
	if !ok {
		return ""
	}
	found := ""
	_ = hclsyntax.VisitAll(syntax, func(n hclsyntax.Node) hcl.Diagnostics {
		if call, ok := n.(*hclsyntax.FunctionCallExpr); ok && funcs.Impure(call.Name) {
			found = call.Name + "()"
		}
		return nil
	})
	return found
}

// MayBeAnything reports whether a value comes from a variable that nobody has
// set yet. This happens only in a validation, which does not check what depends
// on it.
func (m *Module) MayBeAnything(v cty.Value) bool {
	if !m.Validating {
		return false
	}
	plain, marks := v.UnmarkDeep()
	return len(marks) > 0 && !plain.IsWhollyKnown()
}

// Known evaluates an expression whose value must be known when planning. It
// returns false if it is not, which it has reported.
func (m *Module) Known(e hcl.Expression, sc *Scope, what string, want cty.Type) (cty.Value, bool) {
	v, diags := eval.Value(e, sc.Values)
	if m.Report(diags...) {
		return cty.NilVal, false
	}
	v, _ = v.UnmarkDeep()
	v, err := value.Convert(v, want)
	if err != nil {
		m.Report(diag.Errorf(e.Range().Ptr(), "Wrong value for "+what, "%s must be of type %s: %s.", what, want.FriendlyName(), err))
		return cty.NilVal, false
	}
	if !v.IsWhollyKnown() {
		if !m.Validating {
			m.Report(diag.Errorf(e.Range().Ptr(), "Value is not known", "%s must be known at plan time, but it depends on a result that does not exist yet.", what))
		}
		return cty.NilVal, false
	}
	return v, true
}

// IsSettled reports whether this run has already planned and done a stage.
func (m *Module) IsSettled(a addr.Stage) bool { return m.Settled != nil && m.Settled(a) }
