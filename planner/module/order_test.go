package module

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/quern-dev/quern/internal/dag"
	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/planner/diagnostics"
	"github.com/quern-dev/quern/planner/schema"
	"github.com/quern-dev/quern/planner/secrets"
)

func TestAVertexIsNeededUntilTheLastLevelThatRefersToIt(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 0))
		g := make(dag.Graph, 1+r.IntN(20))
		for i := range g {
			for j := range i {
				if r.IntN(4) == 0 {
					g[i] = append(g[i], j)
				}
			}
		}
		levels := g.Levels()
		last := lastNeeded(g, levels)
		for i := range g {
			want := -1
			for level, indices := range levels {
				if slices.ContainsFunc(indices, func(j int) bool { return slices.Contains(g[j], i) }) {
					want = level
				}
			}
			if last[i] != want {
				t.Fatalf("seed %d: %d is needed until level %d, not %d, of %v", seed, i, want, last[i], levels)
			}
		}
	}
}

func TestALevelDropsWhatLaterLevelsDoNotSee(t *testing.T) {
	c, diags := config.Parse("main.quern.hcl", []byte(`
source "x" "a" {}
transform "x" "near" { input = source.a }
transform "x" "far" { input = [source.a, transform.near] }
`))
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	all := secrets.New(nil, nil)
	tree := NewTree(c, Settings{}, all, diagnostics.New(c, all.Redactor))
	tree.Declare(func(*config.Stage, string) (*schema.Type, bool) { return nil, true })
	levels := tree.Order(nil, nil)
	if len(levels) != 3 {
		t.Fatalf("%d levels", len(levels))
	}
	a, near := tree.Root.stages[0], tree.Root.stages[1]
	for i, want := range [][2]bool{{true, false}, {true, true}, {false, false}} {
		levels[i].Enter(nil)
		for _, s := range levels[i].Stages {
			s.Name(Single, []string{s.Addr.String()})
			s.Publish(nil)
			tree.Root.value(s, false)
		}
		levels[i].Leave()
		if got := [2]bool{seen(a), seen(near)}; got != want {
			t.Errorf("after level %d: source.a and transform.near are seen: %v, want %v", i, got, want)
		}
	}
}

func seen(s *Stage) bool { return s.seen[0].Load() != nil }
