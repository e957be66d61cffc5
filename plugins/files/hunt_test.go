package files

import (
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/quern-dev/quern/internal/reference"
)

// arrays is a rowWriter that keeps batches.
type arrays struct {
	nowhere
	batches []arrow.RecordBatch
}

func (a *arrays) Write(rec arrow.RecordBatch) error {
	rec.Retain()
	a.batches = append(a.batches, rec)
	return nil
}

// writeCSV writes tables in random dialects, and prints what it wrote: one file
// per line, with the rows. Null is an empty field without quotes.
const writeCSV = `
import csv, io, json, random, sys, os
folder, rounds = sys.argv[1], int(sys.argv[2])
random.seed(7)
pieces = ['a', 'b c', ' ', ',', ';', '\t', '|', '"', '""', '\n', '\r\n', '\r', 'é', '日本', '😀', '\u2028', '1', '-0.5', 'NA', "'", '\\', '#']
plain = ['a', 'b c', ',', ';', '"', '\n', '1', "'", 'x']
for n in range(rounds):
    encoding = random.choice(['utf-8', 'utf-8-sig', 'utf-16', 'utf-16-le', 'utf-16-be', 'utf-32', 'cp1252', 'shift_jis', 'gb18030', 'mac_roman'])
    wide = encoding.startswith('utf') or encoding == 'gb18030'
    columns = random.randint(2, 5)
    rows = [[''.join(random.choices(pieces if wide else plain, k=random.choice([0, 1, 1, 2, 5]))) for _ in range(columns)] for _ in range(random.randint(0, 12))]
    end = random.choice(['\n', '\r\n', '\r'])
    delimiter = random.choice(',\t;|')
    # Old versions of Python leave line breaks of another kind without quotes.
    every = random.random() < 0.3 or any('\r' in c or '\n' in c for r in rows for c in r)
    out = io.StringIO(newline='')
    w = csv.writer(out, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL if every else csv.QUOTE_MINIMAL)
    w.writerow(['c%d' % i for i in range(columns)])
    for r in rows:
        w.writerow(r)
        if random.random() < 0.1:
            out.write(end)
    text = out.getvalue()
    if random.random() < 0.3:
        text = text[:-len(end)]
    with open(os.path.join(folder, '%d.csv' % n), 'wb') as f:
        f.write(text.encode(encoding))
    read = [r for r in csv.reader(io.StringIO(text, newline=''), delimiter=delimiter) if r][1:]
    assert read == rows, (read, rows)
    names = {'utf-8-sig': 'utf-8', 'utf-16': 'utf-8', 'utf-32': 'utf-8'}
    print(json.dumps({'encoding': names.get(encoding, encoding), 'columns': columns, 'rows': [[None if c == '' and not every else c for c in r] for r in rows]}))
`

func TestHuntForCSVFilesThatPythonReadsDifferently(t *testing.T) {
	dir := t.TempDir()
	out := reference.Python(t, writeCSV, dir, strconv.Itoa(reference.Rounds(300, 20_000)))
	for n, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		var want struct {
			Encoding string
			Columns  int
			Rows     [][]*string
		}
		if err := json.Unmarshal([]byte(line), &want); err != nil {
			t.Fatal(err)
		}
		a := usualCSV()
		a.Encoding, a.Schema = want.Encoding, map[string]string{}
		for i := range want.Columns {
			a.Schema[fmt.Sprintf("c%d", i)] = "string"
		}
		p := place{dir, fmt.Sprintf("%d.csv", n)}
		schema, _, err := readCSV(t, a, p)
		kept := &arrays{}
		if err == nil {
			files, _ := p.find()
			err = readFiles(t.Context(), a, files, schema, nil, kept)
		}
		if err != nil {
			t.Errorf("%s: %v\nrows: %s", p.path, err, line)
			continue
		}
		rows := 0
		for _, rec := range kept.batches {
			for i := range int(rec.NumRows()) {
				for c, w := range want.Rows[rows] {
					column := rec.Column(c).(*array.String)
					if (w == nil) != column.IsNull(i) || w != nil && *w != column.Value(i) {
						t.Errorf("%s: row %d, column %d: %q (null: %t), in %s", p.path, rows, c, column.Value(i), column.IsNull(i), line)
					}
				}
				rows++
			}
		}
		if rows != len(want.Rows) {
			t.Errorf("%s: %d rows, want %d", p.path, rows, len(want.Rows))
		}
	}
}

