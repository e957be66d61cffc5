package data_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/datatest"
)

func writeFile(t *testing.T, path string, s data.Schema, batches ...arrow.RecordBatch) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w, err := data.NewFileWriter(f, s)
	if err != nil {
		t.Fatal(err)
	}
	for _, rec := range batches {
		if err := w.Write(rec); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// same returns a group that contains all columns of a file under their own
// names.
func same(path string, names ...string) data.Group {
	g := data.Group{Path: path}
	for _, n := range names {
		g.Columns = append(g.Columns, data.Stored{Stored: n, Name: n})
	}
	return g
}

func readAll(t *testing.T, s *arrow.Schema, shards []data.Shard, columns []string, batchRows int) arrow.RecordBatch {
	t.Helper()
	var parts []arrow.RecordBatch
	for rec, err := range data.Read(context.Background(), shards, columns, batchRows) {
		if err != nil {
			t.Fatal(err)
		}
		if batchRows > 0 && rec.NumRows() > int64(batchRows) {
			t.Fatalf("a batch has %d rows, %d were asked for", rec.NumRows(), batchRows)
		}
		rec.Retain()
		parts = append(parts, rec)
	}
	whole, err := data.Concat(s, parts)
	if err != nil {
		t.Fatal(err)
	}
	return whole
}

func TestRowsOfAnySchemaSurviveAFile(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	for i := range 150 {
		s := datatest.Schema(r)
		rec := datatest.Batch(r, s, r.IntN(300))
		path := filepath.Join(t.TempDir(), "rows.parquet")
		writeFile(t, path, s, datatest.Cut(r, rec, 40)...)
		shards := []data.Shard{{Rows: rec.NumRows(), Groups: []data.Group{same(path, s.Names()...)}}}
		back := readAll(t, s.Arrow(), shards, nil, 1+r.IntN(100))
		if !datatest.Same(rec, back) {
			t.Fatalf("%d: %v\nwrote %v\nread %v", i, s, rec, back)
		}
	}
}

func TestLargeFilesComeInSeveralRowGroups(t *testing.T) {
	s := data.Schema{{Name: "n", Type: "int64"}}
	r := rand.New(rand.NewPCG(6, 6))
	rec := datatest.Batch(r, s, 300_000)
	path := filepath.Join(t.TempDir(), "rows.parquet")
	writeFile(t, path, s, rec)
	shards := []data.Shard{{Rows: rec.NumRows(), Groups: []data.Group{same(path, "n")}}}
	if back := readAll(t, s.Arrow(), shards, nil, 0); !datatest.Same(rec, back) {
		t.Fatal("other rows came back")
	}
}

func TestGroupsAreJoinedByPosition(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	left := data.Schema{{Name: "text", Type: "string"}, {Name: "dropped", Type: "int64"}}
	right := data.Schema{{Name: "label", Type: "string"}}
	dir := t.TempDir()
	var shards []data.Shard
	var texts, labels []arrow.RecordBatch
	for i, n := range []int{1, 700, 20} {
		a, b := datatest.Batch(r, left, n), datatest.Batch(r, right, n)
		l, rt := filepath.Join(dir, string(rune('a'+i))), filepath.Join(dir, string(rune('k'+i)))
		writeFile(t, l, left, a)
		writeFile(t, rt, right, b)
		shards = append(shards, data.Shard{Rows: int64(n), Groups: []data.Group{
			{Path: l, Columns: []data.Stored{{Stored: "text", Name: "body"}}}, same(rt, "label")}})
		texts, labels = append(texts, a), append(labels, b)
	}
	want := data.Schema{{Name: "label", Type: "string"}, {Name: "body", Type: "string"}}
	got := readAll(t, want.Arrow(), shards, []string{"label", "body"}, 64)
	text, _ := data.Concat(left.Arrow(), texts)
	label, _ := data.Concat(right.Arrow(), labels)
	for i := range int(got.NumRows()) {
		if got.Column(0).ValueStr(i) != label.Column(0).ValueStr(i) || got.Column(1).ValueStr(i) != text.Column(0).ValueStr(i) {
			t.Fatalf("row %d is joined with another one", i)
		}
	}
	all := readAll(t, data.Schema{{Name: "body", Type: "string"}, {Name: "label", Type: "string"}}.Arrow(), shards, nil, 0)
	if all.NumRows() != 721 {
		t.Fatalf("%d rows", all.NumRows())
	}
	counted := readAll(t, arrow.NewSchema(nil, nil), shards, []string{}, 100)
	if counted.NumRows() != 721 {
		t.Fatalf("without columns there are %d rows", counted.NumRows())
	}
}

func TestMismatchedFilesAreReported(t *testing.T) {
	s := data.Schema{{Name: "n", Type: "int64"}}
	r := rand.New(rand.NewPCG(8, 8))
	dir := t.TempDir()
	path, other, text := filepath.Join(dir, "n"), filepath.Join(dir, "m"), filepath.Join(dir, "text")
	writeFile(t, path, s, datatest.Batch(r, s, 10))
	writeFile(t, other, data.Schema{{Name: "n", Type: "string"}}, datatest.Batch(r, data.Schema{{Name: "n", Type: "string"}}, 10))
	if err := os.WriteFile(text, []byte("no Parquet"), 0o666); err != nil {
		t.Fatal(err)
	}
	good := data.Shard{Rows: 10, Groups: []data.Group{same(path, "n")}}
	for want, shards := range map[string][]data.Shard{
		"has 10 rows, but the shard has 11": {{Rows: 11, Groups: []data.Group{same(path, "n")}}},
		"no column":                         {{Rows: 10}},
		"it lacks some of the columns":      {{Rows: 10, Groups: []data.Group{{Path: path, Columns: []data.Stored{{Stored: "x", Name: "n"}}}}}},
		"no such file":                      {{Rows: 10, Groups: []data.Group{same(path+"x", "n")}}},
		"shard 2 of 2":                      {good, {Rows: 10, Groups: []data.Group{same(other, "n")}}},
		"open " + text:                      {{Rows: 10, Groups: []data.Group{same(text, "n")}}},
	} {
		var last error
		for _, err := range data.Read(context.Background(), shards, []string{"n"}, 3) {
			last = err
		}
		if last == nil || !strings.Contains(last.Error(), want) {
			t.Errorf("want %q, got %v", want, last)
		}
	}
}

func TestADamagedFileIsAnErrorAndNotAPanic(t *testing.T) {
	s := data.Schema{{Name: "n", Type: "int64"}, {Name: "t", Type: "list<string>"}}
	r := rand.New(rand.NewPCG(9, 9))
	path := filepath.Join(t.TempDir(), "rows")
	writeFile(t, path, s, datatest.Batch(r, s, 500))
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	shards := []data.Shard{{Rows: 500, Groups: []data.Group{same(path, s.Names()...)}}}
	for range 300 {
		b := slices.Clone(whole)
		b[r.IntN(len(b))] ^= 1 << r.IntN(8)
		if err := os.WriteFile(path, b, 0o666); err != nil {
			t.Fatal(err)
		}
		for _, err := range data.Read(context.Background(), shards, nil, 0) {
			_ = err // rows may be wrong, because only the store verifies files
		}
	}
}

func TestAReaderMayStopEarly(t *testing.T) {
	s := data.Schema{{Name: "n", Type: "int64"}}
	path := filepath.Join(t.TempDir(), "rows")
	writeFile(t, path, s, datatest.Batch(rand.New(rand.NewPCG(1, 1)), s, 10_000))
	shards := []data.Shard{{Rows: 10_000, Groups: []data.Group{same(path, "n")}}}
	for rec, err := range data.Read(context.Background(), shards, nil, 10) {
		if err != nil || rec.NumRows() != 10 {
			t.Fatal(rec, err)
		}
		break
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var last error
	for _, err := range data.Read(ctx, shards, nil, 10) {
		cancel()
		last = err
	}
	if last != context.Canceled && !strings.Contains(last.Error(), "canceled") {
		t.Fatalf("a canceled reader ends with %v", last)
	}
}

func TestColumnsAndArgumentsWithTheSameNameAreDistinguished(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	stored := data.Schema{{Name: "text", Type: "string"}, {Name: "argument0", Type: "int64"}}
	rec, path := datatest.Batch(r, stored, 30), filepath.Join(t.TempDir(), "rows")
	writeFile(t, path, stored, rec)
	shards := []data.Shard{{Rows: 30, Groups: []data.Group{{Path: path, Columns: []data.Stored{
		{Stored: "text", Name: "text"}, {Stored: "argument0", Name: "text", Namespace: data.Arguments}, {Stored: "text", Name: "bare", Namespace: data.Arguments},
	}}}}}
	shards = data.ShardsFromProto(data.ShardsToProto(shards))
	refs := append(data.Arguments.Refs("text", "bare"), data.Columns.Refs("text")...)
	for got, err := range data.ReadRefs(context.Background(), shards, refs, 0) {
		if err != nil {
			t.Fatal(err)
		}
		wire, err := data.EncodeBatch(got)
		if err != nil {
			t.Fatal(err)
		}
		if got, err = data.DecodeBatch(wire); err != nil {
			t.Fatal(err)
		}
		if !array.Equal(data.Columns.Find(got, "text"), rec.Column(0)) || !array.Equal(data.Arguments.Find(got, "text"), rec.Column(1)) ||
			!array.Equal(data.Arguments.Find(got, "bare"), rec.Column(0)) || data.Columns.Find(got, "bare") != nil {
			t.Errorf("%v", got)
		}
		columns, _ := data.Columns.Schema(got.Schema())
		arguments, _ := data.Arguments.Schema(got.Schema())
		if fmt.Sprint(columns, arguments) != "[{text string}] [{text int64} {bare string}]" {
			t.Errorf("%v %v", columns, arguments)
		}
	}
	for rec := range data.Read(context.Background(), shards, nil, 0) {
		if rec.NumCols() != 1 {
			t.Errorf("a dataset has %d columns", rec.NumCols())
		}
	}
}
