package files

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/quern-dev/quern/sdk/go/data"
)

// unionType parses a union type as tests write it: a column type, null, or
// digits.
func unionType(t *testing.T, text string) arrow.DataType {
	t.Helper()
	switch text {
	case "null":
		return arrow.Null
	case "digits":
		return digitsType
	case "list<null>":
		return arrow.ListOf(arrow.Null)
	}
	typ, err := data.ArrowType(text)
	if err != nil {
		t.Fatal(err)
	}
	return typ
}

func TestTypesOfAColumnInSeveralFilesAreWidened(t *testing.T) {
	for _, c := range []struct{ a, b, want string }{
		{"int64", "int64", "int64"},
		{"null", "int64", "int64"},
		{"null", "struct<a:int64>", "struct<a:int64>"},
		{"null", "null", "string"},
		{"int64", "float64", "float64"},
		{"date", "timestamp", "timestamp"},
		{"digits", "int64", "string"},
		{"digits", "float64", "string"},
		{"list<null>", "list<int64>", "list<int64>"},
		{"list<null>", "list<null>", "list<string>"},
		{"list<int64>", "list<float64>", "list<float64>"},
		{"struct<a:int64,b:string>", "struct<b:string,a:int64>", "struct<a:int64,b:string>"},
		{"struct<a:int64>", "struct<b:string>", "struct<a:int64,b:string>"},
		{"struct<a:int64,b:list<struct<x:date>>>", "struct<b:list<struct<y:bool,x:timestamp>>>", "struct<a:int64,b:list<struct<x:timestamp,y:bool>>>"},
		{"int64", "string", ""},
		{"bool", "int64", ""},
		{"timestamp", "string", ""},
		{"string", "binary", ""},
		{"list<int64>", "int64", ""},
		{"struct<a:int64>", "list<int64>", ""},
		{"struct<a:int64>", "struct<a:string>", ""},
		{"list<int64>", "list<bool>", ""},
	} {
		for _, pair := range [][2]string{{c.a, c.b}, {c.b, c.a}} {
			got, err := widen(unionType(t, pair[0]), unionType(t, pair[1]))
			if c.want == "" {
				if err == nil {
					t.Errorf("%s and %s: %s", pair[0], pair[1], got)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s and %s: %v", pair[0], pair[1], err)
				continue
			}
			name, err := data.TypeName(finalType(got))
			if err != nil {
				t.Fatal(err)
			}
			// The fields are in the order of the first file.
			if name != c.want && (pair[0] == c.a || !strings.Contains(c.want, "struct")) {
				t.Errorf("%s and %s: %s, want %s", pair[0], pair[1], name, c.want)
			}
		}
	}
}

func TestTheErrorForIncompatibleColumnsNamesBothFiles(t *testing.T) {
	u := newUnion()
	if err := u.add("a.parquet", "the id", unionType(t, "int64")); err != nil {
		t.Fatal(err)
	}
	err := u.add("b.parquet", "the id", unionType(t, "string"))
	for _, want := range []string{"Column \"the id\" is int64 in a.parquet and string in b.parquet", `schema = { "the id" = "string" }`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error: %v\nwant: %s", err, want)
		}
	}
}

func TestColumnsWithTheSameNameGetUniqueNames(t *testing.T) {
	for text, want := range map[string]string{
		"a,b":             "a,b",
		"a,a,a":           "a,a_1,a_2",
		"a,a,a_1":         "a,a_2,a_1",
		",a,":             "column0,a,column2",
		",column0":        "column0_1,column0",
		"a,A":             "a,A",
		"a_1,a,a,a_1,a_2": "a_1,a,a_3,a_1_1,a_2",
	} {
		if got := strings.Join(UniqueNames(strings.Split(text, ",")), ","); got != want {
			t.Errorf("%s becomes %s, want %s", text, got, want)
		}
	}
}

func TestASelectionChoosesTheColumns(t *testing.T) {
	found := newUnion()
	for _, c := range (data.Schema{{Name: "a", Type: "int64"}, {Name: "b", Type: "string"}, {Name: "c", Type: "bool"}}) {
		if err := found.add("f", c.Name, unionType(t, c.Type)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		selection selection
		want      string // columns, or a part of the error
	}{
		{selection{}, "a int64, b string, c bool"},
		{selection{columns: []string{"c", "a"}}, "c bool, a int64"},
		{selection{types: map[string]string{"c": "string", "a": "float64"}}, "a float64, b string, c string"},
		{selection{types: map[string]string{"c": "string"}, columns: []string{"c", "a"}}, "c string, a int64"},
		{selection{types: map[string]string{"z": "string", "c": "bool"}, open: true}, "a int64, b string, c bool, z string"},
		{selection{types: map[string]string{"z": "string"}}, `No column is named "z"`},
		{selection{columns: []string{"z"}}, "The columns are a, b, c"},
		{selection{columns: []string{"a", "a"}}, `lists "a" twice`},
		{selection{columns: []string{}}, "columns is empty"},
		{selection{types: map[string]string{}}, "schema is empty"},
		{selection{types: map[string]string{"a": "int"}}, `The type of column "a" is not valid`},
		{selection{types: map[string]string{"a": "int64"}, columns: []string{"b"}}, "which columns does not list"},
	} {
		err := c.selection.check()
		var got data.Schema
		if err == nil {
			got, err = c.selection.choose(found)
		}
		text := describeSchema(got)
		if err == nil && text != c.want {
			t.Errorf("%+v: %s", c.selection, text)
		}
		if err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c.selection, err)
		}
	}
}

