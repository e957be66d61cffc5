package database

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/quern-dev/quern/plugins/watermark"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

func (s *server) read(t *testing.T, arguments map[string]any) (*plugintest.ReadResult, error) {
	t.Helper()
	all := map[string]any{"url": s.url}
	if s.password != "" {
		all["password"] = s.password
	}
	for name, value := range arguments {
		all[name] = value
	}
	return plugintest.Read(t, Plugin("0.0.1"), plugintest.Case{Kind: plugin.KindSource, Type: "sql", Args: all})
}

// typed is an expression, and the type and value that its column has.
type typed struct{ expression, typ, want string }

var typesOf = map[string][]typed{
	"postgres": {
		{"42::int2", "int64", "42"}, {"9223372036854775807::int8", "int64", "9223372036854775807"}, {"0.1::float8", "float64", "0.1"}, {"0.5::float4", "float64", "0.5"},
		{"true", "bool", "true"}, {"'ä€😀'::text", "string", "ä€😀"}, {"'x'::char(3)", "string", "x  "}, {"null::int4", "int64", "<nil>"},
		{"123456789012345678901234567890.123::numeric", "string", "123456789012345678901234567890.123"}, {"12::numeric(18,0)", "int64", "12"}, {"1.50::numeric(10,2)", "string", "1.50"},
		{"date '2026-02-28'", "date", "2026-02-28"}, {"timestamp '2026-02-28 01:02:03.123456'", "timestamp", "2026-02-28T01:02:03.123456Z"},
		{"timestamptz '2026-02-28 01:02:03+02'", "timestamp", "2026-02-27T23:02:03Z"}, {"'\\x00ff'::bytea", "binary", "[0 255]"},
		{`'{"b":1,"a":[]}'::jsonb`, "string", `{"a": [], "b": 1}`}, {`'{"b":1}'::json`, "string", `{"b":1}`},
		{"'6f3fbd1e-0000-4000-8000-000000000001'::uuid", "string", "6f3fbd1e-0000-4000-8000-000000000001"}, {"array[1,2]", "string", "{1,2}"}, {"interval '1 day'", "string", "P1D"},
		{"inet '10.0.0.1'", "string", "10.0.0.1"}, {"time '01:02:03'", "string", "01:02:03"},
	},
	"mysql": {
		{"CAST(42 AS SIGNED)", "int64", "42"}, {"9223372036854775807", "int64", "9223372036854775807"}, {"CAST(9223372036854775807 AS UNSIGNED)", "int64", "9223372036854775807"},
		{"0.1e0", "float64", "0.1"}, {"CAST('ä€😀' AS CHAR)", "string", "ä€😀"}, {"CAST(null AS SIGNED)", "int64", "<nil>"},
		{"CAST('12345678901234567890.123' AS DECIMAL(30,3))", "string", "12345678901234567890.123"}, {"CAST(12 AS DECIMAL(18,0))", "int64", "12"},
		{"DATE '2026-02-28'", "date", "2026-02-28"}, {"TIMESTAMP '2026-02-28 01:02:03.123456'", "timestamp", "2026-02-28T01:02:03.123456Z"},
		{"CAST(x'00ff' AS BINARY)", "binary", "[0 255]"}, {"JSON_OBJECT('a', 1)", "string", `{"a": 1}`}, {"TIME '01:02:03'", "string", "01:02:03"},
	},
	"sqlite": {
		{"42", "int64", "42"}, {"9223372036854775807", "int64", "9223372036854775807"}, {"0.1", "float64", "0.1"}, {"'ä€😀'", "string", "ä€😀"}, {"null", "string", "<nil>"},
		{"x'00ff'", "binary", "[0 255]"}, {"date('2026-02-28')", "string", "2026-02-28"},
	},
}

