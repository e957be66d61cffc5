//go:build duckdb_arrow

package query

import "slices"

// Selection says that rows of a result come from one row of an input each, and no two
// from the same, as far as the query shows it.
type Selection struct {
	Table string
	// Some is set if only the data decides how many rows there are.
	Some bool
	// Most is the maximum number of rows; nil means no limit.
	Most *int64
	// MostOf is a table: at most as many rows are selected as it has.
	MostOf string
	// One is set if the result has one row, whatever the input has.
	One bool
}

// selection returns which rows the result of an operator consists of, or nil if they
// are not rows of inputs.
func (f *follower) selection(n *node) []Selection {
	switch n.Type {
	case "LOGICAL_GET":
		if in := f.table(n); in != nil && len(n.Children) == 0 {
			return []Selection{{Table: in.Name}}
		}
	case "LOGICAL_PROJECTION", "LOGICAL_ORDER_BY", "LOGICAL_WINDOW":
		return f.below(n)
	case "LOGICAL_FILTER", "LOGICAL_DISTINCT":
		return some(f.below(n))
	case "LOGICAL_AGGREGATE_AND_GROUP_BY":
		return f.grouped(n)
	case "LOGICAL_LIMIT":
		return limited(f.below(n), n.Limit, n.Offset)
	case "LOGICAL_CTE_REF":
		if of := f.definitions[n.CTEIndex]; of != nil {
			return f.selection(of)
		}
	case "LOGICAL_MATERIALIZED_CTE":
		return f.selection(n.Children[1])
	case "LOGICAL_COMPARISON_JOIN", "LOGICAL_DELIM_JOIN":
		return f.joined(n)
	case "LOGICAL_CROSS_PRODUCT":
		return f.crossed(n)
	case "LOGICAL_UNION", "LOGICAL_EXCEPT", "LOGICAL_INTERSECT":
		return f.combined(n)
	}
	return nil
}

func (f *follower) table(n *node) *Table {
	return tableNamed(f.tables, "memory."+n.Function.Schema+"."+n.Function.Table)
}

func (f *follower) below(n *node) []Selection {
	if len(n.Children) != 1 {
		return nil
	}
	return f.selection(n.Children[0])
}

func (f *follower) grouped(n *node) []Selection {
	switch {
	case len(n.GroupingSets) > 1:
		return nil
	case len(n.Groups) > 0:
		return some(f.below(n))
	}
	if of := f.anyTable(n); of != nil {
		return []Selection{{Table: of.Name, One: true}}
	}
	return nil
}

// anyTable returns an input that an operator reads.
func (f *follower) anyTable(n *node) *Table {
	if n.Type == "LOGICAL_GET" {
		return f.table(n)
	}
	for _, c := range n.Children {
		if of := f.anyTable(c); of != nil {
			return of
		}
	}
	return nil
}

// joined returns the rows of a join in which a row of one side is in the result at most
// once, because the join only tests it or because the keys of the other side are unique.
func (f *follower) joined(n *node) []Selection {
	if len(n.Children) != 2 {
		return nil
	}
	left, right := f.selection(n.Children[0]), f.selection(n.Children[1])
	switch n.JoinType {
	case "MARK", "SINGLE":
		return left
	case "SEMI", "ANTI":
		return some(left)
	}
	if n.Type != "LOGICAL_COMPARISON_JOIN" {
		return nil
	}
	var leftKeys, rightKeys []int
	for _, c := range n.Conditions {
		l, isLeft := position(c.Left)
		r, isRight := position(c.Right)
		if isLeft && isRight && (c.Comparison == "COMPARE_EQUAL" || c.Comparison == "COMPARE_NOT_DISTINCT_FROM") {
			leftKeys, rightKeys = append(leftKeys, l), append(rightKeys, r)
		}
	}
	switch {
	case f.unique(n.Children[1], rightKeys):
		return joinOnce(left, right, n.JoinType == "LEFT" || n.JoinType == "FULL", n.JoinType == "RIGHT" || n.JoinType == "FULL")
	case f.unique(n.Children[0], leftKeys):
		return joinOnce(right, left, n.JoinType == "RIGHT" || n.JoinType == "FULL", n.JoinType == "LEFT" || n.JoinType == "FULL")
	}
	return nil
}

