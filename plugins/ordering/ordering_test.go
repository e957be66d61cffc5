package ordering

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/quern-dev/quern/sdk/go/data"
)

var columns = data.Schema{
	{Name: "id", Type: "int64"}, {Name: "text", Type: "string"}, {Name: "number", Type: "float64"},
	{Name: "tags", Type: "list<string>"}, {Name: "inner", Type: "struct<a:int64,b:list<bool>>"},
	{Name: "day", Type: "date"}, {Name: "at", Type: "timestamp"}, {Name: "raw", Type: "binary"}, {Name: "yes", Type: "bool"},
}

var (
	someTexts   = []string{"", "a", "a\x00", "a\x00b", "ab", "b", "\xff", "é", "z\x00\x01"}
	someNumbers = []float64{math.Inf(-1), -1.5, math.Copysign(0, -1), 0, 1, 1.5, math.MaxFloat64, math.Inf(1), math.NaN()}
)

// randomRows returns rows with few different values and many nulls.
func randomRows(r *rand.Rand, n int) arrow.RecordBatch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, columns.Arrow())
	defer b.Release()
	for i := range n {
		b.Field(0).(*array.Int64Builder).Append(int64(i))
		for c := 1; c < len(columns); c++ {
			appendRandom(r, b.Field(c))
		}
	}
	return b.NewRecordBatch()
}

func appendRandom(r *rand.Rand, b array.Builder) {
	if r.IntN(6) == 0 {
		b.AppendNull()
		return
	}
	switch b := b.(type) {
	case *array.StringBuilder:
		b.Append(someTexts[r.IntN(len(someTexts))])
	case *array.BinaryBuilder:
		b.Append([]byte(someTexts[r.IntN(len(someTexts))]))
	case *array.Float64Builder:
		b.Append(someNumbers[r.IntN(len(someNumbers))])
	case *array.Int64Builder:
		b.Append([]int64{math.MinInt64, -1, 0, 1, math.MaxInt64}[r.IntN(5)])
	case *array.BooleanBuilder:
		b.Append(r.IntN(2) == 0)
	case *array.Date32Builder:
		b.Append(arrow.Date32(r.IntN(5) - 2))
	case *array.TimestampBuilder:
		b.Append(arrow.Timestamp(r.IntN(5) - 2))
	case *array.ListBuilder:
		b.Append(true)
		for range r.IntN(3) {
			appendRandom(r, b.ValueBuilder())
		}
	case *array.StructBuilder:
		b.Append(true)
		for f := range b.NumField() {
			appendRandom(r, b.FieldBuilder(f))
		}
	default:
		panic(fmt.Sprintf("%T", b))
	}
}

// compareValues is the documented order, written without bytes.
func compareValues(a arrow.Array, i, j int, d Direction) int {
	switch {
	case a.IsNull(i) && a.IsNull(j):
		return 0
	case a.IsNull(i) || a.IsNull(j):
		if a.IsNull(i) == d.NullsFirst {
			return -1
		}
		return 1
	}
	c := 0
	switch a := a.(type) {
	case *array.String:
		c = cmp.Compare(a.Value(i), a.Value(j))
	case *array.Binary:
		c = bytes.Compare(a.Value(i), a.Value(j))
	case *array.Int64:
		c = cmp.Compare(a.Value(i), a.Value(j))
	case *array.Float64:
		x, y := a.Value(i), a.Value(j)
		switch {
		case x == y, x != x && y != y:
		case x != x || y == y && x > y:
			c = 1
		default:
			c = -1
		}
	case *array.Boolean:
		c = bytes.Compare([]byte{truth(a.Value(i))}, []byte{truth(a.Value(j))})
	case *array.Date32:
		c = cmp.Compare(a.Value(i), a.Value(j))
	case *array.Timestamp:
		c = cmp.Compare(a.Value(i), a.Value(j))
	case *array.List:
		from, until := a.ValueOffsets(i)
		start, end := a.ValueOffsets(j)
		for k := int64(0); c == 0 && from+k < until && start+k < end; k++ {
			c = compareValues(a.ListValues(), int(from+k), int(start+k), Direction{})
		}
		if c == 0 {
			c = cmp.Compare(until-from, end-start)
		}
	case *array.Struct:
		for f := 0; c == 0 && f < a.NumField(); f++ {
			c = compareValues(a.Field(f), i, j, Direction{})
		}
	}
	if d.Descending {
		return -c
	}
	return c
}

func truth(b bool) byte {
	if b {
		return 1
	}
	return 0
}

func TestKeysAreOrderedAsTheirValues(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	rec := randomRows(r, 80)
	defer rec.Release()
	part := rec.NewSlice(7, 77)
	defer part.Release()
	for c := range columns {
		for _, d := range []Direction{{}, {Descending: true}, {NullsFirst: true}, {Descending: true, NullsFirst: true}} {
			column := part.Columns()[c : c+1]
			for i := range 70 {
				for j := range 70 {
					x, err := AppendKey(nil, column, []Direction{d}, i)
					if err != nil {
						t.Fatal(err)
					}
					y, err := AppendKey(nil, column, []Direction{d}, j)
					if err != nil {
						t.Fatal(err)
					}
					if got, want := bytes.Compare(x, y), compareValues(column[0], i, j, d); got != want {
						t.Fatalf("%s %+v: %s and %s compare as %d, want %d", columns[c].Type, d, column[0].ValueStr(i), column[0].ValueStr(j), got, want)
					}
				}
			}
		}
	}
}

