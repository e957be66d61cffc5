package documents

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/quern-dev/quern/plugins/files"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

type excelArgs struct {
	files.Documents
	Sheet      string            `quern:"sheet" doc:"The name of the sheet to read. The default is the first one that is not hidden."`
	Header     bool              `quern:"header" default:"true" doc:"Whether the first row contains the names of the columns. If several columns have the same name, all but the first get a suffix: _1, _2, and so on. Without a header, the names are column0, column1, and so on."`
	Skip       int64             `quern:"skip" default:"0" doc:"The number of rows to skip at the beginning of the sheet, before the header."`
	Schema     map[string]string `quern:"schema" doc:"The types of columns: 'string', 'int64', 'float64', 'bool', 'date', or 'timestamp'. The types of other columns are inferred from the first rows. A string column accepts any value, which is written as it would be in JSON; dates as 2026-01-31."`
	SampleRows int64             `quern:"sample_rows" default:"20480" doc:"The number of rows of each file that types are inferred from."`
}

const excelDoc = `Reads rows from Excel workbooks (.xlsx and .xlsm).

Each row of the sheet is a row with the columns ` + "`path`" + ` and those of the sheet. Columns of several files are joined by name. Types are those of the cells: numbers are int64, or float64 if a number in the column has a fraction; cells with a date or time format are dates or timestamps; a column with values of different kinds is a string. A formula has the result that Excel stored. Rows without values are passed over, and #N/A is null. A row with any other error, or with a value that does not fit the type of its column, is malformed.

Workbooks in older formats (.xls, .xlsb) and workbooks that are protected by a password cannot be read.

` + "```hcl" + `
source "excel" "orders" {
  path   = "orders/*.xlsx"
  sheet  = "Orders"
  schema = { zip = "string" }
}
` + "```"

// Check checks the arguments.
func (a *excelArgs) Check() error {
	if a.Skip < 0 {
		return plugin.ArgumentErrorf("skip", "Cannot skip %d rows\nskip must be a whole number, 0 or more.", a.Skip)
	}
	if a.SampleRows < 1 {
		return plugin.ArgumentErrorf("sample_rows", "Cannot infer types from %d rows\nsample_rows must be a whole number, 1 or more.", a.SampleRows)
	}
	for _, name := range slices.Sorted(maps.Keys(a.Schema)) {
		if typ := a.Schema[name]; !slices.Contains(excelTypes, typ) {
			return plugin.ArgumentErrorf("schema", "Column %q has the type %q in schema, but a workbook cannot contain it\nUse one of %s.", name, typ, strings.Join(excelTypes, ", "))
		}
	}
	return nil
}

var excelTypes = []string{"string", "int64", "float64", "bool", "date", "timestamp"}

// Columns returns nil: the columns are those of the sheet.
func (*excelArgs) Columns() data.Schema { return nil }

// Types returns the types that the user set.
func (a *excelArgs) Types() map[string]string { return a.Schema }

// Recognize refuses what is not in a ZIP archive.
func (*excelArgs) Recognize(head []byte) error {
	return notArchive(head, "an Excel workbook (.xlsx)", "in the older format of Excel (.xls)")
}

// errSampled ends the reading of a sample.
var errSampled = errors.New("the sample is complete")

// Infer returns the columns of the sheet.
func (a *excelArgs) Infer(ctx context.Context, d *files.Document) (*arrow.Schema, error) {
	var names []string
	var kinds []kinds
	left := a.SampleRows
	err := a.rows(ctx, d, func(_ int, header []string, cells []any) error {
		names = header
		for len(kinds) < len(cells) {
			kinds = append(kinds, 0)
		}
		for i, c := range cells {
			kinds[i] |= kindOf(c)
		}
		if left--; left < 0 {
			return errSampled
		}
		return nil
	})
	if err != nil && !errors.Is(err, errSampled) {
		return nil, err
	}
	names = a.names(names, len(kinds))
	fields := make([]arrow.Field, len(names))
	for i, name := range names {
		var k = kindsAt(kinds, i)
		fields[i] = arrow.Field{Name: name, Type: k.typ(), Nullable: true}
	}
	return arrow.NewSchema(fields, nil), nil
}

// names returns the names of n columns.
func (a *excelArgs) names(header []string, n int) []string {
	if !a.Header {
		header = make([]string, n)
	}
	return files.UniqueNames(header)
}

// rows calls use with each row of the sheet that has values, and once with the
// header before the first one.
func (a *excelArgs) rows(ctx context.Context, d *files.Document, use func(number int, header []string, cells []any) error) error {
	z, err := openArchive(d)
	if err != nil {
		return err
	}
	w, err := openWorkbook(z)
	if err != nil {
		return err
	}
	s, err := a.sheet(w)
	if err != nil {
		return err
	}
	var header []string
	begun := false
	return w.rows(s, func(number int, cells []any) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		cells = trimmed(cells)
		if int64(number) <= a.Skip || len(cells) == 0 {
			return nil
		}
		if !begun && a.Header {
			begun = true
			for _, c := range cells {
				header = append(header, strings.TrimSpace(textOf(c)))
			}
			return use(number, header, nil)
		}
		return use(number, header, cells)
	})
}

// trimmed removes the cells without values at the end of a row.
func trimmed(cells []any) []any {
	for len(cells) > 0 && cells[len(cells)-1] == nil {
		cells = cells[:len(cells)-1]
	}
	return cells
}

func (a *excelArgs) sheet(w *workbook) (sheet, error) {
	var names []string
	for _, s := range w.sheets {
		if s.name == a.Sheet || a.Sheet == "" && !s.hidden {
			return s, nil
		}
		names = append(names, strconv.Quote(s.name))
	}
	if a.Sheet == "" {
		return sheet{}, errors.New("it has no sheet that is not hidden\nSet sheet to the name of one.")
	}
	return sheet{}, fmt.Errorf("it has no sheet %q\nIts sheets are %s.", a.Sheet, strings.Join(names, ", "))
}

