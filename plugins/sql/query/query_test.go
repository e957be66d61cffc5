//go:build duckdb_arrow

package query

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/quern-dev/quern/sdk/go/data"
)

var tickets = Table{Name: "tickets", Columns: data.Schema{
	{Name: "id", Type: "int64"},
	{Name: "text", Type: "string"},
	{Name: "category", Type: "string"},
	{Name: "score", Type: "float64"},
	{Name: "seen", Type: "timestamp"},
	{Name: "tags", Type: "list<string>"},
	{Name: "from", Type: "struct<name:string,born:date>"},
}}

var users = Table{Name: "users", Columns: data.Schema{{Name: "id", Type: "int64"}, {Name: "full name", Type: "string"}}}

// parquet writes rows, given as JSON, to one file, and returns its column
// group.
func parquet(t *testing.T, dir, name string, schema data.Schema, json string) data.Group {
	t.Helper()
	group, _ := parquetRows(t, dir, name, schema, json)
	return group
}

func parquetRows(t *testing.T, dir, name string, schema data.Schema, json string) (data.Group, int64) {
	t.Helper()
	rec, _, err := array.RecordFromJSON(memory.DefaultAllocator, schema.Arrow(), strings.NewReader(json))
	if err != nil {
		t.Fatal(err)
	}
	defer rec.Release()
	group := data.Group{Path: filepath.Join(dir, name)}
	f, err := os.Create(group.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w, err := data.NewFileWriter(f, schema)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Write(rec), w.Close()); err != nil {
		t.Fatal(err)
	}
	for _, c := range schema {
		group.Columns = append(group.Columns, data.Stored{Stored: c.Name, Name: c.Name})
	}
	return group, rec.NumRows()
}

// input returns an input with one shard.
func input(t *testing.T, table Table, json string) Input {
	t.Helper()
	group, rows := parquetRows(t, t.TempDir(), "it's.parquet", table.Columns, json)
	return Input{Table: table, Shards: []data.Shard{{Rows: rows, Groups: []data.Group{group}}}}
}

// result runs a query and returns its rows, one per line.
func result(t *testing.T, query string, o Options, inputs ...Input) string {
	t.Helper()
	tables := make([]Table, len(inputs))
	for i, in := range inputs {
		tables[i] = in.Table
	}
	a, err := Analyze(context.Background(), query, tables)
	if err != nil {
		t.Fatalf("%s\n%s", query, err)
	}
	var b strings.Builder
	for rec, err := range Run(context.Background(), a, inputs, o) {
		if err != nil {
			t.Fatalf("%s\n%s", query, err)
		}
		if !rec.Schema().Equal(a.Columns.Arrow()) {
			t.Fatalf("the batch has the schema %s, the analysis said %v", rec.Schema(), a.Columns)
		}
		writeRows(&b, rec)
	}
	return b.String()
}

func writeRows(b *strings.Builder, rec arrow.RecordBatch) {
	for i := range int(rec.NumRows()) {
		for j, c := range rec.Columns() {
			if j > 0 {
				b.WriteString(" | ")
			}
			b.WriteString(c.ValueStr(i))
		}
		b.WriteString("\n")
	}
}

