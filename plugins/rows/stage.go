package rows

import (
	"context"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// sameColumns declares outputs that all have the columns of the input, which is
// read as a whole.
func sameColumns[A any](p *plugin.Prepare[A], outputs []string) {
	in := p.Input("input")
	if in == nil {
		return
	}
	p.ReadAll("input")
	for _, name := range outputs {
		p.AddDataset(name, in.Schema)
	}
}

// eachBatch yields the rows of an input: its columns, and the values of row
// expressions by their keys.
func eachBatch[A any](ctx context.Context, r *plugin.Run[A], in *plugin.DatasetInput, arguments []string, work func(rec arrow.RecordBatch, arguments []arrow.Array) error) error {
	var done int64
	own := len(in.Schema)
	for rec, err := range in.Batches(ctx, data.Columns.Refs(in.Schema.Names()...), data.Arguments.Refs(arguments...)) {
		if err != nil {
			return err
		}
		columns := rec.Columns()[own:]
		part := firstColumns(rec, own)
		err = work(part, columns)
		part.Release()
		if err != nil {
			return err
		}
		done += rec.NumRows()
		r.Progress(done, in.Rows, "rows", "")
	}
	return nil
}

// firstColumns returns a batch of the first n columns. The caller releases it.
func firstColumns(rec arrow.RecordBatch, n int) arrow.RecordBatch {
	fields := rec.Schema().Fields()[:n]
	return array.NewRecordBatch(arrow.NewSchema(fields, nil), rec.Columns()[:n], rec.NumRows())
}

// writeChosen writes the selected rows to an output.
func writeChosen[A any](r *plugin.Run[A], output string, rec arrow.RecordBatch, wanted func(i int) bool) error {
	rows := make([]int, 0, rec.NumRows())
	for i := range int(rec.NumRows()) {
		if wanted(i) {
			rows = append(rows, i)
		}
	}
	return writeRows(r, output, rec, rows)
}

// writeRows writes rows of a batch to an output, by their positions.
func writeRows[A any](r *plugin.Run[A], output string, rec arrow.RecordBatch, rows []int) error {
	if len(rows) == 0 {
		return nil
	}
	chosen, err := take(rec, rows)
	if err != nil {
		return err
	}
	defer chosen.Release()
	return r.Write(output, chosen)
}
