// Package dag sorts things so that each comes after what it needs, and finds
// cycles.
//
// The vertices of a graph are the integers from 0 to n-1; what they mean is
// up to the caller. All results are deterministic: they depend only on the graph.
package dag

// Graph lists, by vertex, what each needs. Edges may appear twice.
type Graph [][]int

// Levels sorts the vertices: those that need nothing are level 0, each other
// is one above the highest that it needs. Within a level vertices ascend.
// Vertices that are in a cycle, or need one that is, are left out; Cycles
// finds them.
func (g Graph) Levels() [][]int {
	missing := make([]int, len(g)) // needs not yet placed
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

// Cycles returns cycles by their vertices, each needed by the one after it, the
// last by the first. A cycle begins with its least vertex. There are at most as
// many as edges, and with one edge of each taken out, none is left.
func (g Graph) Cycles() [][]int {
	const (
		unseen = iota
		open
		done
	)
	mark := make([]int, len(g))
	next := make([]int, len(g)) // the need to look at next
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

// cycleFrom cuts the cycle that closes at v out of a path in which each needs
// the next, turned so that each is needed by the next.
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

// Needs marks the roots and all that they need, at any distance.
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

// Reverse turns every edge around: who needs a vertex becomes what it needs.
func (g Graph) Reverse() Graph {
	out := make(Graph, len(g))
	for v, needs := range g {
		for _, n := range needs {
			out[n] = append(out[n], v)
		}
	}
	return out
}
