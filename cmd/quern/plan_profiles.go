package main

import (
	"github.com/quern-dev/quern/inspect/compare"
	"github.com/quern-dev/quern/lang/kind"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/store/state"
)

// compareProfiles says in a plan how the profiles that the environment is going to have,
// as far as the store has them already, differ from the present ones.
func (w *workspace) compareProfiles(p *plan.Plan, st *state.State) {
	for _, n := range p.Nodes {
		before := st.Instances[n.Address]
		if n.Kind != kind.Evaluate || before == nil {
			continue
		}
		after := w.stored(n)
		if after == nil {
			continue
		}
		found, note, err := compare.TwoProfiles(w.store, before, after)
		switch {
		case err != nil:
			n.Differences = []string{"The profiles cannot be compared: " + err.Error()}
		case note != "":
			n.Differences = []string{note}
		case found != nil:
			n.Differences = profileLines(found)
		}
	}
}

// stored returns what a node takes from the store, or nil.
func (w *workspace) stored(n *plan.Node) *state.Instance {
	switch n.Action {
	case plan.Adopt:
		return n.Adoption.Instance
	case plan.Reuse:
		if entry, err := w.store.Actions.Get(n.ActionKey); err == nil && entry != nil {
			return &state.Instance{Address: n.Address, Kind: n.Kind, Type: n.Type, Outputs: entry.Outputs, Value: entry.Value}
		}
	}
	return nil
}
