package dataset

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/datatest"
	"github.com/quern-dev/quern/store/blob"
)

func write(t testing.TB, blobs *blob.Store, s data.Schema, batches ...arrow.RecordBatch) *Manifest {
	t.Helper()
	w := NewWriter(blobs, s)
	defer w.Abort()
	for _, rec := range batches {
		if err := w.Write(context.Background(), rec); err != nil {
			t.Fatal(err)
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

func read(t testing.TB, blobs *blob.Store, m *Manifest, columns []string) arrow.RecordBatch {
	t.Helper()
	files, err := m.Files(blobs, columns)
	if err != nil {
		t.Fatal(err)
	}
	var parts []arrow.RecordBatch
	var schema data.Schema
	for _, c := range columns {
		column, _, _ := m.Schema.Lookup(c)
		schema = append(schema, column)
	}
	for rec, err := range data.Read(context.Background(), files, columns, 1000) {
		if err != nil {
			t.Fatal(err)
		}
		rec.Retain()
		parts = append(parts, rec)
	}
	out, err := data.Concat(schema.Arrow(), parts)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// numbers are rows of one int64 column: distinct, and large in number before
// they are large in bytes.
func numbers(from, to int) arrow.RecordBatch {
	b := array.NewInt64Builder(memory.DefaultAllocator)
	for i := from; i < to; i++ {
		b.Append(int64(i))
	}
	return array.NewRecordBatch(numberSchema.Arrow(), []arrow.Array{b.NewArray()}, int64(to-from))
}

var numberSchema = data.Schema{{Name: "n", Type: "int64"}}

func TestRowsThatAreWrittenAreRead(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	blobs := benchBlobs(t)
	for range 60 {
		s := datatest.Schema(r)
		rec := datatest.Batch(r, s, r.IntN(500))
		m := write(t, blobs, s, datatest.Cut(r, rec, 60)...)
		if m.Rows != rec.NumRows() {
			t.Fatalf("%d rows became %d", rec.NumRows(), m.Rows)
		}
		if back := read(t, blobs, m, s.Names()); !datatest.Same(rec, back) {
			t.Fatalf("wrote %v\nread %v", rec, back)
		}
		text, err := m.Encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := Decode(text)
		if err != nil || again.Digest() != m.Digest() {
			t.Fatalf("the manifest did not survive: %v", err)
		}
	}
}

func TestManyRowsSurviveManyShards(t *testing.T) {
	blobs := benchBlobs(t)
	rec := numbers(0, 200_000)
	m := write(t, blobs, numberSchema, datatest.Cut(rand.New(rand.NewPCG(2, 2)), rec, 20_000)...)
	if len(m.Shards) < 3 {
		t.Fatalf("200,000 rows are in %d shards", len(m.Shards))
	}
	for _, s := range m.Shards[:len(m.Shards)-1] {
		if s.Rows < minRows || s.Rows > maxRows {
			t.Errorf("a shard has %d rows", s.Rows)
		}
	}
	if back := read(t, blobs, m, []string{"n"}); !datatest.Same(rec, back) {
		t.Fatal("other rows came back")
	}
}

func TestShardsAndDigestsDoNotDependOnBatches(t *testing.T) {
	blobs := benchBlobs(t)
	rec := numbers(0, 100_000)
	whole := write(t, blobs, numberSchema, rec)
	for seed := range uint64(3) {
		pieces := write(t, blobs, numberSchema, datatest.Cut(rand.New(rand.NewPCG(seed, 3)), rec, 3000)...)
		if pieces.Digest() != whole.Digest() {
			t.Error("the digest is another one")
		}
		if len(pieces.Shards) != len(whole.Shards) {
			t.Fatalf("there are %d shards, in one batch %d", len(pieces.Shards), len(whole.Shards))
		}
		for i, s := range pieces.Shards {
			if s.Rows != whole.Shards[i].Rows || s.Columns[0].Digest != whole.Shards[i].Columns[0].Digest {
				t.Errorf("shard %d is another one", i)
			}
		}
	}
}

func TestAnInsertionChangesOnlyTheShardsNearIt(t *testing.T) {
	blobs := benchBlobs(t)
	before := write(t, blobs, numberSchema, numbers(0, 600_000))
	for _, at := range []int{0, 17, 300_000, 599_999} {
		after := write(t, blobs, numberSchema, numbers(0, at), numbers(1_000_000, 1_000_100), numbers(at, 600_000))
		known := map[string]bool{}
		for _, s := range before.Shards {
			known[ShardKey("d", s, []string{"n"})] = true
		}
		other := 0
		for _, s := range after.Shards {
			if !known[ShardKey("d", s, []string{"n"})] {
				other++
			}
		}
		if other > 3 {
			t.Errorf("100 rows at %d made %d of %d shards new", at, other, len(after.Shards))
		}
	}
}

func TestEqualRowsMakeShardsOfTheMaximumSize(t *testing.T) {
	blobs := benchBlobs(t)
	s := data.Schema{{Name: "b", Type: "bool"}}
	b := array.NewBooleanBuilder(memory.DefaultAllocator)
	for range 300_000 {
		b.Append(true)
	}
	m := write(t, blobs, s, array.NewRecordBatch(s.Arrow(), []arrow.Array{b.NewArray()}, 300_000))
	for _, shard := range m.Shards {
		if shard.Rows > maxRows {
			t.Errorf("a shard has %d rows", shard.Rows)
		}
	}
}

func TestLargeRowsEndAShardByTheirBytes(t *testing.T) {
	b := boundary{}
	rows := 0
	for !b.after(1<<63, 1<<20) { // a hash that ends no shard
		rows++
	}
	if rows != maxBytes>>20-1 {
		t.Errorf("a shard of rows of 1 MiB ends behind %d", rows+1)
	}
}

func TestOneShardAndManyHaveTheSameColumnDigests(t *testing.T) {
	// The digest over all rows is of values alone: the same values in shards
	// that were cut by another column's values have it too.
	blobs := benchBlobs(t)
	two := data.Schema{{Name: "n", Type: "int64"}, {Name: "m", Type: "int64"}}
	n := numbers(0, 150_000)
	m := numbers(5_000_000, 5_150_000)
	both := array.NewRecordBatch(two.Arrow(), []arrow.Array{n.Column(0), m.Column(0)}, n.NumRows())
	alone, joint := write(t, blobs, numberSchema, n), write(t, blobs, two, both)
	if sameShards(alone, joint) {
		t.Fatal("both are cut at the same rows: this shows nothing")
	}
	if alone.ColumnDigest("n") != joint.ColumnDigest("n") {
		t.Error("a column's digest depends on where its shards end")
	}
}

func sameShards(a, b *Manifest) bool {
	rows := func(s Shard) int64 { return s.Rows }
	return slices.EqualFunc(a.Shards, b.Shards, func(x, y Shard) bool { return rows(x) == rows(y) })
}

func TestDigestsDistinguishValues(t *testing.T) {
	s := data.Schema{{Name: "t", Type: "string"}}
	list := data.Schema{{Name: "t", Type: "list<string>"}}
	blobs := benchBlobs(t)
	seen := map[string]string{}
	note := func(what string, m *Manifest) {
		if other, ok := seen[m.ColumnDigest("t")]; ok {
			t.Errorf("%s has the digest of %s", what, other)
		}
		seen[m.ColumnDigest("t")] = what
	}
	note("no row", write(t, blobs, s))
	note("no row of another type", write(t, blobs, data.Schema{{Name: "t", Type: "int64"}}))
	for _, rows := range [][][]any{
		{{nil}}, {{""}}, {{"a"}}, {{"ab"}}, {{"a"}, {"b"}}, {{"b"}, {"a"}}, {{"a"}, {nil}}, {{nil}, {"a"}}, {{""}, {""}},
	} {
		note(fmt.Sprint(rows), write(t, blobs, s, datatest.Rows(s, rows...)))
	}
	for _, lists := range [][][]string{{{}}, {{"a"}}, {{"a", "b"}}, {{"a"}, {"b"}}, {{"a", "b"}, {}}, {{}, {"a", "b"}}} {
		b := array.NewListBuilder(memory.DefaultAllocator, arrow.BinaryTypes.String)
		for _, l := range lists {
			b.Append(true)
			for _, e := range l {
				b.ValueBuilder().(*array.StringBuilder).Append(e)
			}
		}
		note(fmt.Sprint("lists ", lists), write(t, blobs, list, array.NewRecordBatch(list.Arrow(), []arrow.Array{b.NewArray()}, int64(len(lists)))))
	}
}

// These digests are part of the format: if this test fails, what is in users'
// stores is not found any more.
func TestDigestsDoNotChange(t *testing.T) {
	blobs := benchBlobs(t)
	s := data.Schema{{Name: "t", Type: "string"}, {Name: "i", Type: "int64"}, {Name: "f", Type: "float64"}, {Name: "b", Type: "bool"}, {Name: "x", Type: "binary"}}
	rec := datatest.Rows(s, []any{"größer", 7, 0.5, true, []byte{0, 1}}, []any{nil, nil, nil, nil, nil}, []any{"", -1, 0.0, false, []byte{}})
	m := write(t, blobs, s, rec)
	keys, err := RowKeys(rec, []string{"t", "i"}, "salt")
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprintf("%s %s %x %s %d", m.Digest(), m.ColumnDigest("t"), keys[0], ShardKey("d", m.Shards[0], []string{"t"}),
		write(t, blobs, numberSchema, numbers(0, 100_000)).Shards[0].Rows)
	if got != goldenDigests {
		t.Errorf("got\n%s\nwant\n%s", got, goldenDigests)
	}
}

func TestRowKeysFollowValuesNotPositions(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	s := datatest.Schema(r)
	rec := datatest.Batch(r, s, 3000)
	keys, err := RowKeys(rec, s.Names(), "salt")
	if err != nil {
		t.Fatal(err)
	}
	part, err := RowKeys(rec.NewSlice(1500, 2900), s.Names(), "salt")
	if err != nil || !slices.Equal(part, keys[1500:2900]) {
		t.Errorf("a slice has other keys: %v", err)
	}
	salted, err := RowKeys(rec, s.Names(), "other")
	if err != nil || salted[0] == keys[0] {
		t.Errorf("another salt gives the same key: %v", err)
	}
	if _, err := RowKeys(rec, []string{"absent"}, "salt"); err == nil {
		t.Error("a column that is not there is keyed")
	}
}

func TestDerivedDatasetsShareUnchangedFiles(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	blobs := benchBlobs(t)
	s := data.Schema{{Name: "n", Type: "int64"}, {Name: "text", Type: "string"}, {Name: "rest", Type: "float64"}}
	input := write(t, blobs, s, datatest.Batch(r, s, 120_000))
	labels := data.Schema{{Name: "label", Type: "string"}}
	var added [][]Added
	var all []arrow.RecordBatch
	for _, shard := range input.Shards {
		rec := datatest.Batch(r, labels, int(shard.Rows))
		w := NewGroup(blobs, labels)
		if err := w.Write(context.Background(), rec); err != nil {
			t.Fatal(err)
		}
		group, columns, err := w.Close()
		if err != nil {
			t.Fatal(err)
		}
		added = append(added, []Added{{Group: group, Columns: columns}})
		all = append(all, rec)
	}
	out := data.Schema{{Name: "label", Type: "string"}, {Name: "body", Type: "string"}, {Name: "n", Type: "int64"}}
	m, err := Derive(context.Background(), blobs, Derivation{Input: input, Schema: out, From: map[string]string{"body": "text", "n": "n"}, Added: added}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Check(); err != nil {
		t.Fatal(err)
	}
	want, err := data.Concat(labels.Arrow(), all)
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, blobs, m, []string{"label"}); !datatest.Same(want, got) {
		t.Error("other labels came back")
	}
	body := read(t, blobs, m, []string{"body"})
	text := read(t, blobs, input, []string{"text"})
	if !array.Equal(body.Column(0), text.Column(0)) {
		t.Error("the renamed column has other values")
	}
	if m.ColumnDigest("body") != input.ColumnDigest("text") {
		t.Error("a new name changes a column's digest")
	}
	fresh := write(t, blobs, out, read(t, blobs, m, out.Names()))
	if fresh.Digest() != m.Digest() {
		t.Error("the same rows, written afresh, have another digest")
	}
	renamedOnly, err := Derive(context.Background(), blobs, Derivation{Input: m, Schema: data.Schema{{Name: "l", Type: "string"}}, From: map[string]string{"l": "label"}}, nil)
	if err != nil || len(renamedOnly.Shards[0].Groups) != 1 {
		t.Errorf("dropping the texts keeps their group: %v", err)
	}
}

func TestAnInconsistentDerivationIsRefused(t *testing.T) {
	blobs := benchBlobs(t)
	input := write(t, blobs, numberSchema, numbers(0, 10))
	for what, d := range map[string]Derivation{
		"a column that nobody made":   {Schema: data.Schema{{Name: "x", Type: "int64"}}},
		"an input column that is not": {Schema: numberSchema, From: map[string]string{"n": "m"}},
		"another type":                {Schema: data.Schema{{Name: "n", Type: "string"}}, From: map[string]string{"n": "n"}},
		"columns for too many shards": {Schema: numberSchema, From: map[string]string{"n": "n"}, Added: make([][]Added, 2)},
	} {
		d.Input = input
		if _, err := Derive(context.Background(), blobs, d, nil); err == nil {
			t.Errorf("%s is taken", what)
		}
	}
}

func TestAWriterThatFailsLeavesNothingBehind(t *testing.T) {
	blobs := benchBlobs(t)
	w := NewWriter(blobs, numberSchema)
	if err := w.Write(context.Background(), numbers(0, 10)); err != nil {
		t.Fatal(err)
	}
	wrong := data.Schema{{Name: "n", Type: "string"}}
	if err := w.Write(context.Background(), datatest.Rows(wrong, []any{"a"})); err == nil {
		t.Error("a text is taken for a number")
	}
	w.Abort()
	w.Abort()
	if _, err := w.Close(); err == nil {
		t.Error("an aborted dataset can be closed")
	}
	if err := NewWriter(blobs, data.Schema{{Name: "n", Type: "number"}}).Write(context.Background(), numbers(0, 1)); err == nil {
		t.Error("a schema with an unknown type is taken")
	}
	for ref, err := range blobs.All() {
		t.Errorf("%v %v is left", ref, err)
	}
}

func TestRowsWithoutColumnsAreCounted(t *testing.T) {
	blobs := benchBlobs(t)
	none := arrow.NewSchema(nil, nil)
	m := write(t, blobs, data.Schema{}, array.NewRecordBatch(none, nil, 200_000))
	if m.Rows != 200_000 {
		t.Fatalf("%d rows", m.Rows)
	}
	if got := read(t, blobs, m, []string{}); got.NumRows() != 200_000 {
		t.Errorf("%d rows came back", got.NumRows())
	}
}

func TestAFlippedByteInAnyFileOfADatasetIsFound(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 6))
	blobs := benchBlobs(t)
	s := datatest.Schema(r)
	m := write(t, blobs, s, datatest.Batch(r, s, 2000))
	if errs := m.Verify(context.Background(), blobs); len(errs) > 0 {
		t.Fatal(errs)
	}
	path, err := blobs.Path(m.Shards[0].Groups[0].Blob)
	if err != nil {
		t.Fatal(err)
	}
	flip(t, path, r)
	var damaged *blob.Damaged
	if _, err := m.Files(blobs, nil); !errors.As(err, &damaged) {
		t.Errorf("reading gives %v", err)
	}
	var missing *blob.Missing
	if _, err := m.Files(blobs, nil); !errors.As(err, &missing) {
		t.Errorf("reading again gives %v", err)
	}
}

func flip(t *testing.T, path string, r *rand.Rand) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[r.IntN(len(b))] ^= 1 << r.IntN(8)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o444); err != nil {
		t.Fatal(err)
	}
}

func FuzzDecodeManifest(f *testing.F) {
	blobs := benchBlobs(f)
	text, err := write(f, blobs, numberSchema, numbers(0, 10)).Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := Decode(text)
		if err != nil {
			return
		}
		m.Digest()
		m.Blobs()
		for _, s := range m.Shards {
			ShardKey("d", s, m.Schema.Names())
		}
		again, err := m.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if back, err := Decode(again); err != nil || back.Digest() != m.Digest() {
			t.Fatalf("a manifest does not survive its encoding: %v", err)
		}
	})
}

const goldenDigests = "sha256:b7f74b8d95a8b2268d36a94c12244d0de85f3d75a5d70bb037ef467ff6d15f69" +
	" sha256:68c1683f84a59068010fa0c2a33d5129651d1a2730eb59ef7319cd684cc9c713" +
	" 3fe853ed503de5934eeb48df6b0cfe41" +
	" sha256:2174f5a72297e6c407d82532c9b5bab528a9627e116f45d689146ca2829ffe09" +
	" 15863"
