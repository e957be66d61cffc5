package tables

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/quern-dev/quern/plugins/ordering"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

type groupArgs struct {
	Input plugin.Dataset           `quern:"input,required" doc:"The dataset whose rows are grouped."`
	By    map[string]plugin.Column `quern:"by" type:"dynamic" doc:"The columns that identify a group, as a map from names to row expressions, such as '{ domain = row.domain }'. Null is a value like any other. Without it, all rows are one group."`
	Order []plugin.Column          `quern:"order" type:"dynamic" doc:"The order of the rows in a group for 'first', 'last', and 'list', such as '[row.date]'. By default, and for equal values, it is the order of the dataset."`

	Rows          string                   `quern:"rows" doc:"The name of a column for the number of rows."`
	Sum           map[string]plugin.Column `quern:"sum" type:"number" doc:"Sums, as a map from names to row expressions, such as '{ tokens = row.tokens }'. The sum of int64 is int64. Nulls are left out here and below, unless it says otherwise."`
	Mean          map[string]plugin.Column `quern:"mean" type:"number" doc:"Means."`
	Median        map[string]plugin.Column `quern:"median" type:"number" doc:"Medians: the middle value, or the mean of the two middle ones."`
	Min           map[string]plugin.Column `quern:"min" type:"dynamic" doc:"The lowest values, in the order that transform \"sort\" uses."`
	Max           map[string]plugin.Column `quern:"max" type:"dynamic" doc:"The highest values."`
	First         map[string]plugin.Column `quern:"first" type:"dynamic" doc:"The values of the first row, which can be null."`
	Last          map[string]plugin.Column `quern:"last" type:"dynamic" doc:"The values of the last row, which can be null."`
	List          map[string]plugin.Column `quern:"list" type:"dynamic" doc:"Lists of all values, nulls included."`
	Distinct      map[string]plugin.Column `quern:"distinct" type:"dynamic" doc:"Sorted lists of the different values."`
	CountDistinct map[string]plugin.Column `quern:"count_distinct" type:"dynamic" doc:"The numbers of different values."`
	ordering.Limit

	by         []column
	aggregates []aggregate
	columns    data.Schema
}

const groupDoc = `Groups rows and computes a row for each group.

The result has the columns in ` + "`by`" + `, then ` + "`rows`" + `, and then the others in the order of the arguments below; those of one argument are sorted by name. Groups are sorted by the columns in ` + "`by`" + `, with nulls last. For ` + "`by`" + `, ` + "`distinct`" + `, and ` + "`count_distinct`" + `, NaN equals NaN, and -0 equals 0.

A sum of integers that does not fit into int64 is an error. Sums and means of other numbers are computed with compensation, so that their error does not grow with the number of rows. A dataset that does not fit in memory is grouped in temporary files.

` + "```hcl" + `
transform "group" "domains" {
  input = source.pages
  by    = { domain = row.domain }
  rows  = "pages"
  sum   = { tokens = row.tokens }
  first = { newest = row.title }
  order = [row.age]
}
` + "```"

// column is a row expression with the name of its column.
type column struct{ name, key string }

// aggregate is a column that is computed for each group.
type aggregate struct {
	column
	function string
}

// group implements transform "group".
type group struct{}

