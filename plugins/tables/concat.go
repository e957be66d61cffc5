package tables

import (
	"context"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/arrow/scalar"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

type concatArgs struct {
	Inputs  []plugin.Dataset `quern:"inputs,required" doc:"The datasets, such as '[source.old, source.new]'."`
	Columns string           `quern:"columns" default:"\"exact\"" oneof:"exact,all,common" doc:"The columns of the result: exact requires all datasets to have the same ones, in any order; all takes the columns of any dataset, with null where a dataset lacks one; common takes the columns that all of them have."`
	Origin  string           `quern:"origin" doc:"The name of a column for the dataset that a row comes from. By default, there is no such column."`
	Names   []string         `quern:"names" doc:"With 'origin', the name of each dataset, in the order of 'inputs'."`

	columns data.Schema // of the result, without origin
}

const concatDoc = `Puts the rows of several datasets one after the other.

Columns are matched by name and keep the order of the first dataset; a column must have the same type in all datasets. Rows keep their order. To mix the rows of datasets in given proportions, use transform "mix".

` + "```hcl" + `
transform "concat" "everything" {
  inputs  = [source.web, source.books]
  columns = "common"
  origin  = "from"
  names   = ["web", "books"]
}
` + "```"

// concat implements transform "concat".
type concat struct{}

// Prepare declares the columns.
func (concat) Prepare(_ context.Context, p *plugin.Prepare[concatArgs]) error {
	a := p.Args
	if len(a.Inputs) == 0 {
		p.Errorf("inputs", "inputs is empty\nGive at least one dataset.")
		return nil
	}
	if !p.Known("columns") || !p.Known("origin") {
		return plugin.ArgumentErrorf("columns", "columns and origin must be known at plan time\nThey determine the columns of the result, so they cannot depend on the result of another stage.")
	}
	if p.Known("names") {
		checkNames(p)
	}
	var inputs []data.Schema
	for _, in := range a.Inputs {
		inputs = append(inputs, p.Input(in.Key).Schema)
	}
	schema := unite(p, inputs, a.Columns)
	a.columns = schema
	for i, in := range inputs {
		var names []string
		for _, c := range schema {
			if _, _, ok := in.Lookup(c.Name); ok {
				names = append(names, c.Name)
			}
		}
		p.ReadColumns(a.Inputs[i].Key, names...)
	}
	declared := schema
	if a.Origin != "" {
		declared = append(slices.Clone(schema), data.Column{Name: a.Origin, Type: "string"})
		if _, _, taken := schema.Lookup(a.Origin); taken {
			p.Errorf("origin", "The datasets already have a column named %q\nGive the new column another name.", a.Origin)
		}
	}
	p.AddDataset("", declared)
	for _, in := range a.Inputs {
		p.Select("", plugin.Selection{RowsOf: in.Key})
	}
	setConcatLineage(p, inputs, declared)
	return nil
}

func checkNames(p *plugin.Prepare[concatArgs]) {
	a := p.Args
	switch {
	case a.Origin == "" && len(a.Names) > 0:
		p.Errorf("names", "names has no effect without origin\nSet origin to the name of the column for them.")
	case a.Origin != "" && len(a.Names) != len(a.Inputs):
		p.Errorf("names", "names has %d entries, but inputs has %d\nWith origin, give each dataset a name.", len(a.Names), len(a.Inputs))
	}
	for i, name := range a.Names {
		if slices.Contains(a.Names[:i], name) {
			p.Errorf("names", "Two datasets are named %q\nThe column would not distinguish them.", name)
		}
	}
}

// unite returns the columns of the result, and reports what does not fit
// together.
func unite(p *plugin.Prepare[concatArgs], inputs []data.Schema, mode string) data.Schema {
	var out data.Schema
	for i, in := range inputs {
		for _, c := range in {
			have, _, known := out.Lookup(c.Name)
			switch {
			case !known && (mode == "all" || i == 0):
				out = append(out, c)
			case !known && mode == "exact":
				p.Errorf(p.Args.Inputs[i].Key, "The first dataset has no column %q\nWith columns = \"exact\", all datasets must have the same columns. Use \"all\" to fill up with nulls, or \"common\" to leave such columns out.", c.Name)
			case known && have.Type != c.Type:
				p.Errorf(p.Args.Inputs[i].Key, "The column %q has type %s here, but %s in another dataset\nConvert one of them with transform \"map\".", c.Name, c.Type, have.Type)
			}
		}
		if mode == "all" || i == 0 {
			continue
		}
		out = slices.DeleteFunc(out, func(c data.Column) bool {
			_, _, ok := in.Lookup(c.Name)
			if !ok && mode == "exact" {
				p.Errorf(p.Args.Inputs[i].Key, "The dataset has no column %q, but the first one does\nWith columns = \"exact\", all datasets must have the same columns. Use \"all\" to fill up with nulls, or \"common\" to leave such columns out.", c.Name)
			}
			return !ok && mode == "common"
		})
	}
	if len(out) == 0 {
		p.Errorf("columns", "The datasets have no columns in common\nUse columns = \"all\", or rename columns with transform \"map\".")
	}
	return out
}

func setConcatLineage(p *plugin.Prepare[concatArgs], inputs []data.Schema, columns data.Schema) {
	for _, c := range columns {
		var sources []plugin.LineageSource
		for i, in := range inputs {
			if _, _, ok := in.Lookup(c.Name); ok && c.Name != p.Args.Origin {
				sources = append(sources, plugin.LineageSource{Input: p.Args.Inputs[i].Key, Column: c.Name, Unchanged: true})
			}
		}
		p.SetLineage("", c.Name, sources...)
	}
	p.SetRowsLineage("")
}

// Run copies the rows.
func (concat) Run(ctx context.Context, r *plugin.Run[concatArgs]) error {
	a := r.Args
	var inputs []*plugin.DatasetInput
	var total, done int64
	for _, d := range a.Inputs {
		in := r.Dataset(d)
		inputs = append(inputs, in)
		total += in.Rows
	}
	for i, in := range inputs {
		for rec, err := range in.Batches(ctx, data.Columns.Refs(in.Schema.Names()...)) {
			if err != nil {
				return err
			}
			out, err := widen(rec, in.Schema, a, i)
			if err != nil {
				return err
			}
			err = r.Write("", out)
			out.Release()
			if err != nil {
				return err
			}
			done += rec.NumRows()
			r.Progress(done, total, "rows", "")
		}
	}
	return nil
}

// widen gives a batch of input i all columns of the result.
func widen(rec arrow.RecordBatch, have data.Schema, a *concatArgs, i int) (arrow.RecordBatch, error) {
	columns := make([]arrow.Array, 0, len(a.columns)+1)
	defer func() {
		for _, c := range columns {
			c.Release()
		}
	}()
	rows := int(rec.NumRows())
	want := a.columns
	for _, c := range want {
		if _, at, ok := have.Lookup(c.Name); ok {
			rec.Column(at).Retain()
			columns = append(columns, rec.Column(at))
			continue
		}
		t, err := data.ArrowType(c.Type)
		if err != nil {
			return nil, err
		}
		columns = append(columns, array.MakeArrayOfNull(memory.DefaultAllocator, t, rows))
	}
	if a.Origin != "" {
		names, err := scalar.MakeArrayFromScalar(scalar.NewStringScalar(a.Names[i]), rows, memory.DefaultAllocator)
		if err != nil {
			return nil, fmt.Errorf("column %q: %w", a.Origin, err)
		}
		columns = append(columns, names)
		want = append(slices.Clone(want), data.Column{Name: a.Origin, Type: "string"})
	}
	return array.NewRecordBatch(want.Arrow(), columns, rec.NumRows()), nil
}