// Parse reads the rows of the sheet.
func (a *excelArgs) Parse(ctx context.Context, d *files.Document) error {
	columns := d.Columns()
	var places []int
	return a.rows(ctx, d, func(number int, header []string, cells []any) error {
		if places == nil {
			var err error
			if places, err = a.places(columns, header); err != nil {
				return err
			}
		}
		if cells == nil {
			return nil
		}
		values, err := a.row(columns, places, cells)
		if err != nil {
			return d.Refuse(fmt.Sprintf(", row %d", number), rowText(cells), err)
		}
		return d.Row(values...)
	})
}

// places returns the column of the dataset for each column of the sheet, or -1.
// Without a header, these are all columns that a sheet can have.
func (a *excelArgs) places(columns data.Schema, header []string) ([]int, error) {
	if !a.Header {
		header = make([]string, maxColumns)
	}
	places := []int{}
	for _, name := range files.UniqueNames(header) {
		_, i, ok := columns.Lookup(name)
		if !ok && a.Header && a.Documents.Columns == nil {
			return nil, fmt.Errorf("it has a column %q, which the first files do not have\nSet its type in schema, or list the columns to read in columns.", name)
		}
		if !ok {
			i = -1
		}
		places = append(places, i)
	}
	return places, nil
}

func (a *excelArgs) row(columns data.Schema, places []int, cells []any) ([]any, error) {
	values := make([]any, len(columns))
	for i, c := range cells {
		switch {
		case c == nil:
			continue
		case i >= len(places):
			return nil, fmt.Errorf("column %s has a value, but no name", columnName(i))
		case places[i] < 0 && a.Documents.Columns == nil:
			return nil, fmt.Errorf("column %s has a value, but the first rows have none\nRaise sample_rows, or list the columns to read in columns.", columnName(i))
		case places[i] < 0:
			continue
		}
		column := columns[places[i]]
		v, err := converted(column.Type, c)
		if err != nil {
			err = fmt.Errorf("column %q (%s): %w", column.Name, columnName(i), err)
			_, given := a.Schema[column.Name]
			if _, faulty := c.(error); !given && !faulty {
				err = fmt.Errorf("%w\nIf the type was inferred from too few rows, raise sample_rows, or set it in schema.", err)
			}
			return nil, err
		}
		values[places[i]] = v
	}
	return values, nil
}

// kinds are the kinds of values in a column, as bits.
type kinds int

const (
	hasText kinds = 1 << iota
	hasInt
	hasBigInt // an integer that float64 cannot represent
	hasFloat
	hasBool
	hasDate
	hasMoment
)

func kindsAt(all []kinds, i int) kinds {
	if i < len(all) {
		return all[i]
	}
	return 0
}

// maxExact is the largest integer up to which float64 represents all integers.
const maxExact = 1 << 53

func kindOf(c any) kinds {
	switch c := c.(type) {
	case string, clock:
		return hasText
	case int64:
		if c > maxExact || c < -maxExact {
			return hasInt | hasBigInt
		}
		return hasInt
	case float64:
		return hasFloat
	case bool:
		return hasBool
	case dayOf:
		return hasDate
	case time.Time:
		return hasMoment
	}
	return 0
}

// typ returns the type of a column.
func (k kinds) typ() arrow.DataType {
	switch k {
	case 0:
		return arrow.Null
	case hasInt, hasInt | hasBigInt:
		return arrow.PrimitiveTypes.Int64
	case hasFloat, hasInt | hasFloat:
		return arrow.PrimitiveTypes.Float64
	case hasBool:
		return arrow.FixedWidthTypes.Boolean
	case hasDate:
		return arrow.FixedWidthTypes.Date32
	case hasMoment, hasDate | hasMoment:
		return arrow.FixedWidthTypes.Timestamp_us
	}
	return arrow.BinaryTypes.String
}

// converted returns a cell as a value of a column of a type.
func converted(typ string, c any) (any, error) {
	if err, ok := c.(error); ok {
		return nil, err
	}
	switch c := c.(type) {
	case int64:
		switch {
		case typ == "int64":
			return c, nil
		case typ == "float64" && c >= -maxExact && c <= maxExact:
			return float64(c), nil
		}
	case float64:
		switch {
		case typ == "float64":
			return c, nil
		case typ == "int64" && c == math.Trunc(c) && math.Abs(c) <= maxExact:
			return int64(c), nil
		}
	case bool:
		if typ == "bool" {
			return c, nil
		}
	case dayOf:
		if typ == "date" || typ == "timestamp" {
			return c.Time, nil
		}
	case time.Time:
		if typ == "timestamp" {
			return c, nil
		}
	}
	if typ == "string" {
		return textOf(c), nil
	}
	return nil, fmt.Errorf("%q is not a valid %s", textOf(c), typ)
}

// textOf returns a cell as text.
func textOf(c any) string {
	switch c := c.(type) {
	case nil:
		return ""
	case string:
		return c
	case float64:
		return strconv.FormatFloat(c, 'g', -1, 64)
	case dayOf:
		return c.Format(time.DateOnly)
	case clock:
		return c.Format("15:04:05.999")
	case time.Time:
		return c.Format("2006-01-02T15:04:05.999")
	case error:
		first, _, _ := strings.Cut(c.Error(), "\n")
		return first
	}
	return fmt.Sprint(c)
}

// rowText returns the cells of a row as text.
func rowText(cells []any) string {
	texts := make([]string, len(cells))
	for i, c := range cells {
		texts[i] = textOf(c)
	}
	return strings.Join(texts, "\t")
}
