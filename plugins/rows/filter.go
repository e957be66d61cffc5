package rows

import (
	"context"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/quern-dev/quern/sdk/go/plugin"
)

type filterArgs struct {
	Input plugin.Dataset `quern:"input,required" doc:"The dataset to filter."`
	Where plugin.Column  `quern:"where,required" type:"bool" doc:"Rows for which this is true are kept. Rows for which it is false or null are left out."`
}

const filterDoc = `Keeps the rows for which a row expression is true.

` + "```hcl" + `
transform "filter" "english" {
  input = label.language
  where = row.language == "en" && length(row.text) > 10
}
` + "```"

// filter implements transform "filter".
type filter struct{}

// Prepare declares the input's columns.
func (filter) Prepare(_ context.Context, p *plugin.Prepare[filterArgs]) error {
	sameColumns(p, []string{""})
	p.Select("", plugin.Selection{RowsOf: "input", Where: "where"})
	return nil
}

// Run copies the selected rows.
func (filter) Run(ctx context.Context, r *plugin.Run[filterArgs]) error {
	in := r.Dataset(r.Args.Input)
	return eachBatch(ctx, r, in, []string{"where"}, func(rec arrow.RecordBatch, columns []arrow.Array) error {
		where, ok := columns[0].(*array.Boolean)
		if !ok {
			return fmt.Errorf("where has type %s, but must be bool", columns[0].DataType())
		}
		return writeChosen(r, "", rec, func(i int) bool { return where.IsValid(i) && where.Value(i) })
	})
}
