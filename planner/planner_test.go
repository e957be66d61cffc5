package planner_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/planner"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// lifecycle is a whole pipeline.
const lifecycle = `
source "lines" "tickets" {
  path = "a.txt"
}

locals {
  least = 10
}

transform "ask" "clean" {
  inputs = { tickets = source.tickets }
  query  = "select distinct text, class from tickets where length(text) > ${local.least}"
}

label "rules" "intent" {
  input = transform.clean
  rule "short" {
    when  = length(row.text) < 20
    label = "short"
  }
  rule "other" {
    when  = true
    label = upper(row.class)
  }
}

transform "part" "parts" {
  input  = label.intent
  by     = row.text
  shares = { train = 0.9, test = 0.1 }
}

train "toy" "student" {
  dataset = transform.parts.train
  text    = lower(row.text)
  target  = row.intent
}

evaluate "score" "student" {
  dataset  = transform.parts.test
  subjects = { student = train.student, teacher = row.intent }
  target   = row.class
}

gate "ship" {
  condition     = evaluate.student.accuracy["student"] > 0.85
  error_message = "The accuracy is ${evaluate.student.accuracy["student"]}, which is not enough."
}

deploy "shelf" "prod" {
  artifact   = train.student
  place      = "left"
  depends_on = [gate.ship]
}

output "accuracy" {
  value = evaluate.student.accuracy
}

output "place" {
  value = deploy.prod.place
}
`

func TestALifecycleRunsOnceAndIsThenKept(t *testing.T) {
	p := newPipeline(t)
	first := p.apply(lifecycle)
	want := map[string]plan.Action{
		"source.tickets": plan.Run, "transform.clean": plan.Run, "label.intent": plan.Run, "transform.parts": plan.Run,
		"train.student": plan.Run, "evaluate.student": plan.Run, "gate.ship": plan.Check, "deploy.prod": plan.Create,
	}
	for address, action := range actions(first) {
		if action != want[address] {
			t.Errorf("first plan: %s is %q, want %q", address, action, want[address])
		}
	}
	second := p.mustPlan(lifecycle)
	for _, n := range second.Nodes {
		if n.Action != plan.Keep {
			t.Errorf("second plan: %s is %q: %+v", n.Address, n.Action, n.Reasons)
		}
	}
	if second.HasChanges() {
		t.Errorf("the second plan has changes: outputs %+v %+v", second.Outputs[0], second.Outputs[1])
	}
}

func TestAChangeThatProducesTheSameBytesRunsNothingDownstream(t *testing.T) {
	p := newPipeline(t)
	p.unchanging["transform.clean"] = true
	p.apply(lifecycle)
	changed := strings.Replace(lifecycle, "select distinct", "select  distinct", 1)
	made := p.mustPlan(changed)
	if got := actions(made)["label.intent"]; got != plan.MayRun {
		t.Fatalf("label.intent is %q before its input is known", got)
	}
	p.carryOut(&plan.Plan{Nodes: made.Nodes[:2], Outputs: nil})
	for address, action := range actions(p.mustPlan(changed)) {
		if action != plan.Keep {
			t.Errorf("%s is %q although its input did not change", address, action)
		}
	}
}

func TestDeferredArgumentsHaveTheKeyOfKnownOnes(t *testing.T) {
	p := newPipeline(t)
	src := `
variable "token" {
  sensitive = true
  default   = "hunter2"
}
locals {
  n     = transform.a.rows
  names = { for k, v in source.each : k => v.rows }
}
source "lines" "each" {
  for_each = { x = "a.txt", y = "b.txt" }
  path     = each.value
}
transform "ask" "a" {
  inputs = { x = source.each["x"] }
  query  = "first"
}
transform "ask" "b" {
  inputs = { a = transform.a }
  query  = "limit ${local.n} of ${join(",", keys(local.names))} ${source.each["y"].rows} ${var.token}"
  limit  = transform.a.rows + 1
}
transform "map" "c" {
  input   = transform.b
  columns = { n = "${row.text} ${local.n}", m = transform.a.rows > 7 ? row.text : row.class }
}
label "rules" "d" {
  for_each = source.each
  input    = each.value
  rule "many" {
    when  = each.value.rows > 10
    label = each.key
  }
}
`
	first := p.apply(src)
	for _, n := range first.Nodes {
		if n.Address == "transform.b" && n.Definition != "" {
			t.Error("the first plan claims to know the definition of transform.b")
		}
	}
	second := p.mustPlan(src)
	for _, n := range second.Nodes {
		if n.Action != plan.Keep {
			t.Errorf("%s is %q: %+v\nbefore %+v\nnow    %+v", n.Address, n.Action, n.Reasons, p.state.Instances[n.Address].Preimage, n.Preimage)
		}
		if text := fmt.Sprint(n.Preimage); strings.Contains(text, "hunter2") {
			t.Errorf("the preimage of %s contains a secret: %s", n.Address, text)
		}
	}
	var saved bytes.Buffer
	if err := json.NewEncoder(&saved).Encode(first); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(saved.String(), "hunter2") {
		t.Error("the plan contains a secret")
	}
}