// sorted sorts batches by some columns and returns the IDs and all values.
func sorted(t *testing.T, batches []arrow.RecordBatch, by []int, memory int64) (ids []int64, rows []string) {
	t.Helper()
	folder := t.TempDir()
	s := NewSorter(columns.Arrow(), folder, memory)
	for _, rec := range batches {
		var keys []arrow.Array
		for _, c := range by {
			keys = append(keys, rec.Column(c))
		}
		for i := range int(rec.NumRows()) {
			key, err := AppendKey(nil, keys, nil, i)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Add(key, Row{rec, i}); err != nil {
				t.Fatal(err)
			}
		}
	}
	out := NewOutput(columns.Arrow(), func(rec arrow.RecordBatch) error {
		for i := range int(rec.NumRows()) {
			ids = append(ids, rec.Column(0).(*array.Int64).Value(i))
			text := ""
			for _, c := range rec.Columns() {
				text += c.ValueStr(i) + "|"
			}
			rows = append(rows, text)
		}
		return nil
	})
	defer out.Release()
	for e, err := range s.Sorted(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if err := out.Add(e.Row); err != nil {
			t.Fatal(err)
		}
	}
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	if spilled := len(s.runs) > 0; spilled != (memory < 1<<20) {
		t.Errorf("with %d bytes of memory, it wrote %d runs", memory, len(s.runs))
	}
	s.Close()
	if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
		t.Errorf("%v are left in the folder (%v)", left, err)
	}
	return ids, rows
}

func TestSortingIsStableAndTheSameWhateverFitsInMemory(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var batches []arrow.RecordBatch
	all := randomRows(r, 3000)
	defer all.Release()
	for from := int64(0); from < 3000; from += 20 { // more than mostRuns
		part := all.NewSlice(from, from+20)
		defer part.Release()
		batches = append(batches, part)
	}
	for _, by := range [][]int{{1}, {2, 3}, {4}, {8, 2, 1}} {
		want := make([]int64, 3000)
		for i := range want {
			want[i] = int64(i)
		}
		slices.SortStableFunc(want, func(i, j int64) int {
			for _, c := range by {
				if d := compareValues(all.Column(c), int(i), int(j), Direction{}); d != 0 {
					return d
				}
			}
			return 0
		})
		ids, rows := sorted(t, batches, by, 1<<30)
		if !slices.Equal(ids, want) {
			t.Fatalf("by %v in memory: wrong order", by)
		}
		for _, memory := range []int64{1, 100_000} {
			spilledIDs, spilledRows := sorted(t, batches, by, memory)
			if !slices.Equal(spilledIDs, want) || !slices.Equal(spilledRows, rows) {
				t.Fatalf("by %v with %d bytes of memory: other rows than in memory", by, memory)
			}
		}
	}
}

func TestTheMemoryForSmallRowsIsLimited(t *testing.T) {
	rec := randomRows(rand.New(rand.NewPCG(7, 8)), 100)
	defer rec.Release()
	const limit = 4 << 20
	s := NewSorter(columns.Arrow(), t.TempDir(), limit)
	defer s.Close()
	for i := range 200_000 {
		if err := s.Add(AppendOrdinal(nil, int64(-i)), Row{rec, i % 100}); err != nil {
			t.Fatal(err)
		}
		if used := s.used(); used > limit+arenaBlock {
			t.Fatalf("after %d rows: %d bytes", i+1, used)
		}
	}
	if len(s.runs) == 0 {
		t.Error("nothing was written to a file")
	}
	last := []byte(nil)
	for e, err := range s.Sorted(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Compare(last, e.Key) >= 0 {
			t.Fatalf("%x comes before %x", last, e.Key)
		}
		last = bytes.Clone(e.Key)
	}
}

func TestSortingStopsWhenItsContextEnds(t *testing.T) {
	rec := randomRows(rand.New(rand.NewPCG(5, 6)), 10_000)
	defer rec.Release()
	s := NewSorter(columns.Arrow(), t.TempDir(), 1<<30)
	defer s.Close()
	for i := range 10_000 {
		if err := s.Add(AppendOrdinal(nil, int64(i)), Row{rec, i}); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	n := 0
	for _, err := range s.Sorted(ctx) {
		if err != nil {
			if !errors.Is(err, context.Canceled) || n > 5000 {
				t.Errorf("%d rows, %v", n, err)
			}
			return
		}
		n++
	}
	t.Error("it did not stop")
}

func TestAmountsOfMemory(t *testing.T) {
	for text, want := range map[string]int64{"256MB": 256e6, "1.5 GiB": 3 << 29, "2KB": 2000, "": 0, "5": 0, "-1GB": 0, "0MB": 0, "xMB": 0, "NaNGB": 0, "1e30TB": 0} {
		got, err := Limit{text}.Bytes()
		if got != want || (err == nil) != (want > 0) {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
}
