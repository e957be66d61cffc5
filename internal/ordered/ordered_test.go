package ordered

import (
	"slices"
	"testing"
)

func TestKeysAreSortedInOneAllocation(t *testing.T) {
	m := map[string]int{}
	for _, key := range []string{"e", "b", "d", "a", "c", "f", "i", "h", "g"} {
		m[key] = len(m)
	}
	if got, want := Keys(m), []string{"a", "b", "c", "d", "e", "f", "g", "h", "i"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := Keys(map[int]bool{}); got != nil {
		t.Errorf("an empty map has the keys %#v", got)
	}
	if n := testing.AllocsPerRun(100, func() { Keys(m) }); n > 1 {
		t.Errorf("%.0f allocations", n)
	}
}
