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
		if before := st.Instances[n.Address]; n.Kind == kind.Evaluate && before != nil {
			n.Differences = w.profileDifferences(n, before)
		}
	}
}

// profileDifferences returns nothing if a node takes no profile from the store.
func (w *workspace) profileDifferences(n *plan.Node, before *state.Instance) []string {
	after, err := w.stored(n)
	if err == nil && after == nil {
		return nil
	}
	var found *compare.Profiles
	var note string
	if err == nil {
		found, note, err = compare.TwoProfiles(w.store, before, after)
	}
	switch {
	case err != nil:
		return []string{"The profiles cannot be compared: " + err.Error()}
	case note != "":
		return []string{note}
	case found != nil:
		return profileLines(found)
	}
	return nil
}

// stored returns what a node takes from the store, or nil.
func (w *workspace) stored(n *plan.Node) (*state.Instance, error) {
	switch n.Action {
	case plan.Adopt:
		return n.Adoption.Instance, nil
	case plan.Reuse:
		entry, err := w.store.Actions.Get(n.ActionKey)
		if err != nil || entry == nil {
			return nil, err
		}
		return &state.Instance{Address: n.Address, Kind: n.Kind, Type: n.Type, Outputs: entry.Outputs, Value: entry.Value}, nil
	}
	return nil, nil
}
