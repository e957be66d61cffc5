//go:build duckdb_arrow

package query

import (
	"encoding/json"
	"slices"
	"strings"
)

// A result is kept under a key of the query and its inputs. So a query may not
// depend on anything else.

// unrepeatable are the functions that depend on the clock, on chance or on the
// session, and what to use in their place.
var unrepeatable = map[string]string{
	"random": mendChance, "setseed": mendChance, "reservoir_quantile": "Use quantile_cont or quantile_disc.",
	"uuid": mendChance, "uuidv4": mendChance, "uuidv7": mendChance, "gen_random_uuid": mendChance,
	"now": mendClock, "today": mendClock, "get_current_timestamp": mendClock, "get_current_time": mendClock,
	"transaction_timestamp": mendClock, "current_timestamp": mendClock, "current_date": mendClock,
	"current_time": mendClock, "localtime": mendClock, "localtimestamp": mendClock, "current_localtime": mendClock,
	"current_localtimestamp": mendClock, "ago": mendClock, "pg_postmaster_start_time": mendClock, "pg_conf_load_time": mendClock,
	"nextval": mendSession, "currval": mendSession, "txid_current": mendSession, "stats": mendSession,
	"current_transaction_id": mendSession, "current_connection_id": mendSession, "current_query_id": mendSession,
	"current_query": mendSession, "current_database": mendSession, "current_catalog": mendSession,
	"current_schema": mendSession, "current_schemas": mendSession, "in_search_path": mendSession,
	"current_setting": mendSession, "current_user": mendSession, "current_role": mendSession, "session_user": mendSession,
	"user": mendSession, "getvariable": mendSession, "getenv": mendSession, "write_log": mendSession, "sleep_ms": mendSession,
	"version": mendSession, "pg_backend_pid": mendSession,
}

const (
	mendClock   = "Pass the time as a value: declare a variable and write '${var.as_of}'::timestamp."
	mendChance  = "Derive it from the rows: use hash(…) of a column with unique values, or transform \"sample\" for a random share of the rows."
	mendSession = "Remove it: a stage's result must depend only on its inputs and arguments."
)

// tableFunctions are those that make rows of their arguments alone.
var tableFunctions = []string{"unnest", "range", "generate_series", "repeat", "repeat_row", "json_each", "json_tree", "generate_subscripts"}

// check refuses what would not come out the same again.
func (s *syntax) check(inputs []Table) error {
	columns := map[string]bool{}
	for _, in := range inputs {
		for _, c := range in.Columns {
			columns[strings.ToLower(c.Name)] = true
		}
	}
	var found *Error
	walk(s.root, func(n map[string]any) {
		if found == nil {
			found = s.checkNode(n, columns)
		}
	})
	if found != nil {
		return found
	}
	return nil
}

func (s *syntax) checkNode(n map[string]any, columns map[string]bool) *Error {
	switch n["type"] {
	case "FUNCTION":
		return s.checkFunction(n)
	case "COLUMN_REF":
		// current_date and the like are written without parentheses.
		names, _ := n["column_names"].([]any)
		if len(names) == 1 {
			name := strings.ToLower(text(names[0]))
			if mend, ok := unrepeatable[name]; ok && !columns[name] {
				return s.refuse(n, name, mend)
			}
		}
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
	return s.checkSample(n)
}

func (s *syntax) checkFunction(n map[string]any) *Error {
	name := strings.ToLower(text(n["function_name"]))
	if mend, ok := unrepeatable[name]; ok {
		return s.refuse(n, name+"()", mend)
	}
	if children, _ := n["children"].([]any); name == "age" && len(children) == 1 {
		return s.refuse(n, "age() with one argument", mendClock)
	}
	return nil
}

// checkSample refuses a sample that is drawn anew each time.
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

func (s *syntax) refuse(n map[string]any, what, mend string) *Error {
	return locatedError(s.text, offset(n), "%s does not give the same result each time, so its result could not be stored and reused.\n%s", what, mend)
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

// integer reads a number of the tree; false: it is none, or too large.
func integer(v any) (int64, bool) {
	n, ok := v.(json.Number)
	if !ok {
		return 0, false
	}
	i, err := n.Int64()
	return i, err == nil
}

// offset is where a node stands in the query; -1: not known.
func offset(n map[string]any) int {
	if at, ok := integer(n["query_location"]); ok {
		return int(at)
	}
	return -1
}