// joinOnce returns the rows of a join in which a row of once has at most one match.
// Rows without a match are kept or not.
func joinOnce(once, rest []Selection, keepsOnce, keepsRest bool) []Selection {
	switch {
	case once == nil || keepsRest && rest == nil:
		return nil
	case keepsOnce && keepsRest:
		return slices.Concat(once, some(rest))
	case keepsOnce:
		return once
	case keepsRest:
		return slices.Concat(rest, some(once))
	}
	return some(once)
}

// unique reports whether no two rows of an operator's result have the same values at
// these positions, as far as the query shows it.
func (f *follower) unique(n *node, at []int) bool {
	switch n.Type {
	case "LOGICAL_AGGREGATE_AND_GROUP_BY":
		for i := range n.Groups {
			if !slices.Contains(at, i) {
				return false
			}
		}
		return len(n.GroupingSets) <= 1
	case "LOGICAL_DISTINCT":
		return len(n.ProjectionMap) == 0 && (f.unique(n.Children[0], at) || !slices.ContainsFunc(n.Targets, func(target any) bool {
			i, isColumn := position(target)
			return !isColumn || !slices.Contains(at, i)
		}))
	case "LOGICAL_PROJECTION":
		return f.unique(n.Children[0], n.passedOn(at))
	case "LOGICAL_FILTER", "LOGICAL_ORDER_BY", "LOGICAL_LIMIT":
		return len(n.ProjectionMap) == 0 && f.unique(n.Children[0], at)
	case "LOGICAL_CTE_REF":
		of := f.definitions[n.CTEIndex]
		return of != nil && f.unique(of, at)
	case "LOGICAL_MATERIALIZED_CTE":
		return f.unique(n.Children[1], at)
	}
	return false
}

// passedOn returns the positions below a projection whose values are at these positions
// of its result.
func (n *node) passedOn(at []int) []int {
	expressions, err := n.expressions()
	if err != nil {
		return nil
	}
	var out []int
	for _, i := range at {
		if i < len(expressions) {
			if from, isColumn := position(expressions[i]); isColumn {
				out = append(out, from)
			}
		}
	}
	return out
}

// crossed returns the rows of a product with a single row.
func (f *follower) crossed(n *node) []Selection {
	switch left, right := n.Children[0], n.Children[1]; {
	case isOneRow(right):
		return f.selection(left)
	case isOneRow(left):
		return f.selection(right)
	}
	return nil
}

func isOneRow(n *node) bool {
	switch n.Type {
	case "LOGICAL_AGGREGATE_AND_GROUP_BY":
		return len(n.Groups) == 0 && len(n.GroupingSets) <= 1
	case "LOGICAL_PROJECTION":
		return isOneRow(n.Children[0])
	}
	return n.Type == "LOGICAL_DUMMY_SCAN"
}

// combined returns the rows of a set operation. What makes them distinct is an operator
// of its own.
func (f *follower) combined(n *node) []Selection {
	left, right := f.selection(n.Children[0]), f.selection(n.Children[1])
	switch {
	case left == nil:
		return nil
	case n.Type != "LOGICAL_UNION":
		out := some(left)
		if whole := len(right) == 1 && right[0] == (Selection{Table: right[0].Table}); whole && n.Type == "LOGICAL_INTERSECT" && len(out) == 1 {
			out[0].MostOf = right[0].Table
		}
		return out
	case right == nil:
		return nil
	}
	return slices.Concat(left, right)
}

// some returns selections of which only the data decides how many rows they have.
func some(all []Selection) []Selection {
	out := slices.Clone(all)
	for i := range out {
		if s := &out[i]; s.One {
			one := int64(1)
			s.One, s.Most = false, &one
		}
		out[i].Some = true
	}
	return out
}

// limited returns the first rows of a selection.
func limited(all []Selection, limit, offset bound) []Selection {
	if len(all) != 1 {
		return nil // each of them could have all of the rows
	}
	if limit.Type != "CONSTANT_VALUE" || offset.Type != "UNSET" || all[0].One {
		all = some(all)
	}
	if s := &all[0]; limit.Type == "CONSTANT_VALUE" && (s.Most == nil || limit.Rows < *s.Most) {
		s.Most = &limit.Rows
	}
	return all
}
