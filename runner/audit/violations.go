package audit

import (
	"context"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/quern-dev/quern/planner/contract"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/store/dataset"
)

// write writes the rows that violate rules, and adds some of them to the figures.
// It reads only shards that contain such rows.
func (c *check) write(ctx context.Context) (*dataset.Manifest, error) {
	schema := append(data.Schema{{Name: plan.ViolationRule, Type: "string"}, {Name: plan.ViolationRow, Type: "int64"}}, c.Dataset.Schema...)
	w := dataset.NewWriter(c.Blobs, schema)
	defer w.Abort()
	for shard := range c.Dataset.Shards {
		if !slices.ContainsFunc(c.rules, func(r *rule) bool { return r.marks[shard] != nil }) {
			continue
		}
		err := c.eachBatch(ctx, shard, c.Dataset.Schema.Names(), func(b *batch) error {
			rec, err := c.violating(b, shard, schema.Arrow())
			if err != nil || rec == nil {
				return err
			}
			return w.Write(ctx, rec)
		})
		if err != nil {
			return nil, fmt.Errorf("write the rows that violate the contract: %w", err)
		}
	}
	return w.Close()
}

// violating returns the violations of a batch, or nil if there are none.
func (c *check) violating(b *batch, shard int, schema *arrow.Schema) (arrow.RecordBatch, error) {
	names, positions := array.NewStringBuilder(memory.DefaultAllocator), array.NewInt64Builder(memory.DefaultAllocator)
	defer names.Release()
	defer positions.Release()
	var rows []int
	for i := range int(b.NumRows()) {
		row := b.first + int64(i)
		for _, r := range c.rules {
			if !r.marks[shard].has(row - c.starts[shard]) {
				continue
			}
			names.Append(r.Name)
			positions.Append(row)
			rows = append(rows, i)
			if len(r.figure.First) < samples {
				r.figure.First = append(r.figure.First, contract.Sample{Row: row, Values: describe(b, r.Columns, i)})
			}
		}
	}
	if len(rows) == 0 {
		return nil, nil
	}
	columns := []arrow.Array{names.NewArray(), positions.NewArray()}
	for k := range int(b.NumCols()) {
		column, err := take(b.Column(k), rows)
		if err != nil {
			return nil, err
		}
		columns = append(columns, column)
	}
	return array.NewRecordBatch(schema, columns, int64(len(rows))), nil
}

// take returns the values at some positions, which are in order and may repeat.
func take(column arrow.Array, rows []int) (arrow.Array, error) {
	var pieces []arrow.Array
	for i := 0; i < len(rows); {
		n := 1
		for i+n < len(rows) && rows[i+n] == rows[i]+n {
			n++
		}
		pieces = append(pieces, array.NewSlice(column, int64(rows[i]), int64(rows[i]+n)))
		i += n
	}
	return array.Concatenate(pieces, memory.DefaultAllocator)
}
