package dataset

import (
	"context"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/store/blob"
)

// GroupWriter writes new columns for the rows of an existing shard. It is not
// safe for concurrent use.
type GroupWriter struct {
	schema  data.Schema
	arrow   *arrow.Schema
	file    *groupFile
	columns []encoded
	hashes  []*columnHash
	rows    int64
	err     error
}

// NewGroup starts a column group. Call exactly one of Close and Abort.
func NewGroup(blobs *blob.Store, schema data.Schema) *GroupWriter {
	w := &GroupWriter{schema: schema, columns: make([]encoded, len(schema))}
	if w.err = schema.Check(); w.err != nil {
		return w
	}
	if len(schema) == 0 {
		w.err = fmt.Errorf("a column group needs at least one column")
		return w
	}
	w.arrow = schema.Arrow()
	w.hashes = newColumnHashes(schema)
	w.file, w.err = createGroup(blobs, schema)
	return w
}

// Write appends a batch, which must have the schema's columns in order.
func (w *GroupWriter) Write(ctx context.Context, rec arrow.RecordBatch) error {
	if w.err == nil {
		w.err = ctx.Err()
	}
	if w.err != nil {
		return w.err
	}
	rec, err := data.Conform(rec, w.arrow)
	if err != nil {
		w.err = fmt.Errorf("write new columns: %w", err)
		return w.err
	}
	defer rec.Release()
	hashColumns(rec, w.columns, w.hashes)
	w.rows += rec.NumRows()
	if err := w.file.write(rec); err != nil {
		w.err = fmt.Errorf("write new columns: %w", err)
	}
	return w.err
}

// hashColumns adds a batch to the digests of its columns.
func hashColumns(rec arrow.RecordBatch, scratch []encoded, hashes []*columnHash) {
	n := int(rec.NumRows())
	for from := 0; from < n; from += chunkRows {
		to := min(from+chunkRows, n)
		for c := range hashes {
			e := &scratch[c]
			e.encode(rec.Column(c), from, to)
			hashes[c].add(e.bytes, countNulls(rec.Column(c), from, to))
		}
	}
}

// Rows returns the number of rows that were written.
func (w *GroupWriter) Rows() int64 { return w.rows }

// Close commits the file. The columns have group 0: whoever adds the group to a
// shard (see Derive) gives them its number.
func (w *GroupWriter) Close() (Group, []Column, error) {
	if w.err != nil {
		w.Abort()
		return Group{}, nil, w.err
	}
	w.err = fmt.Errorf("the column group is already closed")
	group, err := w.file.commit()
	w.file = nil
	if err != nil {
		return Group{}, nil, fmt.Errorf("write new columns: %w", err)
	}
	return group, shardColumns(w.schema, w.hashes), nil
}

// Abort discards the group. After a Close, it does nothing.
func (w *GroupWriter) Abort() {
	if w.file != nil {
		w.file.abort()
		w.file = nil
	}
}
