package rows

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// take returns the given rows of a batch, in the given order. The caller
// releases the result.
func take(rec arrow.RecordBatch, rows []int) (arrow.RecordBatch, error) {
	if len(rows) == int(rec.NumRows()) && inOrder(rows) {
		rec.Retain()
		return rec, nil
	}
	columns := make([]arrow.Array, rec.NumCols())
	defer func() {
		for _, c := range columns {
			if c != nil {
				c.Release()
			}
		}
	}()
	for i, c := range rec.Columns() {
		var err error
		if columns[i], err = takeArray(c, rows); err != nil {
			return nil, fmt.Errorf("column %q: %w", rec.ColumnName(i), err)
		}
	}
	return array.NewRecordBatch(rec.Schema(), columns, int64(len(rows))), nil
}

func inOrder(rows []int) bool {
	for i, r := range rows {
		if i != r {
			return false
		}
	}
	return true
}

func takeArray(a arrow.Array, rows []int) (arrow.Array, error) {
	switch a := a.(type) {
	case *array.String:
		b := array.NewStringBuilder(memory.DefaultAllocator)
		defer b.Release()
		return build(b, a, rows, func(i int) { b.Append(a.Value(i)) }), nil
	case *array.Int64:
		b := array.NewInt64Builder(memory.DefaultAllocator)
		defer b.Release()
		return build(b, a, rows, func(i int) { b.Append(a.Value(i)) }), nil
	case *array.Float64:
		b := array.NewFloat64Builder(memory.DefaultAllocator)
		defer b.Release()
		return build(b, a, rows, func(i int) { b.Append(a.Value(i)) }), nil
	case *array.Boolean:
		b := array.NewBooleanBuilder(memory.DefaultAllocator)
		defer b.Release()
		return build(b, a, rows, func(i int) { b.Append(a.Value(i)) }), nil
	}
	return joinRuns(a, rows)
}

func build(b array.Builder, a arrow.Array, rows []int, add func(i int)) arrow.Array {
	b.Reserve(len(rows))
	for _, i := range rows {
		if a.IsNull(i) {
			b.AppendNull()
		} else {
			add(i)
		}
	}
	return b.NewArray()
}

// joinRuns works for any type: it concatenates the runs of adjacent rows.
func joinRuns(a arrow.Array, rows []int) (arrow.Array, error) {
	var runs []arrow.Array
	defer func() {
		for _, r := range runs {
			r.Release()
		}
	}()
	for start := 0; start < len(rows); {
		end := start + 1
		for end < len(rows) && rows[end] == rows[end-1]+1 {
			end++
		}
		runs = append(runs, array.NewSlice(a, int64(rows[start]), int64(rows[end-1]+1)))
		start = end
	}
	if len(runs) == 0 {
		return array.MakeArrayOfNull(memory.DefaultAllocator, a.DataType(), 0), nil
	}
	return array.Concatenate(runs, memory.DefaultAllocator)
}
