package dag

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
)

func TestLevelsComeAfterTheirDependencies(t *testing.T) {
	// 3 needs 1 and 2, which need 0; 4 needs nothing.
	g := Graph{nil, {0}, {0}, {1, 2, 2}, nil}
	if got, want := g.Levels(), [][]int{{0, 4}, {1, 2}, {3}}; !reflect.DeepEqual(got, want) {
		t.Errorf("Levels() = %v, want %v", got, want)
	}
	if c := g.Cycles(); c != nil {
		t.Errorf("Cycles() = %v in a graph without one", c)
	}
}

func TestACycleIsFoundAndLeftOutOfLevels(t *testing.T) {
	// 1 needs 3, 3 needs 2, 2 needs 1; 4 needs the cycle.
	g := Graph{nil, {0, 3}, {1}, {2}, {3}}
	if got, want := g.Cycles(), [][]int{{1, 2, 3}}; !reflect.DeepEqual(got, want) {
		t.Errorf("Cycles() = %v, want %v", got, want)
	}
	if got, want := g.Levels(), [][]int{{0}}; !reflect.DeepEqual(got, want) {
		t.Errorf("Levels() = %v, want %v", got, want)
	}
}

func TestAVertexThatNeedsItselfIsACycle(t *testing.T) {
	if got, want := (Graph{{0}}).Cycles(), [][]int{{0}}; !reflect.DeepEqual(got, want) {
		t.Errorf("Cycles() = %v, want %v", got, want)
	}
}

func TestNeedsIsTransitive(t *testing.T) {
	g := Graph{nil, {0}, {1}, nil}
	if got, want := g.Needs(2), []bool{true, true, true, false}; !reflect.DeepEqual(got, want) {
		t.Errorf("Needs(2) = %v, want %v", got, want)
	}
	if got, want := g.Reverse().Needs(0), []bool{true, true, true, false}; !reflect.DeepEqual(got, want) {
		t.Errorf("who needs 0: %v, want %v", got, want)
	}
}

func TestAnyGraphIsEitherWhollySortedOrHasACycle(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		g := make(Graph, 1+r.IntN(8))
		for range r.IntN(12) {
			v := r.IntN(len(g))
			g[v] = append(g[v], r.IntN(len(g)))
		}
		at := map[int]int{}
		for l, level := range g.Levels() {
			for _, v := range level {
				at[v] = l
			}
		}
		for v, l := range at {
			for _, n := range g[v] {
				if m, ok := at[n]; !ok || m >= l {
					t.Fatalf("%v: %d on level %d needs %d on level %d (%v)", g, v, l, n, m, ok)
				}
			}
		}
		cycles := g.Cycles()
		if (len(at) == len(g)) != (len(cycles) == 0) {
			t.Fatalf("%v: %d of %d sorted, cycles %v", g, len(at), len(g), cycles)
		}
		for _, cycle := range cycles {
			checkCycle(t, g, cycle)
		}
	}
}

func TestEveryCycleIsFound(t *testing.T) {
	for _, c := range []struct {
		g    Graph
		want [][]int
	}{
		{Graph{{1}, {0}, {3}, {2}, nil}, [][]int{{0, 1}, {2, 3}}}, // apart
		{Graph{{1, 2}, {0}, {0}}, [][]int{{0, 1}, {0, 2}}},        // with a vertex in common
	} {
		if got := c.g.Cycles(); !reflect.DeepEqual(got, c.want) {
			t.Errorf("Cycles() of %v = %v, want %v", c.g, got, c.want)
		}
	}
}

func checkCycle(t *testing.T, g Graph, cycle []int) {
	t.Helper()
	for i, v := range cycle {
		if user := cycle[(i+1)%len(cycle)]; !slices.Contains(g[user], v) {
			t.Fatalf("%v: cycle %v, but %d does not need %d", g, cycle, user, v)
		}
	}
}
