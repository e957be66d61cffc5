package ordering

import (
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// Output collects single rows into batches. Call Flush at the end, and Release
// in any case.
type Output struct {
	// Builder takes the values of the next row. Add is not the only way to fill
	// it: call Added after each row that was appended otherwise.
	Builder *array.RecordBuilder
	write   func(arrow.RecordBatch) error
	rows    int
	bytes   int64
}

// The size of the batches of an Output.
const (
	outputRows  = 8192
	outputBytes = 8 << 20
)

// NewOutput returns an output that passes its batches to write, which does not
// own them.
func NewOutput(schema *arrow.Schema, write func(arrow.RecordBatch) error) *Output {
	return &Output{Builder: array.NewRecordBuilder(memory.DefaultAllocator, schema), write: write}
}

// Add appends a row: as many columns of its batch as the output has.
func (o *Output) Add(r Row) error {
	if err := AppendRow(o.Builder, r); err != nil {
		return err
	}
	return o.Added(r.Bytes())
}

// Added says that the builder has one more row, of about that many bytes.
func (o *Output) Added(bytes int64) error {
	o.rows++
	if o.bytes += bytes; o.rows < outputRows && o.bytes < outputBytes {
		return nil
	}
	return o.Flush()
}

// Flush writes the rows that are left.
func (o *Output) Flush() error {
	if o.rows == 0 {
		return nil
	}
	rec := o.Builder.NewRecordBatch()
	defer rec.Release()
	o.rows, o.bytes = 0, 0
	return o.write(rec)
}

// Release releases the memory.
func (o *Output) Release() { o.Builder.Release() }
