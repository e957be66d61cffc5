package runner_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/runner"
	"github.com/quern-dev/quern/runner/events"
	"github.com/quern-dev/quern/store/artifact"
)

// lifecycle has a stage of each kind.
const lifecycle = `
variable "least" {
  type    = number
  default = 0.9
}
source "lines" "raw" {
  path = "raw.txt"
}
transform "map" "named" {
  input   = source.raw
  columns = { key = "${row.text}-${row.id}", letter = substr(row.text, 0, 1) }
}
label "upper" "loud" {
  input = transform.named
  text  = row.text
}
train "first" "model" {
  dataset = label.loud
  text    = lower(row.text)
}
evaluate "score" "model" {
  dataset  = label.loud
  subjects = { model = train.model, letter = row.letter, loud = row.loud }
  target   = row.letter
}
gate "good" {
  condition     = evaluate.model.accuracy["model"] >= var.least
  error_message = "The accuracy is ${evaluate.model.accuracy["model"]}."
}
deploy "shelf" "prod" {
  artifact   = train.model
  place      = "front"
  depends_on = [gate.good]
}
output "accuracy" {
  value = evaluate.model.accuracy
}
output "place" {
  value = deploy.prod.place
}
`

func TestALifecycleRunsFromSourceToDeployment(t *testing.T) {
	p := newPipeline(t)
	p.world.set("raw.txt", "alpha", "beta", "alps")
	res := p.mustApply(lifecycle)
	p.want(res, map[string]string{
		"source.raw": "run", "transform.named": "run", "label.loud": "run", "train.model": "run",
		"evaluate.model": "run", "gate.good": "check", "deploy.prod": "create",
	})
	p.wantColumn("transform.named", "", "key", "alpha-0", "beta-1", "alps-2")
	p.wantColumn("label.loud", "", "loud", "ALPHA", "BETA", "ALPS")
	value, err := p.state.Instances["evaluate.model"].Value.Get()
	if err != nil {
		t.Fatal(err)
	}
	if got := value.GetAttr("accuracy").AsValueMap(); fmt.Sprint(got["model"].AsBigFloat(), got["letter"].AsBigFloat(), got["loud"].AsBigFloat()) != "1 1 0" {
		t.Errorf("the accuracy is %#v", value)
	}
	figures, err := p.state.Instances["label.loud"].Value.Get()
	if err != nil {
		t.Fatal(err)
	}
	if n, _ := figures.GetAttr("counts").AsValueMap()["loud"].AsValueMap()["BETA"].AsBigFloat().Int64(); n != 1 {
		t.Errorf("the figures of label.loud are %#v", figures)
	}
	if gate := p.state.Instances["gate.good"]; gate.Definition == "" || gate.ActionKey != gate.Definition || gate.Preimage.IsZero() {
		t.Errorf("the gate that was checked is in the state as %+v", gate)
	}
	if rows := p.stage(res, "evaluate.model").Rows; rows != 3 {
		t.Errorf("the evaluation is said to be about %d rows", rows)
	}
	model := p.state.Instances["train.model"].Outputs[""]
	if p.world.shelves["front"] != model.Digest {
		t.Errorf("on the shelf is %v, the model is %s", p.world.shelves, model.Digest)
	}
	if got := p.state.Outputs["place"].Value.Value.AsString(); got != "front" {
		t.Errorf("output place is %q", got)
	}
}

func TestASecondApplyDoesNothing(t *testing.T) {
	p := newPipeline(t)
	p.world.set("raw.txt", "alpha", "beta")
	p.mustApply(lifecycle)
	serial := p.state.Serial
	again := p.plan(lifecycle)
	for _, n := range again.Nodes {
		if n.Action != plan.Keep {
			t.Errorf("the plan is to %s %s: %v", n.Action, n.Address, n.Reasons)
		}
	}
	res := p.carryOut(t.Context(), again)
	p.want(res, map[string]string{})
	if p.state.Serial != serial {
		t.Error("the state was written though nothing changed")
	}
}

func TestOnlyNewRowsReachTheLabelerAndUnchangedOutputsStopTheRun(t *testing.T) {
	p := newPipeline(t)
	p.world.set("raw.txt", "alpha", "beta")
	p.mustApply(lifecycle)
	p.world.mapped.Store(0)
	p.world.set("raw.txt", "alpha", "beta", "bravo")
	res := p.mustApply(lifecycle)
	if n := p.world.mapped.Load(); n != 1 {
		t.Errorf("%d rows reached the labeler", n)
	}
	if s := p.stage(res, "label.loud"); s.NewRows != 1 || s.ReusedRows != 2 {
		t.Errorf("%d new, %d reused rows", s.NewRows, s.ReusedRows)
	}
	// The model comes out as it was, so the deployment is kept.
	if got := actions(res)["deploy.prod"]; got != "keep" {
		t.Errorf("the deployment was %q", got)
	}
	if p.world.taken("apply") != 1 {
		t.Error("the deployment was applied again")
	}
}

