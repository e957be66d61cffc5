//go:build duckdb_arrow

package query

import (
	"encoding/json"
	"slices"
	"strings"
)

// Results are cached under a key of the query and its inputs, so a query must
// not depend on anything else.

// unrepeatable contains the functions that depend on the clock, on random
// numbers, or on the session, and what to use instead.
var unrepeatable = map[string]string{
	"random": fixRandom, "setseed": fixRandom, "reservoir_quantile": "Use quantile_cont or quantile_disc.",
	"uuid": fixRandom, "uuidv4": fixRandom, "uuidv7": fixRandom, "gen_random_uuid": fixRandom,
	"now": fixClock, "today": fixClock, "get_current_timestamp": fixClock, "get_current_time": fixClock,
	"transaction_timestamp": fixClock, "current_timestamp": fixClock, "current_date": fixClock,
	"current_time": fixClock, "localtime": fixClock, "localtimestamp": fixClock, "current_localtime": fixClock,
	"current_localtimestamp": fixClock, "ago": fixClock, "pg_postmaster_start_time": fixClock, "pg_conf_load_time": fixClock,
	"nextval": fixSession, "currval": fixSession, "txid_current": fixSession, "stats": fixSession,
	"current_transaction_id": fixSession, "current_connection_id": fixSession, "current_query_id": fixSession,
	"current_query": fixSession, "current_database": fixSession, "current_catalog": fixSession,
	"current_schema": fixSession, "current_schemas": fixSession, "in_search_path": fixSession,
	"current_setting": fixSession, "current_user": fixSession, "current_role": fixSession, "session_user": fixSession,
	"user": fixSession, "getvariable": fixSession, "getenv": fixSession, "write_log": fixSession, "sleep_ms": fixSession,
	"version": fixSession, "pg_backend_pid": fixSession,
}

const (
	fixClock   = "Pass the time as a value: declare a variable and write '${var.as_of}'::timestamp."
	fixRandom  = "Derive it from the rows: use hash(…) of a column with unique values, or transform \"sample\" for a random share of the rows."
	fixSession = "Remove it: a stage's result must depend only on its inputs and arguments."
)

// tableFunctions contains the table functions that depend only on their
// arguments.
var tableFunctions = []string{"unnest", "range", "generate_series", "repeat", "repeat_row", "json_each", "json_tree", "generate_subscripts"}

// check refuses queries that read anything but their inputs, or whose result would
// not be reproducible.
func (s *syntax) check(inputs []Table) error {
	columns := map[string]bool{}
	for _, in := range inputs {
		for _, c := range in.Columns {
			columns[strings.ToLower(c.Name)] = true
		}
	}
	return s.each(func(n map[string]any) *Error {
		if err := s.checkReads(n); err != nil {
			return err
		}
		return s.checkRepeatable(n, columns)
	})
}

// each returns the first error of a function over all objects of the tree.
func (s *syntax) each(check func(map[string]any) *Error) error {
	var found *Error
	walk(s.root, func(n map[string]any) {
		if found == nil {
			found = check(n)
		}
	})
	if found != nil {
		return found
	}
	return nil
}

// checkReads refuses tables and functions that are not inputs.
func (s *syntax) checkReads(n map[string]any) *Error {
	switch n["type"] {
	case "TABLE_FUNCTION":
		function, _ := n["function"].(map[string]any)
		name := strings.ToLower(text(function["function_name"]))
		if !slices.Contains(tableFunctions, name) {
			return locatedError(s.text, offset(n), "The table function %s cannot be used here: a query reads only its inputs.\n"+
				"Read files with a source, and add it to the argument inputs.", name)
		}
	case "BASE_TABLE":
		if schema := text(n["schema_name"]); schema != "" && schema != "main" || text(n["catalog_name"]) != "" {
			return locatedError(s.text, offset(n), "The table %s.%s does not exist: a query reads only its inputs.", schema, text(n["table_name"]))
		}
	}
	return nil
}

// checkRepeatable refuses what would be different each time. columns are the
// columns, in lowercase, that are not functions of the same name.
func (s *syntax) checkRepeatable(n map[string]any, columns map[string]bool) *Error {
	switch n["type"] {
	case "FUNCTION":
		return s.checkFunction(n)
	case "COLUMN_REF":
		// current_date and similar functions are written without parentheses.
		names, _ := n["column_names"].([]any)
		if len(names) == 1 {
			name := strings.ToLower(text(names[0]))
			if fix, ok := unrepeatable[name]; ok && !columns[name] {
				return s.refuse(n, name, fix)
			}
		}
	}
	return s.checkSample(n)
}

func (s *syntax) checkFunction(n map[string]any) *Error {
	name := strings.ToLower(text(n["function_name"]))
	if fix, ok := unrepeatable[name]; ok {
		return s.refuse(n, name+"()", fix)
	}
	if children, _ := n["children"].([]any); name == "age" && len(children) == 1 {
		return s.refuse(n, "age() with one argument", fixClock)
	}
	return nil
}

// checkSample refuses a sample that would be different each time.
func (s *syntax) checkSample(n map[string]any) *Error {
	sample, ok := n["sample"].(map[string]any)
	if !ok {
		return nil
	}
	if seed, ok := integer(sample["seed"]); ok && seed >= 0 {
		return nil
	}
	return s.refuse(n, "A sample without a seed", "Add REPEATABLE (1), or use transform \"sample\".")
}

func (s *syntax) refuse(n map[string]any, what, fix string) *Error {
	return locatedError(s.text, offset(n), "%s does not give the same result each time, so its result could not be stored and reused.\n%s", what, fix)
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

// integer parses a number in the tree. It returns false if it is not a number,
// or is too large.
func integer(v any) (int64, bool) {
	n, ok := v.(json.Number)
	if !ok {
		return 0, false
	}
	i, err := n.Int64()
	return i, err == nil
}

// offset returns the position of a node in the query, or -1 if it is unknown.
func offset(n map[string]any) int {
	if at, ok := integer(n["query_location"]); ok {
		return int(at)
	}
	return -1
}
