package files

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/quern-dev/quern/internal/reference"
)

// shards is a folder of Parquet files that pyarrow writes. Each case has its
// tables, given as the body of a Python list, in 0.parquet, 1.parquet, and so
// on.
type shards struct{ root string }

func pyarrowShards(t *testing.T, cases map[string]string) shards {
	t.Helper()
	root := t.TempDir()
	var script strings.Builder
	script.WriteString(`
import os, sys, datetime, decimal
import pyarrow as pa, pyarrow.parquet as pq
D = decimal.Decimal
def write(name, *tables):
    os.mkdir(f"{sys.argv[1]}/{name}")
    for i, table in enumerate(tables):
        pq.write_table(pa.table(table) if isinstance(table, dict) else table, f"{sys.argv[1]}/{name}/{i}.parquet")
`)
	for name, tables := range cases {
		fmt.Fprintf(&script, "write(%q, %s)\n", name, tables)
	}
	reference.Python(t, script.String(), root)
	return shards{root}
}

func (s shards) of(name string) place { return place{filepath.Join(s.root, name), "*.parquet"} }

func TestParquetShardsThatDifferAreOneDataset(t *testing.T) {
	cases := map[string]struct {
		tables string
		want   string // columns and rows, or a part of the error
	}{
		"a column more": {
			`{"a": [1]}, {"a": [2], "b": ["x"]}`, "a int64, b string [1|∅ 2|x]",
		},
		"a column less": {
			`{"a": [1], "b": ["x"]}, {"b": ["y"]}`, "a int64, b string [1|x ∅|y]",
		},
		"int and float": {
			`{"a": [1]}, {"a": [1.5]}`, "a float64 [1 1.5]",
		},
		"an int that float64 does not hold": {
			`{"a": [2**53 + 1]}, {"a": [1.5]}`, `0.parquet: column "a", row 0: 9007199254740993 cannot be converted to float64`,
		},
		"int and null": {
			`{"a": pa.array([None, None])}, {"a": [1]}`, "a int64 [∅ ∅ 1]",
		},
		"struct and null": {
			`{"a": pa.array([None])}, {"a": [{"x": 1}]}, {"a": [None]}`, `a struct<x:int64> [∅ {"x":1} ∅]`,
		},
		"fields in another order, and one more": {
			`{"s": [{"a": 1, "b": "x"}]}, {"s": [{"b": "y", "c": True, "a": 2}]}`,
			`s struct<a:int64,b:string,c:bool> [{"a":1,"b":"x","c":null} {"a":2,"b":"y","c":true}]`,
		},
		"in lists": {
			`{"l": [[{"a": 1}]]}, {"l": [[{"b": [1.5], "a": None}], []]}, {"l": [[]]}`,
			`l list<struct<a:int64,b:list<float64>>> [[{"a":1,"b":null}] [{"a":null,"b":[1.5]}] [] []]`,
		},
		"date and timestamp": {
			`{"t": [datetime.date(2026, 1, 31)]}, {"t": [datetime.datetime(2026, 1, 31, 10)]}`,
			"t timestamp [2026-01-31T00:00:00Z 2026-01-31T10:00:00Z]",
		},
		"sizes of integers, texts, and lists": {
			`{"i": pa.array([1], pa.int8()), "s": pa.array(["x"]), "l": pa.array([[1]], pa.list_(pa.int32(), 1))},
			 {"i": pa.array([2], pa.uint32()), "s": pa.array(["y"], pa.large_string()), "l": pa.array([[2]], pa.large_list(pa.int64()))},
			 {"i": pa.array([3], pa.int64()), "s": pa.array(["z"]).dictionary_encode(), "l": pa.array([[3]])}`,
			"i int64, s string, l list<int64> [1|x|[1] 2|y|[2] 3|z|[3]]",
		},
		"decimals, of which a later one is too large": {
			`{"d": pa.array([D(7)], pa.decimal128(38, 0))}, {"d": pa.array([D(10)**30], pa.decimal128(38, 0))}`,
			"d string [7 1000000000000000000000000000000]",
		},
		"a decimal and a float": {
			`{"d": pa.array([D("0.1")], pa.decimal128(38, 20))}, {"d": [0.5]}`, "d float64 [0.1 0.5]",
		},
		"a map and a map": {
			`{"m": pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int32()))}, {"m": pa.array([[("k", 0.5)]], pa.map_(pa.string(), pa.float64()))}`,
			`m list<struct<key:string,value:float64>> [[{"key":"k","value":1}] [{"key":"k","value":0.5}]]`,
		},
		"text and int": {
			`{"a": [1]}, {"a": ["x"]}`, `Column "a" is int64 in 0.parquet and string in 1.parquet`,
		},
		"a field that is a text and a number": {
			`{"a": [[{"b": 1}]]}, {"a": [[{"b": "x"}]]}`, `the field "b" is int64 and string`,
		},
		"two columns of one name": {
			`pa.Table.from_arrays([pa.array([1]), pa.array(["x"])], names=["a", "a"]), pa.Table.from_arrays([pa.array([2]), pa.array(["y"])], names=["a", "a"])`,
			"a int64, a_1 string [1|x 2|y]",
		},
		"a column without a name": {
			`pa.Table.from_arrays([pa.array([1]), pa.array(["x"])], names=["a", ""])`, "a int64, column1 string [1|x]",
		},
		"no rows, then rows": {
			`{"a": pa.array([], pa.int64())}, {"a": [1]}`, "a int64 [1]",
		},
		"no rows at all": {
			`{"a": pa.array([], pa.int64()), "n": pa.array([], pa.null())}`, "a int64, n string []",
		},
		"no columns": {
			`pa.table({})`, "0.parquet has no columns",
		},
	}
	tables := map[string]string{}
	for name, c := range cases {
		tables[name] = c.tables
	}
	written := pyarrowShards(t, tables)
	for name, c := range cases {
		t.Run(name, func(t *testing.T) { checkRows(t, &parquetArgs{}, written.of(name), c.want) })
	}
}

