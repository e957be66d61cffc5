package data_test

import (
	"math/rand/v2"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/datatest"
)

func TestABatchSurvivesTheWire(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	for range 300 {
		s := datatest.Schema(r)
		rec := datatest.Batch(r, s, r.IntN(50))
		if n := rec.NumRows(); n > 2 && r.IntN(2) == 0 {
			rec = rec.NewSlice(1, n-1)
		}
		b, err := data.EncodeBatch(rec)
		if err != nil {
			t.Fatal(err)
		}
		back, err := data.DecodeBatch(b)
		if err != nil {
			t.Fatal(err)
		}
		if !datatest.Same(rec, back) {
			t.Fatalf("sent %v\ngot %v", rec, back)
		}
	}
}

func TestASliceDoesNotEncodeTheRestOfItsArray(t *testing.T) {
	s := data.Schema{{Name: "text", Type: "string"}, {Name: "id", Type: "int64"}}
	whole := datatest.Batch(rand.New(rand.NewPCG(3, 3)), s, 20000)
	b, err := data.EncodeBatch(whole.NewSlice(100, 108))
	if err != nil {
		t.Fatal(err)
	}
	if cap(b) > 16<<10 {
		t.Errorf("8 of 20,000 rows take %d bytes", cap(b))
	}
}

func TestBatchesAreJoinedInOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	s := datatest.Schema(r)
	whole := datatest.Batch(r, s, 100)
	joined, err := data.Concat(s.Arrow(), datatest.Cut(r, whole, 7))
	if err != nil || !datatest.Same(whole, joined) {
		t.Fatalf("pieces did not come together again: %v", err)
	}
	none, err := data.Concat(s.Arrow(), nil)
	if err != nil || none.NumRows() != 0 || int(none.NumCols()) != len(s) {
		t.Fatalf("no pieces became %v, %v", none, err)
	}
}

func TestConformRefusesOtherColumns(t *testing.T) {
	want := data.Schema{{Name: "a", Type: "int64"}, {Name: "b", Type: "string"}}.Arrow()
	for _, s := range []data.Schema{
		{{Name: "b", Type: "string"}, {Name: "a", Type: "int64"}},
		{{Name: "a", Type: "int64"}},
		{{Name: "a", Type: "float64"}, {Name: "b", Type: "string"}},
	} {
		rec := datatest.Batch(rand.New(rand.NewPCG(1, 1)), s, 3)
		if _, err := data.Conform(rec, want); err == nil {
			t.Errorf("%v passes", s)
		}
	}
}

func TestConformUnifiesNamesInsideLists(t *testing.T) {
	s := data.Schema{{Name: "a", Type: "list<struct<x:list<int64>>>"}}
	rec := datatest.Batch(rand.New(rand.NewPCG(1, 1)), s, 20)
	named := arrow.ListOfField(arrow.Field{Name: "element", Nullable: true, Type: arrow.StructOf(
		arrow.Field{Name: "x", Nullable: true, Type: arrow.ListOfField(arrow.Field{Name: "element", Type: arrow.PrimitiveTypes.Int64, Nullable: true})})})
	other := arrow.NewSchema([]arrow.Field{{Name: "a", Type: named, Nullable: true}}, nil)
	there, err := data.Conform(rec, other)
	if err != nil || !there.Schema().Equal(other) {
		t.Fatalf("%v, %v", there, err)
	}
	back, err := data.Conform(there, s.Arrow())
	if err != nil || !datatest.Same(rec, back) {
		t.Fatalf("%v, %v", back, err)
	}
}

func TestInvalidBytesAreAnErrorAndNotAPanic(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	whole, err := data.EncodeBatch(datatest.Batch(r, datatest.Schema(r), 5))
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(whole) - 8 { // the last 8 bytes mark the end and may be missing
		if rec, err := data.DecodeBatch(whole[:n]); err == nil && rec.NumRows() > 0 {
			t.Fatalf("the first %d of %d bytes pass for a batch with rows", n, len(whole))
		}
	}
	for _, b := range [][]byte{nil, []byte("no Arrow stream at all"), make([]byte, 1000)} {
		if _, err := data.DecodeBatch(b); err == nil {
			t.Errorf("%q passes for a batch", b)
		}
	}
}
