package rows

import (
	"context"
	"path/filepath"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/quern-dev/quern/plugins/ordering"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

type shuffleArgs struct {
	Input plugin.Dataset `quern:"input,required" doc:"The dataset to shuffle."`
	By    plugin.Column  `quern:"by" type:"dynamic" doc:"What must stay together: rows for which this is equal follow each other, in their original order, such as the messages of a conversation. Without it, each row goes to a place of its own."`
	Seed  int64          `quern:"seed" default:"0" doc:"The seed. Another seed gives another order."`
	ordering.Limit
}

const shuffleDoc = `Puts the rows of a dataset into a random order that is always the same.

A hash of a row's values and the seed decides where it goes. The order does not depend on the order of the input, and when rows are added or removed, the others keep theirs. Identical rows follow each other.

A dataset that does not fit in memory is shuffled in temporary files.

` + "```hcl" + `
transform "shuffle" "training" {
  input = transform.format
  seed  = 7
}
` + "```"

// shuffle implements transform "shuffle".
type shuffle struct{}

// Prepare declares the input's columns.
func (shuffle) Prepare(_ context.Context, p *plugin.Prepare[shuffleArgs]) error {
	if err := p.Args.Check(); p.Known("memory_limit") && err != nil {
		return err
	}
	sameColumns(p, []string{""})
	p.Select("", plugin.Selection{RowsOf: "input"})
	return nil
}

// Run sorts the rows by their hashes.
func (shuffle) Run(ctx context.Context, r *plugin.Run[shuffleArgs]) error {
	in := r.Dataset(r.Args.Input)
	memory, err := r.Args.Bytes()
	if err != nil {
		return err
	}
	schema := in.Schema.Arrow()
	sorter := ordering.NewSorter(schema, filepath.Join(r.WorkDir, "sort"), memory)
	defer sorter.Close()
	h := hasher{seed: uint64(r.Args.Seed)}
	var arguments []string
	if r.Args.By.IsSet() {
		arguments = []string{r.Args.By.Key}
	}
	err = eachBatch(ctx, r, in, arguments, func(rec arrow.RecordBatch, by []arrow.Array) error {
		columns := rec.Columns()
		if len(by) > 0 {
			columns = by
		}
		for i := range int(rec.NumRows()) {
			place, err := h.place(columns, i)
			if err != nil {
				return err
			}
			if err := sorter.Add(place[:], ordering.Row{Batch: rec, Index: i}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	out := ordering.NewOutput(schema, func(rec arrow.RecordBatch) error { return r.Write("", rec) })
	defer out.Release()
	for e, err := range sorter.Sorted(ctx) {
		if err == nil {
			err = out.Add(e.Row)
		}
		if err != nil {
			return err
		}
	}
	return out.Flush()
}