func TestAGateThatFailsKeepsTheOldDeployment(t *testing.T) {
	p := newPipeline(t)
	p.world.set("raw.txt", "alpha", "beta")
	p.mustApply(lifecycle)
	before := p.world.shelves["front"]
	p.world.set("raw.txt", "alpha", "gamma")
	p.vars = []string{"least=1.5"}
	res := p.apply(lifecycle)
	if res.Status != runner.Failed {
		t.Fatalf("the run is %s", res.Status)
	}
	got := actions(res)
	if got["gate.good"] != "failed" || got["deploy.prod"] != "skipped" || got["train.model"] != "run" {
		t.Errorf("got %v", got)
	}
	if !slices.Equal(p.stage(res, "deploy.prod").Because, []string{"gate.good"}) {
		t.Errorf("skipped because of %v", p.stage(res, "deploy.prod").Because)
	}
	if !strings.Contains(told(res), "The accuracy is 1.") {
		t.Errorf("told: %s", told(res))
	}
	if p.world.shelves["front"] != before || p.state.Instances["deploy.prod"] == nil {
		t.Error("the old deployment is gone")
	}
}

func TestAFailureStopsOnlyItsBranch(t *testing.T) {
	p := newPipeline(t)
	p.world.set("raw.txt", "alpha", "beta")
	p.world.onRun = func(context.Context, string) error { return errors.New("out of luck\nTry again tomorrow.") }
	src := lifecycle + `
transform "longest" "top" {
  input = source.raw
  by    = row.text
}
label "upper" "top" {
  input = transform.top
  text  = row.text
}
output "top" {
  value = transform.top.length
}
`
	res := p.apply(src)
	got := actions(res)
	if got["transform.top"] != "failed" || got["label.top"] != "skipped" || got["deploy.prod"] != "create" {
		t.Errorf("got %v", got)
	}
	failed := p.stage(res, "transform.top").Diagnostics
	if len(failed) != 1 || failed[0].Summary != "Out of luck" || failed[0].Subject == nil || diag.Address(failed[0]) != "transform.top" {
		t.Errorf("told: %v", failed)
	}
	if _, ok := res.Outputs["top"]; ok {
		t.Error("an output of what failed was set")
	}
	p.world.onRun = nil
	res = p.mustApply(src)
	p.want(res, map[string]string{"transform.top": "run", "label.top": "run"})
	p.wantColumn("label.top", "", "top", "ALPHA")
}

func TestAChangedArgumentRunsOnlyAffectedStages(t *testing.T) {
	p := newPipeline(t)
	p.world.set("raw.txt", "alpha", "beta")
	p.mustApply(lifecycle)
	res := p.mustApply(strings.Replace(lifecycle, "text  = row.text\n", "text  = row.text\n  mark = \"!\"\n", 1))
	got := actions(res)
	// The trainer does not read the label: it is kept, and so is the rest.
	if got["label.loud"] != "run" || got["train.model"] == "run" || got["evaluate.model"] != "run" {
		t.Errorf("got %v", got)
	}
	p.wantColumn("label.loud", "", "loud", "ALPHA!", "BETA!")
	// And back: everything is in the store.
	p.world.taken("score")
	p.world.mapped.Store(0)
	p.mustApply(lifecycle)
	if p.world.mapped.Load() != 0 || p.world.taken("score") != 0 {
		t.Error("what was known was computed again")
	}
	p.wantColumn("label.loud", "", "loud", "ALPHA", "BETA")
}

func TestReplaceComputesAgain(t *testing.T) {
	p := newPipeline(t)
	p.world.set("raw.txt", "alpha", "beta")
	p.mustApply(lifecycle)
	p.world.mapped.Store(0)
	res := p.mustApply(lifecycle, replace("label.loud"))
	if p.world.mapped.Load() != 2 || actions(res)["label.loud"] != "run" {
		t.Errorf("%d rows were mapped; %v", p.world.mapped.Load(), actions(res))
	}
	res = p.mustApply(lifecycle, replace("deploy.prod"))
	if actions(res)["deploy.prod"] != "replace" || p.world.taken("delete") != 1 {
		t.Errorf("got %v", actions(res))
	}
}

func TestAMovedDeploymentIsReplacedAndARemovedOneDeleted(t *testing.T) {
	p := newPipeline(t)
	p.world.set("raw.txt", "alpha")
	p.mustApply(lifecycle)
	res := p.mustApply(strings.Replace(lifecycle, `"front"`, `"back"`, 1))
	if actions(res)["deploy.prod"] != "replace" {
		t.Errorf("got %v", actions(res))
	}
	if _, old := p.world.shelves["front"]; old || p.world.shelves["back"] == "" {
		t.Errorf("the shelves hold %v", p.world.shelves)
	}
	at := strings.Index(lifecycle, "deploy \"shelf\"")
	res = p.mustApply(lifecycle[:at])
	if actions(res)["deploy.prod"] != "delete" || len(p.world.shelves) != 0 || p.state.Instances["deploy.prod"] != nil {
		t.Errorf("got %v, the shelves hold %v", actions(res), p.world.shelves)
	}
	if p.state.Outputs["place"] != nil {
		t.Error("an output that is gone is still in the state")
	}
}

