package files

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

type csvArgs struct {
	Located
	Encoded
	Schema     map[string]string `quern:"schema" doc:"The types of columns: 'string', 'int64', 'float64', 'bool', 'date' (2026-01-31) or 'timestamp' (ISO 8601; UTC if no time zone is given). The types of other columns are inferred from the first rows; numbers with leading zeros or a plus sign stay strings."`
	Delimiter  *string           `quern:"delimiter" doc:"The character between fields, such as \",\", \";\" or \"\t\". Without it, quern detects it for each file: the comma, tab, semicolon, or bar that splits the first rows into the same number of fields."`
	Quote      string            `quern:"quote" default:"\"\\\"\"" doc:"The character around fields that contain delimiters or line breaks. \"\" turns quoting off."`
	Escape     string            `quern:"escape" doc:"The character that escapes a quote inside a quoted field. Without it, a quote inside a quoted field is doubled."`
	Header     bool              `quern:"header" default:"true" doc:"Whether each file begins with a header of column names. If several columns have the same name, all but the first get a suffix: _1, _2, and so on."`
	Columns    []string          `quern:"columns" doc:"The columns to read, in this order. The default is all columns. If the file has no header, these are the names of its columns in order; the default is column0, column1, and so on."`
	NullValues []string          `quern:"null_values" default:"[\"\"]" doc:"The values that mean null. In a string column, a quoted field is never null: '\"\"' is an empty string."`
	Skip       int64             `quern:"skip" default:"0" doc:"The number of lines to skip at the beginning of each file, before the header."`
	OnError    string            `quern:"on_error" default:"\"fail\"" oneof:"fail,quarantine" doc:"What to do with a malformed row: one with too few or too many fields, a value that does not fit its column's type, or an unclosed quote. 'fail' fails the stage and reports the file and line. 'quarantine' sets the row aside, counts it, and continues."`
	SampleRows int64             `quern:"sample_rows" default:"20480" doc:"The number of rows that types are inferred from."`
}

const csvDoc = `Reads rows from CSV files: comma-separated values, and their kin with tabs, semicolons, or bars. Files may be compressed with gzip, zstd, bzip2, or xz.

Lines end with LF, CRLF, or CR. Types are inferred from the first ` + "`sample_rows`" + ` rows unless ` + "`schema`" + ` gives them; a number that neither int64 nor float64 holds with all its digits stays a string. Empty lines and empty files are passed over. If malformed rows are not set aside, the first rows are checked when planning.

` + "```hcl" + `
source "csv" "tickets" {
  path   = "data/*.csv.gz"
  schema = { zip = "string", created = "timestamp" }
}
` + "```"

// selection treats columns as a choice only if the files name their columns.
func (a *csvArgs) selection() selection {
	if !a.Header {
		return selection{types: a.Schema}
	}
	return selection{types: a.Schema, columns: a.Columns}
}

func (a *csvArgs) check() error {
	if _, err := a.dialect(); err != nil {
		return err
	}
	if a.Skip < 0 {
		return plugin.ArgumentErrorf("skip", "Cannot skip %d lines\nskip must be a whole number, 0 or more.", a.Skip)
	}
	if err := checkSample(a.SampleRows); err != nil {
		return err
	}
	return checkTextTypes(a.Schema)
}

// checkSample checks the argument sample_rows for all formats that infer types.
func checkSample(rows int64) error {
	if rows < 1 {
		return plugin.ArgumentErrorf("sample_rows", "Cannot infer types from %d rows\nsample_rows must be a whole number, 1 or more.", rows)
	}
	return nil
}