// checkRows reads the files and compares the columns and rows, or the error,
// with the expected ones.
func checkRows(t *testing.T, a *parquetArgs, p place, want string) {
	t.Helper()
	schema, rows, err := readParquetRows(t, a, p)
	if err != nil {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error: %v\nwant:  %s", err, want)
		}
		return
	}
	if got := describeSchema(schema) + " " + fmt.Sprint(rows.rows); got != want {
		t.Errorf("%s\nwant: %s", got, want)
	}
}

func TestASchemaSetsTheTypesOfParquetColumns(t *testing.T) {
	p := pyarrowShards(t, map[string]string{"all": `{
		"id": ["007"], "n": [5], "f": [2.0], "d": pa.array([D("12345678901234567.89")], pa.decimal128(38, 2)),
		"b": pa.array([b"text"]), "bad": pa.array([b"\xff"]), "day": [datetime.date(2026, 1, 31)],
		"t": pa.array([1769853600123456789], pa.timestamp("ns")), "l": [[{"b": "<x>", "a": 1}]], "m": [[{"a": 1, "b": "x"}]], "flag": [True],
		"u": pa.array([2**64 - 1], pa.uint64()),
	}`}).of("all")
	for _, c := range []struct{ column, typ, want string }{
		{"id", "int64", "7"},
		{"id", "float64", "7"},
		{"id", "date", `"007" is not a valid date`},
		{"id", "binary", "MDA3"},
		{"n", "string", "5"},
		{"n", "float64", "5"},
		{"n", "bool", "int64 cannot be read as bool"},
		{"n", "list<int64>", "int64 cannot be read as list<int64>"},
		{"f", "int64", "2"},
		{"f", "string", "2"},
		{"d", "string", "12345678901234567.89"},
		{"d", "float64", "1.2345678901234568e+16"},
		{"d", "int64", "12345678901234567.89 is outside the range of int64"},
		{"b", "string", "text"},
		{"bad", "string", `column "bad", row 0: the text is not UTF-8`},
		{"day", "timestamp", "2026-01-31T00:00:00Z"},
		{"day", "string", "2026-01-31"},
		{"t", "string", "2026-01-31T10:00:00.123456789"},
		{"t", "timestamp", "2026-01-31T10:00:00.123456Z"},
		{"l", "string", `[{"b":"<x>","a":1}]`},
		{"m", "list<struct<b:string,c:date>>", `[{"b":"x","c":null}]`},
		{"m", "list<struct<b:bool,a:float64>>", `field "b": "x" is not a valid bool`},
		{"flag", "string", "true"},
		{"u", "string", "18446744073709551615"},
		{"u", "int64", "18446744073709551615 is outside the range of int64"},
	} {
		a := &parquetArgs{Schema: map[string]string{c.column: c.typ}, Columns: []string{c.column}}
		_, rows, err := readParquetRows(t, a, p)
		if err == nil && (len(rows.rows) != 1 || rows.rows[0] != c.want) || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s as %s: %v, %v\nwant: %s", c.column, c.typ, rows, err, c.want)
		}
	}
}

func TestParquetValuesThatNoColumnTypeFitsAreRefusedWithAdvice(t *testing.T) {
	cases := map[string]struct{ tables, want string }{
		"nanoseconds": {
			`{"t": pa.array([0, 1769853600123456789], pa.timestamp("ns"))}`,
			`column "t", row 1: 2026-01-31T10:00:00.123456789 is more precise`,
		},
		"years beyond 292,000": {
			`{"t": pa.array([2**62], pa.timestamp("ms"))}`, "outside the range of timestamp",
		},
		"in a list": {
			`{"l": pa.array([[], [0], [1769853600123456789]], pa.list_(pa.timestamp("ns")))}`, `column "l", row 2`,
		},
	}
	tables := map[string]string{}
	for name, c := range cases {
		tables[name] = c.tables
	}
	written := pyarrowShards(t, tables)
	for name, c := range cases {
		_, rows, err := readParquetRows(t, &parquetArgs{}, written.of(name))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, %v\nwant: %s", name, rows, err, c.want)
		}
	}
}

