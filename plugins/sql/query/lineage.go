//go:build duckdb_arrow

package query

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Source is a column of an input that values come from.
type Source struct {
	Table, Column string
	// Unchanged is true if each value is a value of the column.
	Unchanged bool
}

// Lineage says what a result comes from.
type Lineage struct {
	// Columns has the sources of each column of the result, by name.
	Columns map[string][]Source
	// Rows are the columns that determine which rows there are and their order: those
	// of conditions, joins, groups, and orders.
	Rows []Source
	// Selections say which rows of inputs the result consists of. There are none if that
	// is not known.
	Selections []Selection
}

// errUnclear is returned for a plan whose columns cannot be followed.
var errUnclear = errors.New("the lineage is not clear")

// lineage returns what the columns of the result view come from, or nil if that is not
// clear. It follows the columns through DuckDB's bound plan, in which each reference is
// a position in the output of the operator below.
func (a *Analysis) lineage(ctx context.Context, db *database) (*Lineage, error) {
	out, err := db.text(ctx, "SELECT json_serialize_plan('SELECT * FROM "+resultView+"', optimize := false)::VARCHAR")
	if err != nil {
		return nil, fmt.Errorf("ask for the plan of the query: %w", err)
	}
	var all struct {
		Plans []*node `json:"plans"`
	}
	if err := json.Unmarshal([]byte(strings.Join(out, "")), &all); err != nil || len(all.Plans) != 1 {
		return nil, nil // such as a plan that cannot be serialized
	}
	f := &follower{tables: a.Tables, rows: sources{}, ctes: map[uint64][]sources{}, definitions: map[uint64]*node{}}
	columns, err := f.columns(all.Plans[0])
	if err != nil || len(columns) != len(a.Columns) {
		return nil, nil
	}
	l := &Lineage{Columns: map[string][]Source{}, Rows: f.rows.list(), Selections: f.selection(all.Plans[0])}
	for i, c := range a.Columns {
		l.Columns[c.Name] = columns[i].list()
	}
	if !a.covers(l) {
		return nil, nil
	}
	return l, nil
}

// covers reports whether a lineage names only columns that the query reads.
func (a *Analysis) covers(l *Lineage) bool {
	all := slices.Clone(l.Rows)
	for _, of := range l.Columns {
		all = append(all, of...)
	}
	return !slices.ContainsFunc(all, func(s Source) bool { return !slices.Contains(a.Reads[s.Table], s.Column) })
}

// node is an operator of a bound plan.
type node struct {
	Type          string                         `json:"type"`
	Children      []*node                        `json:"children"`
	Expressions   json.RawMessage                `json:"expressions"`
	TableIndex    uint64                         `json:"table_index"`
	CTEIndex      uint64                         `json:"cte_index"`
	ProjectionMap []int                          `json:"projection_map"`
	Left          []int                          `json:"left_projection_map"`
	Right         []int                          `json:"right_projection_map"`
	JoinType      string                         `json:"join_type"`
	Flipped       bool                           `json:"delim_flipped"`
	Condition     any                            `json:"condition"`
	Conditions    []joinCondition                `json:"conditions"`
	Duplicates    []any                          `json:"duplicate_eliminated_columns"`
	Groups        []any                          `json:"groups"`
	GroupingSets  [][]int                        `json:"grouping_sets"`
	Groupings     [][]int                        `json:"grouping_functions"`
	Orders        []any                          `json:"orders"`
	Targets       []any                          `json:"distinct_targets"`
	Names         []string                       `json:"names"`
	ProjectionIDs []int                          `json:"projection_ids"`
	ColumnIndexes []struct{ Index uint64 }       `json:"column_indexes"`
	Function      struct{ Schema, Table string } `json:"function_data"`
	Limit         bound                          `json:"limit_val"`
	Offset        bound                          `json:"offset_val"`
}

// bound is a limit or an offset.
type bound struct {
	Type string `json:"type"` // UNSET, CONSTANT_VALUE, CONSTANT_PERCENTAGE, or an expression
	Rows int64  `json:"constant_integer"`
}

type joinCondition struct {
	Left       any    `json:"left"`
	Right      any    `json:"right"`
	Comparison string `json:"comparison"`
}

// key is a column of an input.
type key struct{ table, column string }

// sources are what a column comes from, with whether its values are unchanged.
type sources map[key]bool

func (s sources) list() []Source {
	var out []Source
	for _, k := range slices.SortedFunc(maps.Keys(s), func(a, b key) int {
		return strings.Compare(a.table+"\x00"+a.column, b.table+"\x00"+b.column)
	}) {
		out = append(out, Source{k.table, k.column, s[k]})
	}
	return out
}

// add adds sources whose values are changed.
func (s sources) add(other sources) {
	for k := range other {
		s[k] = false
	}
}

// unchanged reports whether each value is one of a source's, unchanged.
func (s sources) unchanged() bool {
	for k := range s {
		if !s[k] {
			return false
		}
	}
	return len(s) > 0
}

