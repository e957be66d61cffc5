package files

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/quern-dev/quern/sdk/go/data"
)

// parquetFrom writes rows, given as a JSON array, to a Parquet file that
// preserves Arrow's own types.
func parquetFrom(t *testing.T, path string, schema *arrow.Schema, rows string) {
	t.Helper()
	rec, _, err := array.RecordFromJSON(memory.DefaultAllocator, schema, strings.NewReader(rows))
	if err != nil {
		t.Fatal(err)
	}
	defer rec.Release()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	w, err := pqarrow.NewFileWriter(schema, file, parquet.NewWriterProperties(), pqarrow.NewArrowWriterProperties(pqarrow.WithStoreSchema()))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(rec); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

func readParquetRows(t testing.TB, a *parquetArgs, p place) (data.Schema, *collected, error) {
	t.Helper()
	return readSource(t, a, p)
}

func arrowField(name string, t arrow.DataType) arrow.Field {
	return arrow.Field{Name: name, Type: t, Nullable: true}
}

func TestParquetTypesBecomeTheNearestColumnTypes(t *testing.T) {
	schema := arrow.NewSchema([]arrow.Field{
		arrowField("i8", arrow.PrimitiveTypes.Int8), arrowField("u32", arrow.PrimitiveTypes.Uint32), arrowField("i64", arrow.PrimitiveTypes.Int64),
		arrowField("f32", arrow.PrimitiveTypes.Float32), arrowField("dec", &arrow.Decimal128Type{Precision: 10, Scale: 2}),
		arrowField("large", arrow.BinaryTypes.LargeString),
		arrowField("cat", &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String}),
		arrowField("ms", &arrow.TimestampType{Unit: arrow.Millisecond}), arrowField("d", arrow.FixedWidthTypes.Date32),
		arrowField("l", arrow.ListOf(arrow.PrimitiveTypes.Int32)), arrowField("e", arrow.FixedSizeListOf(2, arrow.PrimitiveTypes.Float32)),
		arrowField("s", arrow.StructOf(arrowField("a", arrow.PrimitiveTypes.Int16), arrowField("b", arrow.BinaryTypes.String))),
	}, nil)
	p := folder(t, nil)
	p.path = "a.parquet"
	parquetFrom(t, filepath.Join(p.root, "a.parquet"), schema, `[
		{"i8": -5, "u32": 4000000000, "i64": 7, "f32": 0.5, "dec": "12.34", "large": "x", "cat": "red",
		 "ms": "2026-01-31 10:00:00.123", "d": "2026-01-31", "l": [1, null, 3], "e": [0.5, 1.5], "s": {"a": 1, "b": "y"}},
		{"i8": null, "u32": null, "i64": null, "f32": null, "dec": null, "large": null, "cat": null,
		 "ms": null, "d": null, "l": null, "e": [0, null], "s": null},
		{"i8": 1, "u32": 2, "i64": 3, "f32": 4, "dec": "5.00", "large": "", "cat": "blue",
		 "ms": "1969-12-31 23:59:59.999", "d": "1969-12-31", "l": [], "e": [2, 3], "s": {"a": null, "b": null}}
	]`)
	got, rows, err := readParquetRows(t, &parquetArgs{}, p)
	if err != nil {
		t.Fatal(err)
	}
	want := "i8 int64, u32 int64, i64 int64, f32 float64, dec float64, large string, cat string, ms timestamp, d date, " +
		"l list<int64>, e list<float64>, s struct<a:int64,b:string>"
	if describeSchema(got) != want {
		t.Errorf("columns: %s\nwant:    %s", describeSchema(got), want)
	}
	wantRows := []string{
		`-5|4000000000|7|0.5|12.34|x|red|2026-01-31T10:00:00.123Z|2026-01-31|[1,null,3]|[0.5,1.5]|{"a":1,"b":"y"}`,
		"∅|∅|∅|∅|∅|∅|∅|∅|∅|∅|[0,null]|∅",
		`1|2|3|4|5||blue|1969-12-31T23:59:59.999Z|1969-12-31|[]|[2,3]|{"a":null,"b":null}`,
	}
	if strings.Join(rows.rows, "\n") != strings.Join(wantRows, "\n") {
		t.Errorf("rows:\n%s\nwant:\n%s", strings.Join(rows.rows, "\n"), strings.Join(wantRows, "\n"))
	}
}