// dialect returns the dialect that the arguments describe. If they do not set
// the delimiter, it is 0.
func (a *csvArgs) dialect() (dialect, error) {
	var d dialect
	var err error
	if a.Delimiter != nil {
		if d.delimiter, err = sign("delimiter", *a.Delimiter); err != nil {
			return d, err
		}
	}
	if a.Delimiter != nil && d.delimiter == 0 {
		return d, plugin.ArgumentErrorf("delimiter", "The delimiter is empty\nGive the character between fields, such as \",\" or \"\\t\".")
	}
	if d.quote, err = sign("quote", a.Quote); err != nil {
		return d, err
	}
	if d.escape, err = sign("escape", a.Escape); err != nil {
		return d, err
	}
	if d.escape == 0 {
		d.escape = d.quote
	}
	if d.quote == d.delimiter && d.quote != 0 {
		return d, plugin.ArgumentErrorf("quote", "The quote and the delimiter are the same character\nSet quote = \"\" if the files have no quotes.")
	}
	return d, nil
}

// sign returns the only ASCII character of an argument, or 0 if the argument is
// empty.
func sign(argument, text string) (byte, error) {
	if text == "" {
		return 0, nil
	}
	if len(text) > 1 || text[0] >= 0x80 || text[0] == '\n' || text[0] == '\r' {
		return 0, plugin.ArgumentErrorf(argument, "%q is not one ASCII character\nWrite one, such as \",\" or \"\\t\".", text)
	}
	return text[0], nil
}

// textTypes are the column types that CSV files can contain.
var textTypes = []string{"string", "int64", "float64", "bool", "date", "timestamp"}

func checkTextTypes(schema map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(schema)) {
		if typ := schema[name]; !slices.Contains(textTypes, typ) {
			return plugin.ArgumentErrorf("schema", "Column %q has the type %q in schema, but a CSV file cannot contain it\nUse one of %s.", name, typ, strings.Join(textTypes, ", "))
		}
	}
	return nil
}

// openCSV is a file that is being read.
type openCSV struct {
	csvReader
	file file
	text *decoded
	// names contains the names of the file's columns. It is nil if the file has
	// no header and no record was read yet.
	names []string
	// empty says that the file contains nothing, not even a header.
	empty bool
}

// open opens a file and reads its header. If it has none, the names are nil
// until the first record shows how many columns there are.
func (a *csvArgs) open(f file, read *atomic.Int64) (*openCSV, error) {
	d, err := a.dialect()
	if err != nil {
		return nil, err
	}
	text, err := f.text(a.Encoding, read)
	if err != nil {
		return nil, err
	}
	o := &openCSV{csvReader: csvReader{window: newWindow(text), dialect: d}, file: f, text: text}
	if err := a.begin(o); err != nil {
		text.Close()
		return nil, err
	}
	return o, nil
}

// begin reads what comes before the first row, and determines the file's
// dialect.
func (a *csvArgs) begin(o *openCSV) error {
	err := o.findEnding(0)
	if err == nil {
		err = o.skip(int(a.Skip))
	}
	if err == nil {
		err = o.findEnding(o.quote)
	}
	if err == nil && o.delimiter == 0 {
		o.delimiter, err = o.findDelimiter()
	}
	if err == nil && a.Header {
		err = o.next()
	}
	switch {
	case errors.Is(err, io.EOF):
		o.empty = true
		return nil
	case errors.Is(err, errAmbiguous):
		return plugin.ArgumentErrorf("path", "%s: %w", o.file.name, err)
	case err != nil:
		return fmt.Errorf("%s:%d: %w", o.file.name, o.place(err), err)
	case !a.Header:
		o.names = slices.Clone(a.Columns)
		return nil
	}
	if err := o.text.check(o.record); err != nil {
		return fmt.Errorf("%s:%d: %w", o.file.name, o.at, err)
	}
	for _, f := range o.fields {
		o.names = append(o.names, string(f.text))
	}
	o.names = UniqueNames(o.names)
	return nil
}

// place returns the line of an error. For a malformed record, it is the line
// where the record began.
func (o *openCSV) place(err error) int {
	if errors.As(err, new(malformed)) {
		return o.at
	}
	return o.line
}

// width makes sure that the record has as many fields as there are columns.
func (o *openCSV) width() error {
	if o.names == nil {
		o.names = UniqueNames(make([]string, len(o.fields)))
	}
	if len(o.fields) != len(o.names) {
		return malformed{fmt.Errorf("the row has %s, but there %s", plural(len(o.fields), "field"), are(len(o.names), "column"))}
	}
	return nil
}

