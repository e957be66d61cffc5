package columnar

import (
	"context"
	"fmt"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/expr/exprtest"
	"github.com/quern-dev/quern/lang/funcs"
	"github.com/quern-dev/quern/sdk/go/data"
)

var benchRow = data.Schema{{Name: "id", Type: "int64"}, {Name: "text", Type: "string"}, {Name: "lang", Type: "string"}, {Name: "score", Type: "float64"}}

func benchBatch(rows int) arrow.RecordBatch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, benchRow.Arrow())
	defer b.Release()
	for i := range rows {
		b.Field(0).(*array.Int64Builder).Append(int64(i))
		b.Field(1).(*array.StringBuilder).Append(fmt.Sprintf("  I would like to know why my Card payment %d was declined at the Shop this Morning, please  ", i))
		b.Field(2).(*array.StringBuilder).Append([]string{"en", "de", "fr"}[i%3])
		b.Field(3).(*array.Float64Builder).Append(float64(i%100) / 100)
	}
	return b.NewRecordBatch()
}

// BenchmarkRows evaluates row expressions over 64 Ki rows, by closures and by
// hcl's evaluator alone.
func BenchmarkRows(b *testing.B) {
	for name, src := range map[string]string{
		"template":  `"${lower(trimspace(row.text))} #${row.id}"`,
		"condition": `row.lang == "en" && row.score >= 0.5 && strcontains(row.text, "declined")`,
		"rule":      `can(regex("(?i)declined|refused", row.text))`,
		"prompt":    `jsonencode({ messages = [{ role = "system", content = "Be brief." }, { role = "user", content = "Message: ${row.text}" }] })`,
		"fallback":  `row.score * 2 + row.id`,
	} {
		c, diags := expr.Compile(exprtest.Parse(src), &expr.Scope{Eval: &hcl.EvalContext{Functions: funcs.Functions(".")}, Row: benchRow}, cty.DynamicPseudoType)
		if diags.HasErrors() {
			b.Fatal(diags)
		}
		p, err := New(c, benchRow, nil)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name+"/closures", func(b *testing.B) { benchRows(b, p, p.root, 65536) })
		b.Run(name+"/hcl", func(b *testing.B) { benchRows(b, p, nil, 4096) })
	}
}

func benchRows(b *testing.B, p *Program, root *node, rows int) {
	rec := benchBatch(rows)
	defer rec.Release()
	b.ReportAllocs()
	for b.Loop() {
		arr, failed, err := p.run(context.Background(), rec, root)
		if err != nil || len(failed) > 0 {
			b.Fatal(err, failed)
		}
		arr.Release()
	}
	b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}