// Prepare declares the columns.
func (group) Prepare(_ context.Context, p *plugin.Prepare[groupArgs]) error {
	a := p.Args
	if err := a.Check(); p.Known("memory_limit") && err != nil {
		return err
	}
	if !p.Known("rows") {
		return plugin.ArgumentErrorf("rows", "rows must be known at plan time\nIt is the name of a column, so it cannot depend on the result of another stage.")
	}
	a.by, a.aggregates, a.columns = nil, nil, nil
	for _, name := range slices.Sorted(maps.Keys(a.By)) {
		typ, _ := p.RowArgument(a.By[name].Key)
		a.by = append(a.by, column{name, a.By[name].Key})
		a.columns = append(a.columns, data.Column{Name: name, Type: typ})
	}
	if a.Rows != "" {
		a.aggregates = append(a.aggregates, aggregate{column{a.Rows, ""}, "rows"})
	}
	for _, f := range a.functions() {
		for _, name := range slices.Sorted(maps.Keys(f.columns)) {
			a.aggregates = append(a.aggregates, aggregate{column{name, f.columns[name].Key}, f.name})
		}
	}
	if len(a.by) == 0 && len(a.aggregates) == 0 {
		p.Errorf("", "Nothing to compute\nGive by, rows, or one of the other functions.")
		return nil
	}
	if len(a.Order) > 0 && len(a.First)+len(a.Last)+len(a.List) == 0 {
		p.Errorf("order", "order has no effect\nIt is the order of rows for first, last, and list, but the stage has none of them.")
	}
	for _, g := range a.aggregates {
		typ, _ := p.RowArgument(g.key)
		a.columns = append(a.columns, data.Column{Name: g.name, Type: g.result(typ)})
	}
	p.AddDataset("", a.columns)
	groups := plugin.Selection{RowsOf: "input", Some: true}
	if len(a.by) == 0 {
		one := 1.0
		groups = plugin.Selection{RowsOf: "input", Exactly: &one}
	}
	p.Select("", groups)
	a.setLineage(p)
	return nil
}

type function struct {
	name    string
	columns map[string]plugin.Column
}

func (a *groupArgs) functions() []function {
	return []function{
		{"sum", a.Sum}, {"mean", a.Mean}, {"median", a.Median}, {"min", a.Min}, {"max", a.Max}, {"first", a.First},
		{"last", a.Last}, {"list", a.List}, {"distinct", a.Distinct}, {"count_distinct", a.CountDistinct},
	}
}

// result returns the type of the column, given the type of the values.
func (g aggregate) result(typ string) string {
	switch g.function {
	case "rows", "count_distinct":
		return "int64"
	case "mean", "median":
		return "float64"
	case "list", "distinct":
		return "list<" + typ + ">"
	}
	return typ
}

// ordered reports whether the result depends on the order of the rows.
func (g aggregate) ordered() bool {
	return g.function == "first" || g.function == "last" || g.function == "list"
}

// byValue reports whether the aggregate is computed from sorted values.
func (g aggregate) byValue() bool {
	return g.function == "median" || g.function == "distinct" || g.function == "count_distinct"
}

func (a *groupArgs) setLineage(p *plugin.Prepare[groupArgs]) {
	var by []plugin.LineageSource
	for _, c := range a.by {
		by = append(by, plugin.LineageSource{Argument: c.key})
		p.SetLineage("", c.name, plugin.LineageSource{Argument: c.key, Unchanged: true})
	}
	p.SetRowsLineage("", by...)
	for _, g := range a.aggregates {
		sources := slices.Clone(by)
		if g.key != "" {
			sources = append(sources, plugin.LineageSource{Argument: g.key})
		}
		if g.ordered() {
			sources = append(sources, argumentSources(a.Order)...)
		}
		p.SetLineage("", g.name, sources...)
	}
}

// Run aggregates rows in a hash table or, if the groups do not fit into memory or some
// aggregates need all values, sorts the rows by their groups and computes one group after
// the other.
func (group) Run(ctx context.Context, r *plugin.Run[groupArgs]) error {
	limit, err := r.Args.Bytes()
	if err != nil {
		return err
	}
	in := r.Dataset(r.Args.Input)
	write := func(rec arrow.RecordBatch) error { return r.Write("", rec) }
	if r.Args.hashable() {
		if err := groupByHash(ctx, r, in, limit, write); !errors.Is(err, errTooManyGroups) {
			return err
		}
	}
	g, err := newGrouper(r.Args, in, filepath.Join(r.WorkDir, "sort"), limit)
	if err != nil {
		return err
	}
	defer g.close()
	err = eachRecord(ctx, in, r.Progress, func(rec arrow.RecordBatch) error {
		return g.add(rec.Columns(), rec.NumRows())
	}, data.Arguments.Refs(g.keys...))
	if err != nil {
		return err
	}
	return g.write(ctx, write)
}

