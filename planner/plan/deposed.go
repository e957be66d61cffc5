package plan

import (
	"slices"
	"strings"

	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/store/state"
)

// Deposed returns the deployments of an instance that others have replaced and that
// still exist, in the order of their numbers. Each is an instance of its own, at an
// address with a number.
func Deposed(instances map[string]*state.Instance, of addr.Instance) []addr.Instance {
	prefix := of.Current().String() + "."
	var found []addr.Instance
	for address := range instances {
		if !strings.HasPrefix(address, prefix) {
			continue
		}
		if a, err := addr.Parse(address); err == nil && a.Deposed > 0 {
			found = append(found, a)
		}
	}
	slices.SortFunc(found, func(a, b addr.Instance) int { return a.Deposed - b.Deposed })
	return found
}

// NextDeposed returns the address at which an instance's deployment is kept when
// another one replaces it.
func NextDeposed(instances map[string]*state.Instance, of addr.Instance) addr.Instance {
	next := of
	for next.Deposed = 1; instances[next.String()] != nil; {
		next.Deposed++
	}
	return next
}
