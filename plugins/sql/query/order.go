//go:build duckdb_arrow

package query

import (
	"slices"
	"strings"
)

// SQL leaves much open: the order of rows that are joined, grouped, or made
// distinct, which of two equal rows comes first, and in which order floats are
// added. DuckDB's choice depends on the number of threads and the amount of
// memory. The following rules make results independent of these:
//
//   - A query that only filters and computes keeps the order of its input.
//   - If the outermost SELECT has an ORDER BY, rows that are equal in it are
//     ordered by all columns of the result, from left to right.
//   - Every other result is ordered by all of its columns, from left to right.
//   - If a value, or the selection of rows, would depend on an order that is not
//     fixed, the query runs in a single thread.

// keepsOrder contains the operators whose rows come in an order that is
// determined by that of their inputs.
var keepsOrder = []string{
	"PROJECTION", "FILTER", "SEQ_SCAN", "DUMMY_SCAN", "COLUMN_DATA_SCAN", "EMPTY_RESULT", "UNNEST", "UNION",
	"LIMIT", "STREAMING_LIMIT", "LIMIT_PERCENT", "ORDER_BY", "TOP_N", "STREAMING_WINDOW", "STREAMING_SAMPLE",
	"UNGROUPED_AGGREGATE", "SIMPLE_AGGREGATE", "INOUT_FUNCTION", "POSITIONAL_SCAN", "CTE", "CTE_SCAN",
	"RANGE", "GENERATE_SERIES", "REPEAT", "REPEAT_ROW",
}

// usesOrder contains the operators whose result depends on the order of their
// input.
var usesOrder = []string{
	"LIMIT", "STREAMING_LIMIT", "LIMIT_PERCENT", "TOP_N", "STREAMING_WINDOW", "WINDOW", "STREAMING_SAMPLE", "RESERVOIR_SAMPLE",
	"POSITIONAL_SCAN", "POSITIONAL_JOIN", "ASOF_JOIN", "INOUT_FUNCTION",
}

// exactAggregates contains the aggregates that give the same value for any
// order of rows.
var exactAggregates = []string{"count", "count_star", "min", "max", "bool_and", "bool_or", "bit_and", "bit_or", "bit_xor"}

// ordering says what must be done to make a result reproducible.
type ordering struct {
	sort     bool // by all columns
	parallel bool // several threads do not change the result
}

// judge determines from a plan what the order of its result depends on. ordered
// says that the outermost SELECT has an ORDER BY that determines the order
// completely.
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
		// The outermost sort determines the order completely. A LIMIT right
		// after it could use that, but the case is not worth distinguishing.
		sorts--
	}
	return ordering{
		sort:     !ordered && open+sorts > 0,
		parallel: exact && (open+sorts == 0 || used == 0),
	}
}
