package files

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/quern-dev/quern/internal/reference"
)

func TestRowsInsideAnObjectAreReadByField(t *testing.T) {
	for name, c := range map[string]struct{ field, text string }{
		"as SQuAD writes them":      {"data", `{"version": "v2.0", "data": [{"a": 1}, {"a": 2}]}`},
		"before other keys":         {"data", `{"data": [{"a": 1}, {"a": 2}], "object": "list", "has_more": false}`},
		"nested":                    {"result.items", `{"items": [{"b": 1}], "result": {"n": {"items": 3}, "items": [{"a": 1}, {"a": 2}]}, "x": [[], {}]}`},
		"a dot in a key":            {`a\.b`, `{"a": {"b": 1}, "a.b": [{"a": 1}, {"a": 2}]}`},
		"a backslash in a key":      {`a\\b`, `{"a\\b": [{"a": 1}, {"a": 2}]}`},
		"an escaped key":            {"ä", `{"\u00e4": [{"a": 1}, {"a": 2}]}`},
		"pages, one a line":         {"data", "{\"data\": [{\"a\": 1}]}\n{\"data\": []}\n{\"next\": null, \"data\": [{\"a\": 2}]}\n"},
		"pretty, with Windows ends": {"data", "{\r\n  \"data\": [\r\n    {\"a\": 1},\r\n    {\"a\": 2}\r\n  ]\r\n}\r\n"},
	} {
		a := usualJSONL()
		a.Field = c.field
		schema, got, err := readJSONL(t, a, folder(t, map[string]string{"a.json": c.text}))
		if err != nil || describeSchema(schema)+" "+fmt.Sprint(got.rows) != "a int64 [1 2]" {
			t.Errorf("%s: %s %+v, %v", name, describeSchema(schema), got, err)
		}
	}
}

func TestAFieldWithoutRowsIsRefusedWithItsPlace(t *testing.T) {
	for _, c := range []struct{ field, text, want string }{
		{"data", `{"rows": [], "n": 1}`, "a.json:1: the object that ends here has no key \"data\"\nIts keys are rows, n. Correct field"},
		{"data", "{}", `has no key "data"`},
		{"data.x", "{\"data\":\n {\"y\": 1}}", `a.json:2: the object that ends here has no key "x"`},
		{"data", `{"data": {"a": 1}}`, "a.json:1: data is an object, but it must be a list of objects"},
		{"data.x", `{"data": [{"a": 1}]}`, "data is a list, but it must be an object"},
		{"data", `[{"a": 1}]`, "field is a list, but it must be an object"},
		{"data", `{"data": null}`, "data is null"},
		{"data", `{"data": [{"a": 1}], "data": [{"a": 2}]}`, `the key "data" appears twice`},
		{"data", `{"data": [1]}`, "the row is a number, but it must be an object"},
		{"data", `{"data": [{"a": 1}]`, "it ends in the middle of a value"},
		{"data", `{"data": [{"a": 1}`, "the list ends early"},
		{"data", `{"x": [1 2], "data": []}`, `"2], \"data\": " where "," should be`},
		{"data", `{"x": [1,], "data": []}`, `"]" where a value should be`},
		{"data", `{"x": 1 "data": []}`, `where "," should be`},
		{"data", `{"x": tru, "data": []}`, "where a value should be"},
		{"data", `{x: 1}`, "a key in double quotes"},
		{"data..x", `{"data": []}`, `"data..x" has an empty key`},
	} {
		a := usualJSONL()
		a.Field = c.field
		_, got, err := readJSONL(t, a, folder(t, map[string]string{"a.json": c.text}))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s of %s: %+v, %v\nwant: %s", c.field, c.text, got, err, c.want)
		}
	}
}

func TestASingleObjectWithAListOfObjectsSuggestsField(t *testing.T) {
	for text, want := range map[string]string{
		`{"data": [{"a": 1}, {"a": 2}], "version": 1}`:       `set field = "data".`,
		`{"v": {"data": [{}, {}]}, "a.b": [{"a": 1}, {}]}`:   `set field = "a\\.b".`,
		`{"data": [{"a": 1}], "version": 1}`:                 "", // only one element
		`{"data": [{"a": 1}, {}], "more": [{"a": 1}, {}]}`:   "", // two lists
		`{"data": [1, 2, 3]}`:                                "",
		`{"data": [{"a": 1}, {}]}` + "\n" + `{"data": [{}]}`: "", // two rows
	} {
		p := folder(t, map[string]string{"a.json": text})
		a := usualJSONL()
		a.Path = p.path
		_, warnings, err := source[jsonlArgs, *jsonlArgs]{root: func() string { return p.root }}.schema(t.Context(), a)
		got := strings.Join(warnings, "; ")
		if err != nil || (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q, %v", text, got, err)
		}
	}
}

