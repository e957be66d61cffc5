package tables

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/quern-dev/quern/plugins/ordering"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

type joinArgs struct {
	Input plugin.Dataset `quern:"input,required" doc:"The dataset whose rows are joined with those of the others."`
	With  []with         `quern:"with,required,block" doc:"A dataset to join with. With several blocks, the result of the first is joined with the second dataset, and so on."`
	ordering.Limit

	columns data.Schema // of the result
}

type with struct {
	Name        string          `quern:"name,label" doc:"A name for the dataset, for messages."`
	Dataset     plugin.Dataset  `quern:"dataset,required" doc:"The dataset."`
	On          []string        `quern:"on" doc:"The columns that must be equal, if they have the same names in both datasets. The result has them once."`
	Left        []plugin.Column `quern:"left" type:"dynamic" doc:"In place of 'on': what must be equal, as row expressions over a row of 'input', such as '[row.customer]'."`
	Right       []plugin.Column `quern:"right" type:"dynamic" rows_of:".dataset" doc:"With 'left': as many row expressions over a row of 'dataset', such as '[row.id]'."`
	Kind        string          `quern:"kind" default:"\"inner\"" oneof:"inner,left,right,full,semi,anti" doc:"Which rows to keep: inner keeps pairs of rows that match; left also keeps rows of input without a match, and right those of dataset; full keeps both. semi keeps the rows of input that have a match, without the columns of dataset, and anti those that have none."`
	Cardinality string          `quern:"cardinality" default:"\"many_to_one\"" oneof:"one_to_one,many_to_one,one_to_many,many_to_many" doc:"How many rows can have the same key: many_to_one means any number in input, but only one in dataset. If the data is different, the stage fails and names the keys. It does not apply to semi and anti."`
	Prefix      string          `quern:"prefix" doc:"What the names of the columns from 'dataset' begin with in the result. Columns in 'on' keep their names."`
	Columns     []string        `quern:"columns" doc:"The columns of 'dataset' to add, in addition to those in 'on'. By default, all."`

	added []string // the columns of dataset that are added
}

const joinDoc = `Joins the rows of a dataset with those of others that have equal keys.

The keys are columns with the same names (` + "`on`" + `), or any row expressions (` + "`left`" + ` and ` + "`right`" + `). Their types must be the same. Null equals nothing, NaN equals NaN, and -0 equals 0.

The result has the columns of ` + "`input`" + ` and then those of each dataset. A name that two of them have is an error; set ` + "`prefix`" + ` or ` + "`columns`" + `. Rows are in the order of ` + "`input`" + ` and, for one of its rows, in the order of the dataset. Rows of the dataset without a match come last.

The default cardinality is many_to_one, as for looking up values: a key that occurs twice in the dataset is an error and does not multiply rows.

A dataset that does not fit in memory is joined by sorting both sides in temporary files.

` + "```hcl" + `
transform "join" "tickets" {
  input = source.tickets
  with "customers" {
    dataset = source.customers
    left    = [row.customer]
    right   = [row.id]
    kind    = "left"
    prefix  = "customer_"
    columns = ["plan", "country"]
  }
}
` + "```"

// keepsInput reports whether rows of input without a match are in the result,
// and keepsOther whether those of the dataset are.
func (w *with) keepsInput() bool { return w.Kind == "left" || w.Kind == "full" }
func (w *with) keepsOther() bool { return w.Kind == "right" || w.Kind == "full" }

// filters reports whether the join only chooses rows of input.
func (w *with) filters() bool { return w.Kind == "semi" || w.Kind == "anti" }

// uniqueInput reports whether each key can occur only once in input, and
// uniqueOther whether only once in the dataset.
func (w *with) uniqueInput() bool {
	return !w.filters() && strings.HasPrefix(w.Cardinality, "one_to")
}
func (w *with) uniqueOther() bool {
	return !w.filters() && strings.HasSuffix(w.Cardinality, "to_one")
}

func (w *with) at(argument string) string { return "with." + w.Name + "." + argument }

// join implements transform "join".
type join struct{}

