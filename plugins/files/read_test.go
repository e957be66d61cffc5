package files

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/klauspost/compress/zstd"

	"github.com/quern-dev/quern/sdk/go/data"
)

// collected is a rowWriter that keeps rows as text: values are joined by |, and
// nulls are ∅.
type collected struct {
	rows  []string
	aside []string
}

func (c *collected) Write(rec arrow.RecordBatch) error {
	for i := range int(rec.NumRows()) {
		var values []string
		for _, column := range rec.Columns() {
			if column.IsNull(i) {
				values = append(values, "∅")
			} else {
				values = append(values, column.ValueStr(i))
			}
		}
		c.rows = append(c.rows, strings.Join(values, "|"))
	}
	return nil
}

func (c *collected) Quarantine(origin, content string, problem error) error {
	c.aside = append(c.aside, fmt.Sprintf("%s %q %s", origin, content, problem))
	return nil
}

func (c *collected) Progress(int64, int64, string, string) {}

func (c *collected) NamedPart(_, _ string, read func() error) error { return read() }

// folder creates a folder with files.
func folder(t *testing.T, files map[string]string) place {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return place{dir, "*"}
}

// usualCSV returns the default arguments.
func usualCSV() *csvArgs {
	return &csvArgs{Quote: `"`, Header: true, NullValues: []string{""}, Encoded: Encoded{"utf-8"}, OnError: "fail", SampleRows: 20480}
}

// readSource prepares a source and reads it like quern.
func readSource[A any, F arguments[A]](t testing.TB, a F, p place) (data.Schema, *collected, error) {
	t.Helper()
	a.located().Path = p.path
	if a.located().Partitions == "" {
		a.located().Partitions = "auto"
	}
	schema, _, err := source[A, F]{root: func() string { return p.root }}.schema(t.Context(), a)
	if err != nil {
		return nil, nil, err
	}
	files, err := p.find()
	if err != nil {
		return nil, nil, err
	}
	out := &collected{}
	err = readFiles(t.Context(), a, files, schema, nil, out)
	return schema, out, err
}

func readCSV(t testing.TB, a *csvArgs, p place) (data.Schema, *collected, error) {
	t.Helper()
	return readSource(t, a, p)
}

func describeSchema(s data.Schema) string {
	var parts []string
	for _, c := range s {
		parts = append(parts, c.Name+" "+c.Type)
	}
	return strings.Join(parts, ", ")
}

