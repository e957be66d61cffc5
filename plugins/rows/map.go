package rows

import (
	"context"
	"maps"
	"slices"

	"github.com/quern-dev/quern/sdk/go/plugin"
)

type mapArgs struct {
	Input   plugin.Dataset           `quern:"input,required" doc:"The dataset to read."`
	Columns map[string]plugin.Column `quern:"columns,required,constant" doc:"The columns to compute, as a map from names to row expressions, such as '{ text = trimspace(row.text), words = length(split(\" \", row.text)) }'. They are sorted by name."`
	Keep    bool                     `quern:"keep" default:"false" doc:"Whether to keep the input's columns, followed by the new ones. Otherwise the result has only the columns in columns."`
	Drop    []string                 `quern:"drop" doc:"Columns of the input to remove, with keep = true. To replace a column, drop it and compute a new one with the same name, such as '{ drop = [\"text\"], columns = { text = trimspace(row.text) } }'."`
}

const mapDoc = `Computes columns from row expressions.

A column that is passed on unchanged, under its own name or another one, costs nothing: it is not written again.

` + "```hcl" + `
transform "map" "short" {
  input   = source.tickets
  columns = { id = row.id, text = substr(row.text, 0, 500) }
}
` + "```"

// mapper implements transform "map". quern computes all columns.
type mapper struct{}

// Prepare declares the columns.
func (mapper) Prepare(_ context.Context, p *plugin.Prepare[mapArgs]) error {
	if p.Args.Keep {
		p.KeepInput("input")
	} else {
		p.SetRowsOf("input")
	}
	drop(p)
	if len(p.Args.Columns) == 0 && p.Known("columns") {
		p.Errorf("columns", "columns is empty\nGive at least one column, such as columns = { text = row.text }.")
	}
	for _, name := range slices.Sorted(maps.Keys(p.Args.Columns)) {
		if name == "" {
			p.Errorf("columns.", "A column needs a name\nThis name is empty. Name the new column, such as columns = { text = row.text }.")
			continue
		}
		p.AddArgumentColumn(name, p.Args.Columns[name].Key)
	}
	return nil
}

func drop(p *plugin.Prepare[mapArgs]) {
	if len(p.Args.Drop) > 0 && !p.Args.Keep && p.Known("keep") {
		p.Errorf("drop", "drop has no effect without keep = true\nWithout keep = true, the result has only the columns in columns.")
	}
	in := p.Input("input")
	for _, name := range p.Args.Drop {
		if _, _, ok := in.Schema.Lookup(name); !ok {
			p.Errorf("drop", "The dataset has no column named %q\nIts columns are %v.", name, in.Schema.Names())
		}
		p.DropColumn(name)
	}
}

// Map does nothing: all columns come from the input and from row expressions.
func (mapper) Map(context.Context, *mapArgs, *plugin.Batch) error { return nil }
