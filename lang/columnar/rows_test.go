package columnar

import (
	"context"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/expr/exprtest"
	"github.com/quern-dev/quern/lang/funcs"
	"github.com/quern-dev/quern/sdk/go/data"
)

func TestRowsThatFailAreReportedAndNull(t *testing.T) {
	schema := data.Schema{{Name: "a", Type: "string"}, {Name: "n", Type: "int64"}}
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema.Arrow())
	defer b.Release()
	b.Field(0).(*array.StringBuilder).AppendValues([]string{"x", "", "z"}, []bool{true, false, true})
	b.Field(1).(*array.Int64Builder).AppendValues([]int64{1, 2, 1 << 62}, nil)
	rec := b.NewRecordBatch()
	defer rec.Release()
	c, diags := expr.Compile(exprtest.Parse(`{ s = "${row.a}!", n = row.n * 2 }`), &expr.Scope{Eval: &hcl.EvalContext{Functions: funcs.Pure()}, Row: schema}, cty.DynamicPseudoType)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	p, err := New(c, schema, nil)
	if err != nil {
		t.Fatal(err)
	}
	arr, failed, err := p.Eval(context.Background(), rec)
	if err != nil {
		t.Fatal(err)
	}
	defer arr.Release()
	if arr.Len() != 3 || arr.IsNull(0) || !arr.IsNull(1) || !arr.IsNull(2) {
		t.Errorf("got %v", arr)
	}
	want := []RowError{
		{Row: 1, Message: "Invalid template interpolation value at row.a: The expression result is null. Cannot include a null value in a string template."},
		{Row: 2, Message: "9223372036854775808 does not fit in an int64"},
	}
	if !reflect.DeepEqual(failed, want) {
		t.Errorf("failed: %v", failed)
	}
}

func TestABareColumnIsPassedThrough(t *testing.T) {
	p := compileRow(t, `row["day"]`)
	r := randomRows(testRand(), 10)
	defer r.Release()
	arr, failed, err := p.Eval(context.Background(), r)
	if err != nil || failed != nil {
		t.Fatal(err, failed)
	}
	defer arr.Release()
	if col, _ := find(r, data.Columns, "day"); arr != col {
		t.Error("the column was copied")
	}
}

func TestABatchWithOtherColumnsIsRefused(t *testing.T) {
	p := compileRow(t, `upper(row.text)`)
	schema := data.Schema{{Name: "text", Type: "int64"}}
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema.Arrow())
	defer b.Release()
	rec := b.NewRecordBatch()
	defer rec.Release()
	if _, _, err := p.Eval(context.Background(), rec); err == nil || !strings.Contains(err.Error(), `"text"`) {
		t.Errorf("got %v", err)
	}
	if _, err := New(p.compiled, data.Schema{{Name: "other", Type: "string"}}, nil); err == nil {
		t.Error("New returned a program for rows without the column")
	}
}

func TestADoneContextStopsAProgram(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	rec := randomRows(testRand(), 10)
	defer rec.Release()
	if _, _, err := compileRow(t, `upper(row.text)`).Eval(ctx, rec); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
func TestANullOperandIsAnErrorThatSuggestsAFix(t *testing.T) {
	schema := data.Schema{{Name: "n", Type: "float64"}}
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema.Arrow())
	defer b.Release()
	b.Field(0).(*array.Float64Builder).AppendValues([]float64{math.NaN(), 1}, nil)
	rec := b.NewRecordBatch()
	defer rec.Release()
	for text, want := range map[string][]RowError{
		"row.n > 1":                         {{Row: 0, Message: "Null value at row.n > 1: operators do not accept null. Replace it with coalesce(), or test for it first: row.x == null ? … : …"}},
		"coalesce(row.n, 0) > 1":            nil,
		"row.n == null ? false : row.n > 1": nil,
	} {
		c, diags := expr.Compile(exprtest.Parse(text), &expr.Scope{Eval: &hcl.EvalContext{Functions: funcs.Pure()}, Row: schema}, cty.Bool)
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		p, err := New(c, schema, nil)
		if err != nil {
			t.Fatal(err)
		}
		arr, failed, err := p.Eval(context.Background(), rec)
		if err != nil {
			t.Fatal(err)
		}
		arr.Release()
		if !reflect.DeepEqual(failed, want) {
			t.Errorf("%s failed with %v", text, failed)
		}
	}
}
