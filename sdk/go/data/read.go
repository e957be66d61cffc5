package data

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/quern-dev/quern/sdk/go/host/parallel"
)

// DefaultBatchRows is a batch size that suits most readers: large enough to
// make a batch's fixed costs negligible, small enough to stay in the CPU's
// caches.
const DefaultBatchRows = 8192

// prefetched is the number of batches that are decoded ahead.
const prefetched = 2

// Read iterates over the rows of shards in order, with the named columns in the
// order given; nil means all columns, in the order of the first shard's groups.
// Batches have up to batchRows rows (0 means DefaultBatchRows) and do not span
// shards. Memory is limited to a few batches, whatever the size of the files.
//
// A batch is valid until the next iteration: call Retain to keep it, and do not
// release it otherwise. An error ends the iteration. The caller can stop at any
// time.
func Read(ctx context.Context, shards []Shard, columns []string, batchRows int) iter.Seq2[arrow.RecordBatch, error] {
	if columns == nil && len(shards) > 0 {
		columns = allColumns(shards[0])
	}
	return ReadRefs(ctx, shards, Columns.Refs(columns...), batchRows)
}

// ReadRefs is like Read, but can also read row arguments.
func ReadRefs(ctx context.Context, shards []Shard, columns []Ref, batchRows int) iter.Seq2[arrow.RecordBatch, error] {
	if batchRows <= 0 {
		batchRows = DefaultBatchRows
	}
	return func(yield func(arrow.RecordBatch, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		batches := make(chan arrow.RecordBatch, prefetched)
		failed := make(chan error, 1)
		go func() {
			defer close(batches)
			failed <- parallel.Call(func() error { return readShards(ctx, shards, columns, batchRows, batches) })
		}()
		defer func() {
			cancel()
			for rec := range batches {
				rec.Release()
			}
		}()
		for rec := range batches {
			goOn := yield(rec, nil)
			rec.Release()
			if !goOn {
				return
			}
		}
		if err := <-failed; err != nil {
			yield(nil, err)
		}
	}
}

func allColumns(s Shard) []string {
	names := []string{}
	for _, g := range s.Groups {
		for _, c := range g.Columns {
			if c.Namespace == Columns {
				names = append(names, c.Name)
			}
		}
	}
	return names
}

func readShards(ctx context.Context, shards []Shard, columns []Ref, batchRows int, out chan<- arrow.RecordBatch) error {
	var schema *arrow.Schema
	for i, s := range shards {
		if err := readShard(ctx, s, columns, batchRows, &schema, out); err != nil {
			return fmt.Errorf("read shard %d of %d: %w", i+1, len(shards), err)
		}
	}
	return nil
}

// readShard sends the batches of one shard. schema is that of the earlier
// shards; the first one sets it.
func readShard(ctx context.Context, s Shard, columns []Ref, batchRows int, schema **arrow.Schema, out chan<- arrow.RecordBatch) (err error) {
	// The Parquet library panics on some damaged files.
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("malformed Parquet file: %v", r)
		}
	}()
	j, err := openShard(ctx, s, columns, batchRows)
	if err != nil {
		return err
	}
	defer j.close()
	if *schema == nil {
		*schema = j.schema
	} else if !j.schema.Equal(*schema) {
		return fmt.Errorf("its columns are %s, but those of the first shard are %s", describe(j.schema), describe(*schema))
	}
	for left := s.Rows; left > 0; {
		rec, err := j.next(min(left, int64(batchRows)))
		if err != nil {
			return err
		}
		left -= rec.NumRows()
		select {
		case out <- rec:
		case <-ctx.Done():
			rec.Release()
			return ctx.Err()
		}
	}
	return j.end()
}

func describe(s *arrow.Schema) string {
	schema, err := FromArrow(s)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(schema)
}

// join reads the groups of a shard in parallel.
type join struct {
	schema *arrow.Schema
	groups []*groupReader
	// from says, for each output column, which group has it and at which
	// position.
	from []place
}

type place struct{ group, column int }

func openShard(ctx context.Context, s Shard, columns []Ref, batchRows int) (*join, error) {
	j := &join{from: make([]place, len(columns))}
	fields := make([]arrow.Field, len(columns))
	for i := range j.from {
		j.from[i].group = -1
	}
	for _, g := range s.Groups {
		wanted, outputs := pick(g, columns)
		if len(wanted) == 0 {
			continue
		}
		if err := g.Verify(); err != nil {
			j.close()
			return nil, err
		}
		r, err := openGroup(ctx, g.Path, wanted, batchRows)
		if err != nil {
			j.close()
			return nil, err
		}
		if r.rows != s.Rows {
			j.close()
			r.close()
			return nil, fmt.Errorf("%s has %d rows, but the shard has %d", g.Path, r.rows, s.Rows)
		}
		for k, out := range outputs {
			j.from[out] = place{len(j.groups), k}
			fields[out] = columns[out].Field(columns[out].Name, r.types[k])
		}
		j.groups = append(j.groups, r)
	}
	for i, p := range j.from {
		if p.group < 0 {
			j.close()
			return nil, fmt.Errorf("the shard has no %s", columns[i])
		}
	}
	j.schema = arrow.NewSchema(fields, nil)
	return j, nil
}

// pick returns the stored columns of a group that are wanted, and the output
// columns that they become.
func pick(g Group, columns []Ref) (stored []string, outputs []int) {
	for _, c := range g.Columns {
		for i, ref := range columns {
			if ref == c.Ref() {
				stored = append(stored, c.Stored)
				outputs = append(outputs, i)
			}
		}
	}
	return stored, outputs
}

// next returns up to n rows, at least one; the caller releases them.
func (j *join) next(n int64) (arrow.RecordBatch, error) {
	for _, g := range j.groups {
		if err := g.fill(); err != nil {
			return nil, err
		}
		n = min(n, g.left())
	}
	columns := make([]arrow.Array, len(j.from))
	defer releaseAll(columns)
	parts := make([][]arrow.Array, len(j.groups))
	for i, g := range j.groups {
		parts[i] = g.take(n)
	}
	for i, p := range j.from {
		columns[i] = parts[p.group][p.column]
	}
	return array.NewRecordBatch(j.schema, columns, n), nil
}

func (j *join) end() error {
	for _, g := range j.groups {
		if err := g.end(); err != nil {
			return err
		}
	}
	return nil
}

func (j *join) close() {
	for _, g := range slices.Backward(j.groups) {
		g.close()
	}
}