func TestColumnsHaveTheTypesAndValuesOfTheDatabase(t *testing.T) {
	eachDatabase(t, func(t *testing.T, s *server) {
		var list []string
		for i, c := range typesOf[s.kind] {
			list = append(list, fmt.Sprintf("%s AS c%d", c.expression, i))
		}
		got, err := s.read(t, map[string]any{"query": "SELECT " + strings.Join(list, ", ")})
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range typesOf[s.kind] {
			name := fmt.Sprintf("c%d", i)
			if column, _, _ := got.Columns.Lookup(name); column.Type != c.typ {
				t.Errorf("%s has the type %s, not %s", c.expression, column.Type, c.typ)
			}
			if value := fmt.Sprint(got.Rows[0][name]); value != c.want {
				t.Errorf("%s is %s, not %s", c.expression, value, c.want)
			}
		}
	})
}

func TestMistakesAreExplained(t *testing.T) {
	eachDatabase(t, func(t *testing.T, s *server) {
		s.exec(t, "CREATE TABLE a (id INTEGER, b VARCHAR(20))", "INSERT INTO a VALUES (1, 'x'), (NULL, 'y')")
		for want, arguments := range map[string]map[string]any{
			"The database does not accept the query": {"query": "SELECT nothing FROM a"},
			"The query has two columns \"id\"":       {"query": "SELECT id, id FROM a"},
			"The query is empty":                     {"query": " ; "},
			"The query has no column \"c\"":          {"query": "SELECT id FROM a", "watermark": "c"},
			"The watermark \"id\" is null in 1 row":  {"query": "SELECT id FROM a", "watermark": "id"},
			"which a query cannot return":            {"query": "SELECT id FROM a", "schema": map[string]any{"id": "list<string>"}},
			"\"x\" is not a valid int64":             {"query": "SELECT b FROM a", "schema": map[string]any{"b": "int64"}},
			"The address is not that of a database":  {"query": "SELECT 1 AS x", "url": "oracle://a/b"},
			"source \"duckdb\"":                      {"query": "SELECT 1 AS x", "url": "duckdb:shop.db"},
			"The address contains a password":        {"query": "SELECT 1 AS x", "url": "postgres://a:hidden@localhost/b"},
		} {
			_, err := s.read(t, arguments)
			duplicate := strings.Contains(want, "two columns") && err != nil && (strings.Contains(err.Error(), "does not accept the query") || strings.Contains(err.Error(), "id:1"))
			if (err == nil || !strings.Contains(err.Error(), want)) && !duplicate && !(s.kind == "sqlite" && err == nil && strings.Contains(want, "two columns")) {
				t.Errorf("want %q, got %v", want, err)
			}
			if err != nil && strings.Contains(err.Error(), "hidden") {
				t.Errorf("the password is in %v", err)
			}
		}
		// The transaction cannot write.
		if _, err := s.read(t, map[string]any{"query": "DELETE FROM a"}); err == nil {
			t.Error("a statement that writes was accepted")
		}
		if s.password != "" {
			if _, err := s.read(t, map[string]any{"query": "SELECT 1 AS x", "password": "wrong-password"}); err == nil || strings.Contains(err.Error(), "wrong-password") {
				t.Error(err)
			}
		}
	})
}

func TestARefreshWithoutAWatermarkNoticesEveryChange(t *testing.T) {
	eachDatabase(t, func(t *testing.T, s *server) {
		s.exec(t, "CREATE TABLE a (id INTEGER, b VARCHAR(20))", "INSERT INTO a VALUES (1, 'x'), (2, 'y')")
		seen := map[string]bool{}
		for _, change := range []string{"", "UPDATE a SET b = 'z' WHERE id = 2", "INSERT INTO a VALUES (2, 'z')", "UPDATE a SET b = NULL WHERE id = 1", "UPDATE a SET b = '' WHERE id = 1", "DELETE FROM a"} {
			if change != "" {
				s.exec(t, change)
			}
			got, err := s.read(t, map[string]any{"query": "SELECT id, b FROM a ORDER BY id -- all", "schema": map[string]any{"id": "int64"}})
			if err != nil {
				t.Fatal(err)
			}
			if seen[got.Fingerprint.Value] {
				t.Errorf("not noticed: %s", change)
			}
			seen[got.Fingerprint.Value] = true
		}
	})
}

