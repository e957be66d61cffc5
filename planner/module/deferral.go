package module

import (
	"slices"

	"github.com/hashicorp/hcl/v2"

	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/kind"
)

// Deferral says why a stage is planned only during the run.
type Deferral struct {
	// Argument is "for_each" or "count" if its value is not known, and empty if
	// the stage depends on one that is deferred.
	Argument string
	// On are the stages that have to come first.
	On []addr.Stage
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
	var on []addr.Stage
	m.follow(RefsOf(e), func(a addr.Stage) { on = append(on, a) })
	s.deferred = &Deferral{Argument: argument, On: unique(on)}
	m.Tree.defers.Store(true)
}

// DeferredUpstream returns the deferred stages that references lead to, directly
// or through locals and other modules.
func (m *Module) DeferredUpstream(r *Refs) []addr.Stage {
	if !m.Tree.defers.Load() {
		return nil
	}
	var on []addr.Stage
	m.follow(r, func(a addr.Stage) {
		if s := m.Tree.Stage(a); s != nil && s.deferred != nil {
			on = append(on, a)
		}
	})
	return unique(on)
}

func unique(all []addr.Stage) []addr.Stage {
	var out []addr.Stage
	for _, a := range all {
		if !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	return out
}

// NeededBy returns the addresses of everything that must run before a deferred
// stage: instances, and other deferred stages. Models and prompts do not run;
// what they need takes their place.
func (s *Stage) NeededBy() []string {
	on := map[string]bool{}
	for _, address := range s.Module.Waits() {
		on[address] = true
	}
	s.addNeeds(on)
	return ordered.Keys(on)
}

func (s *Stage) addNeeds(on map[string]bool) {
	t := s.Module.Tree
	s.Module.follow(s.Refs, func(a addr.Stage) {
		other := t.Stage(a)
		switch {
		case other == nil:
		case other.deferred == nil:
			t.Needs(addr.Instance{Stage: a}, on)
		case kind.Of(a.Kind).IsStage():
			on[a.String()] = true
		default:
			other.addNeeds(on)
		}
	})
}