// Prepare checks the keys and declares the columns.
func (join) Prepare(_ context.Context, p *plugin.Prepare[joinArgs]) error {
	a := p.Args
	if err := a.Check(); p.Known("memory_limit") && err != nil {
		return err
	}
	in := p.Input("input")
	if in == nil {
		return nil
	}
	a.columns = slices.Clone(in.Schema)
	p.ReadAll("input")
	lineage := map[string][]plugin.LineageSource{}
	for _, c := range in.Schema {
		lineage[c.Name] = []plugin.LineageSource{{Input: "input", Column: c.Name, Unchanged: true}}
	}
	var keys []plugin.LineageSource
	for i := range a.With {
		w := &a.With[i]
		for _, argument := range []string{"on", "kind", "cardinality", "prefix", "columns"} {
			if !p.Known(w.at(argument)) {
				return plugin.ArgumentErrorf(w.at(argument), "%s must be known at plan time\nIt cannot depend on the result of another stage.", argument)
			}
		}
		if w.keepsOther() && len(a.With) > 1 {
			p.Errorf(w.at("kind"), "A %s join must be the only one of its stage\nRows of the dataset without a match have no row of input to join with the other datasets. Use one stage after the other.", w.Kind)
		}
		w.checkKeys(p, in.Schema)
		w.declare(p, lineage)
		keys = append(keys, w.keySources()...)
	}
	p.AddDataset("", a.columns)
	for _, s := range a.selections() {
		p.Select("", s)
	}
	for _, c := range a.columns {
		p.SetLineage("", c.Name, lineage[c.Name]...)
	}
	p.SetRowsLineage("", keys...)
	return nil
}

// selections returns which rows of the datasets the result consists of, as far as the
// kinds and cardinalities of the joins tell.
func (a *joinArgs) selections() []plugin.Selection {
	all := []plugin.Selection{{RowsOf: "input"}}
	for i := range a.With {
		w := &a.With[i]
		if w.filters() {
			some(all)
			continue
		}
		other := []plugin.Selection{{RowsOf: w.at("dataset")}}
		// A row that matches at most one other is in the result at most once.
		once, rest, keepsOnce, keepsRest := all, other, w.keepsInput(), w.keepsOther()
		switch {
		case !w.uniqueInput() && !w.uniqueOther():
			return nil
		case !w.uniqueOther() || w.uniqueInput() && w.Kind == "right":
			once, rest, keepsOnce, keepsRest = other, all, keepsRest, keepsOnce
		}
		switch {
		case keepsOnce && keepsRest:
			some(rest)
			all = append(once, rest...)
		case keepsOnce:
			all = once
		case keepsRest: // rows of rest have a match, or are in the result without one
			some(once)
			all = append(rest, once...)
		default:
			some(once)
			if all = once; w.uniqueInput() && w.uniqueOther() && len(a.With) == 1 {
				all[0].MostOf = w.at("dataset")
			}
		}
	}
	return all
}

// some marks rows that are in the result only if they match.
func some(all []plugin.Selection) {
	for i := range all {
		all[i].Some = true
	}
}

// checkKeys reports keys that cannot be compared.
func (w *with) checkKeys(p *plugin.Prepare[joinArgs], input data.Schema) {
	other := p.Input(w.at("dataset")).Schema
	switch {
	case len(w.On) > 0 && len(w.Left)+len(w.Right) > 0:
		p.Errorf(w.at("on"), "on cannot be combined with left and right\nUse on for columns with the same names, or left and right for any row expressions.")
	case len(w.On) == 0 && len(w.Left) == 0:
		p.Errorf(w.at("on"), "The keys of %q are missing\nWrite on = [\"COLUMN\"] for a column that both datasets have, or left = [row.A] and right = [row.B].", w.Name)
	case len(w.Left) != len(w.Right):
		p.Errorf(w.at("right"), "left has %d entries, but right has %d\nEach expression in left is compared with the one at the same place in right.", len(w.Left), len(w.Right))
	}
	for _, name := range w.On {
		mine, _, ok := input.Lookup(name)
		if !ok {
			p.Errorf(w.at("on"), "input has no column named %q\nIts columns are %v.", name, input.Names())
			continue
		}
		its, _, ok := other.Lookup(name)
		if !ok {
			p.Errorf(w.at("on"), "The dataset has no column named %q\nIts columns are %v.", name, other.Names())
			continue
		}
		w.sameType(p, "on", name, mine.Type, its.Type)
	}
	for i := range min(len(w.Left), len(w.Right)) {
		mine, _ := p.RowArgument(w.Left[i].Key)
		its, _ := p.RowArgument(w.Right[i].Key)
		w.sameType(p, "right", fmt.Sprintf("key %d", i+1), mine, its)
	}
}

