//go:build duckdb_arrow

// Package sql provides what DuckDB executes: transform "sql", a SELECT over
// datasets, and source "duckdb", which reads database files.
package sql

import (
	"context"
	"errors"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/quern-dev/quern/plugins/sql/query"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// behavior must be raised with every version of DuckDB that may give other
// results, and with every change to the order of rows.
const behavior = 1

const doc = `Computes a dataset from others with a SQL SELECT statement, in DuckDB's dialect.

Each entry of ` + "`inputs`" + ` is a table. The columns of the result are known at plan time. The query reads
only its inputs: no files, no network, no clock, and no random numbers, so the same rows always
give the same result.

Filters and computed columns keep the order of rows. If SQL leaves the order open (joins, groups,
` + "`distinct`" + `), or if an ` + "`order by`" + ` of the whole query has ties, rows are ordered by all columns of the
result, from left to right.

Integers become int64, decimals and floats become float64, dates and timestamps (in UTC) become date and timestamp,
and lists and structs become lists and structs of these types. Cast other types. A decimal with more digits
than float64 keeps, or a time finer than microseconds, is an error: cast it to say whether to round it.`

type arguments struct {
	Inputs      map[string]plugin.Dataset `quern:"inputs,required" doc:"The tables, as a map from their names in the query to datasets."`
	Query       string                    `quern:"query,required" doc:"One SELECT statement."`
	MemoryLimit string                    `quern:"memory_limit,operational" doc:"The maximum memory for the query, such as \"2GB\". What does not fit is spilled to disk. The default is four fifths of the machine's memory."`
	Threads     int64                     `quern:"threads,operational" doc:"The maximum number of threads. The default is all that the machine has. If the result would depend on the number of threads, the query uses one."`

	analysis *query.Analysis
}

// Plugin returns the plugin "sql".
func Plugin(version string) plugin.Plugin {
	place := "."
	return plugin.Plugin{
		Name: "sql", Version: version,
		Configure: func(_ context.Context, root string) error {
			place = root
			return nil
		},
		Types: []plugin.Type{
			plugin.NewRunner(plugin.Info{Kind: plugin.KindTransform, Name: "sql", Doc: doc, BehaviorVersion: behavior}, transform{}),
			plugin.NewSource(plugin.Info{Kind: plugin.KindSource, Name: "duckdb", Doc: sourceDoc, BehaviorVersion: 1}, file{func() string { return place }}),
		},
	}
}

type transform struct{}

var (
	memoryLimit = regexp.MustCompile(`^[0-9]+(\.[0-9]+)? ?([KMGT]i?B)$`)
	plainName   = regexp.MustCompile(`^[\p{L}_][\p{L}\p{N}_-]*$`)
)

func (transform) Prepare(ctx context.Context, p *plugin.Prepare[arguments]) error {
	checkResources(p, p.Args.MemoryLimit, p.Args.Threads)
	if !p.Known("query") {
		return plugin.ArgumentErrorf("query", "The query must be known at plan time\n"+
			"It determines the columns of the result, so it cannot depend on the result of another stage. Join that stage's rows in the query instead.")
	}
	var tables []query.Table
	for _, name := range slices.Sorted(maps.Keys(p.Args.Inputs)) {
		if in := p.Input(inputKey(name)); in != nil {
			tables = append(tables, query.Table{Name: name, Columns: in.Schema})
		}
	}
	a, err := query.Analyze(ctx, p.Args.Query, tables)
	if err != nil {
		return atQuery(err)
	}
	p.Args.analysis = a
	declare(p, a)
	return nil
}

// checkResources checks the arguments that limit memory and threads.
func checkResources[A any](p *plugin.Prepare[A], memory string, threads int64) {
	if memory != "" && !memoryLimit.MatchString(memory) {
		p.Errorf("memory_limit", "%q is not an amount of memory\nWrite a number and a unit, such as \"500MB\", \"2GB\", or \"1.5GiB\".", memory)
	}
	if threads < 0 {
		p.Errorf("threads", "The number of threads is negative\nRemove threads to use all that the machine has.")
	}
}

func declare(p *plugin.Prepare[arguments], a *query.Analysis) {
	p.AddDataset("", a.Columns)
	if a.Lineage != nil {
		for _, c := range a.Columns {
			p.SetLineage("", c.Name, lineage(a.Lineage.Columns[c.Name])...)
		}
		p.SetRowsLineage("", lineage(a.Lineage.Rows)...)
		for _, s := range a.Lineage.Selections {
			p.Select("", selection(s))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.Args.Inputs)) {
		if columns := a.Reads[name]; len(columns) > 0 {
			p.ReadColumns(inputKey(name), columns...)
			continue
		}
		p.Warnf(inputKey(name), "The query does not read %s\nRemove it from inputs, or use it in the query.", name)
	}
	for _, c := range a.Columns {
		if !plainName.MatchString(c.Name) && !passedOn(p, c.Name) {
			p.Warnf("query", "A column of the result is named %q\nGive it a plain name with AS, so that other stages can refer to it as row.NAME.", c.Name)
		}
	}
}

func selection(s query.Selection) plugin.Selection {
	out := plugin.Selection{RowsOf: inputKey(s.Table), Some: s.Some, Most: s.Most}
	if s.MostOf != "" {
		out.MostOf = inputKey(s.MostOf)
	}
	if s.One {
		one := 1.0
		out.Exactly = &one
	}
	return out
}

func lineage(sources []query.Source) []plugin.LineageSource {
	out := make([]plugin.LineageSource, len(sources))
	for i, s := range sources {
		out[i] = plugin.LineageSource{Input: inputKey(s.Table), Column: s.Column, Unchanged: s.Unchanged}
	}
	return out
}

// passedOn reports whether a column's name comes from an input, not from the
// query.
func passedOn(p *plugin.Prepare[arguments], name string) bool {
	for input := range p.Args.Inputs {
		if in := p.Input(inputKey(input)); in != nil {
			if _, _, ok := in.Schema.Lookup(name); ok {
				return true
			}
		}
	}
	return false
}

func inputKey(name string) string { return "inputs." + name }

// atQuery attributes a mistake in the query to the argument.
func atQuery(err error) error {
	var mistake *query.Error
	if errors.As(err, &mistake) {
		return &plugin.ArgumentError{Argument: "query", Err: err}
	}
	return err
}

// StopGrace is short: a query has no checkpoint to save. DuckDB ends most queries within
// milliseconds, but not a function that takes long for the values of one vector.
func (transform) StopGrace() time.Duration { return time.Second }

func (transform) Run(ctx context.Context, r *plugin.Run[arguments]) error {
	options := query.Options{
		MemoryLimit: r.Args.MemoryLimit,
		Threads:     int(r.Args.Threads),
		SpillDir:    filepath.Join(r.WorkDir, "spill"),
		Progress:    func(share float64) { r.Progress(int64(100*share), 100, "%", "") },
	}
	for rec, err := range query.Run(ctx, r.Args.analysis, inputs(r), options) {
		if err != nil {
			return atQuery(err)
		}
		if err := r.Write("", rec); err != nil {
			return err
		}
	}
	return nil
}

// inputs returns the tables as they were analyzed, with their rows. A run gets
// only the columns that are read.
func inputs(r *plugin.Run[arguments]) []query.Input {
	var out []query.Input
	for _, table := range r.Args.analysis.Tables {
		in := query.Input{Table: table}
		if d := r.Dataset(r.Args.Inputs[table.Name]); d != nil {
			in.Shards = d.Shards()
		}
		out = append(out, in)
	}
	return out
}
