package module

import (
	"slices"

	"github.com/hashicorp/hcl/v2"

	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/kind"
)

// Deferral says why a stage, or all that a call creates, is planned only during the
// run.
type Deferral struct {
	// Argument is "for_each" or "count" if its value is not known, and empty if
	// the stage depends on something that is deferred.
	Argument string
	// On are the stages, and the modules whose instances are not known yet, that
	// have to come first.
	On []addr.Target
}

// Deferral returns why the stage is planned during the run, or nil if it is
// planned now.
func (s *Stage) Deferral() *Deferral { return s.deferred }

// Defer leaves a stage to the run if something that it refers to, or that the
// modules around it wait for, is deferred.
func (m *Module) Defer(s *Stage) bool {
	if !m.Tree.defers.Load() {
		return false
	}
	on := m.DeferredUpstream(s.Refs)
	for at := m; at.parent != nil; at = at.parent {
		on = append(on, at.parent.DeferredUpstream(callRefs(at.node.call))...)
	}
	if len(on) > 0 {
		s.deferred = &Deferral{On: unique(on)}
	}
	return s.deferred != nil
}

// DeferInstances leaves a stage to the run because its instances come from an
// expression, the argument for_each or count, whose value is not known yet.
func (m *Module) DeferInstances(s *Stage, argument string, e hcl.Expression) {
	s.deferred = m.deferral(argument, e)
}

// DeferCall leaves the instances of a module that m calls to the run, because
// count or for_each is not known yet.
func (m *Module) DeferCall(name, argument string, e hcl.Expression) {
	m.calls[name].deferred = m.deferral(argument, e)
}

func (m *Module) deferral(argument string, e hcl.Expression) *Deferral {
	var on []addr.Target
	m.follow(RefsOf(e), func(t addr.Target) { on = append(on, t) })
	m.Tree.defers.Store(true)
	return &Deferral{Argument: argument, On: unique(on)}
}

// DeferredUpstream returns the deferred stages, and the modules whose instances are
// not known yet, that references lead to, directly or through locals and other
// modules.
func (m *Module) DeferredUpstream(r *Refs) []addr.Target {
	if !m.Tree.defers.Load() {
		return nil
	}
	var on []addr.Target
	m.follow(r, func(t addr.Target) {
		if t.IsModule() || m.Tree.isDeferred(t.Stage()) {
			on = append(on, t)
		}
	})
	return unique(on)
}

func (t *Tree) isDeferred(a addr.Stage) bool {
	s := t.Stage(a)
	return s != nil && s.deferred != nil
}

func unique(all []addr.Target) []addr.Target {
	var out []addr.Target
	for _, t := range all {
		if !slices.Contains(out, t) {
			out = append(out, t)
		}
	}
	return out
}

// NeededBy returns the addresses of everything that must run before a deferred
// stage: instances, and other deferred stages. Models and prompts do not run;
// what they need takes their place.
func (s *Stage) NeededBy() []string {
	on := map[string]bool{}
	s.Module.addNeeds(s.Refs, on)
	return ordered.Keys(on)
}

// NeededBy is that of a stage for everything in a module whose instances are not
// known yet.
func (c *Call) NeededBy() []string {
	on := map[string]bool{}
	r := callRefs(c.node.call)
	for _, in := range c.node.call.Inputs {
		r.Add(config.Variables(in.Expr)...)
	}
	c.from.addNeeds(r, on)
	return ordered.Keys(on)
}

// addNeeds adds what the references lead to, and what all stages of the module wait
// for.
func (m *Module) addNeeds(r *Refs, on map[string]bool) {
	for _, address := range m.Waits() {
		on[address] = true
	}
	m.follow(r, func(t addr.Target) {
		switch {
		case t.IsModule() || !m.Tree.isDeferred(t.Stage()):
			m.Tree.needs(t, on)
		case kind.Of(t.Kind).IsStage():
			on[t.String()] = true
		default:
			other := m.Tree.Stage(t.Stage())
			other.Module.addNeeds(other.Refs, on)
		}
	})
}