func TestFilesWithDifferentColumnsAreJoinedByName(t *testing.T) {
	csv := folder(t, map[string]string{"a.csv": "x,y\n1,2\n", "b.csv": "z,x\ntrue,1.5\n"})
	jsonl := folder(t, map[string]string{"a.jsonl": `{"x": 1, "y": 2}`, "b.jsonl": `{"z": true, "x": 1.5}`})
	const want = "x float64, y int64, z bool [1|2|∅ 1.5|∅|true]"
	schema, rows, err := readCSV(t, usualCSV(), csv)
	if err != nil || describeSchema(schema)+" "+fmt.Sprint(rows.rows) != want {
		t.Errorf("CSV: %s %v, %v", describeSchema(schema), rows, err)
	}
	schema, rows, err = readJSONL(t, usualJSONL(), jsonl)
	if err != nil || describeSchema(schema)+" "+fmt.Sprint(rows.rows) != want {
		t.Errorf("JSONL: %s %v, %v", describeSchema(schema), rows, err)
	}
}

func TestFoldersNamedByKeyAndValueAreColumns(t *testing.T) {
	row := arrow.NewSchema([]arrow.Field{arrowField("id", arrow.PrimitiveTypes.Int64)}, nil)
	csv := folder(t, map[string]string{"lang=en/zip=007/p.csv": "id\n1\n", "lang=d%20e/zip=__HIVE_DEFAULT_PARTITION__/p.csv": "id\n2\n"})
	jsonl := folder(t, map[string]string{"lang=en/zip=007/p.jsonl": `{"id":1}`, "lang=d%20e/zip=__HIVE_DEFAULT_PARTITION__/p.jsonl": `{"id":2}`})
	parquet := folder(t, map[string]string{"lang=en/zip=007/x": "", "lang=d%20e/zip=__HIVE_DEFAULT_PARTITION__/x": ""})
	parquetFrom(t, filepath.Join(parquet.root, "lang=en/zip=007/p.parquet"), row, `[{"id":1}]`)
	parquetFrom(t, filepath.Join(parquet.root, "lang=d%20e/zip=__HIVE_DEFAULT_PARTITION__/p.parquet"), row, `[{"id":2}]`)
	csv.path, jsonl.path, parquet.path = "**/*.csv", "**/*.jsonl", "**/*.parquet"
	for _, c := range []struct {
		types   map[string]string
		columns []string
		mode    string
		want    string
	}{
		{nil, nil, "auto", "id int64, lang string, zip string [2|d e|∅ 1|en|007]"},
		{nil, nil, "none", "id int64 [2 1]"},
		{nil, []string{"lang", "id"}, "auto", "lang string, id int64 [d e|2 en|1]"},
		{nil, []string{"lang"}, "auto", "lang string [d e en]"},
		{map[string]string{"id": "int64", "zip": "int64"}, nil, "auto", "id int64, lang string, zip int64 [2|d e|∅ 1|en|7]"},
		{map[string]string{"id": "string"}, []string{"id"}, "auto", "id string [2 1]"},
		{map[string]string{"id": "int64", "lang": "int64"}, nil, "auto", `"d e" is not a valid int64`},
	} {
		check := func(format string, schema data.Schema, rows *collected, err error) {
			t.Helper()
			got := ""
			if err == nil {
				got = describeSchema(schema) + " " + fmt.Sprint(rows.rows)
			}
			if err == nil && got != c.want || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s %v %v: %s, %v", format, c.types, c.columns, got, err)
			}
		}
		a := usualCSV()
		a.Schema, a.Columns, a.Partitions = c.types, c.columns, c.mode
		schema, rows, err := readCSV(t, a, csv)
		check("CSV", schema, rows, err)
		j := usualJSONL()
		j.Schema, j.Columns, j.Partitions = c.types, c.columns, c.mode
		schema, rows, err = readJSONL(t, j, jsonl)
		check("JSONL", schema, rows, err)
		schema, rows, err = readParquetRows(t, &parquetArgs{Schema: c.types, Columns: c.columns, Located: Located{Partitions: c.mode}}, parquet)
		check("Parquet", schema, rows, err)
	}
}

func TestAPartitionAndAColumnWithTheSameNameAreRefused(t *testing.T) {
	p := folder(t, map[string]string{"lang=en/a.csv": "id,lang\n1,de\n"})
	p.path = "*/*.csv"
	_, _, err := readCSV(t, usualCSV(), p)
	if err == nil || !strings.Contains(err.Error(), `"lang" is both a column of lang=en/a.csv and a folder of lang=en/a.csv`) {
		t.Errorf("error: %v", err)
	}
	a := usualCSV()
	a.Partitions = "none"
	if _, rows, err := readCSV(t, a, p); err != nil || fmt.Sprint(rows.rows) != "[1|de]" {
		t.Errorf("%v, %v", rows, err)
	}
}

func TestTheFingerprintDependsOnPartitions(t *testing.T) {
	one := folder(t, map[string]string{"lang=en/a.csv": "id\n1\n"})
	other := folder(t, map[string]string{"lang=de/a.csv": "id\n1\n"})
	one.path, other.path = "*/*.csv", "*/*.csv"
	if look(t, one, nil).Value == look(t, other, nil).Value {
		t.Error("another partition does not change the fingerprint")
	}
}
