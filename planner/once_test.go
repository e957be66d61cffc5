package planner_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/quern-dev/quern/lang/kind"
	"github.com/quern-dev/quern/planner"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/planner/render"
)

func once(o *planner.Options) { o.Once = true }

// A plan drops the syntax of stages that it has decided, if nothing else needs it. The
// plan is the same, and mistakes are explained in the same way.
func TestPlansAreTheSameIfSyntaxIsDropped(t *testing.T) {
	golden(t, "testdata/plans", "plan.txt", func(p *pipeline, files map[string]string, options func(*planner.Options)) string {
		with, without := p.mustPlan(files["plan.quern.hcl"], options), p.mustPlan(files["plan.quern.hcl"], options, once)
		without.Created = with.Created
		if want, got := encoded(t, with), encoded(t, without); got != want {
			t.Errorf("with syntax:\n%s\nwithout:\n%s", want, got)
		}
		var b bytes.Buffer
		if err := render.Text(&b, without, render.Options{}); err != nil {
			t.Fatal(err)
		}
		return b.String()
	})
	golden(t, "testdata/mistakes", "diagnostics.txt", func(p *pipeline, files map[string]string, options func(*planner.Options)) string {
		_, diags := p.plan(files["plan.quern.hcl"], options, once)
		return p.print(diags)
	})
}

func encoded(t *testing.T, p *plan.Plan) string {
	t.Helper()
	var b bytes.Buffer
	if err := render.JSON(&b, p); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestOnlyAPlanThatIsMadeOnceDropsSyntax(t *testing.T) {
	p := newPipeline(t)
	for _, set := range [][]func(*planner.Options){nil, {once}} {
		o, diags := p.options(lifecycle)
		for _, f := range set {
			f(&o)
		}
		if _, more := planner.Build(t.Context(), o); more.HasErrors() || diags.HasErrors() {
			t.Fatal(p.print(append(diags, more...)))
		}
		for _, s := range o.Module.Stages {
			// A deployment that is no longer configured needs its arguments, and a gate
			// has no type.
			dropped := o.Once && s.Addr.Kind != kind.Deploy && s.Addr.Kind != kind.Gate
			if (s.Body == nil) != dropped {
				t.Errorf("once %t: %s: body %v", o.Once, s.Addr, s.Body)
			}
		}
	}
}

// What expressions see of stages is dropped after the last level that needs it. Outputs
// come after all levels.
func TestOutputsSeeStagesOfAllLevels(t *testing.T) {
	p := newPipeline(t)
	src := lifecycle + `
output "rows" {
  value = { tickets = source.tickets.rows, clean = transform.clean.rows, parts = transform.parts.train.rows, columns = transform.clean.columns }
}
`
	p.apply(src)
	const want = `{ clean = 100, columns = convert(["text", "class"], list(string)), parts = 100, tickets = 100 }`
	for _, set := range [][]func(*planner.Options){nil, {once}} {
		made := p.mustPlan(src, set...)
		if n := made.Total().Actions[plan.Keep]; n != len(made.Nodes) {
			t.Errorf("%d of %d stages are kept", n, len(made.Nodes))
		}
		i := slices.IndexFunc(made.Outputs, func(o *plan.Output) bool { return o.Name == "rows" })
		if got := made.Outputs[i].Expr; got == nil || got.Text != want || len(got.Refs) > 0 {
			t.Errorf("the output is %+v, and should be %s", got, want)
		}
	}
}

// Stages of a large level go through the phases in parts.
func TestMistakesInALargeLevelAreAllFound(t *testing.T) {
	p := newPipeline(t)
	const stages = 2_500
	var src strings.Builder
	src.WriteString("source \"lines\" \"root\" {\n  path = \"a.txt\"\n}\n")
	for i := range stages {
		fmt.Fprintf(&src, "transform \"map\" \"m%d\" {\n  input   = source.root\n  columns = { text = \"${row.text} %d\" }\n}\n", i, i)
	}
	last := fmt.Sprintf("transform \"ask\" \"all\" {\n  inputs = { first = transform.m0, last = transform.m%d }\n  query  = \"x\"\n}\n", stages-1)
	made := p.mustPlan(src.String() + last)
	if n := made.Total().Actions[plan.Run]; n != stages+2 {
		t.Errorf("%d stages run", n)
	}
	wrong := strings.ReplaceAll(src.String(), "row.text} 7\"", "row.missing} 7\"")
	wrong = strings.ReplaceAll(wrong, "row.text} 2300\"", "row.missing} 2300\"")
	_, diags := p.plan(wrong)
	if len(diags) != 2 || diags[0].Subject.Start.Line >= diags[1].Subject.Start.Line {
		t.Errorf("the diagnostics are %s", p.print(diags))
	}
}
