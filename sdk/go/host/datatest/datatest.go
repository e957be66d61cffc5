// Package datatest makes rows for tests: arbitrary ones of any schema, and
// given ones from Go values; and compares them.
package datatest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/quern-dev/quern/sdk/go/data"
)

// Schema is an arbitrary schema of one to five columns, some of them nested.
func Schema(r *rand.Rand) data.Schema {
	out := make(data.Schema, 1+r.IntN(5))
	for i := range out {
		out[i] = data.Column{Name: fmt.Sprintf("c%d", i), Type: typeName(r, 2)}
	}
	return out
}

func typeName(r *rand.Rand, depth int) string {
	scalars := []string{"string", "int64", "float64", "bool", "binary", "date", "timestamp"}
	if depth == 0 || r.IntN(3) > 0 {
		return scalars[r.IntN(len(scalars))]
	}
	if r.IntN(2) == 0 {
		return "list<" + typeName(r, depth-1) + ">"
	}
	fields := make([]string, 1+r.IntN(3))
	for i := range fields {
		fields[i] = fmt.Sprintf("f%d:%s", i, typeName(r, depth-1))
	}
	return "struct<" + strings.Join(fields, ",") + ">"
}

// Batch is n arbitrary rows with nulls, empty texts, NaN and the like.
func Batch(r *rand.Rand, schema data.Schema, n int) arrow.RecordBatch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema.Arrow())
	defer b.Release()
	for _, f := range b.Fields() {
		for range n {
			appendAny(r, f)
		}
	}
	return b.NewRecordBatch()
}

func appendAny(r *rand.Rand, b array.Builder) {
	if r.IntN(8) == 0 {
		b.AppendNull()
		return
	}
	switch b := b.(type) {
	case *array.StringBuilder:
		b.Append(text(r))
	case *array.BinaryBuilder:
		b.Append([]byte(text(r)))
	case *array.Int64Builder:
		b.Append(pick(r, int64(0), -1, math.MaxInt64, math.MinInt64, r.Int64(), r.Int64N(10)))
	case *array.Float64Builder:
		b.Append(pick(r, 0, math.Copysign(0, -1), math.NaN(), math.Inf(1), r.Float64(), r.NormFloat64()*1e300))
	case *array.BooleanBuilder:
		b.Append(r.IntN(2) == 0)
	case *array.Date32Builder:
		b.Append(arrow.Date32(r.IntN(50000) - 20000))
	case *array.TimestampBuilder:
		b.Append(arrow.Timestamp(r.Int64N(1<<52) - 1<<51))
	case *array.ListBuilder:
		b.Append(true)
		for range r.IntN(4) {
			appendAny(r, b.ValueBuilder())
		}
	case *array.StructBuilder:
		b.Append(true)
		for i := range b.NumField() {
			appendAny(r, b.FieldBuilder(i))
		}
	default:
		panic(fmt.Sprintf("no builder of a column type: %T", b))
	}
}

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

func text(r *rand.Rand) string {
	return pick(r, "", "a", "ja, größer", "\x00", "line\nline", strings.Repeat("long ", r.IntN(60)), fmt.Sprint(r.Int64()))
}

// Rows builds a batch of Go values row by row: string, int, int64, float64, bool,
// []byte, []any for lists, map[string]any for structs, or nil.
func Rows(schema data.Schema, rows ...[]any) arrow.RecordBatch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema.Arrow())
	defer b.Release()
	for _, row := range rows {
		for i, v := range row {
			appendValue(b.Field(i), v)
		}
	}
	return b.NewRecordBatch()
}

func appendValue(b array.Builder, v any) {
	switch v := v.(type) {
	case nil:
		b.AppendNull()
	case string:
		b.(*array.StringBuilder).Append(v)
	case []byte:
		b.(*array.BinaryBuilder).Append(v)
	case int:
		b.(*array.Int64Builder).Append(int64(v))
	case int64:
		b.(*array.Int64Builder).Append(v)
	case float64:
		b.(*array.Float64Builder).Append(v)
	case bool:
		b.(*array.BooleanBuilder).Append(v)
	case []any:
		list := b.(*array.ListBuilder)
		list.Append(true)
		for _, element := range v {
			appendValue(list.ValueBuilder(), element)
		}
	case map[string]any:
		object := b.(*array.StructBuilder)
		object.Append(true)
		for i, f := range object.Type().(*arrow.StructType).Fields() {
			appendValue(object.FieldBuilder(i), v[f.Name])
		}
	default:
		panic(fmt.Sprintf("no column holds a %T", v))
	}
}

// Cut cuts a batch into arbitrary pieces of up to n rows.
func Cut(r *rand.Rand, rec arrow.RecordBatch, n int) []arrow.RecordBatch {
	var out []arrow.RecordBatch
	for from := int64(0); from < rec.NumRows(); {
		to := min(from+1+r.Int64N(int64(n)), rec.NumRows())
		out = append(out, rec.NewSlice(from, to))
		from = to
	}
	return out
}

// Same says whether two batches have the same schema and values; NaN is the
// same as NaN.
func Same(a, b arrow.RecordBatch) bool {
	if !a.Schema().Equal(b.Schema()) || a.NumRows() != b.NumRows() {
		return false
	}
	for i, c := range a.Columns() {
		if !array.ApproxEqual(c, b.Column(i), array.WithNaNsEqual(true), array.WithAbsTolerance(0)) {
			return false
		}
	}
	return true
}