func TestCSVFilesAreReadAsUsersExpect(t *testing.T) {
	cases := map[string]struct {
		text   string
		change func(*csvArgs)
		schema string
		rows   []string
	}{
		"plain": {
			text: "id,text\n1,hello\n2,world\n", schema: "id int64, text string",
			rows: []string{"1|hello", "2|world"},
		},
		"no line break at the end": {
			text: "id,text\n1,hello", schema: "id int64, text string", rows: []string{"1|hello"},
		},
		"line breaks of Windows": {
			text: "id,text\r\n1,hello\r\n2,\"x\r\ny\"\r\n", schema: "id int64, text string",
			rows: []string{"1|hello", "2|x\r\ny"},
		},
		"a byte order mark": {
			text: "\ufeffid,text\n1,hello\n", schema: "id int64, text string", rows: []string{"1|hello"},
		},
		"quotes": {
			text: "a,b\n\"x,y\",\"he said \"\"no\"\"\"\n\"two\nlines\",\"\"\n", schema: "a string, b string",
			rows: []string{`x,y|he said "no"`, "two\nlines|"},
		},
		"a quote in the middle of a field": {
			text: "a,b\nx\"y,z\n", schema: "a string, b string", rows: []string{`x"y|z`},
		},
		"an empty field is missing, an empty text is not": {
			text: "a,b\n,1\n\"\",\nx,2\n", schema: "a string, b int64", rows: []string{"∅|1", "|∅", "x|2"},
		},
		"other words for missing values": {
			text: "a,b\nNA,1\nx,NA\n\"NA\",3\n", change: func(a *csvArgs) { a.NullValues = []string{"", "NA"} },
			schema: "a string, b int64", rows: []string{"∅|1", "x|∅", "NA|3"},
		},
		"types": {
			text:   "i,f,b,d,t,s\n-1,2.5,true,2026-01-31,2026-01-31T10:00:00Z,x\n2,3,FALSE,2026-02-01,2026-01-31 10:00:00.5,1\n",
			schema: "i int64, f float64, b bool, d date, t timestamp, s string",
			rows: []string{
				"-1|2.5|true|2026-01-31|2026-01-31T10:00:00Z|x",
				"2|3|false|2026-02-01|2026-01-31T10:00:00.5Z|1",
			},
		},
		"what would lose something as a number stays a text": {
			text:   "zip,phone,big,mixed\n00501,+49123,12345678901234567890,1\n10001,+49124,1,x\n",
			schema: "zip string, phone string, big string, mixed string",
			rows:   []string{"00501|+49123|12345678901234567890|1", "10001|+49124|1|x"},
		},
		"nothing but missing values": {
			text: "a,b\n,1\n,2\n", schema: "a string, b int64", rows: []string{"∅|1", "∅|2"},
		},
		"a schema": {
			text: "id,text,more\n007,1,x\n", change: func(a *csvArgs) { a.Schema = map[string]string{"text": "float64", "id": "string"} },
			schema: "id string, text float64, more string", rows: []string{"007|1|x"},
		},
		"tabs without quotes": {
			text: "a\tb\n\"x\t5\" tall\n", change: func(a *csvArgs) { a.Delimiter, a.Quote = new("\t"), "" },
			schema: "a string, b string", rows: []string{`"x|5" tall`},
		},
		"backslashes before quotes": {
			text: "a,b\n\"say \\\"x\\\" or \\\\\",1\n", change: func(a *csvArgs) { a.Escape = `\` },
			schema: "a string, b int64", rows: []string{`say "x" or \|1`},
		},
		"no header": {
			text: "1,x\n2,y\n", change: func(a *csvArgs) { a.Header = false },
			schema: "column0 int64, column1 string", rows: []string{"1|x", "2|y"},
		},
		"no header and names": {
			text: "1,x\n", change: func(a *csvArgs) { a.Header, a.Columns = false, []string{"id", "text"} },
			schema: "id int64, text string", rows: []string{"1|x"},
		},
		"lines before the header": {
			text: "made by \"someone\nid\n1\n", change: func(a *csvArgs) { a.Skip = 1 },
			schema: "id int64", rows: []string{"1"},
		},
		"a column without a name, as pandas writes its index": {
			text: ",a\n0,x\n", schema: "column0 int64, a string", rows: []string{"0|x"},
		},
		"empty lines": {
			text: "a,b\n\n1,x\n\n\n2,y\n\n", schema: "a int64, b string", rows: []string{"1|x", "2|y"},
		},
		"latin-1": {
			text: "a\nstra\xdfe\n", change: func(a *csvArgs) { a.Encoding = "latin-1" }, schema: "a string", rows: []string{"straße"},
		},
		"utf-16": {
			text: "\xff\xfea\x00\n\x00\xe4\x00\n\x00", change: func(a *csvArgs) { a.Encoding = "utf-16" }, schema: "a string", rows: []string{"ä"},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			a := usualCSV()
			if c.change != nil {
				c.change(a)
			}
			schema, got, err := readCSV(t, a, folder(t, map[string]string{"a.csv": c.text}))
			if err != nil {
				t.Fatal(err)
			}
			if describeSchema(schema) != c.schema {
				t.Errorf("columns: %s\nwant:    %s", describeSchema(schema), c.schema)
			}
			if fmt.Sprintf("%q", got.rows) != fmt.Sprintf("%q", c.rows) {
				t.Errorf("rows: %q\nwant: %q", got.rows, c.rows)
			}
		})
	}
}

func TestAMalformedRowOfACSVFileIsAnErrorWithItsLineOrSetAside(t *testing.T) {
	cases := map[string]struct {
		text    string
		problem string // where and what
		content string
		rows    []string // the rows that remain when malformed rows are set aside
	}{
		"too few fields": {
			"a,b\n1,x\n2\n3,z\n", "a.csv:3: the row has 1 field, but there are 2 columns", "2", []string{"1|x", "3|z"},
		},
		"too many fields, after a row of three lines": {
			"a,b\n1,\"x\n\nx\"\n2,y,\n3,z\n", "a.csv:5: the row has 3 fields", "2,y,", []string{"1|x\n\nx", "3|z"},
		},
		"a value of another type": {
			"a,b\n1,x\nzwei,y\n3,z\n", `a.csv:3: column "a": "zwei" is not a valid int64`, "zwei,y", []string{"1|x", "3|z"},
		},
		"a quote that is not closed": {
			"a,b\n1,x\n2,\"y\n3,z\n", "a.csv:3: a quote is opened and never closed", "2,\"y", []string{"1|x", "3|z"},
		},
		"text behind a quote": {
			"a,b\n1,x\n2,\"y\"z\n3,z\n", `a.csv:3: "z" comes after a closing quote`, "2,\"y\"z", []string{"1|x", "3|z"},
		},
		"bytes that are not UTF-8": {
			"a,b\n1,x\n2,stra\xdfe\n3,z\n", `a.csv:3: the text is not UTF-8: byte 0xDF after "2,stra"`, "2,stra\xdfe", []string{"1|x", "3|z"},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			p := folder(t, map[string]string{"a.csv": c.text})
			a := usualCSV()
			a.Schema = map[string]string{"a": "int64", "b": "string"}
			_, _, err := readCSV(t, a, p)
			if err == nil || !strings.HasPrefix(err.Error(), c.problem) {
				t.Errorf("error: %v\nwant:  %s", err, c.problem)
			}
			a.OnError = "quarantine"
			_, got, err := readCSV(t, a, p)
			if err != nil {
				t.Fatal(err)
			}
			if fmt.Sprint(got.rows) != fmt.Sprint(c.rows) {
				t.Errorf("rows: %q\nwant: %q", got.rows, c.rows)
			}
			where, what, _ := strings.Cut(c.problem, ": ")
			if len(got.aside) != 1 || !strings.HasPrefix(got.aside[0], fmt.Sprintf("%s %q %s", where, c.content, what)) {
				t.Errorf("set aside: %q", got.aside)
			}
		})
	}
}

func TestARecordLongerThanTheWindowIsReadCompletely(t *testing.T) {
	long := strings.Repeat("tells \"\" a\n", 3*windowSize/10)
	text := "a,b\n1,\"" + long + "\"\n2,x\n"
	_, got, err := readCSV(t, usualCSV(), folder(t, map[string]string{"a.csv": text}))
	if err != nil {
		t.Fatal(err)
	}
	if len(got.rows) != 2 || got.rows[0] != "1|"+strings.ReplaceAll(long, `""`, `"`) || got.rows[1] != "2|x" {
		t.Errorf("%d rows", len(got.rows))
	}
}

func TestRowsAreInOrderWhereverTheWindowEnds(t *testing.T) {
	var text, want strings.Builder
	text.WriteString("id,text\n")
	for i := range 200_000 {
		fmt.Fprintf(&text, "%d,\"row %d, %s\"\n", i, i, strings.Repeat("x", i%37))
		fmt.Fprintf(&want, "%d|row %d, %s\n", i, i, strings.Repeat("x", i%37))
	}
	_, got, err := readCSV(t, usualCSV(), folder(t, map[string]string{"a.csv": text.String()}))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Join(got.rows, "\n")+"\n" != want.String() {
		t.Error("the rows differ")
	}
}

func compressed(t *testing.T, text string) (gz, zst string) {
	t.Helper()
	var a, b bytes.Buffer
	g := gzip.NewWriter(&a)
	z, err := zstd.NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []interface {
		Write([]byte) (int, error)
		Close() error
	}{g, z} {
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return a.String(), b.String()
}

func TestFilesAreReadInTheOrderOfTheirNamesWhateverTheirCompression(t *testing.T) {
	gz, _ := compressed(t, "text,id\nb,2\n")
	_, zst := compressed(t, "id,text\n3,c\n")
	p := folder(t, map[string]string{"x/1.csv": "id,text\n1,a\n", "x/2.csv": gz, "y/z/3.csv.zst": zst, "note.txt": "no"})
	p.path = "**/*.csv*"
	schema, got, err := readCSV(t, usualCSV(), p)
	if err != nil {
		t.Fatal(err)
	}
	if describeSchema(schema) != "id int64, text string" || fmt.Sprint(got.rows) != "[1|a 2|b 3|c]" {
		t.Errorf("%s: %q", describeSchema(schema), got.rows)
	}
}

func TestACompressedFileThatWasCutOffIsAnErrorNotFewerRows(t *testing.T) {
	gz, zst := compressed(t, "id,text\n"+strings.Repeat("1,some text\n", 100))
	for name, content := range map[string]string{"a.csv.gz": gz[:len(gz)-12], "a.csv.zst": zst[:len(zst)-12]} {
		_, got, err := readCSV(t, usualCSV(), folder(t, map[string]string{name: content}))
		if err == nil || !strings.Contains(err.Error(), "the file is incomplete") {
			t.Errorf("%s: error %v, %v", name, err, got)
		}
	}
}

func TestMistakesAboutCSVFilesAreExplained(t *testing.T) {
	cases := map[string]struct {
		files  map[string]string
		path   string
		change func(*csvArgs)
		want   string
	}{
		"no file":                    {nil, "data/*.csv", nil, `no file matches "data/*.csv"`},
		"a folder":                   {map[string]string{"data/a.csv": "a\n"}, "data", nil, `"data/*"`},
		"an empty file":              {map[string]string{"a.csv": ""}, "a.csv", nil, "a.csv is empty"},
		"a column that is not there": {map[string]string{"a.csv": "x,y\n"}, "a.csv", func(a *csvArgs) { a.Schema = map[string]string{"z": "string"} }, "The columns are x, y"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			a := usualCSV()
			if c.change != nil {
				c.change(a)
			}
			p := folder(t, c.files)
			p.path = c.path
			_, _, err := readCSV(t, a, p)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error: %v", err)
			}
			if err != nil && strings.Contains(err.Error(), p.root) {
				t.Errorf("the error shows another path than the user's: %v", err)
			}
		})
	}
}

func TestReadingStopsWhenTheContextEnds(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	stop()
	p := folder(t, map[string]string{"a.csv": "a\n" + strings.Repeat("1\n", 3*batchRows)})
	files, err := p.find()
	if err != nil {
		t.Fatal(err)
	}
	err = readFiles(ctx, usualCSV(), files, data.Schema{{Name: "a", Type: "int64"}}, nil, &collected{})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error: %v", err)
	}
}

