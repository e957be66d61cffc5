package export_test

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/quern-dev/quern/internal/reference"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/datatest"
	"github.com/quern-dev/quern/ui/export"
)

// dataset writes batches as the only shard of a dataset.
func dataset(t *testing.T, schema data.Schema, batches ...arrow.RecordBatch) export.Dataset {
	t.Helper()
	path := filepath.Join(t.TempDir(), "shard.parquet")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w, err := data.NewFileWriter(f, schema)
	if err != nil {
		t.Fatal(err)
	}
	var rows int64
	for _, b := range batches {
		rows += b.NumRows()
		if err := w.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	f.Close()
	group := data.Group{Path: path}
	for _, c := range schema {
		group.Columns = append(group.Columns, data.Stored{Stored: c.Name, Name: c.Name})
	}
	return export.Dataset{Schema: schema, Shards: []data.Shard{{Rows: rows, Groups: []data.Group{group}}}}
}

func write(t *testing.T, format export.Format, d export.Dataset) string {
	t.Helper()
	var b bytes.Buffer
	if err := export.Write(t.Context(), &b, format, d); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

var people = data.Schema{
	{Name: "id", Type: "int64"}, {Name: "name, full", Type: "string"}, {Name: "score", Type: "float64"},
	{Name: "tags", Type: "list<string>"}, {Name: "place", Type: "struct<city:string,zip:int64>"},
}

func somePeople(t *testing.T) export.Dataset {
	return dataset(t, people, datatest.Rows(people,
		[]any{int64(1), "Ann \"A\" <x> & y", 0.5, []any{"a", nil}, map[string]any{"city": "Bern", "zip": int64(3000)}},
		[]any{int64(math.MaxInt64), "", 2.0, []any{}, nil},
		[]any{nil, nil, nil, nil, map[string]any{"city": nil, "zip": nil}},
		[]any{int64(-4), "two\nlines\x1b", 1e300, nil, nil},
	))
}

func TestJSONLinesKeepTypesAndPlainCharacters(t *testing.T) {
	want := `{"id":1,"name, full":"Ann \"A\" <x> & y","score":0.5,"tags":["a",null],"place":{"city":"Bern","zip":3000}}
{"id":9223372036854775807,"name, full":"","score":2.0,"tags":[],"place":null}
{"id":null,"name, full":null,"score":null,"tags":null,"place":{"city":null,"zip":null}}
{"id":-4,"name, full":"two\nlines\u001b","score":1e+300,"tags":null,"place":null}
`
	if got := write(t, export.JSONL, somePeople(t)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestCSVDistinguishesNullFromEmpty(t *testing.T) {
	want := `id,"name, full",score,tags,place
1,"Ann ""A"" <x> & y",0.5,"[""a"",null]","{""city"":""Bern"",""zip"":3000}"
9223372036854775807,"",2.0,[],
,,,,"{""city"":null,""zip"":null}"
-4,"two
lines` + "\x1b" + `",1e+300,,
`
	if got := write(t, export.CSV, somePeople(t)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestJSONRefusesValuesThatItCannotRepresent(t *testing.T) {
	schema := data.Schema{{Name: "x", Type: "struct<y:float64>"}}
	d := dataset(t, schema, datatest.Rows(schema, []any{map[string]any{"y": 1.0}}, []any{map[string]any{"y": math.NaN()}}))
	for _, format := range []export.Format{export.JSONL, export.CSV} {
		err := export.Write(t.Context(), &bytes.Buffer{}, format, d)
		if err == nil || !strings.Contains(err.Error(), `row 1, column "x": field "y": JSON cannot represent NaN`) {
			t.Errorf("%s: got %v", format, err)
		}
	}
}

func TestFilesContainALimitedNumberOfRows(t *testing.T) {
	schema := data.Schema{{Name: "n", Type: "int64"}}
	for _, c := range []struct {
		rows  int
		files []int
	}{{0, []int{0}}, {1, []int{1}}, {3, []int{3}}, {4, []int{3, 1}}, {6, []int{3, 3}}} {
		var rows [][]any
		for n := range c.rows {
			rows = append(rows, []any{int64(n)})
		}
		dir := t.TempDir()
		names, err := export.Files(t.Context(), dir, export.JSONL, dataset(t, schema, datatest.Rows(schema, rows...)), 3)
		if err != nil {
			t.Fatal(err)
		}
		var got []int
		for _, name := range names {
			text, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, bytes.Count(text, []byte("\n")))
		}
		if fmt.Sprint(got) != fmt.Sprint(c.files) {
			t.Errorf("%d rows: files of %v rows, want %v", c.rows, got, c.files)
		}
	}
}

// Python's own readers must find the same values in all three formats.
const sameValues = `
import base64, csv, datetime, json, math, sys
import pyarrow.parquet as pq

def plain(v):
    if isinstance(v, bytes): return base64.b64encode(v).decode()
    if isinstance(v, datetime.datetime): return v.astimezone(datetime.timezone.utc).replace(tzinfo=None)
    if isinstance(v, datetime.date): return v.isoformat()
    if isinstance(v, list): return [plain(x) for x in v]
    if isinstance(v, dict): return {k: plain(x) for k, x in v.items()}
    return v

def same(want, got, text):
    if want is None: return got is None or text and got == ""
    if isinstance(want, datetime.datetime):
        return want == datetime.datetime.fromisoformat(got).replace(tzinfo=None)
    if isinstance(want, bool): return got == ("true" if want else "false") if text else got is want
    if isinstance(want, float):
        got = float(got)
        return got == want and math.copysign(1, got) == math.copysign(1, want) or math.isnan(got) and math.isnan(want)
    if isinstance(want, int): return int(got) == want if text else got == want and type(got) is int
    if isinstance(want, (list, dict)) and text: return same(want, json.loads(got), False)
    if isinstance(want, list): return len(want) == len(got) and all(same(a, b, False) for a, b in zip(want, got))
    if isinstance(want, dict): return list(want) == list(got) and all(same(want[k], got[k], False) for k in want)
    return want == got

csv.field_size_limit(1 << 30)
folder, = sys.argv[1:]
rows = [{k: plain(v) for k, v in r.items()} for r in pq.read_table(folder + "/x.parquet").to_pylist()]
lines = [json.loads(l) for l in open(folder + "/x.jsonl", encoding="utf-8", newline="\n")]
cells = list(csv.DictReader(open(folder + "/x.csv", encoding="utf-8", newline="")))
for name, found in ("jsonl", lines), ("csv", cells):
    if len(found) != len(rows): sys.exit(f"{name} has {len(found)} rows, not {len(rows)}")
    for n, (want, got) in enumerate(zip(rows, found)):
        for k in want:
            if not same(want[k], got[k], name == "csv"): sys.exit(f"{name} row {n} {k}: {got[k]!r}, not {want[k]!r}")
`

func TestHuntExportsReadBackByPython(t *testing.T) {
	for seed := range uint64(reference.Rounds(6, 200)) {
		r := rand.New(rand.NewPCG(seed, 7))
		schema := datatest.Schema(r)
		batch := datatest.Batch(r, schema, r.IntN(200))
		for _, column := range batch.Columns() {
			makeFinite(column)
		}
		d := dataset(t, schema, batch)
		dir := t.TempDir()
		for _, format := range export.Formats {
			text := write(t, export.Format(format), d)
			if err := os.WriteFile(filepath.Join(dir, "x."+format), []byte(text), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		reference.Python(t, sameValues, dir)
	}
}

// makeFinite replaces numbers that JSON cannot represent.
func makeFinite(a arrow.Array) {
	switch a := a.(type) {
	case *array.Float64:
		for i, v := range a.Float64Values() {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				a.Float64Values()[i] = 1.5
			}
		}
	case *array.List:
		makeFinite(a.ListValues())
	case *array.Struct:
		for i := range a.NumField() {
			makeFinite(a.Field(i))
		}
	}
}
