package runner

import (
	"maps"

	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/store/state"
)

// settled reports whether a node is done before the walk begins: in a plan that
// adopts results, all references of the state change at once.
func settled(p *plan.Plan, n *plan.Node) bool {
	return p.Adopts != "" && (n.Action == plan.Adopt || n.Action == plan.Forget)
}

// adopt changes the references of a state to the results that a plan adopts. The
// caller writes the state.
func adopt(p *plan.Plan, s *state.State) {
	if p.Adopts == "" {
		return
	}
	s.Instances, s.Pending, s.Rejected = maps.Clone(s.Instances), maps.Clone(s.Pending), maps.Clone(s.Rejected)
	for _, n := range p.Nodes {
		if !settled(p, n) {
			continue
		}
		delete(s.Pending, n.Address)
		delete(s.Rejected, n.Address)
		delete(s.Instances, n.Address)
		if n.Adoption != nil {
			s.Instances[n.Address] = n.Adoption.Instance
		}
	}
}

// adopted returns how the nodes ended that were settled before the walk.
func adopted(p *plan.Plan) []StageResult {
	var all []StageResult
	for _, n := range p.Nodes {
		if !settled(p, n) {
			continue
		}
		s := StageResult{Address: n.Address, Kind: n.Kind, Planned: n.Action, Action: n.Action, Status: Done}
		if n.Adoption != nil {
			s.ActionKey = n.Adoption.Instance.ActionKey
			if after := n.Adoption.After; after != nil {
				s.Outputs = after.Artifacts
				if after.Rows != nil {
					s.Rows = *after.Rows
				}
			}
		}
		all = append(all, s)
	}
	return all
}
