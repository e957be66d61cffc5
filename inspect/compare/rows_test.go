package compare

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/dataset"
)

// pair is a row of a dataset in a test: an ID and a text.
type pair struct {
	id   int64
	text string
}

var pairSchema = data.Schema{{Name: "id", Type: "int64"}, {Name: "text", Type: "string"}}

func write(t *testing.T, s *store.Store, rows []pair) *dataset.Manifest {
	t.Helper()
	b := array.NewRecordBuilder(memory.DefaultAllocator, pairSchema.Arrow())
	for _, r := range rows {
		b.Field(0).(*array.Int64Builder).Append(r.id)
		b.Field(1).(*array.StringBuilder).Append(r.text)
	}
	w := dataset.NewWriter(s.Blobs, pairSchema)
	if err := w.Write(t.Context(), b.NewRecordBatch()); err != nil {
		t.Fatal(err)
	}
	m, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// counted is the difference by its definition, with all rows in memory.
func counted(before, after []pair, keyed bool) (added, removed, changed int64) {
	more := map[pair]int64{}
	for _, r := range after {
		more[r]++
	}
	for _, r := range before {
		more[r]--
	}
	byID := map[int64][2]int64{}
	for r, n := range more {
		k := byID[r.id]
		byID[r.id] = [2]int64{k[0] + max(n, 0), k[1] + max(-n, 0)}
	}
	for _, k := range byID {
		pairs := int64(0)
		if keyed {
			pairs = min(k[0], k[1])
		}
		added, removed, changed = added+k[0]-pairs, removed+k[1]-pairs, changed+pairs
	}
	return added, removed, changed
}

func TestRowsAreComparedAsCollections(t *testing.T) {
	s, err := store.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(10) {
		r := rand.New(rand.NewPCG(seed, 0))
		var before []pair
		for i := range 2000 + r.IntN(3000) {
			before = append(before, pair{int64(i), fmt.Sprint("text ", r.IntN(500))})
		}
		after := slices.Clone(before)
		for range r.IntN(100) {
			switch at := r.IntN(len(after)); r.IntN(4) {
			case 0:
				after[at].text += "!"
			case 1:
				after = slices.Delete(after, at, at+1)
			case 2:
				after = slices.Insert(after, at, pair{int64(r.IntN(10_000)), "new"})
			default:
				after = append(after, after[at]) // twice
			}
		}
		if seed%3 == 0 {
			r.Shuffle(len(after), func(i, j int) { after[i], after[j] = after[j], after[i] })
		}
		a, b := write(t, s, before), write(t, s, after)
		for _, keyed := range []bool{false, true} {
			for _, atOnce := range []int64{rowsAtOnce, 1000} {
				d := &rowDifference{ctx: t.Context(), blobs: s.Blobs, columns: pairSchema.Names(), atOnce: atOnce}
				if keyed {
					d.key = []string{"id"}
				}
				got := &Rows{}
				if err := d.compare(got, a, b); err != nil {
					t.Fatal(err)
				}
				added, removed, changed := counted(before, after, keyed)
				if *got.Added != added || *got.Removed != removed || keyed && *got.Changed != changed || !keyed && got.Changed != nil {
					t.Errorf("seed %d, keyed %v, %d at once: %d added, %d removed, %v changed; want %d, %d, %d", seed, keyed, atOnce, *got.Added, *got.Removed, got.Changed, added, removed, changed)
				}
			}
		}
	}
}

func TestEqualShardsAreNotRead(t *testing.T) {
	s, err := store.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var rows []pair
	for i := range int64(300_000) {
		rows = append(rows, pair{i, fmt.Sprint("text ", i)})
	}
	a := write(t, s, rows)
	b := write(t, s, append(slices.Clone(rows), pair{-1, "new"}))
	d := &rowDifference{ctx: t.Context(), blobs: s.Blobs, columns: pairSchema.Names(), atOnce: rowsAtOnce}
	old, young := d.differing(a, b)
	if len(a.Shards) < 2 || len(old.Shards) > 1 || len(young.Shards) > 1 {
		t.Errorf("of %d and %d shards, %d and %d are read", len(a.Shards), len(b.Shards), len(old.Shards), len(young.Shards))
	}
	got := &Rows{}
	if err := d.compare(got, a, b); err != nil || *got.Added != 1 || *got.Removed != 0 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestQuotedNamesAreRead(t *testing.T) {
	for text, want := range map[string][]string{`"id"`: {"id"}, `"a b" "c\"d"`: {"a b", `c"d`}, `id`: nil} {
		if got := quoted(text); !slices.Equal(got, want) {
			t.Errorf("%s: %q", text, got)
		}
	}
	if got := slices.Sorted(maps.Keys(both(map[string]int{"a": 1}, map[string]int{"b": 2}))); !slices.Equal(got, []string{"a", "b"}) {
		t.Error(got)
	}
}
