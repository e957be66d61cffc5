package module

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/kind"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/planner/schema"
)

// Stage is a stage block as other blocks see it.
type Stage struct {
	Config *config.Stage
	// Addr is the whole address, and Module the module that contains the stage.
	Addr   addr.Stage
	Module *Module
	Type   *schema.Type // nil for a gate or a prompt
	Refs   *Refs

	broken    bool // it, or an instance, has an error
	unordered bool // it is in a cycle, or depends on one
	// flawed is set if it has an error after which the rest of it is still
	// checked, until it counts as broken.
	flawed bool
	// unresolved are the ranges of references to things that do not exist.
	unresolved []hcl.Range
	// deferred is set if it is planned during the run.
	deferred *Deferral
	// planned is set if -target and -exclude do not leave it out.
	planned bool

	keyed     Keying
	names     []string        // of the instances, or nil before they are named
	has       map[string]bool // the same, if there are many
	instances []*Instance

	// seen is what expressions see of it, or nil before one does: first for those that
	// need none of its plain values.
	seen [2]atomic.Pointer[stageSeen]
}

// stageSeen is what expressions see of a stage, computed when it is first
// needed.
type stageSeen struct {
	once            sync.Once
	values, handles cty.Value
}

// Keying is how the instances of a stage are distinguished.
type Keying int

// A single instance, instances with numbers, or instances with keys.
const (
	Single Keying = iota
	ByNumber
	ByKey
)

// Broken reports whether the stage or one of its instances has an error.
func (s *Stage) Broken() bool { return s.broken }

// Flawed reports whether the stage has an error after which the rest of it is
// still checked.
func (s *Stage) Flawed() bool { return s.flawed }

// Planned reports whether the stage is in the plan: -target and -exclude do not
// leave it out.
func (s *Stage) Planned() bool { return s.planned }

// Begin resolves what the stage refers to, all of which is decided. It returns
// false if the stage cannot be checked.
func (m *Module) Begin(s *Stage) bool {
	if s.broken {
		return false
	}
	s.flawed = s.flawed || m.BrokenUpstream(s.Refs)
	for _, d := range m.checkStage(s) {
		m.Report(d)
		s.flawed, s.unresolved = true, append(s.unresolved, *d.Subject)
	}
	return true
}

// Name gives the instances of a stage their addresses, before anything else is
// known about them.
func (s *Stage) Name(keyed Keying, names []string) {
	s.keyed, s.names = keyed, names
	if len(names) <= fewNames {
		return
	}
	s.has = make(map[string]bool, len(names))
	for _, name := range names {
		s.has[name] = true
	}
}

// fewNames is the number of names up to which a linear search is used.
const fewNames = 8

// Has reports whether the stage has an instance with that address.
func (s *Stage) Has(address string) bool {
	if s.has != nil {
		return s.has[address]
	}
	return slices.Contains(s.names, address)
}

// Names returns the addresses of the instances.
func (s *Stage) Names() []string { return s.names }

// Publish makes decided instances visible to other stages. If instances with
// errors are missing, the stage is broken.
func (s *Stage) Publish(instances []*Instance) {
	s.instances = instances
	if s.deferred != nil {
		s.broken = s.broken || s.flawed
		return
	}
	s.broken = s.broken || s.flawed || s.names == nil || len(instances) < len(s.names)
}

// dropSyntax drops the syntax of a decided stage, if nothing reads it again: other
// modules may share it, errors are explained with it, prompts are compiled where they
// are used, and deployments that are no longer configured need their arguments.
func (s *Stage) dropSyntax() {
	if s.Module.Once && s.Module.Addr.IsRoot() && !s.broken && s.deferred == nil && kind.Of(s.Config.Addr.Kind).IsTypedStage() && s.Config.Addr.Kind != kind.Deploy {
		s.Config.DropBody()
		s.Refs.traversals, s.Refs.artifacts = nil, nil
	}
}

// Instances returns the published instances.
func (s *Stage) Instances() []*Instance { return s.instances }

// Needs adds to on everything that must run before something that refers to an
// instance, or to all instances of a stage. Models and prompts do not run; what
// they need takes their place.
func (t *Tree) Needs(a addr.Instance, on map[string]bool) {
	s := t.Stage(a.Stage)
	if s == nil {
		return
	}
	if !kind.Of(a.Kind).IsStage() {
		for _, n := range s.instances {
			if a.HasKey() && n.Address != a.String() {
				continue
			}
			for _, address := range n.DependsOn {
				on[address] = true
			}
		}
		return
	}
	if a.HasKey() && s.Has(a.String()) {
		on[a.String()] = true
		return
	}
	for _, name := range s.names {
		on[name] = true
	}
}

