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

// maxRowGroup is the maximum number of rows in a row group.
const maxRowGroup = 1 << 17

// minWrite is the number of rows to collect before writing: small batches have
// a high fixed cost.
const minWrite = 4096

// FileWriter writes batches to one Parquet file, compressed with zstd. It keeps
// the compressed pages of one row group in memory.
type FileWriter struct {
	out    io.Writer
	schema *arrow.Schema
	pq     *pqarrow.FileWriter

	gathered     []arrow.RecordBatch
	gatheredRows int64
}

// NewFileWriter returns a writer to w, which it does not close.
func NewFileWriter(w io.Writer, schema Schema) (*FileWriter, error) {
	if err := schema.Check(); err != nil {
		return nil, err
	}
	if len(schema) == 0 {
		return nil, fmt.Errorf("a Parquet file needs at least one column")
	}
	return &FileWriter{out: w, schema: schema.Arrow()}, nil
}

// Write appends a batch, which must have the writer's schema; see Conform. It
// may keep the batch until later. The caller keeps its reference.
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

// Close writes the rest. The file is complete only if Close succeeds.
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

// keepOpen hides the writer's Close, which the Parquet library would call.
type keepOpen struct{ io.Writer }

// repetitive reports whether a text column has so few distinct values that a
// dictionary saves space. It looks at a sample; a wrong guess only costs space.
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
