package expr_test

import (
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/expr/exprtest"
)

func TestAConditionIsTrueOrFalse(t *testing.T) {
	for src, want := range map[string]string{
		`row.n ? 1 : 2`: "it is a number", `row.tags ? 1 : 2`: "it is a list of string",
		`row.ok ? (row.n ? 1 : 2) : 3`: "it is a number", `"%{ if row.n }a%{ endif }"`: "it is a number", `[for x in row.tags : row.n ? x : "b"]`: "it is a number",
	} {
		_, diags := expr.Compile(exprtest.Parse(src), exprtest.Scope(), cty.DynamicPseudoType)
		if len(diags) != 1 || diags[0].Summary != "Incorrect condition type" || !strings.Contains(diags[0].Detail, want) {
			t.Errorf("%s: %v", src, diags)
		}
	}
	for _, src := range []string{
		`row.ok ? 1 : 2`, `tobool(row.text) ? 1 : 2`, `jsondecode(row.text) ? 1 : 2`, `try(row.n ? 1 : 2, 3)`, `can(row.n ? 1 : 2)`, `row.n > 1 ? 1 : 2`,
	} {
		if _, diags := expr.Compile(exprtest.Parse(src), exprtest.Scope(), cty.DynamicPseudoType); diags.HasErrors() {
			t.Errorf("%s: %v", src, diags)
		}
	}
}
