package inspect

import (
	"maps"
	"slices"

	"github.com/quern-dev/quern/planner/contract"
	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/artifact"
	"github.com/quern-dev/quern/store/state"
)

// Check is what the check of a contract found.
type Check struct {
	// Port is the output with the rows that violate the contract.
	Port       string            `json:"port"`
	Violations artifact.Ref      `json:"violations"`
	Rules      []contract.Figure `json:"rules"`
}

// Checks returns the checks of contracts, by port. Those whose figures are no longer
// in the store have no rules.
func Checks(s *store.Store, contracts map[string]state.Checked) ([]Check, error) {
	var all []Check
	for _, port := range slices.Sorted(maps.Keys(contracts)) {
		check := Check{Port: port, Violations: contracts[port].Violations}
		entry, err := s.Actions.Get(contracts[port].Key)
		if err != nil {
			return nil, err
		}
		if entry != nil && entry.Value != nil {
			if check.Rules, err = contract.Load(entry.Value); err != nil {
				return nil, err
			}
		}
		all = append(all, check)
	}
	return all, nil
}