// needs is Needs for a stage or for a module whose instances are not known yet.
func (t *Tree) needs(target addr.Target, on map[string]bool) {
	if target.IsModule() {
		on[target.String()] = true
		return
	}
	t.Needs(addr.Instance{Stage: target.Stage()}, on)
}

// value returns what expressions see of a stage: for users, and with handles.
// All of the stage's instances are decided. Plain values of results, which can
// be large, are read only if plain is set, and are unknown otherwise.
func (m *Module) value(s *Stage, plain bool) (values, handles cty.Value) {
	seen := s.see(plain)
	seen.once.Do(func() {
		if s.unordered || s.broken || s.deferred != nil {
			seen.values, seen.handles = cty.DynamicVal, cty.DynamicVal
			return
		}
		if s.keyed == Single && len(s.instances) == 1 { // the most common case, which needs no scope
			n := s.instances[0]
			seen.values = plan.StageValue(n.Node, m.Made(n.Node, &n.Result, plain))
			seen.handles = withHandles(n, seen.values)
			return
		}
		var v, h plan.Scope
		for _, n := range s.instances {
			value := plan.StageValue(n.Node, m.Made(n.Node, &n.Result, plain))
			v.Set(n.Addr, value)
			h.Set(n.Addr, withHandles(n, value))
		}
		seen.values, seen.handles = wholeStage(s, &v), wholeStage(s, &h)
	})
	return seen.values, seen.handles
}

// see returns where to keep what expressions see of a stage.
func (s *Stage) see(plain bool) *stageSeen {
	at := &s.seen[0]
	if plain {
		at = &s.seen[1]
	}
	if at.Load() == nil {
		at.CompareAndSwap(nil, &stageSeen{})
	}
	return at.Load()
}

// forget drops what expressions see of a stage.
func (s *Stage) forget() {
	for i := range s.seen {
		s.seen[i].Store(nil)
	}
}

func wholeStage(s *Stage, of *plan.Scope) cty.Value {
	if v, ok := of.Stage(s.Addr); ok {
		return v
	}
	if s.keyed == ByNumber {
		return cty.EmptyTupleVal
	}
	return cty.EmptyObjectVal
}

// LeftOut reports whether any of the references is to something that is not in
// the plan.
func (m *Module) LeftOut(r *Refs) bool {
	_, all := m.OpenLocals(r)
	for _, a := range all.Stages {
		if s := m.Stage(a); s == nil || !s.planned {
			return true
		}
	}
	for _, name := range all.Locals {
		if l := m.locals[name]; l == nil || l.value == cty.NilVal {
			return true
		}
	}
	return m.borderLeftOut(all)
}

// Upstream returns the addresses of the stages that run, and of the modules whose
// instances are not known yet, that the references lead to, directly or through
// locals and other modules.
func (m *Module) Upstream(r *Refs) []string {
	found := map[string]bool{}
	m.follow(r, func(t addr.Target) {
		if t.IsModule() || kind.Of(t.Kind).IsStage() {
			found[t.String()] = true
		}
	})
	return ordered.Keys(found)
}

// follow calls f for the stages that the references lead to, directly or through
// locals and other modules, and for the modules whose instances are not known yet.
func (m *Module) follow(r *Refs, f func(addr.Target)) {
	all := &Refs{}
	all.merge(r)
	if all.AllLocals {
		all.Locals = ordered.Keys(m.locals)
	}
	for i := 0; i < len(all.Locals); i++ {
		if l := m.locals[all.Locals[i]]; l != nil {
			all.merge(&l.Refs)
		}
	}
	for _, a := range all.Stages {
		f(a.In(m.Addr).Target())
	}
	for _, t := range all.waits {
		if c, key, _ := m.called(t); c != nil {
			c.eachStage(key, f)
		}
	}
	m.followBorder(all, f)
}

// ApplyFirst advises what to apply so that the number of instances is known that
// expressions compute, each of which may be nil.
func (m *Module) ApplyFirst(exprs ...hcl.Expression) string {
	targets := ""
	for _, e := range exprs {
		if e == nil {
			continue
		}
		seen := map[addr.Target]bool{}
		m.follow(RefsOf(e), func(t addr.Target) {
			if !seen[t] {
				seen[t] = true
				targets += " -target=" + t.String()
			}
		})
	}
	if targets == "" {
		return ""
	}
	return " Apply what it depends on first: quern apply" + targets
}