func usualJSONL() *jsonlArgs {
	return &jsonlArgs{Encoded: Encoded{"utf-8"}, OnError: "fail", SampleRows: 20480}
}

func readJSONL(t testing.TB, a *jsonlArgs, p place) (data.Schema, *collected, error) {
	t.Helper()
	return readSource(t, a, p)
}

func TestJSONLinesAreReadAsUsersExpect(t *testing.T) {
	cases := map[string]struct {
		text   string
		types  map[string]string
		schema string
		rows   []string
	}{
		"plain": {
			text: `{"id": 1, "text": "hi \"you\" \u00e4"}` + "\n\n" + `{"text":"x","id":2}`, schema: "id int64, text string",
			rows: []string{`1|hi "you" ä`, "2|x"},
		},
		"missing and null": {
			text: `{"a": 1}` + "\n" + `{"a": null, "b": true}` + "\n" + `{}`, schema: "a int64, b bool",
			rows: []string{"1|∅", "∅|true", "∅|∅"},
		},
		"whole and other numbers": {
			text: `{"a": 1, "b": 1e3}` + "\n" + `{"a": 0.5, "b": 2}`, schema: "a float64, b float64", rows: []string{"1|1000", "0.5|2"},
		},
		"values that have nothing in common": {
			text: `{"a": 1}` + "\n" + `{"a": "x"}` + "\n" + `{"a": [1, {"b": 2}]}`, schema: "a string",
			rows: []string{"1", "x", `[1,{"b":2}]`},
		},
		"lists and structs": {
			text:   `{"m": [{"role": "user", "n": 1}, {"role": null}], "s": {"a": [1.5, 2], "b c": true}}` + "\n" + `{"m": [], "s": null}`,
			schema: `m list<struct<role:string,n:int64>>, s struct<a:list<float64>,"b c":bool>`,
			rows: []string{
				`[{"n":1,"role":"user"},{"n":null,"role":null}]|{"a":[1.5,2],"b c":true}`, "[]|∅",
			},
		},
		"a key that appears twice with one value": {
			text: `{"a": 1, "a": 1}`, schema: "a int64", rows: []string{"1"},
		},
		"a schema, and keys that it leaves alone": {
			text:   `{"t": "2026-01-31T10:00:00+02:00", "b": "aGk=", "more": 1, "a": 5, "s": {"y": "z", "other": 1}}`,
			types:  map[string]string{"t": "timestamp", "b": "binary", "a": "string", "s": "struct<y:string>", "none": "date"},
			schema: "t timestamp, b binary, more int64, a string, s struct<y:string>, none date",
			rows:   []string{`2026-01-31T08:00:00Z|aGk=|1|5|{"y":"z"}|∅`},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			a := usualJSONL()
			a.Schema = c.types
			schema, got, err := readJSONL(t, a, folder(t, map[string]string{"a.jsonl": c.text}))
			if err != nil {
				t.Fatal(err)
			}
			if describeSchema(schema) != c.schema {
				t.Errorf("columns: %s\nwant:    %s", describeSchema(schema), c.schema)
			}
			if fmt.Sprintf("%q", got.rows) != fmt.Sprintf("%q", c.rows) {
				t.Errorf("rows: %q\nwant: %q", got.rows, c.rows)
			}
		})
	}
}

