package planner_test

import (
	"testing"

	"github.com/quern-dev/quern/planner/plan"
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

func TestALifecycleRunsOnceAndIsKeptAfterwards(t *testing.T) {
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
