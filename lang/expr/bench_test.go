package expr_test

import (
	"testing"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/expr/exprtest"
)

func BenchmarkCompile(b *testing.B) {
	s := exprtest.Scope()
	e := exprtest.Parse(`"${lower(trimspace(row.text))} #${row.id} ${var.name}"`)
	b.ReportAllocs()
	for b.Loop() {
		if _, diags := expr.Compile(e, s, cty.String); diags.HasErrors() {
			b.Fatal(diags)
		}
	}
}
