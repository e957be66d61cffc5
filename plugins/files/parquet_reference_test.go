package files

import (
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/quern-dev/quern/internal/reference"
	"github.com/quern-dev/quern/sdk/go/data"
)

//go:embed testdata/parquet_reference.py
var parquetReference string

// expected is the reference's description of a file.
type expected struct {
	Columns data.Schema `json:"columns"`
	Rows    []string    `json:"rows"`
	// Refused is a part of the error that quern must return. Unreadable says
	// why the reference itself cannot read the file.
	Refused    string `json:"refused"`
	Unreadable string `json:"unreadable"`
}

// exact is a rowWriter that keeps rows as texts, in which different values are
// different.
type exact struct {
	discard
	rows []string
}

func (e *exact) Write(rec arrow.RecordBatch) error {
	for i := range int(rec.NumRows()) {
		values := make([]string, rec.NumCols())
		for k, column := range rec.Columns() {
			values[k] = exactValue(column, i)
		}
		e.rows = append(e.rows, strings.Join(values, "|"))
	}
	return nil
}

func exactValue(a arrow.Array, i int) string {
	if a.IsNull(i) {
		return "null"
	}
	switch a := a.(type) {
	case *array.Boolean:
		return strconv.FormatBool(a.Value(i))
	case *array.Int64:
		return strconv.FormatInt(a.Value(i), 10)
	case *array.Float64:
		if math.IsNaN(a.Value(i)) {
			return "nan"
		}
		return fmt.Sprintf("%016x", math.Float64bits(a.Value(i)))
	case *array.String:
		return pythonQuoted(a.Value(i))
	case *array.Binary:
		return "x" + hex.EncodeToString(a.Value(i))
	case *array.Date32:
		return fmt.Sprintf("d%d", a.Value(i))
	case *array.Timestamp:
		return fmt.Sprintf("t%d", a.Value(i))
	case *array.List:
		from, until := a.ValueOffsets(i)
		var parts []string
		for k := from; k < until; k++ {
			parts = append(parts, exactValue(a.ListValues(), int(k)))
		}
		return "[" + strings.Join(parts, ",") + "]"
	case *array.Struct:
		var parts []string
		for k := range a.NumField() {
			parts = append(parts, exactValue(a.Field(k), i))
		}
		return "{" + strings.Join(parts, ",") + "}"
	}
	return fmt.Sprintf("%T", a)
}

// pythonQuoted quotes a text like Python's json module.
func pythonQuoted(text string) string {
	var out strings.Builder
	out.WriteByte('"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			out.WriteString(`\` + string(r))
		case r == '\n':
			out.WriteString(`\n`)
		case r == '\r':
			out.WriteString(`\r`)
		case r == '\t':
			out.WriteString(`\t`)
		case r == '\b':
			out.WriteString(`\b`)
		case r == '\f':
			out.WriteString(`\f`)
		case r >= 0x10000:
			fmt.Fprintf(&out, `\u%04x\u%04x`, 0xd800+(r-0x10000)>>10, 0xdc00+(r-0x10000)&0x3ff)
		case r < ' ' || r >= 0x7f:
			fmt.Fprintf(&out, `\u%04x`, r)
		default:
			out.WriteRune(r)
		}
	}
	out.WriteByte('"')
	return out.String()
}

// compareWithReference reads a file and compares it with the reference.
func compareWithReference[A any, F arguments[A]](t *testing.T, a F, path string) {
	t.Helper()
	text, err := os.ReadFile(strings.TrimSuffix(path, filepath.Ext(path)) + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var want expected
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	name := filepath.Base(path)
	schema, rows, err := readExactly(t, a, path)
	switch {
	case want.Unreadable != "":
		// quern may be able to read more files, but must not crash.
	case want.Refused != "" && (err == nil || !strings.Contains(err.Error(), want.Refused)):
		t.Errorf("%s: error %v, want %q", name, err, want.Refused)
	case want.Refused != "":
	case err != nil:
		t.Errorf("%s: %v\ncolumns: %s", name, err, describeSchema(want.Columns))
	case describeSchema(schema) != describeSchema(want.Columns):
		t.Errorf("%s: columns\n%s\nwant\n%s", name, describeSchema(schema), describeSchema(want.Columns))
	case len(rows) != len(want.Rows):
		t.Errorf("%s: %d rows, want %d", name, len(rows), len(want.Rows))
	default:
		for i := range rows {
			if rows[i] != want.Rows[i] {
				t.Errorf("%s: %s\nrow %d: %s\nwant:   %s", name, describeSchema(schema), i, rows[i], want.Rows[i])
				return
			}
		}
	}
}

func readExactly[A any, F arguments[A]](t *testing.T, a F, path string) (data.Schema, []string, error) {
	t.Helper()
	p := place{filepath.Dir(path), filepath.Base(path)}
	*a.located() = Located{Path: p.path, Partitions: "none"}
	schema, _, err := source[A, F]{root: func() string { return p.root }}.schema(t.Context(), a)
	if err != nil {
		return nil, nil, err
	}
	files, err := p.find()
	if err != nil {
		return nil, nil, err
	}
	out := &exact{}
	err = readFiles(t.Context(), a, files, schema, nil, out)
	return schema, out.rows, err
}

func TestHuntParquetFilesAreReadAsByPyarrow(t *testing.T) {
	const atOnce = 300
	for seed := range reference.Rounds(1, 40) {
		dir := t.TempDir()
		reference.Python(t, parquetReference, "write", dir, strconv.Itoa(seed), strconv.Itoa(atOnce))
		files, err := filepath.Glob(filepath.Join(dir, "*.parquet"))
		if err != nil || len(files) < atOnce/2 {
			t.Fatalf("%d files, %v", len(files), err)
		}
		for _, path := range files {
			compareWithReference(t, &parquetArgs{}, path)
		}
	}
}
