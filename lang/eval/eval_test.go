package eval_test

import (
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/quern-dev/quern/lang/eval"
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
