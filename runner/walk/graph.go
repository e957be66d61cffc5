package walk

import (
	"fmt"
	"slices"

	"github.com/quern-dev/quern/internal/dag"
)

type node struct {
	task       Task
	dependents []*node
	waiting    int     // needs that are not done
	priority   float64 // seconds of the longest path from here to an end
	order      int     // place in the caller's list, which breaks ties
}

type graph struct{ nodes []*node }

func newGraph(tasks []Task) (*graph, error) {
	g := &graph{nodes: make([]*node, len(tasks))}
	byID := make(map[string]*node, len(tasks))
	for i, t := range tasks {
		if byID[t.ID] != nil {
			return nil, fmt.Errorf("two tasks are called %s", t.ID)
		}
		g.nodes[i] = &node{task: t, order: i}
		byID[t.ID] = g.nodes[i]
	}
	needs := make(dag.Graph, len(tasks))
	for i, n := range g.nodes {
		n.task.Needs = slices.Compact(slices.Sorted(slices.Values(n.task.Needs)))
		for _, id := range n.task.Needs {
			if need := byID[id]; need != nil {
				need.dependents = append(need.dependents, n)
				n.waiting++
				needs[i] = append(needs[i], need.order)
			}
		}
	}
	return g, g.prioritize(needs)
}

// prioritize gives each node the length of the longest path that starts with
// it, working backward from the ends.
func (g *graph) prioritize(needs dag.Graph) error {
	if cycles := needs.Cycles(); len(cycles) > 0 {
		return fmt.Errorf("%s depends on itself", g.nodes[cycles[0][0]].task.ID)
	}
	for _, level := range slices.Backward(needs.Levels()) {
		for _, i := range level {
			n := g.nodes[i]
			for _, d := range n.dependents {
				n.priority = max(n.priority, d.priority)
			}
			n.priority += seconds(n.task)
		}
	}
	return nil
}

func seconds(t Task) float64 {
	if t.Seconds <= 0 {
		return 1
	}
	return t.Seconds
}

// queue contains ready nodes, those with the longest path first.
type queue struct{ nodes []*node }

func (q *queue) empty() bool { return len(q.nodes) == 0 }

func (q *queue) push(n *node) {
	at, _ := slices.BinarySearchFunc(q.nodes, n, before)
	q.nodes = slices.Insert(q.nodes, at, n)
}

func before(a, b *node) int {
	switch {
	case a.priority > b.priority:
		return -1
	case a.priority < b.priority:
		return 1
	}
	return a.order - b.order
}

// each offers the nodes in order and removes those that are taken. It stops
// when there is no more room for any.
func (q *queue) each(take func(*node) (taken, more bool)) {
	kept := q.nodes[:0]
	for i, n := range q.nodes {
		taken, more := take(n)
		if !taken {
			kept = append(kept, n)
		}
		if !more {
			kept = append(kept, q.nodes[i+1:]...)
			break
		}
	}
	clear(q.nodes[len(kept):])
	q.nodes = kept
}