// csvFiles reads CSV files.
type csvFiles struct {
	*csvArgs
	*sink
}

// probed returns 0 if malformed rows are set aside, because they are then not
// errors.
func (a *csvArgs) probed() int64 {
	if a.OnError == "quarantine" {
		return 0
	}
	return a.SampleRows
}

func (a *csvArgs) reader(schema data.Schema, w rowWriter) reader {
	return &csvFiles{a, newSink(w, schema, a.OnError == "quarantine")}
}

func (*csvArgs) inferred() string { return "" }

func (*csvArgs) count([]file) (int64, error) { return -1, nil }

func (r *csvFiles) file(ctx context.Context, f file, read *progress) error {
	before := read.read.Load()
	o, err := r.open(f, &read.read)
	if err != nil {
		return err
	}
	defer o.text.Close()
	defer func() { read.pass(before, o.window, o.text.file) }()
	take := taker{args: r.csvArgs, schema: r.schema, row: make([]parsed, len(r.schema))}
	for !o.empty {
		err := o.next()
		if err == nil {
			err = take.parse(o)
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.As(err, new(malformed)):
			err = r.refuse(f.name, o.at, o.record, err)
		case err != nil:
			return fmt.Errorf("%s:%d: %w", f.name, o.line, err)
		default:
			err = r.add(take.row, len(o.record))
		}
		if err == nil {
			err = read.another(ctx, f.name, r.rows)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// taker converts the records of one file to rows of the schema.
type taker struct {
	args   *csvArgs
	schema data.Schema
	places []int // by column of the schema: its index in the file, or -1 if the file lacks it
	row    []parsed
}

func (t *taker) parse(o *openCSV) error {
	if err := o.text.check(o.record); err != nil {
		return malformed{err}
	}
	if err := o.width(); err != nil {
		return err
	}
	if t.places == nil {
		for _, c := range t.schema {
			t.places = append(t.places, slices.Index(o.names, c.Name))
		}
	}
	for i, c := range t.schema {
		if t.places[i] < 0 {
			t.row[i] = parsed{null: true}
			continue
		}
		f := o.fields[t.places[i]]
		if t.args.null(f, c.Type) {
			t.row[i] = parsed{null: true}
			continue
		}
		v, err := t.value(c, f.text)
		if err != nil {
			return malformed{fmt.Errorf("column %q: %w", c.Name, err)}
		}
		t.row[i] = v
	}
	return nil
}

// value parses a field. If the column's type was inferred, it must be able to
// represent the value exactly.
func (t *taker) value(c data.Column, text []byte) (parsed, error) {
	v, err := parseText(c.Type, text)
	if _, given := t.args.Schema[c.Name]; given {
		return v, err
	}
	if err == nil && c.Type == "float64" && !math.IsNaN(v.f) && !math.IsInf(v.f, 0) && !holdsDigits(string(bytes.TrimSpace(text)), v.f) {
		err = fmt.Errorf("float64 cannot represent all digits of %q", head(text, 60))
	}
	if err != nil {
		err = fmt.Errorf("%w\nThe type was inferred from the first rows. %s If %q stands for a missing value, add it to null_values.", err, typeAdvice(c.Name), head(text, 20))
	}
	return v, err
}

// typeAdvice says how to correct an inferred type.
func typeAdvice(name string) string {
	return fmt.Sprintf("Raise sample_rows to infer it from more rows, or set the type: schema = { %s = \"string\" }.", quoteKey(name))
}

func (a *csvArgs) null(f field, typ string) bool {
	if f.quoted && typ == "string" {
		return false
	}
	for _, n := range a.NullValues {
		if string(f.text) == n {
			return true
		}
	}
	return false
}

func are(n int, what string) string {
	if n == 1 {
		return "is 1 " + what
	}
	return "are " + plural(n, what)
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