// writeJSON writes random objects in random layouts, and prints what Python's
// json module reads: each value with its type.
const writeJSON = `
import json, math, random, sys, os
folder, rounds = sys.argv[1], int(sys.argv[2])
random.seed(11)
def scalar(kind):
    if kind == 'int': return random.choice([0, 1, -5, 2**31, 10**15])
    if kind == 'big': return random.choice([1, 2**53 + 1, 2**63 - 1, 2**63, 2**64 + 1, -2**70])
    if kind == 'float': return random.choice([0.1, -2.5, 1e300, 5e-324, 1/3, math.nan, math.inf, -math.inf, 3, 2**53])
    if kind == 'mixed': return random.choice([0.5, 2**53 + 1, 7])
    if kind == 'bool': return random.random() < 0.5
    return ''.join(random.choices(['a', '"', '\\', '/', '\n', '\t', '\x00', 'é', '😀', '\u2028', '{', ']', '\x7f'], k=random.randint(0, 4)))
def shape(depth):
    kind = random.choice(['int', 'big', 'float', 'mixed', 'bool', 'text', 'any', 'null'] + (['list', 'object'] * 2 if depth < 4 else []))
    if kind == 'list': return [shape(depth + 1)]
    if kind == 'object': return {k: shape(depth + 1) for k in random.sample(['a', 'b', 'é', 'x y', 'A', 'q"'], random.randint(0, 3))}
    return kind
def value(s):
    if random.random() < 0.1: return None
    if isinstance(s, list): return [value(s[0]) for _ in range(random.randint(0, 3))]
    if isinstance(s, dict): return {k: value(v) for k, v in random.sample(list(s.items()), len(s)) if random.random() < 0.8}
    if s == 'null': return None
    if s == 'any': return value(random.choice(['int', 'text', 'bool', 'float', ['int'], {'a': 'text'}]))
    return scalar(s)
def tagged(v):
    if v is None: return ['n']
    if v is True or v is False: return ['b', str(v).lower()]
    if isinstance(v, int): return ['i', str(v)]
    if isinstance(v, float): return ['f', repr(v)]
    if isinstance(v, str): return ['s', v]
    if isinstance(v, list): return ['l', [tagged(x) for x in v]]
    return ['o', {k: tagged(x) for k, x in v.items()}]
for n in range(rounds):
    s = {k: shape(1) for k in random.sample(['id', 'text', 'é', 'a b'], random.randint(1, 4))}
    rows = [value(s) or {} for _ in range(random.randint(1, 8))]
    rows[0].setdefault('first', 1)
    layout, indent, ascii = random.choice(['lines', 'list', 'more']), random.choice([None, None, 1]), random.random() < 0.5
    if layout == 'lines':
        text = random.choice(['\n', '\r\n', '\n\n']).join(json.dumps(r, ensure_ascii=ascii) for r in rows)
    elif layout == 'list':
        text = json.dumps(rows, indent=indent, ensure_ascii=ascii)
    else:
        text = random.choice(['', ' ', '\n']).join(json.dumps(r, indent=indent, ensure_ascii=ascii) for r in rows)
    with open(os.path.join(folder, '%d.json' % n), 'wb') as f:
        f.write(text.encode(random.choice(['utf-8', 'utf-8-sig', 'utf-16'])))
    print(json.dumps([tagged(r) for r in rows]))
`

// tagged is a JSON value with its type: null, bool, int, float, string, list,
// or object.
type tagged struct {
	kind   string
	text   string
	list   []tagged
	object map[string]tagged
}

func (v *tagged) UnmarshalJSON(b []byte) error {
	var parts []json.RawMessage
	if err := json.Unmarshal(b, &parts); err != nil {
		return err
	}
	if err := json.Unmarshal(parts[0], &v.kind); err != nil || v.kind == "n" {
		return err
	}
	switch v.kind {
	case "l":
		return json.Unmarshal(parts[1], &v.list)
	case "o":
		return json.Unmarshal(parts[1], &v.object)
	}
	return json.Unmarshal(parts[1], &v.text)
}

