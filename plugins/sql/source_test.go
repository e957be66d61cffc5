//go:build duckdb_arrow

package sql

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	duck "github.com/duckdb/duckdb-go-bindings"

	"github.com/quern-dev/quern/internal/reference"
	"github.com/quern-dev/quern/plugins/watermark"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

// execute executes statements in a database file, which it creates.
func execute(t *testing.T, path string, statements ...string) {
	t.Helper()
	var db duck.Database
	var conn duck.Connection
	var message string
	var config duck.Config
	duck.CreateConfig(&config)
	defer duck.DestroyConfig(&config)
	if duck.OpenExt(path, &db, config, &message) == duck.StateError {
		t.Fatal(message)
	}
	defer duck.Close(&db)
	duck.Connect(db, &conn)
	defer duck.Disconnect(&conn)
	for _, s := range statements {
		var res duck.Result
		failed := duck.Query(conn, s, &res) == duck.StateError
		message = duck.ResultError(&res)
		duck.DestroyResult(&res)
		if failed {
			t.Fatalf("%s: %s", s, message)
		}
	}
}

// readFile reads a.duckdb in a folder.
func readFile(t *testing.T, dir string, arguments map[string]any) (*plugintest.ReadResult, error) {
	t.Helper()
	all := map[string]any{"path": "a.duckdb"}
	for name, value := range arguments {
		all[name] = value
	}
	return plugintest.Read(t, Plugin("0.0.1"), plugintest.Case{Kind: plugin.KindSource, Type: "duckdb", Dir: dir, Args: all})
}

