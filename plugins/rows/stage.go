package rows

import (
	"context"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/quern-dev/quern/sdk/go/plugin"
)

// sameColumns declares outputs that all have the columns of the input, which
// is read as a whole, and returns their names.
func sameColumns[A any](p *plugin.Prepare[A], outputs []string, arguments ...string) []string {
	in := p.Input("input")
	if in == nil {
		return nil
	}
	for _, argument := range arguments {
		_, column := p.RowArgument(argument)
		if _, _, taken := in.Schema.Lookup(argument); taken && column != argument {
			// The stage would get two columns of one name.
			p.Errorf(argument, "The dataset has a column named %q, as this argument\nRename it before, with transform \"map\".", argument)
		}
	}
	p.ReadAll("input")
	for _, name := range outputs {
		p.AddDataset(name, in.Schema)
	}
	return in.Schema.Names()
}

// eachBatch passes over the rows of an input: its own columns, and those of
// row expressions by their keys.
func eachBatch[A any](ctx context.Context, r *plugin.Run[A], in *plugin.DatasetInput, own, arguments []string, work func(rec arrow.RecordBatch, arguments []arrow.Array) error) error {
	var done int64
	for rec, err := range in.Batches(ctx, append(slices.Clone(own), arguments...)...) {
		if err != nil {
			return err
		}
		columns := make([]arrow.Array, len(arguments))
		for i := range arguments {
			columns[i] = rec.Column(len(own) + i)
		}
		part := firstColumns(rec, len(own))
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

// firstColumns is a batch of the first n columns. The caller releases it.
func firstColumns(rec arrow.RecordBatch, n int) arrow.RecordBatch {
	fields := rec.Schema().Fields()[:n]
	return array.NewRecordBatch(arrow.NewSchema(fields, nil), rec.Columns()[:n], rec.NumRows())
}

// writeChosen writes the rows that are wanted to an output.
func writeChosen[A any](r *plugin.Run[A], output string, rec arrow.RecordBatch, wanted func(i int) bool) error {
	rows := make([]int, 0, rec.NumRows())
	for i := range int(rec.NumRows()) {
		if wanted(i) {
			rows = append(rows, i)
		}
	}
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