func changed(all []sources) []sources {
	out := make([]sources, len(all))
	for i, s := range all {
		out[i] = sources{}
		out[i].add(s)
	}
	return out
}

// follower follows columns through a plan.
type follower struct {
	tables []Table
	// rows are what determines the rows.
	rows sources
	ctes map[uint64][]sources
	// definitions are the queries of common table expressions.
	definitions map[uint64]*node
	// delims are the columns that the correlated subqueries around an operator use.
	delims [][]sources
}

// columns returns what the output columns of an operator come from.
func (f *follower) columns(n *node) ([]sources, error) {
	switch n.Type {
	case "LOGICAL_GET":
		return f.scan(n)
	case "LOGICAL_DUMMY_SCAN":
		return []sources{{}}, nil
	case "LOGICAL_EXPRESSION_GET":
		return f.values(n)
	case "LOGICAL_DELIM_GET":
		if len(f.delims) == 0 {
			return nil, errUnclear
		}
		return f.delims[len(f.delims)-1], nil
	case "LOGICAL_CTE_REF":
		if of, ok := f.ctes[n.CTEIndex]; ok {
			return of, nil
		}
		return nil, errUnclear
	}
	switch len(n.Children) {
	case 1:
		below, err := f.columns(n.Children[0])
		if err != nil {
			return nil, err
		}
		return f.unary(n, below)
	case 2:
		return f.binary(n)
	}
	return nil, errUnclear
}

// scan returns the columns of an input.
func (f *follower) scan(n *node) ([]sources, error) {
	in := f.table(n)
	if in == nil || len(n.Children) > 0 {
		return nil, errUnclear
	}
	out := make([]sources, len(n.ColumnIndexes))
	for i, c := range n.ColumnIndexes {
		if c.Index >= uint64(len(in.Columns)) {
			return nil, errUnclear
		}
		out[i] = sources{{in.Name, in.Columns[c.Index].Name}: true}
	}
	return projected(out, n.ProjectionIDs)
}

// values returns the columns of VALUES.
func (f *follower) values(n *node) ([]sources, error) {
	var rows [][]any
	if json.Unmarshal(n.Expressions, &rows) != nil || len(rows) == 0 || len(n.Children) != 1 {
		return nil, errUnclear
	}
	below, err := f.columns(n.Children[0])
	if err != nil {
		return nil, err
	}
	out := make([]sources, len(rows[0]))
	for i := range out {
		out[i] = sources{}
		for _, row := range rows {
			from, err := references(row[i], below)
			if err != nil {
				return nil, err
			}
			out[i].add(from)
		}
	}
	return out, nil
}

// unary returns the columns of an operator with one input, whose columns are below.
func (f *follower) unary(n *node, below []sources) ([]sources, error) {
	expressions, err := n.expressions()
	if err != nil {
		return nil, err
	}
	switch n.Type {
	case "LOGICAL_PROJECTION":
		return each(expressions, below)
	case "LOGICAL_FILTER":
		return f.determined(n, below, expressions)
	case "LOGICAL_ORDER_BY", "LOGICAL_TOP_N":
		return f.determined(n, below, n.Orders)
	case "LOGICAL_DISTINCT":
		return f.determined(n, below, n.Targets)
	case "LOGICAL_LIMIT", "LOGICAL_SAMPLE":
		return projected(below, n.ProjectionMap)
	case "LOGICAL_WINDOW":
		made, err := each(expressions, below)
		return slices.Concat(below, changed(made)), err
	case "LOGICAL_UNNEST":
		made, err := each(expressions, below)
		for _, s := range made {
			f.rows.add(s)
		}
		return slices.Concat(below, changed(made)), err
	case "LOGICAL_AGGREGATE_AND_GROUP_BY":
		return f.aggregate(n, below, expressions)
	}
	return nil, errUnclear
}

func (n *node) expressions() ([]any, error) {
	var out []any
	if len(n.Expressions) > 0 && json.Unmarshal(n.Expressions, &out) != nil {
		return nil, errUnclear
	}
	return out, nil
}

// determined adds what expressions refer to to what determines the rows, and passes on
// the columns.
func (f *follower) determined(n *node, below []sources, expressions []any) ([]sources, error) {
	from, err := references(expressions, below)
	if err != nil {
		return nil, err
	}
	f.rows.add(from)
	return projected(below, n.ProjectionMap)
}

func (f *follower) aggregate(n *node, below []sources, expressions []any) ([]sources, error) {
	groups, err := each(n.Groups, below)
	if err != nil {
		return nil, err
	}
	for _, s := range groups {
		f.rows.add(s)
	}
	if len(n.GroupingSets) > 1 { // a group is null where a set does not have it
		groups = changed(groups)
	}
	made, err := each(expressions, below)
	out := slices.Concat(groups, changed(made))
	for range n.Groupings {
		out = append(out, sources{})
	}
	return out, err
}

