package dataset

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/store/blob"
	"github.com/quern-dev/quern/store/disk"
)

// benchRows is how many rows a benchmark's dataset has: about 200 bytes each.
const benchRows = 200_000

var benchSchema = data.Schema{{Name: "id", Type: "int64"}, {Name: "text", Type: "string"}}

func benchBlobs(b testing.TB) *blob.Store {
	dir := b.TempDir()
	for _, name := range []string{"blobs", "tmp", "aside"} {
		if err := os.Mkdir(dir+"/"+name, 0o777); err != nil {
			b.Fatal(err)
		}
	}
	return blob.New(dir+"/blobs", dir+"/tmp", dir+"/aside", disk.NewSyncer())
}

// benchBatches are texts of random words, which compress as texts do.
func benchBatches(rows int) []arrow.RecordBatch {
	random := rand.New(rand.NewPCG(1, 2))
	words := make([]string, 5000)
	for i := range words {
		words[i] = fmt.Sprintf("%08x", random.Uint32())[:3+random.IntN(5)]
	}
	var out []arrow.RecordBatch
	for done := 0; done < rows; done += 8192 {
		n := min(8192, rows-done)
		build := array.NewRecordBuilder(memory.DefaultAllocator, benchSchema.Arrow())
		for i := range n {
			build.Field(0).(*array.Int64Builder).Append(int64(done + i))
			text := make([]byte, 0, 220)
			for len(text) < 190 {
				text = append(append(text, words[random.IntN(len(words))]...), ' ')
			}
			build.Field(1).(*array.StringBuilder).BinaryBuilder.Append(text)
		}
		out = append(out, build.NewRecordBatch())
	}
	return out
}

func writeAll(b testing.TB, blobs *blob.Store, batches []arrow.RecordBatch) *Manifest {
	w := NewWriter(blobs, benchSchema)
	defer w.Abort()
	for _, rec := range batches {
		if err := w.Write(context.Background(), rec); err != nil {
			b.Fatal(err)
		}
	}
	m, err := w.Close()
	if err != nil {
		b.Fatal(err)
	}
	return m
}

func perRowMetrics(b *testing.B) {
	b.ReportMetric(float64(benchRows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

func BenchmarkWriteRowsOf200Bytes(b *testing.B) {
	batches := benchBatches(benchRows)
	blobs := benchBlobs(b)
	b.ResetTimer()
	for b.Loop() {
		m := writeAll(b, blobs, batches)
		b.ReportMetric(float64(m.Bytes())/benchRows, "bytes/row")
	}
	perRowMetrics(b)
}

func BenchmarkReadRowsOf200Bytes(b *testing.B) {
	blobs := benchBlobs(b)
	m := writeAll(b, blobs, benchBatches(benchRows))
	b.ResetTimer()
	for b.Loop() {
		files, err := m.Files(blobs, nil)
		if err != nil {
			b.Fatal(err)
		}
		for _, err := range data.Read(context.Background(), files, nil, 0) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	perRowMetrics(b)
}

func BenchmarkKeyRowsOf200Bytes(b *testing.B) {
	batches := benchBatches(benchRows)
	b.ResetTimer()
	for b.Loop() {
		for _, rec := range batches {
			if _, err := RowKeys(rec, []string{"text"}, "sha256:salt"); err != nil {
				b.Fatal(err)
			}
		}
	}
	perRowMetrics(b)
}

func BenchmarkHashColumnsOf200Bytes(b *testing.B) {
	batches := benchBatches(benchRows)
	scratch := make([]encoded, len(benchSchema))
	b.ResetTimer()
	for b.Loop() {
		hashes := newColumnHashes(benchSchema)
		for _, rec := range batches {
			hashColumns(rec, scratch, hashes)
		}
	}
	perRowMetrics(b)
}

func BenchmarkWriteLabels(b *testing.B) {
	blobs := benchBlobs(b)
	schema := data.Schema{{Name: "label", Type: "string"}}
	var batches []arrow.RecordBatch
	random := rand.New(rand.NewPCG(1, 2))
	for done := 0; done < benchRows; done += 8192 {
		build := array.NewStringBuilder(memory.DefaultAllocator)
		n := min(8192, benchRows-done)
		for range n {
			build.Append(fmt.Sprintf("class_number_%d", random.IntN(77)))
		}
		batches = append(batches, array.NewRecordBatch(schema.Arrow(), []arrow.Array{build.NewArray()}, int64(n)))
	}
	b.ResetTimer()
	for b.Loop() {
		w := NewGroup(blobs, schema)
		for _, rec := range batches {
			if err := w.Write(context.Background(), rec); err != nil {
				b.Fatal(err)
			}
		}
		g, _, err := w.Close()
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(g.Bytes)/benchRows, "bytes/row")
	}
	perRowMetrics(b)
}