var errTooManyGroups = errors.New("the groups do not fit into memory")

// groupByHash writes the groups, or returns errTooManyGroups before it has written any.
func groupByHash(ctx context.Context, r *plugin.Run[groupArgs], in *plugin.DatasetInput, limit int64, write func(arrow.RecordBatch) error) error {
	g := newHashGrouper(r.Args, in)
	defer g.release()
	err := eachRecord(ctx, in, r.Progress, func(rec arrow.RecordBatch) error {
		if err := g.add(rec.Columns(), rec.NumRows()); err != nil {
			return err
		}
		if g.bytes > limit {
			return errTooManyGroups
		}
		return nil
	}, data.Arguments.Refs(g.keys...))
	if err != nil {
		return err
	}
	return g.write(write)
}

// grouper sorts rows by their groups and, for some aggregates, values by their
// groups.
type grouper struct {
	*groupArgs
	keys   []string // of all row arguments, as they are read
	rows   *ordering.Sorter
	schema *arrow.Schema // of rows
	// values has a sorter for each aggregate that is computed from sorted values,
	// and nil for others.
	values []*ordering.Sorter
	states []state
	key    []byte
}

func newGrouper(a *groupArgs, in *plugin.DatasetInput, folder string, memory int64) (*grouper, error) {
	g := &grouper{groupArgs: a}
	sorters := int64(1)
	for _, c := range a.by {
		g.keys = append(g.keys, c.key)
	}
	for _, c := range a.aggregates {
		if c.key != "" {
			g.keys = append(g.keys, c.key)
		}
		if c.byValue() {
			sorters++
		}
	}
	stored := argumentSchema(in, g.keys)
	g.keys = append(g.keys, columnKeys(a.Order)...)
	g.schema = stored.Arrow()
	g.rows = ordering.NewSorter(g.schema, folder, memory/sorters)
	for i, c := range a.aggregates {
		value := data.Column{Type: "int64"}
		if c.key != "" {
			value, _, _ = stored.Lookup(c.key)
		}
		state, err := newState(c.function, value.Type)
		if err != nil {
			return nil, err
		}
		g.states = append(g.states, state)
		g.values = append(g.values, nil)
		if c.byValue() {
			g.values[i] = ordering.NewSorter(data.Schema{value}.Arrow(), folder, memory/sorters)
		}
	}
	return g, nil
}

// argumentSchema returns the columns of row arguments.
func argumentSchema(in *plugin.DatasetInput, keys []string) data.Schema {
	out := make(data.Schema, len(keys))
	for i, key := range keys {
		out[i], _, _ = in.Arguments.Lookup(key)
	}
	return out
}

func (g *grouper) close() {
	g.rows.Close()
	for _, v := range g.values {
		if v != nil {
			v.Close()
		}
	}
}

// add adds rows: the values of the row arguments in the order of keys.
func (g *grouper) add(columns []arrow.Array, n int64) error {
	stored := columns[:g.schema.NumFields()]
	by, order := columns[:len(g.by)], columns[len(stored):]
	rec := array.NewRecordBatch(g.schema, stored, n)
	defer rec.Release()
	for i := range int(n) {
		var err error
		if g.key, err = ordering.AppendKey(g.key[:0], by, nil, i); err != nil {
			return err
		}
		if g.key, err = ordering.AppendKey(g.key, order, nil, i); err != nil {
			return err
		}
		if err := g.rows.Add(g.key, ordering.Row{Batch: rec, Index: i}); err != nil {
			return err
		}
	}
	at := len(g.by)
	for k, c := range g.aggregates {
		if c.key == "" {
			continue
		}
		if c.byValue() {
			if err := g.addValues(g.values[k], by, columns[at]); err != nil {
				return err
			}
		}
		at++
	}
	return nil
}