// shown returns a value as text, and lists and structs as JSON.
func shown(t *testing.T, v any) string {
	t.Helper()
	switch v.(type) {
	case json.RawMessage, map[string]any:
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	return fmt.Sprint(v)
}

func TestColumnsOfAFileHaveItsTypesAndValues(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.duckdb")
	cases := []struct{ expression, typ, want string }{
		{"42::TINYINT", "int64", "42"}, {"9223372036854775807::BIGINT", "int64", "9223372036854775807"}, {"4294967295::UINTEGER", "int64", "4294967295"},
		{"18446744073709551615::UBIGINT", "string", "18446744073709551615"}, {"170141183460469231731687303715884105727::HUGEINT", "string", "170141183460469231731687303715884105727"},
		{"0.1::DOUBLE", "float64", "0.1"}, {"0.5::FLOAT", "float64", "0.5"}, {"12::DECIMAL(18,0)", "int64", "12"}, {"1.50::DECIMAL(10,2)", "string", "1.50"},
		{"12345678901234567890123.456::DECIMAL(38,3)", "string", "12345678901234567890123.456"},
		{"true", "bool", "true"}, {"'ä€😀'", "string", "ä€😀"}, {"chr(0) || 'x'", "string", "\x00x"}, {"NULL", "int64", "<nil>"}, {"NULL::INTEGER", "int64", "<nil>"},
		{"'a'::ENUM ('a', 'b')", "string", "a"}, {"'6f3fbd1e-0000-4000-8000-000000000001'::UUID", "string", "6f3fbd1e-0000-4000-8000-000000000001"},
		{"DATE '2026-02-28'", "date", "2026-02-28"}, {"TIMESTAMP '2026-02-28 01:02:03.123456'", "timestamp", "2026-02-28T01:02:03.123456Z"},
		{"TIMESTAMPTZ '2026-02-28 01:02:03+02'", "timestamp", "2026-02-27T23:02:03Z"}, {"TIMESTAMP_NS '2026-02-28 01:02:03.123456'", "timestamp", "2026-02-28T01:02:03.123456Z"},
		{"TIMESTAMP_S '2026-02-28 01:02:03'", "timestamp", "2026-02-28T01:02:03Z"}, {"TIME '01:02:03'", "string", "01:02:03"}, {"INTERVAL 3 DAY", "string", "3 days"},
		{`'\x00\xFF'::BLOB`, "binary", "[0 255]"}, {"[1, NULL, 3]", "list<int64>", "[1,null,3]"}, {"[0.5, 1]::FLOAT[2]", "list<float64>", "[0.5,1]"},
		{"[1::UBIGINT]", "list<string>", `["1"]`}, {"{'a': 1, 'b': ['x']}", "struct<a:int64,b:list<string>>", `{"a":1,"b":["x"]}`},
		{"MAP {'k': 1}", "string", "{k=1}"}, {`'{"b": [1]}'::JSON`, "string", `{"b": [1]}`}, {"'101'::BIT", "string", "101"},
	}
	list := make([]string, len(cases))
	for i, c := range cases {
		list[i] = fmt.Sprintf("%s AS c%d", c.expression, i)
	}
	execute(t, path, "CREATE TABLE t AS SELECT "+strings.Join(list, ", "))
	got, err := readFile(t, dir, map[string]any{"table": "t"})
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range cases {
		name := fmt.Sprintf("c%d", i)
		if column, _, _ := got.Columns.Lookup(name); column.Type != c.typ {
			t.Errorf("%s has the type %s, not %s", c.expression, column.Type, c.typ)
		}
		if value := shown(t, got.Rows[0][name]); value != c.want {
			t.Errorf("%s is %q, not %q", c.expression, value, c.want)
		}
	}
}

func TestMistakesInAFileAreExplained(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.duckdb")
	for name, content := range map[string]string{"text": "This is text, and not a database. " + strings.Repeat("x", 5000), "a.csv": "x\n1\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	execute(t, path, "CREATE TABLE a (id INTEGER, day TIMESTAMP, n TIMESTAMP_NS, user VARCHAR)", "INSERT INTO a VALUES (1, 'infinity', '2026-01-01 00:00:00.000000001', 'x'), (NULL, NULL, NULL, 'y')",
		"CREATE SCHEMA s", `CREATE TABLE s."b c" (x INTEGER)`, "CREATE VIEW outside AS SELECT * FROM '"+filepath.Join(dir, "a.csv")+"'")
	for _, c := range []struct {
		want      string
		arguments map[string]any
	}{
		{"table or query", map[string]any{}},
		{"cannot be combined", map[string]any{"table": "a", "query": "SELECT 1 AS x"}},
		{"The file none does not exist", map[string]any{"path": "none", "table": "a"}},
		{"is not a file", map[string]any{"path": ".", "table": "a"}},
		{"The file is not a DuckDB database", map[string]any{"path": "text", "table": "a"}},
		{"It has a, outside, s.b c", map[string]any{"table": "none"}},
		{"one SELECT statement", map[string]any{"query": "DELETE FROM a"}},
		{"one SELECT statement", map[string]any{"query": "SELECT 1 AS x; SELECT 2 AS x"}},
		{"Table with name b does not exist", map[string]any{"query": "SELECT * FROM b"}},
		{"Two columns of the result", map[string]any{"query": "SELECT id, ID FROM a"}},
		{"does not give the same result each time", map[string]any{"query": "SELECT now() AS x"}},
		{"Read other files with a source of their own", map[string]any{"query": "SELECT * FROM read_csv('a.csv')"}},
		{"Read other files with a source of their own", map[string]any{"table": "outside"}},
		{"is infinite", map[string]any{"query": "SELECT day FROM a"}},
		{"finer than microseconds", map[string]any{"query": "SELECT n FROM a"}},
		{"no column \"c\"", map[string]any{"table": "a", "watermark": "c"}},
		{"The watermark \"id\" is null in 1 row", map[string]any{"query": "SELECT id FROM a", "watermark": "id"}},
		{"which cannot be a watermark", map[string]any{"query": "SELECT 0.5::DOUBLE AS f", "watermark": "f"}},
		{"not an amount of memory", map[string]any{"table": "a", "memory_limit": "lots"}},
	} {
		if _, err := readFile(t, dir, c.arguments); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: want %q, got %v", c.arguments, c.want, err)
		}
	}
	// A column of that name is not the function.
	if got, err := readFile(t, dir, map[string]any{"query": "SELECT user FROM a WHERE user = 'y'"}); err != nil || len(got.Rows) != 1 {
		t.Error(got, err)
	}
	if got, err := readFile(t, dir, map[string]any{"table": "s.b c"}); err != nil || len(got.Rows) != 0 || len(got.Columns) != 1 {
		t.Error(got, err)
	}
}

