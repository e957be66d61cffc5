package state

import (
	"fmt"
	"iter"
	"maps"

	"github.com/quern-dev/quern/store/action"
)

// Move is a new address of an instance.
type Move struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// Clone returns a copy that can be changed without changing s. The instances
// are shared, because they never change.
func (s *State) Clone() *State {
	out := *s
	out.Instances, out.Outputs = maps.Clone(s.Instances), maps.Clone(s.Outputs)
	out.Pending, out.Rejected = maps.Clone(s.Pending), maps.Clone(s.Rejected)
	return &out
}

// Move gives instances, and what they wait for, new addresses, all at the same
// time. It returns an error, and changes nothing, if the state has no instance
// with an old address, or already has one with a new address.
func (s *State) Move(moves []Move) error {
	to := make(map[string]string, len(moves))
	taken := make(map[string]bool, len(moves))
	for _, m := range moves {
		if !s.Has(m.From) {
			return fmt.Errorf("the state has no instance %s", m.From)
		}
		if to[m.From] != "" {
			return fmt.Errorf("%s is moved to %s and to %s", m.From, to[m.From], m.To)
		}
		if taken[m.To] {
			return fmt.Errorf("two instances are moved to %s", m.To)
		}
		to[m.From], taken[m.To] = m.To, true
	}
	for _, m := range moves {
		if s.Has(m.To) && to[m.To] == "" {
			return fmt.Errorf("the state already has an instance %s", m.To)
		}
	}
	if len(moves) > 0 {
		s.rename(to)
	}
	return nil
}

// Has reports whether the state has an instance with an address, or one that
// waits for its first result or whose first result was rejected.
func (s *State) Has(address string) bool {
	return s.Instances[address] != nil || s.Pending[address] != nil || s.Rejected[address] != nil
}

func (s *State) rename(to map[string]string) {
	now := func(address string) string {
		if moved, ok := to[address]; ok {
			return moved
		}
		return address
	}
	instances := make(map[string]*Instance, len(s.Instances))
	for address, i := range s.Instances {
		instances[now(address)] = i.renamed(to)
	}
	replace(s.Instances, instances)
	rekey(s.Pending, now)
	rekey(s.Rejected, now)
}

// rekey gives the elements of a map new keys.
func rekey[V any](m map[string]V, now func(string) string) {
	moved := make(map[string]V, len(m))
	for address, v := range m {
		moved[now(address)] = v
	}
	replace(m, moved)
}

// replace replaces the content of a map, to which others may already refer.
func replace[V any](m, with map[string]V) {
	clear(m)
	maps.Copy(m, with)
}

// renamed returns the instance with new addresses in place of the old ones, or
// itself if it contains none of them.
func (i *Instance) renamed(to map[string]string) *Instance {
	out := i
	own := func() *Instance {
		if out == i {
			copied := *i
			out = &copied
			out.DependsOn = append([]string(nil), i.DependsOn...)
			out.Inputs = append([]action.InputRef(nil), i.Inputs...)
		}
		return out
	}
	if moved, ok := to[i.Address]; ok {
		own().Address = moved
	}
	for n, d := range i.DependsOn {
		if moved, ok := to[d]; ok {
			own().DependsOn[n] = moved
		}
	}
	for n, in := range i.Inputs {
		if moved, ok := to[in.Address]; ok {
			own().Inputs[n].Address = moved
		}
	}
	return out
}

// Addresses yields the addresses of the instances, and of those that wait for
// their first result or whose first result was rejected, in any order.
func (s *State) Addresses() iter.Seq[string] {
	return func(yield func(string) bool) {
		for address := range s.Instances {
			if !yield(address) {
				return
			}
		}
		for address := range s.Pending {
			if s.Instances[address] == nil && !yield(address) {
				return
			}
		}
		for address := range s.Rejected {
			if s.Instances[address] == nil && s.Pending[address] == nil && !yield(address) {
				return
			}
		}
	}
}
