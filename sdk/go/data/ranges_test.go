package data

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// randomColumn returns a slice of a column of a type.
func randomColumn(r *rand.Rand, t arrow.DataType, nulls bool) arrow.Array {
	b := array.NewBuilder(memory.DefaultAllocator, t)
	defer b.Release()
	for range 20 + r.IntN(80) {
		if nulls && r.IntN(4) == 0 {
			b.AppendNull()
			continue
		}
		text := fmt.Sprint(r.IntN(1000))
		switch b := b.(type) {
		case *array.StringBuilder:
			b.Append(strings.Repeat(text, r.IntN(3)))
		case *array.BinaryBuilder:
			b.Append([]byte(text))
		case *array.BooleanBuilder:
			b.Append(r.IntN(2) == 0)
		case *array.Date32Builder:
			b.Append(arrow.Date32(r.IntN(1000)))
		case *array.TimestampBuilder:
			b.Append(arrow.Timestamp(r.IntN(1000)))
		case *array.ListBuilder:
			b.Append(true)
			for range r.IntN(3) {
				b.ValueBuilder().(*array.StringBuilder).Append(text)
			}
		default:
			if err := b.AppendValueFromString(text); err != nil {
				panic(err)
			}
		}
	}
	whole := b.NewArray()
	defer whole.Release()
	return array.NewSlice(whole, int64(r.IntN(10)), int64(whole.Len()-r.IntN(10)))
}

func TestRangesAreTheRowsOfSlices(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, name := range []string{"string", "int64", "float64", "bool", "date", "timestamp", "binary", "list<string>"} {
		typ, err := ArrowType(name)
		if err != nil {
			t.Fatal(err)
		}
		for range 200 {
			column := randomColumn(r, typ, r.IntN(2) == 0)
			var ranges []Range
			var want []string
			for at := 0; at < column.Len(); {
				from := at + r.IntN(4)
				to := min(column.Len(), from+r.IntN(5))
				if at = max(from, to) + r.IntN(2); from > to || r.IntN(9) == 0 {
					continue
				}
				ranges = append(ranges, Range{from, to})
				for i := from; i < to; i++ {
					want = append(want, column.ValueStr(i))
				}
			}
			got, err := Ranges(column, ranges)
			if err != nil {
				t.Fatal(err)
			}
			if err := array.ValidateFull(got); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if got.Len() != len(want) || !arrow.TypeEqual(got.DataType(), typ) {
				t.Fatalf("%s: %d rows of type %s, not %d", name, got.Len(), got.DataType(), len(want))
			}
			for i, w := range want {
				if s := got.ValueStr(i); s != w {
					t.Fatalf("%s: row %d is %s, not %s", name, i, s, w)
				}
			}
			got.Release()
			column.Release()
		}
	}
}