func TestParquetTextThatIsNotUTF8IsReportedAsBadData(t *testing.T) {
	nested := arrow.StructOf(arrowField("s", arrow.BinaryTypes.String))
	schema := arrow.NewSchema([]arrow.Field{
		arrowField("ok", arrow.BinaryTypes.String), arrowField("s", arrow.BinaryTypes.String),
		arrowField("l", arrow.ListOf(nested)),
	}, nil)
	p := folder(t, nil)
	p.path = "a.parquet"
	path := filepath.Join(p.root, p.path)
	rows := `[{"ok": "fine", "s": "fine", "l": []}, {"ok": "fine", "s": "straQe", "l": [{"s": "x"}, {"s": "straQe"}]}]`
	parquetFrom(t, path, schema, rows)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(content), "straQe", "stra\xdfe")), 0o644); err != nil {
		t.Fatal(err)
	}
	for column, want := range map[string]string{
		"s": `column "s", row 1: the text is not UTF-8: byte 0xDF`,
		"l": `column "l", row 1: elements: field "s": the text is not UTF-8: byte 0xDF`,
	} {
		_, got, err := readParquetRows(t, &parquetArgs{Columns: []string{column}}, p)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v\nwant: %s", column, got, err, want)
		}
	}
	checkRows(t, &parquetArgs{Columns: []string{"ok"}}, p, "ok string [fine fine]")
	checkRows(t, &parquetArgs{Columns: []string{"s"}, Schema: map[string]string{"s": "binary"}}, p, "s binary [ZmluZQ== c3RyYd9l]")
}

func TestParquetFilesOfDuckDBAreReadAsUsersExpect(t *testing.T) {
	p := folder(t, nil)
	p.path = "a.parquet"
	reference.Python(t, `
import sys, duckdb
duckdb.execute("""copy (select null as n, '{"a": [1, null]}'::json as j, ['[1]'::json] as l, interval '14 months 3 days 4.5 seconds' as i,
  'b'::enum('a', 'b') as e, '24:00:00'::time as t, 12345678901234567890::decimal(38, 0) as big, 7::decimal(38, 0) as small, '4978c430-276b-4d3e-aad8-b7d7061b8ebe'::uuid as u,
  interval '0 seconds' as z) to '%s' (format parquet)""" % sys.argv[1])
`, filepath.Join(p.root, p.path))
	checkRows(t, &parquetArgs{}, p, `n string, j string, l list<string>, i string, e string, t string, big string, small int64, u string, z string `+
		`[∅|{"a": [1, null]}|["[1]"]|P1Y2M3DT4.5S|b|24:00:00|12345678901234567890|7|4978c430-276b-4d3e-aad8-b7d7061b8ebe|PT0S]`)
}

// readOtherwise contains the files of parquet-testing that quern does not read
// like pyarrow, with a part of the error, or "" if only the rows differ.
var readOtherwise = map[string]string{
	"datapage_v2_empty_datapage.snappy.parquet": "could not decompress page",
	"hadoop_lz4_compressed.parquet":             "LZ4",
	"hadoop_lz4_compressed_larger.parquet":      "LZ4",
	"non_hadoop_lz4_compressed.parquet":         "LZ4",
	"unknown-logical-type.parquet":              "invalid logical type",
	"int96_from_spark.parquet":                  "outputTimestampType", // pyarrow reads different times
	"old_list_structure.parquet":                "",                    // a list of structs with one list each
}

// TestApacheParquetTesting checks that the files of
// github.com/apache/parquet-testing are read as pyarrow reads them. An
// environment variable says where a copy is.
func TestApacheParquetTesting(t *testing.T) {
	root := os.Getenv("QUERN_PARQUET_TESTING")
	if root == "" {
		t.Skip("QUERN_PARQUET_TESTING does not name a copy of github.com/apache/parquet-testing")
	}
	files, err := filepath.Glob(filepath.Join(root, "data", "*.parquet"))
	if err != nil || len(files) == 0 {
		t.Fatalf("there are no files in %s/data: %v", root, err)
	}
	dir := t.TempDir()
	for i, path := range files {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files[i] = filepath.Join(dir, filepath.Base(path))
		if err := os.WriteFile(files[i], content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	reference.Python(t, parquetReference, append([]string{"expect"}, files...)...)
	for _, path := range files {
		problem, known := readOtherwise[filepath.Base(path)]
		if !known {
			compareWithReference(t, &parquetArgs{}, path)
			continue
		}
		if _, _, err := readExactly(t, &parquetArgs{}, path); (err == nil) != (problem == "") || err != nil && !strings.Contains(err.Error(), problem) {
			t.Errorf("%s: error %v, want %q", filepath.Base(path), err, problem)
		}
	}
}