func TestASavedPlanIsAppliedLikeANewOne(t *testing.T) {
	fresh, saved := newPipeline(t), newPipeline(t)
	fresh.apply(lifecycle)
	var file bytes.Buffer
	if err := plan.Encode(&file, saved.mustPlan(lifecycle)); err != nil {
		t.Fatal(err)
	}
	decoded, err := plan.Decode(&file)
	if err != nil {
		t.Fatal(err)
	}
	saved.carryOut(decoded)
	for address, i := range fresh.state.Instances {
		if got := saved.state.Instances[address]; got.ActionKey != i.ActionKey {
			t.Errorf("%s has key %s from the saved plan, %s from the fresh one", address, got.ActionKey, i.ActionKey)
		}
	}
}

func TestAStalePlanIsRefused(t *testing.T) {
	for name, change := range map[string]func(*pipeline){
		"the state moved on":                    func(p *pipeline) { p.state.Serial++ },
		"the content of the source has changed": func(p *pipeline) { p.world.sources["a.txt"] = "101 rows" },
		"the plugin is another program":         func(p *pipeline) { p.plugins.digest = "sha256:" + strings.Repeat("cd", 32) },
	} {
		t.Run(name, func(t *testing.T) {
			p := newPipeline(t)
			made := p.mustPlan(lifecycle)
			o, _ := p.options(lifecycle)
			if diags := planner.CheckFresh(context.Background(), made, o); len(diags) > 0 {
				t.Fatalf("refused although nothing has changed: %s", diags)
			}
			change(p)
			diags := planner.CheckFresh(context.Background(), made, o)
			if !diags.HasErrors() || diags[0].Summary != "The saved plan is stale" {
				t.Errorf("got %v", diags)
			}
		})
	}
}

func TestAMissingResultIsRecomputed(t *testing.T) {
	p := newPipeline(t)
	p.apply(lifecycle)
	if err := p.store.Blobs.Remove(p.state.Instances["transform.clean"].Outputs[""].Manifest); err != nil {
		t.Fatal(err)
	}
	made := p.mustPlan(lifecycle)
	for _, n := range made.Nodes {
		if n.Address == "transform.clean" && (n.Action != plan.Run || n.Reasons[0].Code != "missing") {
			t.Errorf("transform.clean is %q: %+v", n.Action, n.Reasons)
		}
		if n.Address == "label.intent" && n.Action != plan.MayRun {
			t.Errorf("label.intent is %q", n.Action)
		}
	}
}

func TestFailedRowsAreTriedAgain(t *testing.T) {
	p := newPipeline(t)
	p.apply(lifecycle)
	p.state.Instances["label.intent"].Errors = 3
	for _, n := range p.mustPlan(lifecycle).Nodes {
		if n.Address == "label.intent" && (n.Action != plan.Run || n.Reasons[0].Text != "3 rows failed and will be retried") {
			t.Errorf("label.intent is %q: %+v", n.Action, n.Reasons)
		}
	}
}

func TestValidationWorksWithoutValues(t *testing.T) {
	p := newPipeline(t)
	src := `
variable "words" {
  type = map(string)
}
variable "count" {
  type = number
}
variable "path" {
  type = string
}
variable "files" {
  type = map(string)
}
source "lines" "a" {
  path = var.path
}
source "lines" "each" {
  for_each = var.files
  path     = each.value
}
label "rules" "b" {
  input = source.a
  dynamic "rule" {
    for_each = var.words
    labels   = [rule.key]
    content {
      when  = strcontains(row.text, rule.value)
      label = rule.key
    }
  }
}
transform "map" "c" {
  count   = var.count
  input   = label.b
  columns = { x = "${row.b} ${var.path}" }
}
output "x" {
  value = var.path
}
`
	m, diags := config.Parse("main.quern.hcl", []byte(src))
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	p.src = m.Sources
	values := map[string]cty.Value{}
	for name, v := range m.Variables {
		values[name] = cty.UnknownVal(v.Type)
	}
	diags = planner.Validate(context.Background(), planner.Options{Module: m, Variables: values, Plugins: p.plugins})
	if len(diags) > 0 {
		t.Errorf("validation of a correct configuration reports:\n%s", p.print(diags))
	}
}