// addValues adds the values of one aggregate that are not null.
func (g *grouper) addValues(s *ordering.Sorter, by []arrow.Array, values arrow.Array) error {
	rec := array.NewRecordBatch(arrow.NewSchema([]arrow.Field{{Type: values.DataType(), Nullable: true}}, nil), []arrow.Array{values}, int64(values.Len()))
	defer rec.Release()
	own := []arrow.Array{values}
	for i := range values.Len() {
		if values.IsNull(i) {
			continue
		}
		var err error
		if g.key, err = ordering.AppendKey(g.key[:0], by, nil, i); err != nil {
			return err
		}
		if g.key, err = ordering.AppendKey(g.key, own, nil, i); err != nil {
			return err
		}
		if err := s.Add(g.key, ordering.Row{Batch: rec, Index: i}); err != nil {
			return err
		}
	}
	return nil
}

// write computes the groups.
func (g *grouper) write(ctx context.Context, write func(arrow.RecordBatch) error) error {
	out := ordering.NewOutput(g.columns.Arrow(), write)
	defer out.Release()
	cursors := make([]*cursor, len(g.values))
	for i, v := range g.values {
		if v != nil {
			cursors[i] = newCursor(v.Sorted(ctx))
			defer cursors[i].stop()
		}
	}
	var current []byte
	open, size := false, int64(0)
	for e, err := range g.rows.Sorted(ctx) {
		if err != nil {
			return err
		}
		if !open || !bytes.HasPrefix(e.Key, current) {
			if open {
				if err := g.finish(out, cursors, current, size); err != nil {
					return err
				}
			}
			columns := e.Row.Batch.Columns()[:len(g.by)]
			if current, err = ordering.AppendKey(current[:0], columns, nil, e.Row.Index); err != nil {
				return err
			}
			for c, values := range columns {
				if err := ordering.AppendValue(out.Builder.Field(c), values, e.Row.Index); err != nil {
					return err
				}
			}
			g.begin(out)
			open, size = true, int64(len(current))
		}
		if err := g.update(out, e.Row); err != nil {
			return err
		}
		size += e.Row.Bytes()
	}
	if !open && len(g.by) == 0 { // all rows are one group, even if there are none
		g.begin(out)
		open = true
	}
	if open {
		if err := g.finish(out, cursors, current, size); err != nil {
			return err
		}
	}
	return out.Flush()
}

// begin starts a group.
func (g *grouper) begin(out *ordering.Output) {
	for k, s := range g.states {
		s.begin(out.Builder.Field(len(g.by) + k))
	}
}

// update adds a row to the group.
func (g *grouper) update(out *ordering.Output, r ordering.Row) error {
	at := len(g.by)
	for k, c := range g.aggregates {
		var values arrow.Array
		if c.key != "" {
			values = r.Batch.Column(at)
			at++
		}
		if err := g.states[k].add(out.Builder.Field(len(g.by)+k), values, r.Index); err != nil {
			return c.failed(err)
		}
	}
	return nil
}

// finish appends the results of the group.
func (g *grouper) finish(out *ordering.Output, cursors []*cursor, key []byte, size int64) error {
	for k, c := range g.aggregates {
		b := out.Builder.Field(len(g.by) + k)
		if cursors[k] != nil {
			if err := g.states[k].(valueState).values(b, cursors[k], key); err != nil {
				return err
			}
		}
		if err := g.states[k].finish(b); err != nil {
			return c.failed(err)
		}
	}
	return out.Added(size)
}

// failed names the column of a mistake.
func (g aggregate) failed(err error) error {
	return plugin.ArgumentErrorf(strings.Join([]string{g.function, g.name}, "."), "%w", err)
}
