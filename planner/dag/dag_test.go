package dag

import (
	"math/rand/v2"
	"reflect"
	"testing"
)

func TestLevelsComeAfterWhatTheyNeed(t *testing.T) {
	// 3 needs 1 and 2, which need 0; 4 needs nothing.
	g := Graph{nil, {0}, {0}, {1, 2, 2}, nil}
	if got, want := g.Levels(), [][]int{{0, 4}, {1, 2}, {3}}; !reflect.DeepEqual(got, want) {
		t.Errorf("Levels() = %v, want %v", got, want)
	}
	if c := g.Cycle(); c != nil {
		t.Errorf("Cycle() = %v in a graph without one", c)
	}
}

func TestACycleIsFoundAndLeftOutOfLevels(t *testing.T) {
	// 1 needs 3, 3 needs 2, 2 needs 1; 4 needs the cycle.
	g := Graph{nil, {0, 3}, {1}, {2}, {3}}
	if got, want := g.Cycle(), []int{1, 2, 3}; !reflect.DeepEqual(got, want) {
		t.Errorf("Cycle() = %v, want %v", got, want)
	}
	if got, want := g.Levels(), [][]int{{0}}; !reflect.DeepEqual(got, want) {
		t.Errorf("Levels() = %v, want %v", got, want)
	}
}

func TestAVertexThatNeedsItselfIsACycle(t *testing.T) {
	if got, want := (Graph{{0}}).Cycle(), []int{0}; !reflect.DeepEqual(got, want) {
		t.Errorf("Cycle() = %v, want %v", got, want)
	}
}

func TestNeedsReachesAllTheWayDown(t *testing.T) {
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
		cycle := g.Cycle()
		if (len(at) == len(g)) != (cycle == nil) {
			t.Fatalf("%v: %d of %d sorted, cycle %v", g, len(at), len(g), cycle)
		}
		for i, v := range cycle {
			user := cycle[(i+1)%len(cycle)]
			found := false
			for _, n := range g[user] {
				found = found || n == v
			}
			if !found {
				t.Fatalf("%v: cycle %v, but %d does not need %d", g, cycle, user, v)
			}
		}
	}
}