func TestColumnsAndReadsAreKnownBeforeThereAreRows(t *testing.T) {
	tests := []struct{ query, columns, reads string }{
		{"select distinct trim(text) as text, category from tickets where length(text) between 10 and 2000 and score > 1",
			"text:string category:string", "tickets: text category score"},
		{"select * from tickets", "id:int64 text:string category:string score:float64 seen:timestamp tags:list<string> from:struct<name:string,born:date>",
			"tickets: id text category score seen tags from"},
		{"select * exclude (tags, \"from\", seen, score) from tickets;", "id:int64 text:string category:string", "tickets: id text category"},
		{"select count(*) as n from tickets", "n:int64", "tickets: id"},
		{"from tickets select n: 1, half: 0.5, big: sum(id), small: min(1::tinyint)", "n:int64 half:float64 big:int64 small:int64", "tickets: id"},
		{`select t.text, u."full name" as who from tickets t join users u using (id)`, "text:string who:string", "tickets: id text|users: id full name"},
		{`select (select max(u.id) from users u where "full name" = t.text) as m from tickets t`, "m:int64", "tickets: text|users: id full name"},
		{`select text from (select *, row_number() over (partition by category order by seen) as r from tickets) where r = 1`,
			"text:string", "tickets: text category seen"},
		{`with a as materialized (select id from tickets) select id from a union all select id from users`, "id:int64", "tickets: id|users: id"},
		{`select "from".name as name from tickets`, "name:string", "tickets: from"},
		{`select hash(tickets) % 10 = 1 as h from tickets`, "h:bool", "tickets: id text category score seen tags from"},
		{"select [id, 1] as l, {'a': 1, 'b': [seen]} as s from tickets", "l:list<int64> s:struct<a:int64,b:list<timestamp>>", "tickets: id seen"},
		{"select unnest(tags) as tag from tickets", "tag:string", "tickets: tags"},
		{"select range as n from range(3)", "n:int64", ""},
		{"summarize users", "column_name:string column_type:string min:string max:string approx_unique:int64 avg:string std:string " +
			"q25:string q50:string q75:string count:int64 null_percentage:float64", "tickets: id text category score seen tags from|users: id full name"},
		{`select "select".id from users as "select"`, "id:int64", "users: id"},
		{"pivot tickets on category in ('a', 'b') using count(*) group by id", "id:int64 a:int64 b:int64", "tickets: id category"},
	}
	for _, test := range tests {
		t.Run(test.query, func(t *testing.T) {
			a, err := Analyze(context.Background(), test.query, []Table{tickets, users})
			if err != nil {
				t.Fatal(err)
			}
			var columns, reads []string
			for _, c := range a.Columns {
				columns = append(columns, c.Name+":"+c.Type)
			}
			for _, in := range []Table{tickets, users} {
				if r := a.Reads[in.Name]; r != nil {
					reads = append(reads, in.Name+": "+strings.Join(r, " "))
				}
			}
			if got := strings.Join(columns, " "); got != test.columns {
				t.Errorf("columns are %s, want %s", got, test.columns)
			}
			if got := strings.Join(reads, "|"); got != test.reads {
				t.Errorf("it reads %s, want %s", got, test.reads)
			}
		})
	}
}

func TestErrorsSayWhereTheMistakeIsAndWhatToDo(t *testing.T) {
	tests := []struct {
		query string
		want  []string
	}{
		{"select txt from tickets", []string{`"txt" not found`, `"text"`, "\n\n  LINE 1: select txt from tickets\n                 ^"}},
		{"select text\nfrom tikets", []string{"No input is named tikets", `Did you mean "tickets"?`, "The inputs are: tickets, users", "LINE 2: from tikets"}},
		{"select 1 as a from duckdb_tipes", []string{"No input is named duckdb_tipes.\nThe inputs are: tickets, users."}},
		{"select 1 as a from (select * from usrs) u join tickets on true", []string{`Did you mean "users"?`}},
		{"select text\n from tickets\n whre x", []string{`syntax error at or near "x"`, "LINE 3:"}},
		{"select lenght(text) from tickets", []string{`Did you mean "length"?`}},
		{"select text + 1 as x from tickets", []string{"No function matches", "… and ", " more\n\n  LINE 1"}},
		{"select 1 as a; select 2 as b", []string{"one SELECT"}},
		{"", []string{"no statement"}},
		{"-- nothing", []string{"no statement"}},
		{"select text, text from tickets", []string{`Two columns of the result are named "text"`, "AS"}},
		{"select id as a, text as A from tickets", []string{`Two columns`}},
		{"select hash(text) as h from tickets", []string{`column "h" has the type UBIGINT`, "::varchar"}},
		{"select seen - seen as d from tickets", []string{`column "d" has the type INTERVAL`, "epoch("}},
		{"select seen - seen as d, seen::time as t from tickets", []string{`column "d" has the type INTERVAL`, `column "t" has the type TIME`}},
		{"select [{'t': '10:00'::time}] as l", []string{`column "l"`, "elements", `field "t"`, "::varchar"}},
		{"select map {'a': 1} as m", []string{"MAP", "map_entries"}},
		{"select $1 as x", []string{"parameters", "${…}"}},
		{"select now() as n", []string{"now() does not give the same result", "var.as_of", "LINE 1: select now()"}},
		{"select 1 as a,\n  current_date as d", []string{"current_date", "LINE 2:   current_date"}},
		{"select * from tickets order by random()", []string{"random()", "hash("}},
		{"select uuid() as u", []string{"uuid()"}},
		{"select ago(interval 1 day) as a", []string{"ago()"}},
		{"select age(seen)::varchar as a from tickets", []string{"age()"}},
		{"select * from tickets using sample 10 rows", []string{"seed", "REPEATABLE"}},
		{"select current_setting('threads') as t", []string{"current_setting()"}},
		{"select * from duckdb_settings()", []string{"table function duckdb_settings"}},
		{"select * from duckdb_tables", []string{"duckdb_tables", "only its inputs"}},
		{"select * from information_schema.tables", []string{"table information_schema.tables does not exist"}},
		{"select * from query('select now()')", []string{"table function query"}},
		{"select \x00 1", []string{"NUL"}},
	}
	for _, test := range tests {
		t.Run(test.query, func(t *testing.T) {
			wantError(t, test.query, test.want...)
		})
	}
}