func (w *with) sameType(p *plugin.Prepare[joinArgs], argument, name, mine, its string) {
	if mine != its {
		p.Errorf(w.at(argument), "The keys have different types\n%s is %s in input, but %s in the dataset, so no rows would match. Convert one of them: left = [tostring(row.A)], or with transform \"map\".", name, mine, its)
	}
}

// declare adds the columns of the dataset to those of the result.
func (w *with) declare(p *plugin.Prepare[joinArgs], lineage map[string][]plugin.LineageSource) {
	other, a := p.Input(w.at("dataset")).Schema, p.Args
	for _, name := range w.Columns {
		if _, _, ok := other.Lookup(name); !ok {
			p.Errorf(w.at("columns"), "The dataset has no column named %q\nIts columns are %v.", name, other.Names())
		}
	}
	if w.filters() && (w.Prefix != "" || len(w.Columns) > 0) {
		p.Errorf(w.at("kind"), "A %s join adds no columns\nRemove prefix and columns, or use another kind.", w.Kind)
	}
	w.added = nil
	p.ReadColumns(w.at("dataset"), w.On...)
	for _, c := range other {
		if slices.Contains(w.On, c.Name) {
			if w.keepsOther() {
				lineage[c.Name] = append(lineage[c.Name], plugin.LineageSource{Input: w.at("dataset"), Column: c.Name, Unchanged: true})
			}
			continue
		}
		if w.filters() || len(w.Columns) > 0 && !slices.Contains(w.Columns, c.Name) {
			continue
		}
		name := w.Prefix + c.Name
		if _, _, taken := a.columns.Lookup(name); taken {
			p.Errorf(w.at("dataset"), "Two columns would be named %q\nBoth sides of the join have it. Set prefix in the block %q, or choose the columns to add with columns.", name, w.Name)
			continue
		}
		a.columns = append(a.columns, data.Column{Name: name, Type: c.Type})
		w.added = append(w.added, c.Name)
		lineage[name] = append([]plugin.LineageSource{{Input: w.at("dataset"), Column: c.Name, Unchanged: true}}, w.keySources()...)
	}
	p.ReadColumns(w.at("dataset"), w.added...)
}

// keySources returns what determines which rows match.
func (w *with) keySources() []plugin.LineageSource {
	sources := append(argumentSources(w.Left), argumentSources(w.Right)...)
	for _, name := range w.On {
		sources = append(sources, plugin.LineageSource{Input: "input", Column: name}, plugin.LineageSource{Input: w.at("dataset"), Column: name})
	}
	return sources
}

// Run joins one dataset after the other.
func (join) Run(ctx context.Context, r *plugin.Run[joinArgs]) error {
	a := r.Args
	memory, err := a.Bytes()
	if err != nil {
		return err
	}
	in := r.Dataset(a.Input)
	rows, fields := leftRows(ctx, r, in), leftFields(a, in)
	own, withKeys := len(in.Schema), len(fields)
	for i := range a.With {
		w := &a.With[i]
		step := &joining{
			with: w, left: fields, keys: w.leftKeys(a, in), other: r.Dataset(w.Dataset),
			folder: filepath.Join(r.WorkDir, "sort", strconv.Itoa(i)), memory: memory / int64(len(a.With)),
		}
		rows = step.run(ctx, rows)
		if !w.filters() {
			fields = slices.Concat(fields, step.otherFields()[:len(w.added)])
		}
	}
	out := ordering.NewOutput(a.columns.Arrow(), func(rec arrow.RecordBatch) error { return r.Write("", rec) })
	defer out.Release()
	for row, err := range rows {
		if err != nil {
			return err
		}
		bytes, err := row.appendTo(out.Builder, own, withKeys)
		if err == nil {
			err = out.Added(bytes)
		}
		if err != nil {
			return err
		}
	}
	return out.Flush()
}
