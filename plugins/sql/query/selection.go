//go:build duckdb_arrow

package query

// Selection says that each row of a result comes from one row of an input, and no two
// come from the same, as far as the query shows it.
type Selection struct {
	Table string
	// Some is set if only the data decides how many rows there are.
	Some bool
	// Most is the maximum number of rows; nil means no limit.
	Most *int64
}

// selection returns which rows the result of an operator consists of, or nil if they
// are not rows of one input.
func (f *follower) selection(n *node) *Selection {
	switch n.Type {
	case "LOGICAL_GET":
		if in := tableNamed(f.tables, "memory."+n.Function.Schema+"."+n.Function.Table); in != nil && len(n.Children) == 0 {
			return &Selection{Table: in.Name}
		}
	case "LOGICAL_PROJECTION", "LOGICAL_ORDER_BY", "LOGICAL_WINDOW":
		return f.below(n)
	case "LOGICAL_FILTER", "LOGICAL_DISTINCT":
		return f.below(n).some()
	case "LOGICAL_AGGREGATE_AND_GROUP_BY":
		if len(n.Groups) > 0 && len(n.GroupingSets) <= 1 {
			return f.below(n).some()
		}
	case "LOGICAL_LIMIT":
		return f.below(n).limited(n.Limit, n.Offset)
	case "LOGICAL_COMPARISON_JOIN":
		return f.joined(n)
	}
	return nil
}

func (f *follower) below(n *node) *Selection {
	if len(n.Children) != 1 {
		return nil
	}
	return f.selection(n.Children[0])
}

// joined returns the rows of a join that only tests rows of its left side, such as the
// one of IN.
func (f *follower) joined(n *node) *Selection {
	if len(n.Children) != 2 {
		return nil
	}
	switch n.JoinType {
	case "MARK":
		return f.selection(n.Children[0])
	case "SEMI", "ANTI":
		return f.selection(n.Children[0]).some()
	}
	return nil
}

func (s *Selection) some() *Selection {
	if s != nil {
		s.Some = true
	}
	return s
}

func (s *Selection) limited(limit, offset bound) *Selection {
	if s == nil {
		return nil
	}
	if limit.Type != "CONSTANT_VALUE" || offset.Type != "UNSET" {
		s.Some = true
	}
	if limit.Type == "CONSTANT_VALUE" && (s.Most == nil || limit.Rows < *s.Most) {
		s.Most = &limit.Rows
	}
	return s
}
