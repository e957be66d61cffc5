package tables

import (
	"context"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// progress reports how many of the rows of an input were read.
type progress func(done, total int64, unit, message string)

// eachRecord calls work with the columns and row arguments of an input that refs name, batch
// by batch.
func eachRecord(ctx context.Context, in *plugin.DatasetInput, report progress, work func(arrow.RecordBatch) error, refs ...[]data.Ref) error {
	var done int64
	for rec, err := range in.Batches(ctx, refs...) {
		if err == nil {
			err = work(rec)
		}
		if err != nil {
			return err
		}
		done += rec.NumRows()
		report(done, in.Rows, "rows", "")
	}
	return nil
}

// eachBatch calls work with all columns of an input, and separately with the values of row
// arguments, batch by batch.
func eachBatch(ctx context.Context, in *plugin.DatasetInput, report progress, arguments []data.Ref, work func(rec arrow.RecordBatch, arguments []arrow.Array) error) error {
	own := len(in.Schema)
	schema := in.Schema.Arrow()
	return eachRecord(ctx, in, report, func(rec arrow.RecordBatch) error {
		part := array.NewRecordBatch(schema, rec.Columns()[:own], rec.NumRows())
		defer part.Release()
		return work(part, rec.Columns()[own:])
	}, data.Columns.Refs(in.Schema.Names()...), arguments)
}

func columnKeys(columns []plugin.Column) []string {
	keys := make([]string, len(columns))
	for i, c := range columns {
		keys[i] = c.Key
	}
	return keys
}

// argumentSources returns row expressions as sources of lineage.
func argumentSources(columns []plugin.Column) []plugin.LineageSource {
	sources := make([]plugin.LineageSource, len(columns))
	for i, c := range columns {
		sources[i] = plugin.LineageSource{Argument: c.Key}
	}
	return sources
}