// binary returns the columns of an operator with two inputs.
func (f *follower) binary(n *node) ([]sources, error) {
	left, err := f.columns(n.Children[0])
	if err != nil {
		return nil, err
	}
	switch n.Type {
	case "LOGICAL_MATERIALIZED_CTE":
		f.ctes[n.TableIndex], f.definitions[n.TableIndex] = left, n.Children[0]
		return f.columns(n.Children[1])
	case "LOGICAL_DELIM_JOIN":
		outer, err := each(n.Duplicates, left)
		if err != nil || n.Flipped {
			return nil, errUnclear
		}
		f.delims = append(f.delims, outer)
		defer func() { f.delims = f.delims[:len(f.delims)-1] }()
	}
	right, err := f.columns(n.Children[1])
	if err != nil {
		return nil, err
	}
	switch n.Type {
	case "LOGICAL_CROSS_PRODUCT", "LOGICAL_POSITIONAL_JOIN":
		return slices.Concat(left, right), nil
	case "LOGICAL_COMPARISON_JOIN", "LOGICAL_DELIM_JOIN", "LOGICAL_ANY_JOIN", "LOGICAL_ASOF_JOIN":
		return f.join(n, left, right)
	case "LOGICAL_UNION", "LOGICAL_EXCEPT", "LOGICAL_INTERSECT":
		return f.combine(n, left, right)
	}
	return nil, errUnclear
}

// combine returns the columns of a set operation.
func (f *follower) combine(n *node, left, right []sources) ([]sources, error) {
	if len(left) != len(right) {
		return nil, errUnclear
	}
	if n.Type != "LOGICAL_UNION" {
		for i := range left {
			f.rows.add(left[i])
			f.rows.add(right[i])
		}
		return left, nil
	}
	out := changed(left)
	for i := range out {
		out[i].add(right[i])
		if left[i].unchanged() && right[i].unchanged() {
			maps.Copy(out[i], left[i])
			maps.Copy(out[i], right[i])
		}
	}
	return out, nil
}

// join returns the columns of a join: those of both sides, unless its type says
// otherwise.
func (f *follower) join(n *node, left, right []sources) ([]sources, error) {
	tests, err := references(n.Condition, slices.Concat(left, right))
	if err != nil {
		return nil, err
	}
	for _, c := range n.Conditions {
		l, err := references(c.Left, left)
		if err != nil {
			return nil, err
		}
		r, err := references(c.Right, right)
		if err != nil {
			return nil, err
		}
		tests.add(l)
		tests.add(r)
	}
	left, err = projected(left, n.Left)
	if err != nil {
		return nil, err
	}
	if right, err = projected(right, n.Right); err != nil {
		return nil, err
	}
	if n.JoinType != "MARK" {
		f.rows.add(tests)
	}
	switch n.JoinType {
	case "INNER":
		return slices.Concat(left, right), nil
	case "LEFT", "SINGLE": // the right side can be null
		return slices.Concat(left, changed(right)), nil
	case "RIGHT":
		return slices.Concat(changed(left), right), nil
	case "FULL":
		return slices.Concat(changed(left), changed(right)), nil
	case "SEMI", "ANTI":
		return left, nil
	case "RIGHT_SEMI", "RIGHT_ANTI":
		return right, nil
	case "MARK":
		return append(slices.Clone(left), tests), nil
	}
	return nil, errUnclear
}

// projected returns the columns at some positions, or all if there are none.
func projected(all []sources, positions []int) ([]sources, error) {
	if len(positions) == 0 {
		return all, nil
	}
	out := make([]sources, len(positions))
	for i, at := range positions {
		if at < 0 || at >= len(all) {
			return nil, errUnclear
		}
		out[i] = all[at]
	}
	return out, nil
}

// each returns what each expression refers to. An expression that is just a reference
// passes values on unchanged.
func each(expressions []any, below []sources) ([]sources, error) {
	out := make([]sources, len(expressions))
	for i, e := range expressions {
		from, err := references(e, below)
		if err != nil {
			return nil, err
		}
		out[i] = from
		if at, ok := position(e); ok {
			out[i] = below[at]
		}
	}
	return out, nil
}

// references returns what an expression refers to.
func references(expression any, below []sources) (sources, error) {
	out := sources{}
	var visit func(any) error
	visit = func(e any) error {
		switch e := e.(type) {
		case []any:
			for _, item := range e {
				if err := visit(item); err != nil {
					return err
				}
			}
		case map[string]any:
			if at, ok := position(e); ok {
				if at < 0 || at >= len(below) {
					return errUnclear
				}
				out.add(below[at])
			}
			for name, member := range e {
				// What a function keeps to itself, such as the body of a lambda, has
				// positions of its own. What a lambda captures is among the children.
				if name == "function_data" {
					continue
				}
				if err := visit(member); err != nil {
					return err
				}
			}
		}
		return nil
	}
	return out, visit(expression)
}

// position returns the position that an expression refers to, if it is a reference.
func position(e any) (at int, ok bool) {
	m, _ := e.(map[string]any)
	if m["expression_class"] != "BOUND_REF" {
		return 0, false
	}
	index, _ := m["index"].(float64)
	return int(index), true
}