// spans are the parts of a read with a watermark, as quern would know them.
func (s *server) spans(t *testing.T, a *args, known []string, former []byte) (parts []string, f plugin.Fingerprint) {
	t.Helper()
	ctx := t.Context()
	src := source{func() string { return "." }}
	f, err := src.Fingerprint(ctx, a, former)
	if err != nil {
		t.Fatal(err)
	}
	c, err := src.connect(ctx, a)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	columns, err := c.columns(ctx)
	if err != nil {
		t.Fatal(err)
	}
	r, err := c.ranges(columns)
	if err != nil {
		t.Fatal(err)
	}
	all, err := watermark.Parts(ctx, c.identity, r, f.Memo, known)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		parts = append(parts, p.Fingerprint)
	}
	return parts, f
}

func TestWithAWatermarkOnlyNewOrChangedRangesAreRead(t *testing.T) {
	eachDatabase(t, func(t *testing.T, s *server) {
		s.exec(t, "CREATE TABLE a (id INTEGER, at VARCHAR(20))")
		for i := range 10 {
			s.exec(t, fmt.Sprintf("INSERT INTO a VALUES (%d, 'day %02d')", i*10, i))
		}
		for _, column := range []string{"id", "at"} {
			a := &args{URL: s.url, Password: s.password, Query: "SELECT id, at FROM a", Watermark: column}
			first, f := s.spans(t, a, nil, nil)
			if len(first) != 1 {
				t.Fatal(first)
			}
			// After the read, the fingerprint is that of the rows that were planned.
			s.exec(t, "INSERT INTO a VALUES (200, 'day 20')")
			after, err := (source{func() string { return "." }}).Fingerprint(t.Context(), a, f.Memo)
			if err != nil || after.Value != f.Value {
				t.Errorf("%v: %q, then %q", err, f.Value, after.Value)
			}
			second, g := s.spans(t, a, first, after.Memo)
			if len(second) != 2 || second[0] != first[0] || g.Value == f.Value {
				t.Errorf("an appended row: %q, then %q", first, second)
			}
			s.exec(t, "INSERT INTO a VALUES (5, 'day 00')") // late
			third, h := s.spans(t, a, second, nil)
			if len(third) != 2 || third[0] == second[0] || third[1] != second[1] || h.Value == g.Value {
				t.Errorf("a late row: %q, then %q", second, third)
			}
			s.exec(t, "DELETE FROM a WHERE id = 200")
			if _, i := s.spans(t, a, third, nil); i.Value == h.Value {
				t.Error("a deleted row was not noticed")
			}
			s.exec(t, "DELETE FROM a WHERE id = 5")
		}
		got, err := s.read(t, map[string]any{"query": "SELECT id, at FROM a", "watermark": "at"})
		if err != nil || len(got.Rows) != 10 || got.Rows[9]["at"] != "day 09" {
			t.Error(got, err)
		}
	})
}

func TestInterruptingStopsTheQueryOnTheServer(t *testing.T) {
	eachDatabase(t, func(t *testing.T, s *server) {
		slow := map[string]string{"postgres": "SELECT 1 AS x FROM pg_sleep(120)", "mysql": "SELECT SLEEP(120) AS x", "sqlite": "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) AS x FROM n"}[s.kind]
		running := map[string]string{
			"postgres": "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'quern' AND state = 'active'",
			"mysql":    "SELECT count(*) FROM information_schema.processlist WHERE user = 'quern' AND info LIKE '%SLEEP(120)%' AND info NOT LIKE '%processlist%'", "sqlite": "SELECT 0",
		}[s.kind]
		src := source{func() string { return "." }}
		ctx, cancel := context.WithCancel(t.Context())
		a := &args{URL: s.url, Password: s.password, Query: slow}
		c, err := src.connect(ctx, a)
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(500*time.Millisecond, cancel)
		begun := time.Now()
		err = c.rows(ctx, statement{text: slow}, []column{{native: "INT"}}, &digest{})
		if !errors.Is(err, context.Canceled) || time.Since(begun) > 30*time.Second {
			t.Errorf("after %s: %v", time.Since(begun), err)
		}
		c.close()
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Millisecond) {
			n := 0
			if err := s.admin.QueryRow(running).Scan(&n); err != nil {
				t.Fatal(err)
			}
			if n == 0 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%d queries still run", n)
			}
		}
	})
}