func TestDestroyUndeploysAndForgets(t *testing.T) {
	p := newPipeline(t)
	p.world.set("raw.txt", "alpha")
	p.mustApply(lifecycle)
	res := p.mustApply(lifecycle, destroy)
	if actions(res)["deploy.prod"] != "delete" || actions(res)["train.model"] != "forget" {
		t.Errorf("got %v", actions(res))
	}
	if len(p.state.Instances) != 0 || len(p.world.shelves) != 0 {
		t.Errorf("the state holds %v, the shelves %v", p.state.Instances, p.world.shelves)
	}
	p.world.taken("train")
	if got := actions(p.mustApply(lifecycle)); got["train.model"] != "reuse" || p.world.taken("train") != 0 {
		t.Errorf("after a destroy the store is not made use of: %v", got)
	}
}

func TestMissingFilesAreRecomputed(t *testing.T) {
	p := newPipeline(t)
	p.world.set("raw.txt", "alpha", "beta")
	p.mustApply(lifecycle)
	a, err := artifact.Get(p.store.Blobs, p.state.Instances["label.loud"].Outputs[""])
	if err != nil {
		t.Fatal(err)
	}
	c, _ := a.Dataset.Shards[0].Column("loud")
	if err := p.store.Blobs.Remove(a.Dataset.Shards[0].Groups[c.Group].Blob); err != nil {
		t.Fatal(err)
	}
	res := p.mustApply(lifecycle)
	if actions(res)["label.loud"] != "run" {
		t.Errorf("got %v", actions(res))
	}
	p.wantColumn("label.loud", "", "loud", "ALPHA", "BETA")
}

func TestEqualStagesAreComputedOnce(t *testing.T) {
	p := newPipeline(t)
	p.world.set("raw.txt", "alpha", "beta")
	res := p.mustApply(`
source "lines" "raw" {
  path = "raw.txt"
}
transform "longest" "top" {
  for_each = toset(["a", "b", "c"])
  input    = source.raw
  by       = row.text
}
output "lengths" {
  value = [for t in values(transform.top) : t.length]
}
`)
	if n := p.world.taken("longest"); n != 1 {
		t.Errorf("it was computed %d times", n)
	}
	if got := res.Outputs["lengths"].LengthInt(); got != 3 {
		t.Errorf("output lengths has %d elements", got)
	}
}

func TestSecretsReachStagesAndNothingElse(t *testing.T) {
	p := newPipeline(t)
	p.world.set("raw.txt", "alpha")
	p.vars = []string{"token=hush"}
	res := p.mustApply(`
variable "token" {
  type      = string
  sensitive = true
}
source "lines" "raw" {
  path = "raw.txt"
}
transform "map" "named" {
  input   = source.raw
  columns = { key = sha256("${row.text}-${var.token}") }
}
output "token" {
  value     = "${var.token}!"
  sensitive = true
}
`)
	p.wantColumn("transform.named", "", "key", "908682b1b57a3bb06d390c3b58ea598634698a33de51cdfba33a85c7b177395f") // of alpha-hush
	for _, e := range p.events {
		if strings.Contains(fmt.Sprintf("%+v", e.Output), "hush") {
			t.Errorf("an event tells the secret: %+v", e)
		}
	}
	if o := p.state.Outputs["token"]; o == nil || o.Value != nil || !o.Sensitive {
		t.Errorf("the state holds %+v", o)
	}
	if v, _ := res.Outputs["token"].Unmark(); v.AsString() != "hush!" {
		t.Errorf("the output is %#v", res.Outputs["token"])
	}
}

func TestPostconditionsKeepAResultOutOfTheState(t *testing.T) {
	p := newPipeline(t)
	p.world.set("raw.txt", "alpha")
	src := `
source "lines" "raw" {
  path = "raw.txt"
  lifecycle {
    postcondition {
      condition     = self.rows > 1
      error_message = "There are but ${self.rows} rows."
    }
  }
}
`
	res := p.apply(src)
	if res.Status != runner.Failed || !strings.Contains(told(res), "There are but 1 rows.") {
		t.Fatalf("the run is %s: %s", res.Status, told(res))
	}
	if p.state.Instances["source.raw"] != nil {
		t.Error("the result got into the state")
	}
}

func TestEventsOfAStageComeInOrderAndEnd(t *testing.T) {
	p := newPipeline(t)
	p.world.set("raw.txt", "alpha")
	p.mustApply(lifecycle)
	open := map[string]bool{}
	for i, e := range p.events {
		switch e.Type {
		case events.RunStarted:
			if i != 0 || e.Run.Stages != 7 {
				t.Errorf("event %d: %+v", i, e.Run)
			}
		case events.StageStarted:
			open[e.Address] = true
		case events.StageDone, events.StageFailed, events.StageInterrupted:
			if !open[e.Address] {
				t.Errorf("%s ended and had not begun", e.Address)
			}
			delete(open, e.Address)
		case events.RunDone:
			if i != len(p.events)-1 || e.Summary.Status != "done" {
				t.Errorf("event %d of %d: %+v", i, len(p.events), e.Summary)
			}
		}
	}
	if len(open) > 0 {
		t.Errorf("these never ended: %v", open)
	}
}
