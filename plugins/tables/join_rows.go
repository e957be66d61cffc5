package tables

import (
	"context"
	"iter"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/quern-dev/quern/plugins/ordering"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// joined is a row of the result so far: its columns are those of all sides, one
// after the other. The first side has the columns of input, and then the values
// of all row expressions over it. It is valid until the next iteration.
type joined []side

// side is a row of one of the datasets, or of several that were joined before.
// Without a batch, all of its columns are null.
type side struct {
	ordering.Row
	width int
}

type joinedRows = iter.Seq2[joined, error]

// appendTo appends the columns of the row to a builder, which has all of them
// except for the positions from … until.
func (j joined) appendTo(b *array.RecordBuilder, from, until int) (bytes int64, err error) {
	position, field := 0, 0
	for _, s := range j {
		for c := range s.width {
			if position++; position > from && position <= until {
				continue
			}
			if s.Batch == nil {
				b.Field(field).AppendNull()
			} else if err := ordering.AppendValue(b.Field(field), s.Batch.Column(c), s.Index); err != nil {
				return 0, err
			}
			field++
		}
		if s.Batch != nil {
			bytes += s.Bytes()
		}
	}
	return bytes, nil
}

// leftRows yields the rows of input.
func leftRows(ctx context.Context, r *plugin.Run[joinArgs], in *plugin.DatasetInput) joinedRows {
	var arguments []string
	for _, w := range r.Args.With {
		arguments = append(arguments, columnKeys(w.Left)...)
	}
	return func(yield func(joined, error) bool) {
		var done int64
		row := make(joined, 1)
		for rec, err := range in.Batches(ctx, data.Columns.Refs(in.Schema.Names()...), data.Arguments.Refs(arguments...)) {
			if err != nil {
				yield(nil, err)
				return
			}
			for i := range int(rec.NumRows()) {
				row[0] = side{ordering.Row{Batch: rec, Index: i}, int(rec.NumCols())}
				if !yield(row, nil) {
					return
				}
			}
			done += rec.NumRows()
			r.Progress(done, in.Rows, "rows", "")
		}
	}
}

// leftFields returns the columns of the rows that leftRows yields.
func leftFields(a *joinArgs, in *plugin.DatasetInput) []arrow.Field {
	fields := in.Schema.Arrow().Fields()
	for _, w := range a.With {
		fields = append(fields, argumentSchema(in, columnKeys(w.Left)).Arrow().Fields()...)
	}
	return fields
}

// leftKeys returns the positions of the keys in a row of leftRows.
func (w *with) leftKeys(a *joinArgs, in *plugin.DatasetInput) []int {
	var at []int
	for _, name := range w.On {
		_, i, _ := in.Schema.Lookup(name)
		at = append(at, i)
	}
	first := len(in.Schema)
	for i := range a.With {
		if &a.With[i] == w {
			break
		}
		first += len(a.With[i].Left)
	}
	for i := range w.Left {
		at = append(at, first+i)
	}
	return at
}

// appendJoinKey encodes a key. ok is false if a part of it is null: such a key
// equals no other.
func appendJoinKey(b []byte, columns []arrow.Array, i int) (key []byte, ok bool, err error) {
	for _, c := range columns {
		if c.IsNull(i) {
			return b, false, nil
		}
	}
	key, err = ordering.AppendKey(b, columns, nil, i)
	return key, true, err
}

// combiner copies joined rows into batches of one schema, for a sorter.
type combiner struct {
	sorter  *ordering.Sorter
	builder *array.RecordBuilder
	keys    [][]byte
	bytes   int64
}

// The size of the batches of a combiner.
const (
	combinedRows  = 2048
	combinedBytes = 1 << 20
)

func (c *combiner) add(key []byte, row joined) error {
	bytes, err := row.appendTo(c.builder, 0, 0)
	if err != nil {
		return err
	}
	c.keys = append(c.keys, key)
	if c.bytes += bytes; len(c.keys) < combinedRows && c.bytes < combinedBytes {
		return nil
	}
	return c.flush()
}

func (c *combiner) flush() error {
	if len(c.keys) == 0 {
		return nil
	}
	rec := c.builder.NewRecordBatch()
	defer rec.Release()
	for i, key := range c.keys {
		if err := c.sorter.Add(key, ordering.Row{Batch: rec, Index: i}); err != nil {
			return err
		}
	}
	c.keys, c.bytes = c.keys[:0], 0
	return nil
}
