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

// eachBatch yields the rows of an input: its columns, and the values of row
// arguments.
func eachBatch(ctx context.Context, in *plugin.DatasetInput, report progress, arguments []data.Ref, work func(rec arrow.RecordBatch, arguments []arrow.Array) error) error {
	var done int64
	own := len(in.Schema)
	schema := in.Schema.Arrow()
	for rec, err := range in.Batches(ctx, data.Columns.Refs(in.Schema.Names()...), arguments) {
		if err != nil {
			return err
		}
		part := array.NewRecordBatch(schema, rec.Columns()[:own], rec.NumRows())
		err = work(part, rec.Columns()[own:])
		part.Release()
		if err != nil {
			return err
		}
		done += rec.NumRows()
		report(done, in.Rows, "rows", "")
	}
	return nil
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
