// Package ordered puts the keys of maps into an order, so that results do not
// depend on the order in which Go visits a map.
package ordered

import (
	"cmp"
	"slices"
)

// Keys returns the keys of a map, sorted, or nil if it has none. Unlike
// slices.Sorted(maps.Keys(m)), it allocates once.
func Keys[K cmp.Ordered, V any](m map[K]V) []K {
	if len(m) == 0 {
		return nil
	}
	keys := make([]K, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