// What surrounds the rows can be larger than anything that is held in memory.
func TestADocumentOfAnySizeIsStreamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.json")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	filler := strings.Repeat(`{"x": [1.5, "]}"]}, `, 60_000) // more than 1 MB
	write := func(text string) {
		if _, err := f.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	write(`{"index": [`)
	for range maxRecord >> 20 {
		write(filler)
	}
	write(`0], "data": [{"a": 1}, `)
	for range 20_000 {
		write(`{"a": 2}, `)
	}
	write(`{"a": 3}], "more": [`)
	write(filler)
	write(`0]}`)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	p := place{filepath.Dir(path), "a.json"}
	a := usualJSONL()
	a.Field = "data"
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, got, err := readJSONL(t, a, p)
	runtime.ReadMemStats(&after)
	if err != nil || len(got.rows) != 20_002 || got.rows[0] != "1" || got.rows[20_001] != "3" {
		t.Fatalf("%d rows, %v", len(got.rows), err)
	}
	if grown := (after.TotalAlloc - before.TotalAlloc) >> 20; grown > 60 {
		t.Errorf("%d MB were allocated to read a file of %d MB", grown, maxRecord>>20)
	}
	a.Field = ""
	if err := os.WriteFile(path, []byte(`{"data": [`+strings.Repeat(filler, maxRecord>>20+1)+`{}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, err = readJSONL(t, a, p)
	if err == nil || !strings.Contains(err.Error(), "a record is longer than 64 MB\n") || !strings.Contains(err.Error(), `set field = "data"`) {
		t.Errorf("without field: %v", err)
	}
}

func TestThereIsAWarningAboutValuesWithoutACommonType(t *testing.T) {
	for text, want := range map[string]string{
		"{\"tags\": [\"a\"]}\n{\"tags\": null}\n{\"tags\": \"a,b\"}\n{\"tags\": [\"c\"]}": `The values of "tags" are text and lists (a.json:3 is the first row that differs)`,
		"{\"m\": [{\"content\": \"x\"}]}\n{\"m\": [{\"content\": [{\"text\": \"y\"}]}]}":  `The values of "m[].content" are text and lists (a.json:2`,
		"{\"a\": {\"b\": 1}}\n{\"a\": {\"b\": {\"c\": 1}}}":                               `The values of "a.b" are numbers and objects (a.json:2`,
		"[{\"a\": true},\n {\"a\": 1}]":                                                   `The values of "a" are true or false and numbers (a.json:2`,
		"{\"a\": [1, \"x\"]}":                                                             `The values of "a[]" are text and numbers (a.json:1`,
		"{\"a\": 1}\n{\"a\": 0.5}\n{\"a\": null}\n{\"a\": 12345678901234567890}":          "",
	} {
		p := folder(t, map[string]string{"a.json": text})
		s := source[jsonlArgs, *jsonlArgs]{root: func() string { return p.root }}
		a := usualJSONL()
		a.Path = p.path
		columns, warnings, err := s.schema(t.Context(), a)
		got := strings.Join(warnings, "; ")
		if err != nil || (want == "") != (got == "") || !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, %v\nwant: %s", text, got, err, want)
		}
		if want == "" || err != nil {
			continue
		}
		if advice := fmt.Sprintf("set schema = { %s = %q }", columns[0].Name, columns[0].Type); !strings.Contains(got, advice) {
			t.Errorf("%s: %q does not contain the advice %q", text, got, advice)
		}
		a.Schema = map[string]string{columns[0].Name: columns[0].Type}
		if _, warnings, err := s.schema(t.Context(), a); err != nil || len(warnings) > 0 {
			t.Errorf("%s, whose type is given: %q, %v", text, warnings, err)
		}
	}
}

// pandas reads the same rows with json_normalize and record_path.
func TestFieldReadsTheSameRowsAsPandas(t *testing.T) {
	dir := t.TempDir()
	out := reference.Python(t, `
import json, random, sys, pandas
random.seed(7)
for n in range(50):
    keys = random.sample(['data', 'a.b', 'ä', 'x y', 'result'], random.randint(1, 3))
    rows = [{'id': i, 'text': random.choice(['x', '}', ']', '"', '\\'])} for i in range(random.randint(2, 40))]
    doc = rows
    for key in reversed(keys):
        others = {'k%d' % i: random.choice([1, None, 'x', [1, {'data': []}], {'data': {'a': '"'}}]) for i in range(random.randint(0, 4))}
        items = list(others.items()) + [(key, doc)]
        random.shuffle(items)
        doc = dict(items)
    open('%s/%d.json' % (sys.argv[1], n), 'w').write(json.dumps(doc, indent=random.choice([None, 1])))
    read = pandas.json_normalize(doc, record_path=keys)
    field = '.'.join(k.replace('.', '\\.') for k in keys)
    print(json.dumps([field] + ['%d|%s' % (i, t) for i, t in zip(read['id'], read['text'])]))
`, dir)
	for n, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		want := decodeStrings(t, line)
		a := usualJSONL()
		a.Field = want[0]
		_, got, err := readJSONL(t, a, place{dir, fmt.Sprintf("%d.json", n)})
		if err != nil || fmt.Sprintf("%q", got.rows) != fmt.Sprintf("%q", want[1:]) {
			t.Errorf("%d.json, field %s: %v, %v", n, want[0], got, err)
		}
	}
}

func decodeStrings(t *testing.T, line string) (out []string) {
	t.Helper()
	if err := json.Unmarshal([]byte(line), &out); err != nil {
		t.Fatal(err)
	}
	return out
}
