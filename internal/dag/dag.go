// Package dag sorts vertices so that each comes after what it needs, and finds
// cycles.
//
// The vertices of a graph are the integers from 0 to n-1. The caller decides
// what they mean. All results are deterministic: they depend only on the graph.
package dag

// Graph lists what each vertex needs. Edges may appear twice.
type Graph [][]int

// Levels sorts the vertices. Those that need nothing are in level 0, and each
// other one is in the level after the highest that it needs. Within a level,
// vertices ascend. Vertices that are in a cycle, or need one that is, are left
// out; Cycles finds them.
func (g Graph) Levels() [][]int {
	missing := make([]int, len(g)) // needs without a level
	needed := make([][]int, len(g))
	for v, needs := range g {
		missing[v] = len(needs)
		for _, n := range needs {
			needed[n] = append(needed[n], v)
		}
	}
	level := make([]int, len(g))
	var queue []int
	for v := range g {
		if missing[v] == 0 {
			queue = append(queue, v)
		}
	}
	placed := make([]bool, len(g))
	highest := -1
	for len(queue) > 0 {
		v := queue[0]
		queue = queue[1:]
		placed[v] = true
		highest = max(highest, level[v])
		for _, w := range needed[v] {
			level[w] = max(level[w], level[v]+1)
			if missing[w]--; missing[w] == 0 {
				queue = append(queue, w)
			}
		}
	}
	levels := make([][]int, highest+1)
	for v := range g {
		if placed[v] {
			levels[level[v]] = append(levels[level[v]], v)
		}
	}
	return levels
}

// Cycles returns cycles as lists of vertices, each needed by the next one, and
// the last by the first. A cycle begins with its smallest vertex. There are at
// most as many cycles as edges, and removing one edge from each leaves no
// cycle.
func (g Graph) Cycles() [][]int {
	const (
		unseen = iota
		open
		done
	)
	mark := make([]int, len(g))
	next := make([]int, len(g)) // the need to follow next
	var cycles [][]int
	for start := range g {
		if mark[start] != unseen {
			continue
		}
		path := []int{start}
		mark[start] = open
		for len(path) > 0 {
			v := path[len(path)-1]
			if next[v] == len(g[v]) {
				mark[v] = done
				path = path[:len(path)-1]
				continue
			}
			w := g[v][next[v]]
			next[v]++
			switch mark[w] {
			case unseen:
				mark[w] = open
				path = append(path, w)
			case open:
				cycles = append(cycles, cycleFrom(path, w))
			}
		}
	}
	return cycles
}

// cycleFrom extracts the cycle that closes at v from a path in which each
// vertex needs the next, reversed so that each is needed by the next.
func cycleFrom(path []int, v int) []int {
	for path[0] != v {
		path = path[1:]
	}
	least := 0
	for i := range path {
		if path[i] < path[least] {
			least = i
		}
	}
	cycle := make([]int, 0, len(path))
	for i := range path {
		cycle = append(cycle, path[(least-i+len(path))%len(path)])
	}
	return cycle
}

// Needs marks the roots and everything that they need, directly or indirectly.
func (g Graph) Needs(roots ...int) []bool {
	in := make([]bool, len(g))
	stack := append([]int(nil), roots...)
	for len(stack) > 0 {
		v := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if in[v] {
			continue
		}
		in[v] = true
		stack = append(stack, g[v]...)
	}
	return in
}

// Reverse reverses every edge.
func (g Graph) Reverse() Graph {
	out := make(Graph, len(g))
	for v, needs := range g {
		for _, n := range needs {
			out[n] = append(out[n], v)
		}
	}
	return out
}
