package rows

import (
	"context"
	"maps"
	"slices"

	"github.com/quern-dev/quern/sdk/go/plugin"
)

type mapArgs struct {
	Input   plugin.Dataset           `quern:"input,required" doc:"The dataset whose rows are shaped."`
	Columns map[string]plugin.Column `quern:"columns,required,constant" doc:"The columns to make: for each name a row expression, as in '{ text = trimspace(row.text), words = length(split(\" \", row.text)) }'. They come in the order of their names."`
	Keep    bool                     `quern:"keep" default:"false" doc:"Whether the input's columns stay, followed by the new ones. Otherwise the rows have the named columns and no others."`
	Drop    []string                 `quern:"drop" doc:"With keep, columns of the input that do not stay. To replace a column, drop it and make a new one of the same name, as in '{ drop = [\"text\"], columns = { text = trimspace(row.text) } }'."`
}

const mapDoc = `Makes columns of row expressions.

A column that is passed on as it is, under its own name or another, costs nothing: it is not written again.

` + "```hcl" + `
transform "map" "short" {
  input   = source.tickets
  columns = { id = row.id, text = substr(row.text, 0, 500) }
}
` + "```"

// mapper implements transform "map". quern computes all that it makes.
type mapper struct{}

// Prepare declares the columns.
func (mapper) Prepare(_ context.Context, p *plugin.Prepare[mapArgs]) error {
	if p.Args.Keep {
		p.KeepInput("input")
	} else {
		p.RowsOf("input")
	}
	drop(p)
	if len(p.Args.Columns) == 0 && p.Known("columns") {
		p.Errorf("columns", "No column is named\nGive at least one, such as columns = { text = row.text }.")
	}
	for _, name := range slices.Sorted(maps.Keys(p.Args.Columns)) {
		if name == "" {
			p.Errorf("columns.", "A column needs a name\nThis name is empty. Use the name of the new column, such as columns = { text = row.text }.")
			continue
		}
		p.AddArgument(name, p.Args.Columns[name].Key)
	}
	return nil
}

func drop(p *plugin.Prepare[mapArgs]) {
	if len(p.Args.Drop) > 0 && !p.Args.Keep && p.Known("keep") {
		p.Errorf("drop", "There is nothing to drop\nWithout keep = true the rows have the named columns and no others.")
	}
	in := p.Input("input")
	for _, name := range p.Args.Drop {
		if _, _, ok := in.Schema.Lookup(name); !ok {
			p.Errorf("drop", "The dataset has no column named %q\nIts columns are %v.", name, in.Schema.Names())
		}
		p.Drop(name)
	}
}

// Map has nothing to do: all columns come from the input and from row
// expressions.
func (mapper) Map(context.Context, *mapArgs, *plugin.Batch) error { return nil }
