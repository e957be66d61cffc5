package survey

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/quern-dev/quern/sdk/go/data"
)

var columnsOfAllKinds = data.Schema{
	{Name: "class", Type: "string"}, {Name: "id", Type: "int64"}, {Name: "name", Type: "string"}, {Name: "size", Type: "float64"}, {Name: "bytes", Type: "binary"},
}

// batch returns rows, of which names and ids are unique, and many values repeat.
func batch(n int) arrow.RecordBatch {
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "class", Type: arrow.BinaryTypes.String}, {Name: "id", Type: arrow.PrimitiveTypes.Int64}, {Name: "name", Type: arrow.BinaryTypes.String},
		{Name: "size", Type: arrow.PrimitiveTypes.Float64}, {Name: "bytes", Type: arrow.BinaryTypes.Binary},
	}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	random := rand.New(rand.NewPCG(11, 12))
	for i := range n {
		b.Field(0).(*array.StringBuilder).Append(fmt.Sprintf("class %d", int(math.Exp(random.Float64()*11))))
		b.Field(1).(*array.Int64Builder).Append(int64(i))
		b.Field(2).(*array.StringBuilder).Append(fmt.Sprintf("the name of row %d", i))
		b.Field(4).(*array.BinaryBuilder).Append(make([]byte, random.IntN(20)))
		switch size := b.Field(3).(*array.Float64Builder); random.IntN(20) {
		case 0:
			size.AppendNull()
		case 1:
			size.Append(math.NaN())
		default:
			size.Append(random.NormFloat64())
		}
	}
	return b.NewRecordBatch()
}

// read adds rows to a survey, in batches of at most size rows.
func read(t *testing.T, s *Survey, rows arrow.RecordBatch, from, until, size int) {
	t.Helper()
	for ; from < until; from += size {
		some := rows.NewSlice(int64(from), int64(min(from+size, until)))
		err := s.Add(some)
		some.Release()
		if err != nil {
			t.Fatal(err)
		}
	}
}

func finished(t *testing.T, s *Survey) string {
	t.Helper()
	p, sketches, err := s.Finish()
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal([]any{p, sketches})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func begin(t *testing.T, rows int) *Survey {
	t.Helper()
	s, err := New(columnsOfAllKinds, int64(rows), Options{Top: 10, Confidence: 0.95, Tokenizer: "estimate", Sample: 500, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// Columns are counted exactly at first, and estimated later.
func TestASurveyThatIsContinuedEqualsOneFromScratch(t *testing.T) {
	rows := batch(150_000)
	defer rows.Release()
	folder := t.TempDir()
	path := func(name string) string { return filepath.Join(folder, name) }
	var shards []string
	done, files := 0, 0
	for i, n := range []int{1, 700, 40_000, 40_001, 90_000, 150_000} {
		s := begin(t, n)
		if i > 0 {
			c, err := s.Resume("dataset", path, append(shards[:len(shards):len(shards)], "more"))
			if err != nil || c == nil {
				t.Fatalf("the checkpoint after %d rows: %v, %v", done, c, err)
			}
			files = len(c.Files())
		}
		before := n - (n-done)/3
		read(t, s, rows, done, before, 1+before/7)
		done, shards = before, append(shards, fmt.Sprint(i))
		if _, err := s.Save(folder, "dataset", shards); err != nil {
			t.Fatal(err)
		}
		read(t, s, rows, done, n, 5000)
		scratch := begin(t, n)
		read(t, scratch, rows, 0, n, 16_384)
		if got, want := finished(t, s), finished(t, scratch); got != want {
			t.Fatalf("%d rows: got\n%s\nwant\n%s", n, got, want)
		}
	}
	if files < 7 {
		t.Errorf("the last checkpoint has only %d files: no column was counted exactly", files)
	}
	if c, err := begin(t, 10).Resume("dataset", path, append([]string{"other"}, shards[1:]...)); c != nil || err != nil {
		t.Errorf("a checkpoint of other shards continues: %v", err)
	}
}

func TestManyFilesOfHashesBecomeOne(t *testing.T) {
	folder := t.TempDir()
	path := func(name string) string { return filepath.Join(folder, name) }
	var files hashFiles
	for i := range uint64(mostFiles + 5) {
		r := newRepeats(folder)
		if i > 0 {
			if err := r.open(files, path); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.add([]uint64{i, i, 1000}); err != nil {
			t.Fatal(err)
		}
		if err := r.settle(); err != nil {
			t.Fatal(err)
		}
		var err error
		if files, err = r.files(folder, fmt.Sprint("hashes-", i)); err != nil {
			t.Fatal(err)
		}
		if n, err := r.count(); err != nil || n != int64(2*i+1) {
			t.Errorf("after %d runs, %d hashes repeat: %v", i+1, n, err)
		}
		if len(files.Names) > mostFiles {
			t.Errorf("after %d runs, there are %d files", i+1, len(files.Names))
		}
		r.close()
	}
}
