package runner_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/runner"
	"github.com/quern-dev/quern/runner/events"
)

// on returns the lifecycle pipeline with another place for its deployment.
func on(place string) string { return strings.Replace(lifecycle, `"front"`, `"`+place+`"`, 1) }

// tested is a gate that calls the deployment, and passes only on a place.
func tested(place string) string {
	return `
gate "served" {
  condition     = deploy.prod.place == "` + place + `"
  error_message = "It is on ${deploy.prod.place}."
}
`
}

// withLifecycle adds a lifecycle block to the deployment.
func withLifecycle(src, line string) string {
	return strings.Replace(src, "depends_on = [gate.good]\n", "depends_on = [gate.good]\n  lifecycle {\n    "+line+"\n  }\n", 1)
}

// deployedOn returns a pipeline with a deployment on the front shelf.
func deployedOn(t *testing.T) *pipeline {
	p := newPipeline(t)
	p.world.set("raw.txt", "alpha")
	p.mustApply(lifecycle)
	p.world.changes = nil
	return p
}

// wantChanges compares how the shelves changed since the last time.
func (p *pipeline) wantChanges(want ...string) {
	p.t.Helper()
	if !slices.Equal(p.world.changes, want) {
		p.t.Errorf("the shelves changed as %q, want %q", p.world.changes, want)
	}
	p.world.changes = nil
}

// wantShelves compares the shelves with something on them, and the state with them.
func (p *pipeline) wantShelves(want map[string]string) {
	p.t.Helper()
	if got := slices.Sorted(maps.Keys(p.world.shelves)); !slices.Equal(got, slices.Sorted(maps.Values(want))) {
		p.t.Errorf("the shelves with something on them are %q, want %q", got, want)
	}
	got := map[string]string{}
	for address, i := range p.state.Instances {
		if i.Deployment != nil {
			got[address] = string(i.Deployment.Private)
		}
	}
	if !maps.Equal(got, want) {
		p.t.Errorf("the state has %q, want %q", got, want)
	}
}

const prod, old = "deploy.prod", "deploy.prod.deposed[1]"

func TestAReplacementCreatesTheNewDeploymentFirst(t *testing.T) {
	p := deployedOn(t)
	res := p.mustApply(on("back") + tested("back"))
	p.wantChanges("put on back", "take from front")
	p.wantShelves(map[string]string{prod: "back"})
	got := actions(res)
	if got[prod] != "replace" || got[old] != "delete" {
		t.Errorf("the run did %v", got)
	}
	var done []string
	for _, e := range p.events {
		if e.Type == events.StageDone {
			done = append(done, e.Address)
		}
	}
	if last := done[len(done)-1]; last != old {
		t.Errorf("the last stage was %s, not the deletion of the old deployment", last)
	}
}

func TestTheOldDeploymentStaysUntilGatesPass(t *testing.T) {
	p := deployedOn(t)
	for range 2 {
		if res := p.apply(on("back") + tested("cellar")); res.Status != runner.Failed {
			t.Fatalf("the run is %s", res.Status)
		}
		p.wantShelves(map[string]string{prod: "back", old: "front"})
	}
	p.wantChanges("put on back")
	p.mustApply(on("back") + tested("back"))
	p.wantChanges("take from front")
	p.wantShelves(map[string]string{prod: "back"})
}

func TestTheOldDeploymentStaysWhenTheNewOneFails(t *testing.T) {
	p := deployedOn(t)
	p.world.onApply = func() error { return errors.New("half of it is there") }
	if res := p.apply(on("back")); res.Status != runner.Failed {
		t.Fatalf("the run is %s", res.Status)
	}
	p.wantShelves(map[string]string{prod: "back", old: "front"})
	p.wantChanges("put on back")

	// The configuration from before is what still exists.
	p.world.onApply = nil
	p.mustApply(lifecycle)
	p.wantShelves(map[string]string{prod: "front"})
	if slices.Contains(p.world.changes, "take from front") {
		t.Errorf("the deployment that served was deleted: %q", p.world.changes)
	}
}

func TestAnAttemptAfterAFailedReplacementUpdatesTheNewDeployment(t *testing.T) {
	p := deployedOn(t)
	p.world.onApply = func() error { return errors.New("half of it is there") }
	p.apply(on("back"))
	p.world.onApply, p.world.changes = nil, nil
	p.mustApply(on("back"))
	p.wantChanges("take from front") // the plugin finds nothing to complete
	p.wantShelves(map[string]string{prod: "back"})
}

func TestARetriedReplacementKeepsTheOldDeploymentInTheState(t *testing.T) {
	p := deployedOn(t)
	p.world.onApply = func() error { return errors.New("half of it is there") }
	p.mustApply(strings.Replace(on("back"), "depends_on = [gate.good]\n", "depends_on = [gate.good]\n  retries = 1\n", 1))
	p.wantChanges("put on back", "take from front")
	p.wantShelves(map[string]string{prod: "back"})
}

func TestTheOrderOfAReplacementCanBeChosen(t *testing.T) {
	p := deployedOn(t)
	p.mustApply(withLifecycle(on("back"), "create_before_destroy = false"))
	p.wantChanges("take from front", "put on back")
	p.wantShelves(map[string]string{prod: "back"})
}

func TestADeploymentThatIsReplacedInPlaceIsDeletedFirst(t *testing.T) {
	p := deployedOn(t)
	p.mustApply(lifecycle, replace(prod))
	p.wantChanges("take from front", "put on front")
	p.wantShelves(map[string]string{prod: "front"})
}

func TestDestroyDeletesReplacedDeployments(t *testing.T) {
	p := deployedOn(t)
	p.apply(on("back") + tested("cellar"))
	p.mustApply(on("back"), destroy)
	p.wantShelves(map[string]string{})
}

func TestAReplacementThatOnlyTheRunFindsKeepsTheOldDeploymentUntilTheNewOneExists(t *testing.T) {
	p := deployedOn(t)
	src := strings.Replace(lifecycle, `"front"`, `evaluate.model.accuracy["model"] > 0 ? "back" : "front"`, 1)
	p.world.set("raw.txt", "alpha", "beta")
	if n := p.plan(src).Nodes; !slices.ContainsFunc(n, func(n *plan.Node) bool { return n.Address == prod && n.Action == plan.MayRun }) {
		t.Fatal("the plan knows what happens to the deployment")
	}
	p.mustApply(src)
	p.wantChanges("put on back", "take from front")
	p.wantShelves(map[string]string{prod: "back"})
}