func TestAMalformedJSONLineIsAnErrorWithItsLineOrSetAside(t *testing.T) {
	good := `{"a": 1, "b": "x"}` + "\n"
	cases := map[string]struct{ line, problem string }{
		"not JSON":            {`{"a": 1,`, "the line is not valid JSON"},
		"a list":              {`[1]`, "the row is a list, but it must be an object"},
		"a comma too much":    {`{"a": 1},`, "the line is not valid JSON"},
		"two values of a key": {`{"a": 1, "a": 2}`, `the key "a" appears twice`},
		"half a character":    {`{"b": "\ud83d"}`, `column "b": \ud83d is half of a surrogate pair`},
		"another type":        {`{"a": "1"}`, `column "a": a string ("1") is not a valid int64`},
		"a number too large":  {`{"a": 92233720368547758080}`, `column "a"`},
		"an unheard-of key":   {`{"a": 1, "c": 2}`, `the key "c" does not occur`},
		"bytes, not UTF-8":    {"{\"b\": \"stra\xdfe\"}", "the text is not UTF-8"},
		"nothing but a quote": {`"`, "the line is not valid JSON"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			p := folder(t, map[string]string{"a.jsonl": good + good + c.line + "\n" + good})
			a := usualJSONL()
			a.SampleRows = 2
			_, _, err := readJSONL(t, a, p)
			if want := "a.jsonl:3: " + c.problem; err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("error: %v\nwant:  %s", err, want)
			}
			if name == "half a character" && strings.Contains(err.Error(), "schema =") {
				t.Errorf("the advice does not help: %v", err)
			}
			a.OnError = "quarantine"
			_, got, err := readJSONL(t, a, p)
			if err != nil {
				t.Fatal(err)
			}
			if len(got.rows) != 3 || len(got.aside) != 1 || !strings.HasPrefix(got.aside[0], fmt.Sprintf("a.jsonl:3 %q %s", c.line, c.problem)) {
				t.Errorf("%d rows, set aside: %q", len(got.rows), got.aside)
			}
		})
	}
}

func FuzzReadingTextNeverPanicsAndLosesNoRow(f *testing.F) {
	f.Add("a,b\n1,\"x\"\"\ny\"\n2,z", true)
	f.Add("{\"a\": [1, {\"b\": null}]}\n{}\n", false)
	f.Fuzz(func(t *testing.T, text string, isCSV bool) {
		p := folder(t, map[string]string{"a": text})
		if isCSV {
			a := usualCSV()
			a.OnError = "quarantine"
			if _, got, err := readCSV(t, a, p); err == nil && len(got.rows)+len(got.aside) > 1+strings.Count(text, "\n") {
				t.Errorf("%d rows of %q", len(got.rows)+len(got.aside), text)
			}
			return
		}
		a := usualJSONL()
		a.OnError = "quarantine"
		_, got, err := readJSONL(t, a, p)
		values := 0
		for d := json.NewDecoder(strings.NewReader(text)); ; values++ {
			if object := map[string]any(nil); d.Decode(&object) != nil {
				break
			}
		}
		if err == nil && len(got.rows)+len(got.aside) < values {
			t.Errorf("%d rows of %q", len(got.rows)+len(got.aside), text)
		}
	})
}
