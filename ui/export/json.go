package export

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/quern-dev/quern/internal/printable"
	"github.com/quern-dev/quern/sdk/go/data"
)

// jsonLines writes an object a row, with the columns in the order of the schema
// and null where a value is missing.
type jsonLines struct {
	w      io.Writer
	schema data.Schema
	values encoder
	rows   int64
	buffer []byte
}

func (j *jsonLines) Write(rec arrow.RecordBatch) error {
	for i := range int(rec.NumRows()) {
		j.buffer = append(j.buffer, '{')
		for c, column := range j.schema {
			if c > 0 {
				j.buffer = append(j.buffer, ',')
			}
			j.buffer = append(appendString(j.buffer, column.Name), ':')
			var err error
			if j.buffer, err = j.values.append(j.buffer, rec.Column(c), i); err != nil {
				return rowError(j.rows+int64(i), column.Name, err)
			}
		}
		j.buffer = append(j.buffer, "}\n"...)
		if len(j.buffer) >= flushAt {
			if err := j.Close(); err != nil {
				return err
			}
		}
	}
	j.rows += rec.NumRows()
	return nil
}

func (j *jsonLines) Close() error {
	_, err := j.w.Write(j.buffer)
	j.buffer = j.buffer[:0]
	return err
}

// flushAt is how many bytes are gathered before they are written.
const flushAt = 256 << 10

var (
	errNotFinite = errors.New("JSON cannot represent NaN and infinities")
	errNotUTF8   = errors.New("the text is not UTF-8")
	errYear      = errors.New("RFC 3339 cannot represent years before 0 and after 9999")
)

// encoder writes values as JSON.
type encoder struct {
	// shown: a number that JSON has no form for becomes a string, since the rows
	// are for people rather than for another program.
	shown bool
}

// append appends the value at i.
func (e encoder) append(dst []byte, a arrow.Array, i int) ([]byte, error) {
	if isNull(a, i) {
		return append(dst, "null"...), nil
	}
	switch a := a.(type) {
	case *array.String:
		if !utf8.ValidString(a.Value(i)) {
			return nil, errNotUTF8
		}
		return appendString(dst, a.Value(i)), nil
	case *array.Int64:
		return strconv.AppendInt(dst, a.Value(i), 10), nil
	case *array.Float64:
		return e.float(dst, a.Value(i))
	case *array.Boolean:
		return strconv.AppendBool(dst, a.Value(i)), nil
	case *array.List:
		return e.list(dst, a, i)
	case *array.Struct:
		return e.object(dst, a, i)
	}
	text, err := scalarText(a, i)
	if err != nil {
		return nil, err
	}
	return appendString(dst, text), nil
}

func (e encoder) list(dst []byte, a *array.List, i int) (_ []byte, err error) {
	values, from, to := elements(a, i)
	dst = append(dst, '[')
	for k := from; k < to; k++ {
		if k > from {
			dst = append(dst, ',')
		}
		if dst, err = e.append(dst, values, k); err != nil {
			return nil, err
		}
	}
	return append(dst, ']'), nil
}

func (e encoder) object(dst []byte, a *array.Struct, i int) (_ []byte, err error) {
	dst = append(dst, '{')
	for f, field := range a.DataType().(*arrow.StructType).Fields() {
		if f > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendString(dst, field.Name), ':')
		if dst, err = e.append(dst, a.Field(f), i); err != nil {
			return nil, fmt.Errorf("field %q: %w", field.Name, err)
		}
	}
	return append(dst, '}'), nil
}

func (e encoder) float(dst []byte, f float64) ([]byte, error) {
	if !math.IsNaN(f) && !math.IsInf(f, 0) {
		return appendFloat(dst, f), nil
	}
	if e.shown {
		return append(append(append(dst, '"'), nonFinite(f)...), '"'), nil
	}
	return nil, errNotFinite
}

// nonFinite is how JavaScript, Python, and Go name such a number.
func nonFinite(f float64) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case f > 0:
		return "Infinity"
	}
	return "-Infinity"
}

// appendFloat writes the shortest text that reads back as f. It keeps the point,
// so that a column of floats stays one in tools that guess types.
func appendFloat(dst []byte, f float64) []byte {
	at := len(dst)
	dst = strconv.AppendFloat(dst, f, floatForm(f), -1, 64)
	if !bytes.ContainsAny(dst[at:], ".e") {
		dst = append(dst, ".0"...)
	}
	return dst
}

// floatForm is the form that ECMAScript gives a number: an exponent for what is
// very large or very small.
func floatForm(f float64) byte {
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		return 'e'
	}
	return 'f'
}

// appendString quotes a text without the escapes for HTML that encoding/json
// adds, but with those that a terminal needs.
func appendString(dst []byte, s string) []byte {
	if isPlain(s) {
		return append(append(append(dst, '"'), s...), '"')
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil { // a string always has a form
		panic(err)
	}
	return append(dst, printable.JSON(bytes.TrimRight(b.Bytes(), "\n"))...)
}

// isPlain reports whether a text needs no escapes.
func isPlain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= 0x7f {
			return false
		}
	}
	return true
}

// scalarText is the text of a value of the types that JSON has no form of its own
// for.
func scalarText(a arrow.Array, i int) (string, error) {
	switch a := a.(type) {
	case *array.Binary:
		return base64.StdEncoding.EncodeToString(a.Value(i)), nil
	case *array.Date32:
		return timeText(a.Value(i).ToTime(), time.DateOnly)
	case *array.Timestamp:
		unit := a.DataType().(*arrow.TimestampType).Unit
		return timeText(a.Value(i).ToTime(unit).UTC(), time.RFC3339Nano)
	}
	return "", fmt.Errorf("values of type %s cannot be exported", a.DataType())
}

func timeText(t time.Time, layout string) (string, error) {
	if year := t.Year(); year < 0 || year > 9999 {
		return "", errYear
	}
	return t.Format(layout), nil
}
