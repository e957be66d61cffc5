package main

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/columnar"
	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/funcs"
)

const rowExpression = `"${lower(trimspace(row.text))} #${row.id}"`

// expression evaluates a row expression over rows in memory, on one core.
func expression(b *bench) ([]result, error) {
	parsed, diags := hclsyntax.ParseExpression([]byte(rowExpression), "bench", hcl.InitialPos)
	if diags.HasErrors() {
		return nil, diags
	}
	scope := &expr.Scope{Eval: &hcl.EvalContext{Functions: funcs.Pure()}, Row: rowSchema, RowOf: "source.rows"}
	compiled, diags := expr.Compile(parsed, scope, cty.String)
	if diags.HasErrors() {
		return nil, diags
	}
	program, err := columnar.New(compiled, rowSchema, nil)
	if err != nil {
		return nil, err
	}
	const batch = 16384
	g := newGenerator(7)
	var spent time.Duration
	for from := 0; from < b.rows; from += batch {
		rec := g.batch(from, min(from+batch, b.rows))
		start := time.Now()
		values, failed, err := program.Eval(context.Background(), rec)
		spent += time.Since(start)
		rec.Release()
		if err != nil {
			return nil, err
		}
		values.Release()
		if len(failed) > 0 {
			return nil, fmt.Errorf("row %d: %s", failed[0].Row, failed[0].Message)
		}
	}
	return []result{atLeast("row expression "+rowExpression, perSecond(b.rows, spent), 500_000, rate)}, nil
}