// Rows that are still in the log next to the file belong to the database.
func TestRowsOfALogAreRead(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.duckdb")
	execute(t, path, "PRAGMA disable_checkpoint_on_shutdown", "CREATE TABLE t AS SELECT range AS x FROM range(3)")
	if _, err := os.Stat(path + ".wal"); err != nil {
		t.Fatal(err)
	}
	if got, err := readFile(t, dir, map[string]any{"table": "t"}); err != nil || len(got.Rows) != 3 {
		t.Error(got, err)
	}
}

func TestARefreshOfAFileNoticesEveryChange(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.duckdb")
	execute(t, path, "CREATE TABLE a (id INTEGER, b VARCHAR)", "INSERT INTO a VALUES (1, 'x'), (2, 'y')")
	src := file{func() string { return dir }}
	a := &sourceArguments{Path: "a.duckdb", Query: "SELECT * FROM a"}
	seen := map[string]bool{}
	var former []byte
	for _, change := range []string{"", "UPDATE a SET b = 'z' WHERE id = 2", "INSERT INTO a VALUES (2, 'z')", "UPDATE a SET b = NULL WHERE id = 1", "UPDATE a SET b = '' WHERE id = 1", "DELETE FROM a"} {
		if change != "" {
			execute(t, path, change)
		}
		now, err := src.Fingerprint(t.Context(), a, former)
		if err != nil {
			t.Fatal(err)
		}
		if seen[now.Value] {
			t.Errorf("not noticed: %s", change)
		}
		seen[now.Value] = true
		former = now.Memo
	}
	execute(t, path, "CREATE TABLE other AS SELECT 1 AS x")
	if now, err := src.Fingerprint(t.Context(), a, former); err != nil || !seen[now.Value] {
		t.Errorf("another table changed the fingerprint: %v", err)
	}
}

func TestOnlyNewOrChangedRangesOfAFileAreRead(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.duckdb")
	execute(t, path, "CREATE TABLE a (id HUGEINT, day TIMESTAMP, name VARCHAR)", "INSERT INTO a SELECT range * 10, TIMESTAMP '2026-01-01' + INTERVAL 1 DAY * range, 'n' || lpad(range::VARCHAR, 3, '0') FROM range(10)")
	src := file{func() string { return dir }}
	for _, column := range []string{"id", "day", "name"} {
		a := &sourceArguments{Path: "a.duckdb", Table: "a", Watermark: column}
		parts := func(known []string) []string {
			t.Helper()
			f, err := src.Fingerprint(t.Context(), a, nil)
			if err != nil {
				t.Fatal(err)
			}
			o, err := src.open(t.Context(), a)
			if err != nil {
				t.Fatal(err)
			}
			defer o.Close()
			all, err := watermark.Parts(t.Context(), identity(a.Path), o, f.Memo, known)
			if err != nil {
				t.Fatal(err)
			}
			var out []string
			for _, p := range all {
				out = append(out, p.Fingerprint)
			}
			return out
		}
		first := parts(nil)
		execute(t, path, "INSERT INTO a VALUES (200, '2026-02-01', 'n020')")
		second := parts(first)
		if len(first) != 1 || len(second) != 2 || second[0] != first[0] {
			t.Errorf("%s: an appended row: %q, then %q", column, first, second)
		}
		execute(t, path, "INSERT INTO a VALUES (5, '2026-01-01 12:00:00', 'n000x')") // late
		third := parts(second)
		if len(third) != 2 || third[0] == second[0] || third[1] != second[1] {
			t.Errorf("%s: a late row: %q, then %q", column, second, third)
		}
		execute(t, path, "DELETE FROM a WHERE id IN (5, 200)")
	}
	// Numbers that are text in quern are in the order of numbers.
	got, err := readFile(t, dir, map[string]any{"table": "a", "watermark": "id"})
	if err != nil || len(got.Rows) != 10 || got.Rows[1]["id"] != "10" || got.Rows[9]["id"] != "90" {
		t.Error(got, err)
	}
}

