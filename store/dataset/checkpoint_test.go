package dataset

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/store/blob"
)

var historySchema = data.Schema{{Name: "n", Type: "int64"}, {Name: "text", Type: "string"}, {Name: "same", Type: "string"}}

// historyRows are rows of which n numbers determine the content.
func historyRows(numbers []int64) arrow.RecordBatch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, historySchema.Arrow())
	for _, n := range numbers {
		b.Field(0).(*array.Int64Builder).Append(n)
		if n%5 == 0 {
			b.Field(1).AppendNull()
		} else {
			b.Field(1).(*array.StringBuilder).Append(fmt.Sprint("text ", n))
		}
		b.Field(2).(*array.StringBuilder).Append("same")
	}
	return b.NewRecordBatch()
}

// changed changes a dataset's rows as it happens to real ones.
func changed(r *rand.Rand, rows []int64, next *int64) []int64 {
	fresh := func(n int) []int64 {
		out := make([]int64, n)
		for i := range out {
			*next++
			out[i] = *next
		}
		return out
	}
	at := r.IntN(len(rows) + 1)
	switch r.IntN(6) {
	case 0, 1:
		return append(rows, fresh(r.IntN(40_000))...)
	case 2:
		return slices.Insert(rows, at, fresh(1+r.IntN(100))...)
	case 3:
		return slices.Delete(rows, at, min(len(rows), at+r.IntN(50_000)))
	case 4:
		return append(slices.Clone(rows[at:]), rows[:at]...)
	default:
		return append(rows, rows[at:min(len(rows), at+30_000)]...)
	}
}

