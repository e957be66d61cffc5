package rowwise

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// Batches in this package use Go's own memory (Arrow's default allocator).
// Batches that several blocks share are left to the garbage collector instead
// of being reference-counted: see window.

// run is a range of consecutive rows of one batch. A run of the nil batch is
// nulls.
type run struct {
	from  arrow.RecordBatch
	start int64
	n     int64
}

// addRow appends one row; see addRows.
func addRow(runs []run, from arrow.RecordBatch, row int64) []run { return addRows(runs, from, row, 1) }

// addRows appends rows and extends the last run if they directly follow it, so
// that rows that stayed together cost one run.
func addRows(runs []run, from arrow.RecordBatch, start, n int64) []run {
	if n == 0 {
		return runs
	}
	if len(runs) > 0 {
		last := &runs[len(runs)-1]
		if last.from == from && (from == nil || last.start+last.n == start) {
			last.n += n
			return runs
		}
	}
	return append(runs, run{from, start, n})
}

// gather builds one batch from runs of batches with the same schema. It does
// not copy a single run.
func gather(schema *arrow.Schema, runs []run) (arrow.RecordBatch, error) {
	rows := int64(0)
	for _, r := range runs {
		rows += r.n
	}
	columns := make([]arrow.Array, schema.NumFields())
	for i := range columns {
		c, err := gatherColumn(schema.Field(i).Type, i, runs)
		if err != nil {
			return nil, fmt.Errorf("assemble column %q: %w", schema.Field(i).Name, err)
		}
		c.NullN() // Arrow stores the count on the first call, which would race with later blocks that slice the column
		columns[i] = c
	}
	return array.NewRecordBatch(schema, columns, rows), nil
}

func gatherColumn(t arrow.DataType, column int, runs []run) (arrow.Array, error) {
	pieces := make([]arrow.Array, len(runs))
	for i, r := range runs {
		if r.from == nil {
			pieces[i] = array.MakeArrayOfNull(memory.DefaultAllocator, t, int(r.n))
			continue
		}
		pieces[i] = array.NewSlice(r.from.Column(column), r.start, r.start+r.n)
	}
	switch len(pieces) {
	case 0:
		return array.MakeArrayOfNull(memory.DefaultAllocator, t, 0), nil
	case 1:
		return pieces[0], nil
	}
	return array.Concatenate(pieces, memory.DefaultAllocator)
}
