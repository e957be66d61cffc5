//go:build duckdb_arrow

package query

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// syntax is a query's syntax tree, in DuckDB's JSON format.
type syntax struct {
	text string
	root map[string]any // {"statements": [{"node": …}]}
}

// parse parses a query. If it is not valid, or is not a single SELECT, parse
// returns an *Error.
func parse(ctx context.Context, db *database, text string) (*syntax, error) {
	if strings.ContainsRune(text, 0) {
		return nil, &Error{Message: "The query contains a NUL character."}
	}
	out, err := db.text(ctx, "SELECT json_serialize_sql("+quoteText(text)+")::VARCHAR")
	if err != nil {
		return nil, fmt.Errorf("parse the query: %w", err)
	}
	s := &syntax{text: text}
	if len(out) != 1 {
		return nil, fmt.Errorf("parse the query: DuckDB returned %d results", len(out))
	}
	// Numbers are kept as text, because unknown positions are 2^64-1.
	tree := json.NewDecoder(strings.NewReader(out[0]))
	tree.UseNumber()
	if err := tree.Decode(&s.root); err != nil {
		return nil, fmt.Errorf("parse the query: read DuckDB's syntax tree: %w", err)
	}
	if s.root["error"] == true {
		return nil, syntaxError(db, text, s.root)
	}
	switch list, _ := s.root["statements"].([]any); len(list) {
	case 0:
		return nil, noStatement()
	case 1:
		return s, nil
	}
	return nil, notOneSelect()
}

// syntaxError parses the query again to get the full message with its line.
func syntaxError(db *database, text string, root map[string]any) error {
	if strings.Contains(fmt.Sprint(root["error_message"]), "Only SELECT") {
		return notOneSelect()
	}
	stmt, err := db.prepare(text)
	if err == nil {
		stmt.close()
		return &Error{Message: fmt.Sprint(root["error_message"])}
	}
	return err
}

// node returns the statement's outermost node.
func (s *syntax) node() map[string]any {
	statement, _ := s.root["statements"].([]any)[0].(map[string]any)
	node, _ := statement["node"].(map[string]any)
	return node
}

// walk calls visit for every object in the tree, starting with the outer ones.
func walk(tree any, visit func(map[string]any)) {
	switch t := tree.(type) {
	case map[string]any:
		visit(t)
		for _, name := range sortedKeys(t) {
			walk(t[name], visit)
		}
	case []any:
		for _, item := range t {
			walk(item, visit)
		}
	}
}

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// has reports whether the tree contains a node of a type.
func (s *syntax) has(typ string) bool {
	found := false
	walk(s.root, func(n map[string]any) { found = found || n["type"] == typ })
	return found
}

// joinsByName reports whether tables are joined by all names that they share.
func (s *syntax) joinsByName() bool {
	found := false
	walk(s.root, func(n map[string]any) { found = found || n["ref_type"] == "NATURAL" })
	return found
}

// order returns the outermost ORDER BY, or nil if there is none.
func (s *syntax) order() map[string]any {
	modifiers, _ := s.node()["modifiers"].([]any)
	for _, m := range modifiers {
		if m, _ := m.(map[string]any); m["type"] == "ORDER_MODIFIER" {
			return m
		}
	}
	return nil
}

// orderAlsoBy adds the first n columns of the result to the outermost ORDER BY.
func (s *syntax) orderAlsoBy(n int) {
	order := s.order()
	orders, _ := order["orders"].([]any)
	for i := range n {
		orders = append(orders, map[string]any{
			"type": "ORDER_DEFAULT", "null_order": "ORDER_DEFAULT",
			"expression": map[string]any{
				"class": "CONSTANT", "type": "VALUE_CONSTANT", "alias": "", "query_location": 0,
				"value": map[string]any{
					"type": map[string]any{"id": "INTEGER", "type_info": nil}, "is_null": false, "value": i + 1,
				},
			},
		})
	}
	order["orders"] = orders
}

// write returns the tree's text.
func (s *syntax) write(ctx context.Context, db *database) (string, error) {
	tree, err := json.Marshal(s.root)
	if err != nil {
		return "", fmt.Errorf("write the query's syntax tree: %w", err)
	}
	out, err := db.text(ctx, "SELECT json_deserialize_sql("+quoteText(string(tree))+"::JSON)")
	if err != nil {
		return "", fmt.Errorf("write the query from its syntax tree: %w", err)
	}
	return strings.Join(out, ""), nil
}