// The rows are those that DuckDB's own package returns, from a file that it wrote.
func TestFilesAreReadAsDuckDBReadsThem(t *testing.T) {
	dir := t.TempDir()
	query := "SELECT g, count(*) AS n, sum(v) AS total, list(v ORDER BY v) AS all_v, max(s) AS s FROM t JOIN names USING (g) GROUP BY g"
	out := reference.Python(t, `
import duckdb, json, sys
path, query = sys.argv[1:]
db = duckdb.connect()
db.execute(f"ATTACH '{path}' AS f (STORAGE_VERSION 'v1.5.0')")
db.execute("CREATE TABLE f.t AS SELECT i, i % 97 AS g, (i * 7919) % 1000 AS v FROM range(50000) r(i)")
db.execute("CREATE TABLE f.names AS SELECT i AS g, 'name ' || i AS s FROM range(97) r(i)")
db.execute("USE f")
for row in db.execute(f"SELECT * FROM ({query}) ORDER BY ALL").fetchall():
    print(row[0], row[1], row[2], json.dumps(row[3], separators=(",", ":")), row[4])
`, filepath.Join(dir, "a.duckdb"), query)
	got, err := readFile(t, dir, map[string]any{"query": query})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, r := range got.Rows {
		fmt.Fprintln(&b, r["g"], r["n"], r["total"], shown(t, r["all_v"]), r["s"])
	}
	if b.String() != string(out) {
		t.Errorf("got\n%.300s\nwant\n%.300s", b.String(), out)
	}
}

// Files that a newer version wrote, that are encrypted, or that another program
// has opened for writing are refused.
func TestFilesThatCannotBeOpenedAreExplained(t *testing.T) {
	dir := t.TempDir()
	script := exec.CommandContext(t.Context(), reference.Interpreter(t), "-c", `
import duckdb, sys
db = duckdb.connect()
db.execute("SET force_mbedtls_unsafe = true")
for name, options in [("newer", "STORAGE_VERSION 'latest'"), ("encrypted", "ENCRYPTION_KEY 'k', STORAGE_VERSION 'v1.5.0'"), ("locked", "STORAGE_VERSION 'v1.5.0'")]:
    db.execute(f"ATTACH '{name}' AS {name} ({options})")
    db.execute(f"CREATE TABLE {name}.t AS SELECT 1 AS x")
    if name != "locked":
        db.execute(f"DETACH {name}")
print("ready", flush=True)
sys.stdin.read()
`)
	script.Dir, script.Stderr = dir, os.Stderr
	release, err := script.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := script.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := script.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatal(line, err)
	}
	for name, want := range map[string]string{
		"newer": "STORAGE_VERSION 'v1.5.0'", "encrypted": "The database is encrypted", "locked": "Another program has opened the database for writing",
	} {
		if _, err := readFile(t, dir, map[string]any{"path": name, "table": "t"}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: want %q, got %v", name, want, err)
		}
	}
	if err := errors.Join(release.Close(), script.Wait()); err != nil {
		t.Fatal(err)
	}
	if _, err := readFile(t, dir, map[string]any{"path": "locked", "table": "t"}); err != nil {
		t.Error(err)
	}
}

func TestInterruptingStopsTheQueryOfAFile(t *testing.T) {
	dir := t.TempDir()
	execute(t, filepath.Join(dir, "a.duckdb"), "CREATE TABLE t AS SELECT range AS x FROM range(100000)")
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(300*time.Millisecond, cancel)
	begun := time.Now()
	_, err := file{func() string { return dir }}.Fingerprint(ctx, &sourceArguments{Path: "a.duckdb", Query: "SELECT a.x, count(*) AS n FROM t a, t b GROUP BY a.x"}, nil)
	if !errors.Is(err, context.Canceled) || time.Since(begun) > 30*time.Second {
		t.Errorf("after %s: %v", time.Since(begun), err)
	}
}
