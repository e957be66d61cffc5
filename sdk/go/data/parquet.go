package data

import (
	"fmt"
	"io"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
)

// maxRowGroup is how many rows a row group of a Parquet file holds at most.
const maxRowGroup = 1 << 17

// minWrite is how many rows are gathered before they are written: small
// batches cost more than their rows.
const minWrite = 4096

// FileWriter writes batches as one Parquet file, zstd-compressed. It holds
// one row group's compressed pages in memory.
type FileWriter struct {
	out    io.Writer
	schema *arrow.Schema
	pq     *pqarrow.FileWriter

	gathered     []arrow.RecordBatch
	gatheredRows int64
}

// NewFileWriter writes to w, which it does not close.
func NewFileWriter(w io.Writer, schema Schema) (*FileWriter, error) {
	if err := schema.Check(); err != nil {
		return nil, err
	}
	if len(schema) == 0 {
		return nil, fmt.Errorf("a Parquet file needs at least one column")
	}
	return &FileWriter{out: w, schema: schema.Arrow()}, nil
}

// Write appends a batch, which must have the writer's schema (see Conform).
// It may keep the batch until later.
func (w *FileWriter) Write(rec arrow.RecordBatch) error {
	rec, err := Conform(rec, w.schema)
	if err != nil {
		return err
	}
	w.gathered = append(w.gathered, rec)
	w.gatheredRows += rec.NumRows()
	if w.gatheredRows < minWrite {
		return nil
	}
	return w.flush()
}

// Close writes what is left. The file is whole only after it.
func (w *FileWriter) Close() error {
	if err := w.flush(); err != nil {
		return err
	}
	if err := w.pq.Close(); err != nil {
		return fmt.Errorf("finish a Parquet file: %w", err)
	}
	return nil
}

func (w *FileWriter) flush() error {
	rec, err := Concat(w.schema, w.gathered)
	for _, part := range w.gathered {
		part.Release()
	}
	w.gathered, w.gatheredRows = w.gathered[:0], 0
	if err != nil {
		return err
	}
	defer rec.Release()
	if w.pq == nil {
		if err := w.open(rec); err != nil {
			return err
		}
	}
	if rec.NumRows() == 0 {
		return nil
	}
	if err := w.pq.WriteBuffered(rec); err != nil {
		return fmt.Errorf("write %d rows: %w", rec.NumRows(), err)
	}
	return nil
}

func (w *FileWriter) open(first arrow.RecordBatch) error {
	props := []parquet.WriterProperty{
		parquet.WithCompression(compress.Codecs.Zstd),
		parquet.WithCompressionLevel(1),
		parquet.WithDictionaryDefault(false),
		parquet.WithStats(false),
		parquet.WithMaxRowGroupLength(maxRowGroup),
		parquet.WithDataPageSize(256 << 10),
		parquet.WithBatchSize(4096),
	}
	for i, f := range w.schema.Fields() {
		if repetitive(first.Column(i)) {
			props = append(props, parquet.WithDictionaryPath(parquet.ColumnPath{f.Name}, true))
		}
	}
	pq, err := pqarrow.NewFileWriter(w.schema, keepOpen{w.out}, parquet.NewWriterProperties(props...),
		pqarrow.NewArrowWriterProperties(pqarrow.WithStoreSchema()))
	if err != nil {
		return fmt.Errorf("start a Parquet file: %w", err)
	}
	w.pq = pq
	return nil
}

// keepOpen hides the writer's Close: the Parquet library would call it.
type keepOpen struct{ io.Writer }

// repetitive says whether a column of texts has so few values that a
// dictionary pays. A sample of what comes first decides; a wrong guess costs
// space, nothing else.
func repetitive(a arrow.Array) bool {
	s, ok := a.(*array.String)
	if !ok {
		return false
	}
	sample := min(s.Len(), 4096)
	seen := make(map[string]struct{}, 64)
	for i := range sample {
		if s.IsValid(i) {
			seen[s.Value(i)] = struct{}{}
		}
		if len(seen) > 1+sample/8 {
			return false
		}
	}
	return true
}
