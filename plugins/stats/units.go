package stats

import "slices"

// units contains the independent parts of the observations: clusters, numbered
// without gaps in the order of their first occurrence, or single observations.
type units struct {
	// The members of unit u are members[starts[u]:starts[u+1]], in order.
	members []int
	starts  []int
	// of contains the unit of each observation.
	of []int
	// single says that each observation is a unit.
	single bool
}

func newUnits(n int, clusters []int) *units {
	if clusters == nil {
		u := &units{members: make([]int, n), starts: make([]int, n+1), single: true}
		for i := range n {
			u.members[i], u.starts[i+1] = i, i+1
		}
		u.of = u.members
		return u
	}
	of := Clusters(clusters)
	count := 0
	if n > 0 {
		count = slices.Max(of) + 1
	}
	u := &units{members: make([]int, n), starts: make([]int, count+1), of: of, single: count == n}
	for _, c := range of {
		u.starts[c+1]++
	}
	for c := range count {
		u.starts[c+1] += u.starts[c]
	}
	next := slices.Clone(u.starts[:count])
	for i, c := range of {
		u.members[next[c]] = i
		next[c]++
	}
	return u
}

func (u *units) count() int { return len(u.starts) - 1 }

func (u *units) rows(unit int) []int { return u.members[u.starts[unit]:u.starts[unit+1]] }
