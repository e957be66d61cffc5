package runner_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/runner"
	"github.com/quern-dev/quern/runner/events"
)

func TestADeploymentThatFailsHalfwayIsRecorded(t *testing.T) {
	p := newPipeline(t)
	p.world.set("raw.txt", "alpha")
	p.world.onApply = func() error { return errors.New("lost the connection") }
	res := p.apply(lifecycle)
	if res.Status != runner.Failed || p.state.Instances["deploy.prod"] == nil {
		t.Fatalf("the run is %s, the state has %v", res.Status, p.state.Instances["deploy.prod"])
	}
	p.world.onApply = nil
	p.mustApply(lifecycle, destroy)
	if len(p.world.shelves) != 0 {
		t.Errorf("the shelves hold %v", p.world.shelves)
	}
}

func TestRowsThatFailEndTheStageUnlessTheyMay(t *testing.T) {
	p := newPipeline(t)
	p.world.set("raw.txt", "alpha", "beta", "bad")
	p.world.onMap = func(text string) error {
		if text == "bad" {
			return errors.New("cannot say that")
		}
		return nil
	}
	src := `
source "lines" "raw" {
  path = "raw.txt"
}
label "upper" "loud" {
  input = source.raw
  text  = row.text
}
transform "map" "errors" {
  input   = label.loud.errors
  columns = { again = "${row.row}: ${row.message}" }
}
`
	res := p.apply(src)
	if res.Status != runner.Failed || !strings.Contains(told(res), "row 2: cannot say that") {
		t.Fatalf("the run is %s: %s", res.Status, told(res))
	}
	p.edit = func(made *plan.Plan) {
		for _, n := range made.Nodes {
			n.MaxErrors = 1
		}
	}
	p.world.mapped.Store(0)
	p.mustApply(src)
	if n := p.world.mapped.Load(); n != 1 {
		t.Errorf("%d rows were tried again, one had failed", n)
	}
	p.wantColumn("label.loud", "", "loud", "ALPHA", "BETA", "<null>")
	p.wantColumn("transform.errors", "", "again", "2: cannot say that")
	p.world.onMap = nil
	p.world.mapped.Store(0)
	p.mustApply(src)
	if n := p.world.mapped.Load(); n != 1 {
		t.Errorf("%d rows were tried again, one had failed", n)
	}
	p.wantColumn("label.loud", "", "loud", "ALPHA", "BETA", "BAD")
}

func TestQuarantinedRowsAreCountedAndKept(t *testing.T) {
	p := newPipeline(t)
	p.world.set("raw.txt", "alpha", "!oops", "beta")
	res := p.mustApply(`
source "lines" "raw" {
  path = "raw.txt"
}
`)
	p.wantColumn("source.raw", "", "text", "alpha", "beta")
	p.wantColumn("source.raw", "quarantine", "origin", "raw.txt:2")
	if !strings.Contains(told(res), "1 row of source.raw could not be read, and 2 were") {
		t.Errorf("told: %s", told(res))
	}
}

func TestASourceThatChangesAfterThePlanIsRefused(t *testing.T) {
	p := newPipeline(t)
	p.world.set("raw.txt", "alpha")
	made := p.plan(lifecycle)
	p.world.set("raw.txt", "omega")
	res := p.carryOut(t.Context(), made)
	if res.Status != runner.Failed || !strings.Contains(told(res), "The source has changed") {
		t.Fatalf("the run is %s: %s", res.Status, told(res))
	}
	if entries := len(slices.Collect(keys(p))); entries != 0 {
		t.Errorf("%d actions were committed", entries)
	}
}

func keys(p *pipeline) func(func(string) bool) {
	return func(yield func(string) bool) {
		for e, err := range p.store.Actions.All() {
			if err != nil || !yield(e.Key) {
				return
			}
		}
	}
}

func TestRetriesMakeAnotherAttemptInTheSameWorkFolder(t *testing.T) {
	p := newPipeline(t)
	p.world.set("raw.txt", "alpha", "be")
	tries := 0
	p.world.onRun = func(_ context.Context, dir string) error {
		checkpoint := filepath.Join(dir, "checkpoint")
		if tries++; tries == 1 {
			if err := os.WriteFile(checkpoint, []byte("half"), 0o666); err != nil {
				return err
			}
			return errors.New("out of luck")
		}
		_, err := os.ReadFile(checkpoint)
		return err
	}
	src := `
source "lines" "raw" {
  path = "raw.txt"
}
transform "longest" "top" {
  input   = source.raw
  by      = row.text
  retries = 1
}
`
	p.mustApply(src)
	p.wantColumn("transform.top", "", "text", "alpha")
	if !slices.ContainsFunc(p.events, func(e events.Event) bool { return e.Type == events.StageRetried && e.Address == "transform.top" }) {
		t.Error("no event tells of the retry")
	}
	left, err := filepath.Glob(filepath.Join(p.store.Dir, "staging", "*"))
	if err != nil || len(left) != 0 {
		t.Errorf("work folders are left: %v %v", left, err)
	}
}

func TestATimeoutEndsAStage(t *testing.T) {
	p := newPipeline(t)
	p.world.set("raw.txt", "alpha")
	p.world.onRun = func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() }
	res := p.apply(`
source "lines" "raw" {
  path = "raw.txt"
}
transform "longest" "top" {
  input   = source.raw
  by      = row.text
  timeout = "50ms"
}
`)
	if res.Status != runner.Failed || !strings.Contains(told(res), "transform.top did not finish within 50ms") {
		t.Errorf("the run is %s: %s", res.Status, told(res))
	}
}

const stoppable = `
source "lines" "raw" {
  path = "raw.txt"
}
transform "longest" "top" {
  input = source.raw
  by    = row.text
}
label "upper" "top" {
  input = transform.top
  text  = row.text
}
`

func TestAGracefulStopInterruptsAndTheNextApplyContinues(t *testing.T) {
	p := newPipeline(t)
	p.world.set("raw.txt", "alpha")
	p.world.onRun = func(ctx context.Context, _ string) error {
		close(p.stop)
		<-ctx.Done()
		return ctx.Err()
	}
	res := p.apply(stoppable)
	if res.Status != runner.Interrupted {
		t.Fatalf("the run is %s: %s", res.Status, told(res))
	}
	p.want(res, map[string]string{"source.raw": "run", "transform.top": "interrupted", "label.top": "skipped"})
	p.stop, p.world.onRun = make(chan struct{}), nil
	res = p.mustApply(stoppable)
	p.want(res, map[string]string{"transform.top": "run", "label.top": "run"})
}

func TestCancelingEndsEverythingImmediately(t *testing.T) {
	p := newPipeline(t)
	p.world.set("raw.txt", "alpha")
	ctx, cancel := context.WithCancel(t.Context())
	p.world.onRun = func(ctx context.Context, _ string) error { cancel(); <-ctx.Done(); return ctx.Err() }
	res := p.carryOut(ctx, p.plan(stoppable))
	if res.Status != runner.Interrupted {
		t.Fatalf("the run is %s: %s", res.Status, told(res))
	}
	if p.state.Instances["source.raw"] == nil {
		t.Error("what was done is not in the state")
	}
}