func wantError(t *testing.T, query string, want ...string) {
	t.Helper()
	_, err := Analyze(context.Background(), query, []Table{tickets, users})
	var mistake *Error
	if !errors.As(err, &mistake) {
		t.Fatalf("want a mistake, got %v", err)
	}
	for _, w := range want {
		if !strings.Contains(mistake.Message, w) {
			t.Errorf("the message lacks %q:\n%s", w, mistake.Message)
		}
	}
}

func TestAQueryCannotReachFilesOrTheNetwork(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret.csv")
	if err := os.WriteFile(secret, []byte("a\n1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "out")
	queries := []string{
		"select * from read_csv('%s')", "select * from '%s'", "select * from read_text('%s')", "select * from glob('%s*')",
		"select * from read_parquet('%s')", "select * from read_csv('https://example.com/x.csv')", "select * from 's3://bucket/x.parquet'",
		"copy tickets to '" + out + "'", "copy tickets from '%s'", "attach '" + out + "' as x", "install httpfs", "load httpfs",
		"export database '" + out + "'", "set enable_external_access = true", "pragma database_list", "create table x as select 1",
		"insert into tickets values (1)", "call pragma_version()", "explain select 1", "select getenv('HOME') as h",
		"with x as (select * from read_blob('%s')) select size from x", "select (select count(*) from read_csv_auto('%s')) as n",
		"select * from sniff_csv('%s')", "select * from parquet_metadata('%s')",
	}
	for _, q := range queries {
		if strings.Contains(q, "%s") {
			q = fmt.Sprintf(q, secret)
		}
		t.Run(q, func(t *testing.T) { wantError(t, q) })
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("a query wrote a file")
	}
}

// A query that passed the analysis is still confined by the database.
func TestTheDatabaseOfARunIsConfined(t *testing.T) {
	in := input(t, users, `[{"id": 1, "full name": "Ada"}]`)
	a, err := Analyze(context.Background(), "select id from users", []Table{users})
	if err != nil {
		t.Fatal(err)
	}
	db, err := openInputs(a, []Input{in}, Options{SpillDir: filepath.Join(t.TempDir(), "spill")})
	if err != nil {
		t.Fatal(err)
	}
	defer db.close()
	secret := filepath.Join(t.TempDir(), "secret.csv")
	if err := os.WriteFile(secret, []byte("a\n1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{
		"create table stolen as select * from read_csv('" + secret + "')", "copy (select 1) to '" + secret + ".out'",
		"attach '" + secret + ".db'", "install httpfs", "load httpfs", "set enable_external_access = true", "set threads = 7",
		"set allowed_paths = ['" + secret + "']", "copy (select 1) to '" + in.Shards[0].Groups[0].Path + ".x'",
	} {
		if err := db.exec(statement); err == nil {
			t.Errorf("this was let through: %s", statement)
		}
	}
}

func TestRowsAreInAFixedOrder(t *testing.T) {
	in := input(t, users, `[{"id": 3, "full name": "b"}, {"id": 1, "full name": "c"}, {"id": 3, "full name": "a"}, {"id": 2, "full name": null}]`)
	tests := []struct{ query, want string }{
		{`select id, "full name" as n from users`, "3 | b\n1 | c\n3 | a\n2 | (null)\n"},
		{`select "full name" as n from users where id > 1 -- keeps the order`, "b\na\n(null)\n"},
		{`select distinct id from users`, "1\n2\n3\n"},
		{`select id, count(*) as n from users group by id`, "1 | 1\n2 | 1\n3 | 2\n"},
		{`select id, "full name" as n from users order by id desc;`, "3 | a\n3 | b\n2 | (null)\n1 | c\n"},
		{`select id, "full name" as n from users order by id desc limit 1`, "3 | a\n"},
		{`select a.id, b."full name" as n from users a join users b using (id)`, "1 | c\n2 | (null)\n3 | a\n3 | a\n3 | b\n3 | b\n"},
		{`select distinct on (id) id, "full name" as n from users order by id`, "1 | c\n2 | (null)\n3 | a\n"},
		{`select id from users limit 2`, "3\n1\n"},
		{`select id, row_number() over () as r from users`, "3 | 1\n1 | 2\n3 | 3\n2 | 4\n"},
		{`select id from users union all select 9 as id`, "3\n1\n3\n2\n9\n"},
		{`select string_agg("full name", ',') as s from users`, "b,c,a\n"},
	}
	for _, test := range tests {
		t.Run(test.query, func(t *testing.T) {
			if got := result(t, test.query, Options{}, in); got != test.want {
				t.Errorf("got\n%swant\n%s", got, test.want)
			}
		})
	}
}

func TestEveryTypeIsPassedThroughUnchanged(t *testing.T) {
	in := input(t, tickets, `[
		{"id": 9007199254740993, "text": "é", "category": "", "score": 0.1, "seen": "2024-02-29T12:00:00.000001Z",
		 "tags": ["a", null], "from": {"name": "x", "born": "2000-01-01"}},
		{"id": null, "text": null, "category": null, "score": null, "seen": null, "tags": null, "from": null},
		{"id": -1, "text": "", "category": "c", "score": -0.0, "seen": "1969-12-31T23:59:59Z", "tags": [], "from": {"name": null, "born": null}}]`)
	var want strings.Builder
	for rec, err := range data.Read(context.Background(), in.Shards, nil, 100) {
		if err != nil {
			t.Fatal(err)
		}
		writeRows(&want, rec)
	}
	if got := result(t, "select * from tickets", Options{}, in); got != want.String() {
		t.Errorf("got\n%swant\n%s", got, want.String())
	}
	got := result(t, `select seen + interval 1 hour as later, ["from".born] as days, '2024-01-01'::timestamptz as z, 'a'::blob as b, 12345678901::hugeint as h, 1.50::decimal(9,2) as d from tickets limit 1`, Options{}, in)
	if want := "2024-02-29T13:00:00.000001Z | [\"2000-01-01\"] | 2024-01-01T00:00:00Z | YQ== | 12345678901 | 1.5\n"; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestColumnGroupsAreJoinedByPosition(t *testing.T) {
	dir := t.TempDir()
	ids := data.Schema{{Name: "k", Type: "int64"}, {Name: "unused", Type: "string"}}
	names := data.Schema{{Name: "n", Type: "string"}}
	stored := func(g data.Group, as ...string) data.Group {
		g.Columns = nil
		for i := 0; i < len(as); i += 2 {
			g.Columns = append(g.Columns, data.Stored{Stored: as[i], Name: as[i+1]})
		}
		return g
	}
	two := func(name, k, n string) []data.Group {
		return []data.Group{
			stored(parquet(t, dir, name+"k", ids, k), "k", "id"),
			stored(parquet(t, dir, name+"n", names, n), "n", "full name"),
		}
	}
	whole := parquet(t, dir, "whole", users.Columns, `[{"id": 4, "full name": "d"}, {"id": 5, "full name": "e"}]`)
	in := Input{Table: users, Shards: []data.Shard{
		{Rows: 2, Groups: two("a", `[{"k": 1}, {"k": 2}]`, `[{"n": "a"}, {"n": "b"}]`)},
		{Rows: 1, Groups: two("b", `[{"k": 3}]`, `[{"n": "c"}]`)},
		{Rows: 2, Groups: []data.Group{whole}},
		{Rows: 1, Groups: two("c", `[{"k": 6}]`, `[{"n": "f"}]`)},
	}}
	want := "1 | a\n2 | b\n3 | c\n4 | d\n5 | e\n6 | f\n"
	if got := result(t, "select * from users", Options{}, in); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if got := result(t, `select "full name" as n from users where id % 2 = 0`, Options{Threads: 4}, in); got != "b\nd\nf\n" {
		t.Errorf("got\n%s", got)
	}
}

// quern passes only the columns that are read to a run.
func TestColumnsThatAreNotReadCanBeMissing(t *testing.T) {
	in := input(t, users, `[{"id": 2, "full name": "Ada"}, {"id": 1, "full name": "Bob"}]`)
	in.Table.Columns = append(in.Table.Columns, data.Column{Name: "gone", Type: "list<timestamp>"})
	if got := result(t, "select * exclude (gone) from users", Options{}, in); got != "2 | Ada\n1 | Bob\n" {
		t.Errorf("got\n%s", got)
	}
	in.Shards[0].Groups[0].Columns = nil
	if got := result(t, "select count(*) as n from users", Options{}, in); got != "2\n" {
		t.Errorf("got\n%s", got)
	}
}

func TestAnInputWithoutRowsGivesAResultWithoutRows(t *testing.T) {
	if got := result(t, "select id from users", Options{}, Input{Table: users}); got != "" {
		t.Errorf("got\n%s", got)
	}
	if got := result(t, "select count(*) as n from users", Options{}, Input{Table: users}); got != "0\n" {
		t.Errorf("got\n%s", got)
	}
}

func TestAnErrorCausedByTheRowsIsReported(t *testing.T) {
	in := input(t, users, `[{"id": 1, "full name": "x"}]`)
	a, err := Analyze(context.Background(), `select "full name"::bigint as n from users`, []Table{users})
	if err != nil {
		t.Fatal(err)
	}
	for _, err = range Run(context.Background(), a, []Input{in}, Options{}) {
	}
	var mistake *Error
	if !errors.As(err, &mistake) || !strings.Contains(mistake.Message, "Could not convert string 'x'") {
		t.Errorf("got %v", err)
	}
	if strings.Contains(mistake.Message, "LINE") {
		t.Errorf("the message shows a query that the user did not write: %s", mistake.Message)
	}
}

func TestNumbersAndTimesDoNotLoseDigits(t *testing.T) {
	for expression, want := range map[string]string{
		"12345678901234567.89::DECIMAL(38, 2)":                      `column "x": 12345678901234567.89 has more digits than a float64 keeps`,
		"9007199254740993::DECIMAL(20, 0)":                          "9007199254740993 has more digits",
		"9007199254740993::HUGEINT":                                 "9007199254740993",
		"9007199254740992::DECIMAL(20, 0)":                          "9.007199254740992e+15",
		"sum(id::DECIMAL(10, 2)) + 0.1":                             "1.1",
		"[{'a': 1.5, 'b': [id * 0.5, 12345678901234567.89]}]":       "contains a number or a time with more digits",
		"[{'a': 1.5, 'b': [id * 0.5, NULL]}, NULL]":                 `[{"a":1.5,"b":[0.5,null]},null]`,
		"{'t': [TIMESTAMP_NS '2024-01-01 00:00:00.123456789']}":     "contains a number or a time with more digits",
		"[id * 0.5, 12345678901234567.5]::DECIMAL(38, 1)[2]":        "contains a number or a time with more digits",
		"NULL::DECIMAL(38, 10)[]":                                   "(null)",
		"NULL::DECIMAL(38, 10)":                                     "(null)",
		"12345678901234567.89::DECIMAL(38, 2)::DOUBLE":              "1.2345678901234568e+16",
		"TIMESTAMP_NS '2024-01-01 00:00:00.123456789'":              "is finer than microseconds",
		"TIMESTAMP_NS '2024-01-01 00:00:00.123456'":                 "2024-01-01T00:00:00.123456Z",
		"TIMESTAMP_NS '2024-01-01 00:00:00.123456789'::TIMESTAMP":   "2024-01-01T00:00:00.123456Z",
		"(1.1::DECIMAL(5, 2) * 1.1::DECIMAL(5, 2))::DECIMAL(38, 4)": "1.21",
	} {
		a, err := Analyze(t.Context(), "select "+expression+" as x from users", []Table{users})
		if err != nil {
			t.Fatal(expression, err)
		}
		var got strings.Builder
		for rec, err := range Run(t.Context(), a, []Input{input(t, users, `[{"id": 1, "full name": "x"}]`)}, Options{}) {
			if err != nil {
				got.WriteString(err.Error())
				break
			}
			got.WriteString(rec.Column(0).ValueStr(0))
		}
		if !strings.Contains(got.String(), want) {
			t.Errorf("%s: got %s, want %s", expression, got.String(), want)
		}
	}
}

func TestNamesCanBeAnything(t *testing.T) {
	odd := Table{Name: `rows."x" y`, Columns: data.Schema{{Name: "select", Type: "int64"}, {Name: `a."b`, Type: "string"}, {Name: "line\nbreak", Type: "bool"}, {Name: "other", Type: "bool"}}}
	query := `select "select" as s, "a.""b" as n from "rows.""x"" y" where "line` + "\n" + `break"`
	a, err := Analyze(context.Background(), query, []Table{odd})
	if err != nil {
		t.Fatal(err)
	}
	// A plan does not distinguish a name with a line break from two names. In
	// this case, every column counts as read.
	if got := strings.Join(a.Reads[odd.Name], "|"); got != strings.Join(odd.Columns.Names(), "|") {
		t.Errorf("it reads %s", got)
	}
	in := input(t, odd, `[{"select": 1, "a.\"b": "x", "line\nbreak": true, "other": true}, {"select": 2, "line\nbreak": false}]`)
	if got := result(t, query, Options{}, in); got != "1 | x\n" {
		t.Errorf("got\n%s", got)
	}
}

func TestAMissingFileIsNotReportedAsAMistakeInTheQuery(t *testing.T) {
	in := input(t, users, `[{"id": 1}]`)
	if err := os.Remove(in.Shards[0].Groups[0].Path); err != nil {
		t.Fatal(err)
	}
	a, err := Analyze(context.Background(), "select id from users", []Table{users})
	if err != nil {
		t.Fatal(err)
	}
	for _, err = range Run(context.Background(), a, []Input{in}, Options{}) {
	}
	var mistake *Error
	if err == nil || errors.As(err, &mistake) || !strings.Contains(err.Error(), "it's.parquet") {
		t.Errorf("got %v", err)
	}
}

func TestInputsThatDifferOnlyInCaseAreRefused(t *testing.T) {
	tables := []Table{{Name: "a", Columns: users.Columns}, {Name: "A", Columns: users.Columns}}
	if _, err := Analyze(context.Background(), "select 1 as one", tables); err == nil || !strings.Contains(err.Error(), "case") {
		t.Errorf("got %v", err)
	}
}

func TestColumnsThatDifferOnlyInCaseMatterOnlyToQueriesThatReadThem(t *testing.T) {
	table := Table{Name: "a", Columns: data.Schema{
		{Name: "Id", Type: "int64"}, {Name: "id", Type: "int64"}, {Name: "text", Type: "string"}, {Name: "id_1", Type: "int64"},
	}}
	in := input(t, table, `[{"Id": 1, "id": 2, "text": "x", "id_1": 3}, {"Id": 1, "id": 2, "text": "y", "id_1": 3}]`)
	for query, want := range map[string]string{
		"select text from a":                         "x\ny\n",
		"select count(*) as n from a":                "2\n",
		"select text from (select * from a)":         "x\ny\n",
		"select text from a where text = 'y'":        "y\n",
		"select b.text from a join a b using (text)": "x\ny\n",
	} {
		if got := result(t, query, Options{}, in); got != want {
			t.Errorf("%s: %q", query, got)
		}
	}
	for _, query := range []string{
		"select * from a", "select id from a", "select ID from a", "select a.Id from a", `select "Id" from a`, "select id_1 from a", "describe a", "select hash(a) as h from a",
		"select text from a order by id", "select a.text from a join a b using (id)", "select text from a natural join (select text from a)", "select columns('.*') from a",
	} {
		if _, err := Analyze(context.Background(), query, []Table{table}); err == nil || !strings.Contains(err.Error(), `the columns "Id" and "id", which differ only in case`) {
			t.Errorf("%s: %v", query, err)
		}
	}
}

// The result is the same for few and many threads, and for little and much
// memory.
func TestTheResultDoesNotDependOnTheMachine(t *testing.T) {
	const n = 60000
	schema := data.Schema{{Name: "id", Type: "int64"}, {Name: "word", Type: "string"}, {Name: "x", Type: "float64"}}
	dir := t.TempDir()
	var shards []data.Shard
	for s := range 3 {
		var b strings.Builder
		for i := range n / 3 {
			k := s*n/3 + i
			fmt.Fprintf(&b, `{"id": %d, "word": "w%d", "x": %g}`+"\n", k, k*7919%1000, float64(k*104729%977)/7)
		}
		json := "[" + strings.ReplaceAll(strings.TrimSpace(b.String()), "\n", ",") + "]"
		shards = append(shards, data.Shard{Rows: n / 3, Groups: []data.Group{parquet(t, dir, fmt.Sprint(s), schema, json)}})
	}
	in := Input{Table: Table{Name: "t", Columns: schema}, Shards: shards}
	for _, query := range []string{
		"select id, word from t where id % 3 = 0", "select distinct word from t", "select word, sum(x) as s, avg(x) as a from t group by word",
		"select sum(x) as s, stddev(x) as d, any_value(word) as w from t", "select word from t order by word limit 100",
		"select word, list(id) as ids from t group by word", "select distinct on (word) * from t",
		"select id, row_number() over (order by word) as r from t", "select * from (select distinct word from t limit 10)",
		"select a.id from t a join t b on a.id = b.id + 1 limit 100", "select approx_quantile(x, 0.5) as q, mode(word) as m from t",
		"select * from t using sample 1% (bernoulli, 7)", "select * from t using sample reservoir(50 rows) repeatable (7)",
	} {
		t.Run(query, func(t *testing.T) {
			first := result(t, query, Options{Threads: 1}, in)
			for range 3 {
				if got := result(t, query, Options{Threads: 8, MemoryLimit: "200MB"}, in); got != first {
					t.Fatalf("it differs between 1 thread and 8:\n%.400s\n%.400s", first, got)
				}
			}
		})
	}
}

func TestAQueryThatNeedsMoreThanItsMemorySpills(t *testing.T) {
	spill := filepath.Join(t.TempDir(), "spill")
	a, err := Analyze(context.Background(), "select range as n, repeat('x', 200) || range as text from range(1000000) order by text", nil)
	if err != nil {
		t.Fatal(err)
	}
	var rows int64
	for rec, err := range Run(context.Background(), a, nil, Options{MemoryLimit: "160MB", SpillDir: spill}) {
		if err != nil {
			t.Fatal(err)
		}
		rows += rec.NumRows()
	}
	if rows != 1000000 {
		t.Errorf("%d rows came out", rows)
	}
	if _, err := os.Stat(spill); !os.IsNotExist(err) {
		t.Errorf("the spilled rows are still there: %v", err)
	}
}

func TestACanceledRunStops(t *testing.T) {
	a, err := Analyze(context.Background(), "select sum(a.range * b.range) as s from range(1000000) a, range(1000000) b", nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	o := Options{Progress: func(float64) { cancel() }}
	for _, err = range Run(ctx, a, nil, o) {
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// DuckDB's own list of functions that depend on more than their arguments.
func TestEveryUnrepeatableFunctionIsKnown(t *testing.T) {
	db, err := takeEmpty(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer db.close()
	names, err := db.text(context.Background(), "SELECT DISTINCT function_name FROM duckdb_functions() WHERE stability <> 'CONSISTENT' ORDER BY 1")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if _, ok := unrepeatable[name]; !ok && name != "error" {
			t.Errorf("%s is missing", name)
		}
	}
}
