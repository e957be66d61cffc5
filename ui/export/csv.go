package export

import (
	"errors"
	"io"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/quern-dev/quern/internal/arrowjson"
	"github.com/quern-dev/quern/sdk/go/data"
)

// csvRows writes CSV as specified in RFC 4180, but with line feeds. It does not
// use encoding/csv, which cannot quote an empty string, so that it would be
// read as a null.
type csvRows struct {
	w      io.Writer
	schema data.Schema
	rows   int64
	buffer []byte
}

func openCSV(w io.Writer, schema data.Schema) (*csvRows, error) {
	var header []byte
	for c, column := range schema {
		if c > 0 {
			header = append(header, ',')
		}
		header = appendCell(header, column.Name)
	}
	if len(schema) == 0 {
		return nil, errors.New("a CSV file needs at least one column")
	}
	return &csvRows{w: w, schema: schema, buffer: append(header, '\n')}, nil
}

func (c *csvRows) Write(rec arrow.RecordBatch) (err error) {
	for i := range int(rec.NumRows()) {
		for n, column := range c.schema {
			if n > 0 {
				c.buffer = append(c.buffer, ',')
			}
			if len(c.schema) == 1 && isNull(rec.Column(n), i) {
				// Readers skip blank lines, so the row would be lost.
				c.buffer = append(c.buffer, `""`...)
				continue
			}
			if c.buffer, err = appendValue(c.buffer, rec.Column(n), i); err != nil {
				return rowError(c.rows+int64(i), column.Name, err)
			}
		}
		c.buffer = append(c.buffer, '\n')
		if len(c.buffer) >= flushAt {
			if err := c.Close(); err != nil {
				return err
			}
		}
	}
	c.rows += rec.NumRows()
	return nil
}

func (c *csvRows) Close() error {
	_, err := c.w.Write(c.buffer)
	c.buffer = c.buffer[:0]
	return err
}

func appendValue(dst []byte, a arrow.Array, i int) ([]byte, error) {
	if isNull(a, i) {
		return dst, nil
	}
	switch a := a.(type) {
	case *array.String:
		if !utf8.ValidString(a.Value(i)) {
			return nil, arrowjson.ErrNotUTF8
		}
		return appendCell(dst, a.Value(i)), nil
	case *array.Int64, *array.Boolean:
		return arrowjson.Encoder{}.Append(dst, a, i)
	case *array.Float64:
		return appendCSVFloat(dst, a.Value(i)), nil
	case *array.List, *array.Struct:
		text, err := arrowjson.Encoder{}.Append(nil, a, i)
		return appendCell(dst, string(text)), err
	}
	text, err := arrowjson.Text(a, i)
	return appendCell(dst, text), err
}

func appendCSVFloat(dst []byte, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(dst, arrowjson.NonFinite(f)...)
	}
	return arrowjson.AppendFloat(dst, f)
}

// appendCell quotes a text if necessary, including "", to distinguish it from a
// null.
func appendCell(dst []byte, s string) []byte {
	if s != "" && !strings.ContainsAny(s, "\",\n\r") && s[0] != ' ' && s[len(s)-1] != ' ' {
		return append(dst, s...)
	}
	dst = append(dst, '"')
	dst = append(dst, strings.ReplaceAll(s, `"`, `""`)...)
	return append(dst, '"')
}