// TestDigestsContinueFromCheckpoints changes a dataset step by step. Its digests must be
// those of writing all rows, whether they continue from checkpoints or not, and whether
// its shards are joined, with the values of some of them, or shared.
func TestDigestsContinueFromCheckpoints(t *testing.T) {
	ctx, r, blobs := context.Background(), rand.New(rand.NewPCG(7, 8)), benchBlobs(t)
	var rows []int64
	var next int64
	former := write(t, blobs, historySchema)
	var joined, shared []Checkpoint
	for step := range 25 {
		if rows = changed(r, rows, &next); len(rows) > 250_000 {
			rows = rows[len(rows)/2:]
		}
		want, values := written(t, blobs, historySchema, historyRows(rows))
		points := NewCheckpoints(joined)
		j := StartJoin(blobs, historySchema, points)
		for i, s := range want.Shards {
			if r.IntN(2) == 0 {
				values[i] = nil
			}
			if err := j.Add(ctx, s, values[i]); err != nil {
				t.Fatal(err)
			}
		}
		got, err := j.End(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(withoutFiles(got), withoutFiles(want)) {
			t.Fatalf("step %d: joining the shards gives other digests", step)
		}
		joined = survived(t, points)
		points = NewCheckpoints(shared)
		if got := continued(t, blobs, former, want, rows, points); !reflect.DeepEqual(withoutFiles(got), withoutFiles(want)) {
			t.Fatalf("step %d: sharing shards gives another dataset", step)
		}
		former, shared = want, survived(t, points)
	}
}

// written writes a dataset whose values are kept.
func written(t *testing.T, blobs *blob.Store, schema data.Schema, rec arrow.RecordBatch) (*Manifest, []Values) {
	t.Helper()
	w := NewKeeping(blobs, schema)
	defer w.Abort()
	if err := w.Write(context.Background(), rec); err != nil {
		t.Fatal(err)
	}
	m, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	return m, w.Values()
}

func TestShardsWithTheirValuesAreNotRead(t *testing.T) {
	ctx, blobs := context.Background(), benchBlobs(t)
	all, values := written(t, blobs, numberSchema, numbers(0, 400_000))
	j := StartJoin(blobs, numberSchema, nil)
	for i, s := range all.Shards {
		if err := blobs.Remove(s.Groups[0].Blob); err != nil {
			t.Fatal(err)
		}
		if err := j.Add(ctx, s, values[i]); err != nil {
			t.Fatal(err)
		}
	}
	got, err := j.End(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, all) {
		t.Error("the digests differ")
	}
}

// survived returns checkpoints as they come back from the store.
func survived(t *testing.T, c *Checkpoints) []Checkpoint {
	t.Helper()
	text, err := json.Marshal(c.Made())
	if err != nil {
		t.Fatal(err)
	}
	var out []Checkpoint
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// continued writes rows, of which the dataset want consists, but shares the shards that
// a former dataset has.
func continued(t *testing.T, blobs *blob.Store, former, want *Manifest, rows []int64, points *Checkpoints) *Manifest {
	t.Helper()
	ctx := context.Background()
	w := NewContinuation(blobs, historySchema, points)
	defer w.Abort()
	for i, at := 0, int64(0); i < len(want.Shards); {
		var run []Shard
		for first := at; i < len(want.Shards); i++ {
			k := slices.IndexFunc(former.Shards, func(s Shard) bool { return SelectionKey("", s, nil) == SelectionKey("", want.Shards[i], nil) })
			if k < 0 || k == len(former.Shards)-1 && i < len(want.Shards)-1 {
				break
			}
			run, first = append(run, former.Shards[k]), first+former.Shards[k].Rows
			at = first
		}
		if !w.AtBoundary() {
			t.Fatal("a shard ends elsewhere")
		}
		if err := w.Share(ctx, run); err != nil {
			t.Fatal(err)
		}
		if i < len(want.Shards) {
			if err := w.Write(ctx, historyRows(rows[at:at+want.Shards[i].Rows])); err != nil {
				t.Fatal(err)
			}
			at += want.Shards[i].Rows
			i++
		}
	}
	m, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Check(); err != nil {
		t.Fatal(err)
	}
	return m
}

// withoutFiles returns a dataset as its values alone determine it.
func withoutFiles(m *Manifest) *Manifest {
	out := *m
	out.Shards = nil
	for _, s := range m.Shards {
		out.Shards = append(out.Shards, Shard{Rows: s.Rows, Columns: s.Columns})
	}
	return &out
}

// TestAnAppendedDatasetReadsOnlyItsNewShards removes the files of the old shards.
func TestAnAppendedDatasetReadsOnlyItsNewShards(t *testing.T) {
	ctx, blobs := context.Background(), benchBlobs(t)
	all := write(t, blobs, numberSchema, numbers(0, 400_000))
	n := len(all.Shards)
	points := NewCheckpoints(nil)
	if _, err := Join(ctx, blobs, numberSchema, all.Shards[:n-1], points); err != nil {
		t.Fatal(err)
	}
	known := points.Made()
	for _, s := range all.Shards[:n-1] {
		if err := blobs.Remove(s.Groups[0].Blob); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Join(ctx, blobs, numberSchema, all.Shards, NewCheckpoints(known))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, all) {
		t.Error("the digests differ")
	}
	if _, err := Join(ctx, blobs, numberSchema, all.Shards, nil); err == nil {
		t.Error("the old shards exist")
	}
	known[len(known)-1].State[0] ^= 1
	if _, err := Join(ctx, blobs, numberSchema, all.Shards, NewCheckpoints(known[len(known)-1:])); err == nil {
		t.Error("a damaged checkpoint is used")
	}
}

func TestCheckpointsStayFew(t *testing.T) {
	var all []numbered
	for n := 1; n <= 10_000; n++ {
		if all = append(all, numbered{shards: n}); len(all) > 2*(lastCheckpoints+otherCheckpoints) {
			all = thin(all)
		}
	}
	all = thin(all)
	if n := len(all); n > lastCheckpoints+otherCheckpoints || all[n-1].shards != 10_000 || all[n-2].shards != 9_999 {
		t.Errorf("checkpoints after %v", all)
	}
	for i := 1; i < len(all); i++ {
		if all[i].shards-all[i-1].shards > 10_000/otherCheckpoints*2 {
			t.Errorf("no checkpoint between %d and %d", all[i-1].shards, all[i].shards)
		}
	}
}
