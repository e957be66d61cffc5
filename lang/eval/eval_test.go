package eval_test

import (
	"strconv"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/eval"
	"github.com/quern-dev/quern/lang/funcs"
)

// A mistake in a for expression is made for each element, but reported once.
func TestAMistakeInALoopIsReportedOnce(t *testing.T) {
	e, diags := hclsyntax.ParseExpression([]byte(`[for i in [1, 2, 3] : nothing]`), "x.hcl", hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	if _, diags = eval.Value(e, nil); len(diags) != 1 {
		t.Errorf("%d diagnostics, want 1: %v", len(diags), diags)
	}
}

// With hcl's conversion of arguments, each call would take a minute or more.
func TestCallsTakeTimeInProportionToTheirLists(t *testing.T) {
	names := make([]cty.Value, 100_000)
	for i := range names {
		names[i] = cty.StringVal(strconv.Itoa(i))
	}
	ctx := &hcl.EvalContext{Functions: funcs.Pure(), Variables: map[string]cty.Value{"names": cty.TupleVal(names)}}
	for _, text := range []string{
		`sort(names)`, `distinct(names)`, `toset(names)`, `tolist([for n in names : n])`, `compact(concat(names, []))`, `chunklist(names, 1)`,
		`split(",", join(",", names))`, `tomap({ for n in names : n => n })`, `setproduct(names, ["a"])`, `transpose({ a = names })`,
	} {
		e, diags := hclsyntax.ParseExpression([]byte(text), "x.hcl", hcl.InitialPos)
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		v, diags := eval.Value(e, ctx.NewChild())
		if diags.HasErrors() || v.LengthInt() != len(names) {
			t.Errorf("%s: %v", text, diags)
		}
	}
}

func TestCallsAreFoundInGuardedExpressions(t *testing.T) {
	ctx := &hcl.EvalContext{Functions: funcs.Pure()}
	for _, text := range []string{`tonumber(upper("x"))`, `tonumber([for t in [upper("x")] : t][0])`} {
		e, diags := hclsyntax.ParseExpression([]byte(text), "x.hcl", hcl.InitialPos)
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		_, diags = eval.Value(e, ctx)
		if len(diags) != 1 {
			t.Fatalf("%s: %v", text, diags)
		}
		for name, want := range map[string]bool{"upper": true, "lower": false} {
			if got := eval.Calls(diags[0].Expression, name); got != want {
				t.Errorf("%s: Calls(%s) is %t", text, name, got)
			}
		}
	}
}
