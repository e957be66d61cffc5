package state

import (
	"slices"
	"time"
)

// Expired reports whether an environment has expired at a time.
func (s *State) Expired(now time.Time) bool { return s.Expires != nil && !now.Before(*s.Expires) }

// Deployments returns the addresses of the deployments, sorted.
func (s *State) Deployments() []string {
	var addresses []string
	for address, i := range s.Instances {
		if i.Deployment != nil {
			addresses = append(addresses, address)
		}
	}
	slices.Sort(addresses)
	return addresses
}

// adopt lets a state refer to the results of another environment, which are in the
// store that both share. Deployments and outputs stay with the other environment, and
// so does what waits for something.
func (s *State) adopt(from *State) {
	for address, i := range from.Instances {
		if i.Deployment == nil {
			s.Instances[address] = i
		}
	}
}
