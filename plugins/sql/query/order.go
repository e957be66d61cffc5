//go:build duckdb_arrow

package query

import (
	"slices"
	"strings"
)

// SQL leaves much open: the order of rows that are joined, grouped or made
// distinct, which of two equal rows comes first, in which order floats are
// added. DuckDB decides such things by how many threads it has and how much
// memory. So that a result depends on nothing of the kind:
//
//   - a query that only filters and computes keeps its input's order;
//   - where the outermost SELECT has an ORDER BY, rows that are equal to it are
//     ordered by all columns of the result, from left to right;
//   - every other result is ordered by all of its columns, from left to right;
//   - where a value, or the choice of rows, would depend on an order that is
//     open, the query is run by one thread.

// keepsOrder are the operators whose rows come in an order that is fixed by
// that of their inputs.
var keepsOrder = []string{
	"PROJECTION", "FILTER", "SEQ_SCAN", "DUMMY_SCAN", "COLUMN_DATA_SCAN", "EMPTY_RESULT", "UNNEST", "UNION",
	"LIMIT", "STREAMING_LIMIT", "LIMIT_PERCENT", "ORDER_BY", "TOP_N", "STREAMING_WINDOW", "STREAMING_SAMPLE",
	"UNGROUPED_AGGREGATE", "SIMPLE_AGGREGATE", "INOUT_FUNCTION", "POSITIONAL_SCAN", "CTE", "CTE_SCAN",
	"RANGE", "GENERATE_SERIES", "REPEAT", "REPEAT_ROW",
}

// usesOrder are those whose result depends on the order of their input.
var usesOrder = []string{
	"LIMIT", "STREAMING_LIMIT", "LIMIT_PERCENT", "TOP_N", "STREAMING_WINDOW", "WINDOW", "STREAMING_SAMPLE", "RESERVOIR_SAMPLE",
	"POSITIONAL_SCAN", "POSITIONAL_JOIN", "ASOF_JOIN", "INOUT_FUNCTION",
}

// exactAggregates give the same value in whichever order their rows come.
var exactAggregates = []string{"count", "count_star", "min", "max", "bool_and", "bool_or", "bit_and", "bit_or", "bit_xor"}

// ordering is what is to be done for a result that does not change.
type ordering struct {
	sort     bool // by all columns
	parallel bool // several threads change nothing
}

// judge finds out from a plan what its result's order depends on. With ordered
// set, the outermost SELECT has an ORDER BY that leaves nothing open.
func judge(plan *operator, ordered bool) ordering {
	var open, used, sorts int
	exact := true
	plan.each(func(o *operator) {
		if !slices.Contains(keepsOrder, o.Name) {
			open++
		}
		if slices.Contains(usesOrder, o.Name) {
			used++
		}
		if o.Name == "ORDER_BY" || o.Name == "TOP_N" {
			sorts++
		}
		for _, a := range o.list("Aggregates") {
			name, _, _ := strings.Cut(a, "(")
			exact = exact && slices.Contains(exactAggregates, name)
		}
	})
	if ordered {
		// The outermost sort leaves nothing open; a LIMIT right after it may
		// use that, but it is not worth telling it from others.
		sorts--
	}
	return ordering{
		sort:     !ordered && open+sorts > 0,
		parallel: exact && (open+sorts == 0 || used == 0),
	}
}