// differs describes how a value of a column differs from the one that was
// written. It returns "" if it does not.
func (v tagged) differs(a arrow.Array, i int) string {
	if a.IsNull(i) || v.kind == "n" || v.kind == "" {
		if a.IsNull(i) != (v.kind == "n" || v.kind == "") {
			return fmt.Sprintf("null: %t, want %v", a.IsNull(i), v)
		}
		return ""
	}
	switch a := a.(type) {
	case *array.Int64:
		if v.kind == "i" && strconv.FormatInt(a.Value(i), 10) == v.text {
			return ""
		}
	case *array.Float64:
		f, err := strconv.ParseFloat(v.text, 64)
		if (v.kind == "i" || v.kind == "f") && err == nil && (f == a.Value(i) || math.IsNaN(f) && math.IsNaN(a.Value(i))) && (v.kind == "f" || strconv.FormatFloat(f, 'f', 0, 64) == v.text) {
			return ""
		}
	case *array.Boolean:
		if v.kind == "b" && strconv.FormatBool(a.Value(i)) == v.text {
			return ""
		}
	case *array.String:
		return v.differsFromText(a.Value(i))
	case *array.List:
		from, to := a.ValueOffsets(i)
		if v.kind != "l" || int(to-from) != len(v.list) {
			break
		}
		for k, e := range v.list {
			if problem := e.differs(a.ListValues(), int(from)+k); problem != "" {
				return problem
			}
		}
		return ""
	case *array.Struct:
		fields := a.DataType().(*arrow.StructType)
		for name := range v.object {
			if _, ok := fields.FieldIdx(name); !ok {
				return fmt.Sprintf("there is no field %q", name)
			}
		}
		for k, f := range fields.Fields() {
			if problem := v.object[f.Name].differs(a.Field(k), i); problem != "" {
				return problem
			}
		}
		return ""
	}
	return fmt.Sprintf("%s, want %v", a.ValueStr(i), v)
}

// differsFromText compares a value with the text in a string column: strings
// must be equal, and other values must be equal as JSON.
func (v tagged) differsFromText(text string) string {
	same := text == v.text
	switch v.kind {
	case "f":
		got, err := strconv.ParseFloat(text, 64)
		want, _ := strconv.ParseFloat(v.text, 64)
		same = err == nil && (got == want || math.IsNaN(got) && math.IsNaN(want))
	case "l", "o":
		var s syntax
		n, err := s.extent([]byte(text), true)
		same = err == nil && n == len(text) && (text[0] == '[') == (v.kind == "l")
	}
	if !same {
		return fmt.Sprintf("%q, want %v", text, v)
	}
	return ""
}

func TestHuntForJSONFilesThatPythonReadsDifferently(t *testing.T) {
	dir := t.TempDir()
	out := reference.Python(t, writeJSON, dir, strconv.Itoa(reference.Rounds(500, 50_000)))
	for n, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		var want []tagged
		if err := json.Unmarshal([]byte(line), &want); err != nil {
			t.Fatal(err)
		}
		p, a := place{dir, fmt.Sprintf("%d.json", n)}, usualJSONL()
		schema, _, err := readJSONL(t, a, p)
		kept := &arrays{}
		if err == nil {
			files, _ := p.find()
			err = readFiles(t.Context(), a, files, schema, nil, kept)
		}
		if err != nil {
			t.Errorf("%s: %v\nrows: %s", filepath.Base(p.path), err, line)
			continue
		}
		rows := 0
		for _, rec := range kept.batches {
			for i := range int(rec.NumRows()) {
				for c, column := range rec.Columns() {
					if problem := want[rows].object[schema[c].Name].differs(column, i); problem != "" {
						t.Errorf("%s: row %d, column %q: %s", p.path, rows, schema[c].Name, problem)
					}
				}
				rows++
			}
		}
		if rows != len(want) {
			t.Errorf("%s: %d rows, want %d", p.path, rows, len(want))
		}
	}
}