func TestPlansAreTheSameEveryTime(t *testing.T) {
	p := newPipeline(t)
	text := func() string {
		made := p.mustPlan(lifecycle)
		made.Created = time.Time{}
		b, err := json.Marshal(made)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	first := text()
	for range 5 {
		if again := text(); again != first {
			t.Fatalf("two plans of the same configuration differ:\n%s\n%s", first, again)
		}
	}
}

// Values can be large. If only the artifact of a stage is used, its values are not
// decoded.
func TestAPlanReadsOnlyReferencedValues(t *testing.T) {
	p := newPipeline(t)
	p.apply(lifecycle)
	unreadable := func(address string) {
		t.Helper()
		i := p.state.Instances[address]
		if i.Value == nil {
			t.Fatalf("%s has no values", address)
		}
		if err := json.Unmarshal([]byte(`{"type": "no type", "value": 1}`), i.Value); err != nil {
			t.Fatal(err)
		}
	}
	i := p.state.Instances["label.intent"]
	i.Value, p.state.Instances["train.student"].Value = &value.Stored{}, &value.Stored{}
	unreadable("label.intent")
	unreadable("train.student")
	if made, diags := p.plan(lifecycle); diags.HasErrors() || made.HasChanges() {
		t.Errorf("values that nobody refers to are read: %s", p.print(diags))
	}
	for name, reference := range map[string]string{
		"a value": "train.student.loss", "the whole": "jsonencode(label.intent)", "an instance's": `label.intent["coverage"]`,
	} {
		_, diags := p.plan(lifecycle + "output \"more\" {\n  value = " + reference + "\n}\n")
		if !diags.HasErrors() || !strings.Contains(p.print(diags), "cannot be read") {
			t.Errorf("%s is not read: %s", name, p.print(diags))
		}
	}
	if _, diags := p.plan(lifecycle + "output \"rows\" {\n  value = label.intent.rows\n}\n"); diags.HasErrors() {
		t.Errorf("values are read for the number of rows: %s", p.print(diags))
	}
}

func TestPluginsOfASavedPlanAreConfiguredFromLocals(t *testing.T) {
	p := newPipeline(t)
	src := lifecycle + `
variable "key" {
  default   = "hunter2"
  sensitive = true
}
locals {
  bearer = "Bearer ${var.key}"
}
plugin "test" {
  token = local.bearer
}
`
	made := p.mustPlan(src)
	p.plugins.config = cty.NilVal
	o, _ := p.options(src)
	if diags := planner.CheckFresh(context.Background(), made, o); len(diags) > 0 {
		t.Fatal(p.print(diags))
	}
	if p.plugins.config == cty.NilVal || p.plugins.config.GetAttr("token").AsString() != "Bearer hunter2" {
		t.Errorf("the plugin is configured with %#v", p.plugins.config)
	}
}

// noFiles are plugins that cannot start because too many files are open.
type noFiles struct{ planner.Plugins }

func (noFiles) Type(string, string, string) (*pluginv1.Type, string, error) {
	return nil, "", fmt.Errorf("plugin %q cannot be started: %w", "test", &os.SyscallError{Syscall: "pipe2", Err: syscall.EMFILE})
}

func TestTooManyOpenFilesAreReportedOnceAndByTheirName(t *testing.T) {
	p := newPipeline(t)
	_, diags := p.plan(lifecycle, func(o *planner.Options) { o.Plugins = noFiles{o.Plugins} })
	if len(diags) != 1 || diags[0].Summary != "Too many open files" || !strings.Contains(diags[0].Detail, "raise the limit (ulimit -n)") {
		t.Errorf("got %v", diags)
	}
}

// boast is an evaluation that declares a value that quern adds.
type boast struct{ score }

func (b boast) Prepare(ctx context.Context, p *plugin.Prepare[scoreArgs]) error {
	if err := b.score.Prepare(ctx, p); err != nil {
		return err
	}
	p.SetValueType(cty.Object(map[string]cty.Type{"overlap": cty.Number}))
	return nil
}

func TestAPluginThatDeclaresOverlapIsRefused(t *testing.T) {
	p := newPipeline(t)
	_, diags := p.plan(strings.Replace(lifecycle, `evaluate "score"`, `evaluate "boast"`, 1))
	if !strings.Contains(diags.Error(), `its values have the attribute "overlap", which quern adds itself`) {
		t.Errorf("got %v", diags)
	}
	// Without a trained model among its subjects, quern adds nothing.
	alone := strings.NewReplacer(`evaluate "score"`, `evaluate "boast"`, "student = train.student, teacher", "teacher",
		`evaluate.student.accuracy["student"]`, "evaluate.student.overlap", "evaluate.student.accuracy", "evaluate.student.overlap").Replace(lifecycle)
	if _, diags = p.plan(alone); diags.HasErrors() {
		t.Errorf("without a model: %v", diags)
	}
}

// Preparing a source may mean to infer its columns from all of its files.
func TestAnUnchangedSourceIsNotPreparedAgain(t *testing.T) {
	const config = "source \"lines\" \"a\" { path = \"a.txt\" }\n"
	p := newPipeline(t)
	p.apply(config)
	p.mustPlan(config) // the first plan that knows what it compares the content with
	was := p.world.prepared.Load()
	p.mustPlan(config)
	if is := p.world.prepared.Load(); is != was {
		t.Errorf("the source was prepared %d times though nothing had changed", is-was)
	}
	p.world.sources["a.txt"] = "101 rows"
	p.mustPlan(config)
	if p.world.prepared.Load() == was {
		t.Error("the source has changed and was not prepared")
	}
}
