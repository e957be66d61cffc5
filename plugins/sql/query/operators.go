//go:build duckdb_arrow

package query

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// operator is a node in DuckDB's plan of a query.
type operator struct {
	Name     string         `json:"name"`
	Children []*operator    `json:"children"`
	Info     map[string]any `json:"extra_info"`
}

// literalPlan applies the settings under which a plan shows what a query reads:
// the optimizer may only remove columns that nothing refers to.
func literalPlan(ctx context.Context, db *database) error {
	others, err := db.text(ctx, "SELECT string_agg(name, ',') FROM duckdb_optimizers() WHERE name <> 'unused_columns'")
	if err != nil {
		return fmt.Errorf("ask for DuckDB's optimizers: %w", err)
	}
	return db.exec("SET disabled_optimizers = " + quoteText(strings.Join(others, "")) + "; SET explain_output = 'physical_only'")
}

// explain returns the plan of the result view.
func explain(ctx context.Context, db *database) (*operator, error) {
	rows, err := db.query(ctx, "EXPLAIN (FORMAT json) SELECT * FROM "+db.view)
	if err != nil {
		return nil, err
	}
	defer rows.close()
	rec, err := rows.next()
	if err != nil || rec == nil {
		return nil, fmt.Errorf("explain the query: DuckDB returned no plan: %w", err)
	}
	defer rec.Release()
	var roots []*operator
	if err := json.Unmarshal([]byte(rec.Column(1).ValueStr(0)), &roots); err != nil || len(roots) != 1 {
		return nil, fmt.Errorf("read DuckDB's plan: %d roots: %w", len(roots), err)
	}
	return roots[0], nil
}

func (o *operator) each(visit func(*operator)) {
	visit(o)
	for _, c := range o.Children {
		c.each(visit)
	}
}

// list returns the strings of an entry that is a string or a list of strings.
func (o *operator) list(key string) []string {
	switch v := o.Info[key].(type) {
	case string:
		if v != "" {
			return []string{v}
		}
	case []any:
		out := make([]string, len(v))
		for i := range v {
			out[i] = text(v[i])
		}
		return out
	}
	return nil
}

// isForeignSource returns the name of the table function that an operator
// calls, as written in plans, if it reads something other than the inputs.
func isForeignSource(o *operator) (string, bool) {
	function, ok := o.Info["Function"].(string)
	return function, ok && !slices.Contains(tableFunctions, strings.ToLower(function))
}

// reads returns the columns of each input that a plan reads, in the order of
// the input. If no column of an input is read but its rows count, its first
// column is read.
func (o *operator) reads(inputs []Table) (map[string][]string, error) {
	read := map[string]map[string]bool{}
	var err error
	o.each(func(o *operator) {
		if function, foreign := isForeignSource(o); foreign {
			err = &Error{Message: fmt.Sprintf("The query reads %s, but it may read only its inputs.", strings.ToLower(function))}
		}
		table, ok := o.Info["Table"].(string)
		if !ok || o.Name != "SEQ_SCAN" {
			return
		}
		in := tableNamed(inputs, table)
		if in == nil {
			err = &Error{Message: fmt.Sprintf("The query reads the table %s, which is not one of its inputs.", table)}
			return
		}
		if read[in.Name] == nil {
			read[in.Name] = map[string]bool{}
		}
		names := in.sqlNames()
		for _, projection := range o.list("Projections") {
			in.mark(names, projection, read[in.Name])
		}
		if slices.Equal(names, in.Columns.Names()) {
			return
		}
		for name := range read[in.Name] {
			if twins := in.twins(name); twins != nil {
				err = twins
			}
		}
	})
	out := map[string][]string{}
	for _, in := range inputs {
		if marks := read[in.Name]; marks != nil {
			out[in.Name] = in.inOrder(marks)
		}
	}
	return out, err
}

func tableNamed(inputs []Table, table string) *Table {
	for i := range inputs {
		if table == "memory."+inputTable(i) {
			return &inputs[i]
		}
	}
	return nil
}

// mark marks a column that a scan projects. projection is its SQL name or, if
// only a field of a struct is read, its name, a dot, and the field's name. If
// projection is not understood, every column is marked.
func (t *Table) mark(names []string, projection string, marks map[string]bool) {
	found := false
	for i, c := range t.Columns {
		name := names[i]
		if strings.EqualFold(name, projection) || strings.HasPrefix(strings.ToLower(projection), strings.ToLower(name)+".") {
			marks[c.Name], found = true, true
		}
	}
	if found {
		return
	}
	for _, c := range t.Columns {
		marks[c.Name] = true
	}
}

func (t *Table) inOrder(marks map[string]bool) []string {
	if len(marks) == 0 && len(t.Columns) > 0 {
		return []string{t.Columns[0].Name}
	}
	var out []string
	for _, c := range t.Columns {
		if marks[c.Name] {
			out = append(out, c.Name)
		}
	}
	return out
}

// columnsOf returns all columns of every input.
func columnsOf(inputs []Table) map[string][]string {
	out := map[string][]string{}
	for _, in := range inputs {
		out[in.Name] = in.Columns.Names()
	}
	return out
}
