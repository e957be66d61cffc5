package planner_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/planner"
	"github.com/quern-dev/quern/planner/comparison"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/planner/render"
)

func (p *pipeline) describe(src string) *plan.Plan {
	p.t.Helper()
	o, diags := p.options(src)
	if !diags.HasErrors() {
		var made *plan.Plan
		if made, diags = planner.Describe(p.t.Context(), o); made != nil {
			return made
		}
	}
	p.t.Fatal(p.print(diags))
	return nil
}

func compared(o *planner.Options) { o.Compared = true }

// TestComparisonsLookAsTheyShould runs the archives of testdata/comparisons as
// TestPlansLookAsTheyShould does. The plan of before.quern.hcl is compared with
// that of plan.quern.hcl, whatever the state is.
func TestComparisonsLookAsTheyShould(t *testing.T) {
	golden(t, "testdata/comparisons", "comparison.txt", func(p *pipeline, files map[string]string, _ func(*planner.Options)) string {
		before, after := p.describe(files["before.quern.hcl"]), p.describe(files["plan.quern.hcl"])
		c := comparison.Of(before, after)
		c.Estimate(p.mustPlan(files["plan.quern.hcl"], compared))
		var b bytes.Buffer
		if err := render.Comparison(&b, render.Compared{Before: "A", After: "B", Comparison: c}, render.Options{}); err != nil {
			p.t.Fatal(err)
		}
		fmt.Fprintf(&b, "\nTouched: %s\n", strings.Join(c.Touched(after), ", "))
		return b.String()
	})
}

func TestAPlanThatIsComparedHasNoLimits(t *testing.T) {
	p := newPipeline(t)
	p.apply(lifecycle)
	protected := strings.ReplaceAll(lifecycle, `place      = "left"`, "place      = \"right\"\n  lifecycle {\n    prevent_destroy = true\n  }")
	if protected == lifecycle {
		t.Fatal("nothing was changed")
	}
	if _, diags := p.plan(protected); !diags.HasErrors() {
		t.Fatal("the deployment is not protected")
	}
	p.mustPlan(protected, compared)
	only := "source \"lines\" \"tickets\" {\n  path = \"a.txt\"\n}\n"
	if made := p.mustPlan(only, compared); len(made.Nodes) != 1 {
		t.Errorf("the plan has %d nodes", len(made.Nodes))
	}
}

func TestATargetCanBeAStageThatIsNoLongerConfigured(t *testing.T) {
	p := newPipeline(t)
	p.apply(lifecycle)
	without, _, _ := strings.Cut(lifecycle, `deploy "shelf"`)
	target := func(name string) func(*planner.Options) {
		a, err := addr.ParseTarget(name)
		if err != nil {
			t.Fatal(err)
		}
		return func(o *planner.Options) { o.Targets = append(o.Targets, a) }
	}
	made := p.mustPlan(without, target("deploy.prod"))
	if len(made.Nodes) != 1 || made.Nodes[0].Address != "deploy.prod" || made.Nodes[0].Action != plan.Delete || !made.Partial {
		t.Errorf("got %+v", made.Nodes)
	}
	made = p.mustPlan(without, target("source.tickets"))
	if len(made.Nodes) != 1 || made.Nodes[0].Address != "source.tickets" {
		t.Errorf("got %+v", made.Nodes)
	}
}