func TestColumnsOfParquetFilesAreChosenAndJoinedByName(t *testing.T) {
	p := folder(t, nil)
	p.path = "*.parquet"
	ab := arrow.NewSchema([]arrow.Field{arrowField("a", arrow.PrimitiveTypes.Int64), arrowField("b", arrow.BinaryTypes.String), arrowField("c", arrow.FixedWidthTypes.Boolean)}, nil)
	ba := arrow.NewSchema([]arrow.Field{arrowField("c", arrow.FixedWidthTypes.Boolean), arrowField("b", arrow.BinaryTypes.String), arrowField("a", arrow.PrimitiveTypes.Int32)}, nil)
	parquetFrom(t, filepath.Join(p.root, "1.parquet"), ab, `[{"a": 1, "b": "x", "c": true}]`)
	parquetFrom(t, filepath.Join(p.root, "2.parquet"), ba, `[{"a": 2, "b": "y", "c": null}]`)
	schema, rows, err := readParquetRows(t, &parquetArgs{Columns: []string{"b", "a"}}, p)
	if err != nil {
		t.Fatal(err)
	}
	if describeSchema(schema) != "b string, a int64" || fmt.Sprint(rows.rows) != "[x|1 y|2]" {
		t.Errorf("%s: %q", describeSchema(schema), rows.rows)
	}
	if _, _, err := readParquetRows(t, &parquetArgs{Columns: []string{"nope"}}, p); err == nil || !strings.Contains(err.Error(), "The columns are a, b, c") {
		t.Errorf("error: %v", err)
	}
}

func TestAFileThatIsDamagedOrNotParquetIsAnErrorThatNamesIt(t *testing.T) {
	p := folder(t, map[string]string{"a.parquet": "id,text\n1,x\n"})
	p.path = "a.parquet"
	if _, _, err := readParquetRows(t, &parquetArgs{}, p); err == nil || !strings.Contains(err.Error(), "a.parquet is a text file, not a Parquet file") {
		t.Errorf("error: %v", err)
	}
	var rows []string
	for i := range 5000 {
		rows = append(rows, fmt.Sprintf(`{"a": %d, "b": "text %d"}`, i, i*i))
	}
	path := filepath.Join(p.root, "a.parquet")
	parquetFrom(t, path, arrow.NewSchema([]arrow.Field{arrowField("a", arrow.PrimitiveTypes.Int64), arrowField("b", arrow.BinaryTypes.String)}, nil),
		"["+strings.Join(rows, ",")+"]")
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	copy(content[4:200], strings.Repeat("\xff", 196))
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := readParquetRows(t, &parquetArgs{}, p); err == nil || !strings.Contains(err.Error(), "a.parquet") {
		t.Errorf("error: %v", err)
	}
}

// DuckDB writes the rows of a row group in one page.
func TestAPageCanBeLargerThanTheLibraryExpects(t *testing.T) {
	const rows, size = 70, 1 << 20
	b := array.NewStringBuilder(memory.DefaultAllocator)
	for i := range rows {
		b.Append(strings.Repeat(string(rune('a'+i%26)), size))
	}
	schema := arrow.NewSchema([]arrow.Field{arrowField("text", arrow.BinaryTypes.String)}, nil)
	rec := array.NewRecordBatch(schema, []arrow.Array{b.NewArray()}, rows)
	defer rec.Release()
	path := filepath.Join(t.TempDir(), "a.parquet")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w, err := pqarrow.NewFileWriter(schema, file, parquet.NewWriterProperties(parquet.WithDictionaryDefault(false), parquet.WithDataPageSize(1<<30)), pqarrow.DefaultWriterProps())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.WriteBuffered(rec); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	_, got, err := readParquetRows(t, &parquetArgs{}, place{filepath.Dir(path), "a.parquet"})
	if err != nil || len(got.rows) != rows {
		t.Errorf("got %d rows and %v", len(got.rows), err)
	}
}
