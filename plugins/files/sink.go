package files

import (
	"errors"
	"fmt"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/quern-dev/quern/sdk/go/data"
)

// The maximum size of a batch. The limit that is reached first applies.
const (
	batchRows  = 16384
	batchBytes = 8 << 20
	// batchCells limits rows times values per row, so that wide rows with few
	// values do not fill the memory with nulls.
	batchCells = 4 << 20
)

// rowWriter receives rows. *plugin.RowWriter is one.
type rowWriter interface {
	Write(arrow.RecordBatch) error
	Quarantine(origin, content string, problem error) error
	Progress(done, total int64, unit, message string)
	NamedPart(name, fingerprint string, read func() error) error
}

// sink collects rows into batches.
type sink struct {
	out     rowWriter
	schema  data.Schema
	builder *array.RecordBuilder
	rows    int
	bytes   int
	most    int // maximum number of rows in a batch
	// quarantine says that malformed rows are set aside.
	quarantine bool
}

func newSink(out rowWriter, schema data.Schema, quarantine bool) *sink {
	cells := 0
	for _, f := range schema.Arrow().Fields() {
		cells += leaves(f.Type)
	}
	return &sink{
		out: out, schema: schema, quarantine: quarantine, most: min(batchRows, max(64, batchCells/max(1, cells))),
		builder: array.NewRecordBuilder(memory.DefaultAllocator, schema.Arrow()),
	}
}

// leaves returns the number of primitive values in a value of a type.
func leaves(t arrow.DataType) int {
	n := 1
	if t, ok := t.(arrow.NestedType); ok {
		for _, f := range t.Fields() {
			n += leaves(f.Type)
		}
	}
	return n
}

// add appends a row: a value for each column of the schema.
func (s *sink) add(row []parsed, bytes int) error {
	for i, v := range row {
		if err := put(s.builder.Field(i), v); err != nil {
			// Values were checked when they were parsed.
			return fmt.Errorf("column %q: %w", s.schema[i].Name, err)
		}
	}
	s.rows++
	s.bytes += bytes
	if s.rows >= s.most || s.bytes >= batchBytes {
		return s.flush()
	}
	return nil
}

func (s *sink) flush() error {
	if s.rows == 0 {
		return nil
	}
	rec := s.builder.NewRecordBatch()
	defer func() { rec.Release() }()
	s.reserve(rec)
	if len(s.schema) == 0 {
		// If all columns are partitions, only the number of rows matters.
		rec = array.NewRecordBatch(rec.Schema(), nil, int64(s.rows))
	}
	s.rows, s.bytes = 0, 0
	return s.out.Write(rec)
}

// reserve makes room for another batch like the last one, with slightly longer texts, so
// that columns do not grow step by step.
func (s *sink) reserve(last arrow.RecordBatch) {
	if s.rows < s.most && s.bytes < batchBytes {
		return // it was the last one of a file
	}
	for i, column := range last.Columns() {
		s.builder.Field(i).Reserve(column.Len())
		if texts, ok := column.(*array.String); ok {
			s.builder.Field(i).(*array.StringBuilder).ReserveData(len(texts.ValueBytes()) * 17 / 16)
		}
	}
}

func (s *sink) release() { s.builder.Release() }

// maxContent is the maximum length of the stored content of a row that is set
// aside.
const maxContent = 64 << 10

// refuse handles a malformed row: it sets the row aside, or returns the error
// that ends the read.
func (s *sink) refuse(name string, line int, content []byte, problem error) error {
	origin := fmt.Sprintf("%s:%d", name, line)
	if s.quarantine {
		content = lineEnd(content)
		return s.out.Quarantine(origin, string(content[:min(len(content), maxContent)]), problem)
	}
	return failed(name, line, problem)
}

// failed returns the error with which a malformed row ends the read.
func failed(name string, line int, problem error) error {
	var m malformed
	if errors.As(problem, &m) {
		problem = m.error
	}
	if !strings.Contains(problem.Error(), "\n") {
		problem = fmt.Errorf("%w\nCorrect it, or set on_error = \"quarantine\", which sets such rows aside and continues.", problem)
	}
	return fmt.Errorf("%s:%d: %w", name, line, problem)
}

// put appends a parsed value to a column.
func put(b array.Builder, v parsed) error {
	if v.null {
		b.AppendNull()
		return nil
	}
	switch b := b.(type) {
	case *array.StringBuilder:
		b.BinaryBuilder.Append(v.text)
	case *array.BinaryBuilder:
		b.Append(v.text)
	case *array.Int64Builder:
		b.Append(v.i)
	case *array.Float64Builder:
		b.Append(v.f)
	case *array.BooleanBuilder:
		b.Append(v.b)
	case *array.Date32Builder:
		b.Append(arrow.Date32(v.i))
	case *array.TimestampBuilder:
		b.Append(arrow.Timestamp(v.i))
	default:
		return putDeep(b, v.deep)
	}
	return nil
}
