// Package arrowjson writes the values of Arrow arrays as JSON: for exports, for
// people, and for string columns that contain JSON.
package arrowjson

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/quern-dev/quern/internal/printable"
)

// The errors for values that JSON cannot represent.
var (
	ErrNotFinite = errors.New("JSON cannot represent NaN and infinities")
	ErrNotUTF8   = errors.New("the text is not UTF-8")
	ErrYear      = errors.New("RFC 3339 cannot represent years before 0 and after 9999")
)

// Encoder writes values as JSON. The zero Encoder is ready to use.
type Encoder struct {
	// NonFinite writes NaN and infinities as strings, for people rather than
	// programs. Without it, they are errors.
	NonFinite bool
}

// Append appends the value at i to dst. Floats keep their decimal point, binary
// values are Base64, and dates and timestamps are as in RFC 3339. The error is
// one of the variables of this package, or names a type that JSON cannot
// represent.
func (e Encoder) Append(dst []byte, a arrow.Array, i int) ([]byte, error) {
	if a.IsNull(i) || a.DataType().ID() == arrow.NULL {
		return append(dst, "null"...), nil
	}
	switch a := a.(type) {
	case *array.String:
		if !utf8.ValidString(a.Value(i)) {
			return nil, ErrNotUTF8
		}
		return AppendString(dst, a.Value(i)), nil
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
	text, err := Text(a, i)
	if err != nil {
		return nil, err
	}
	return AppendString(dst, text), nil
}

func (e Encoder) list(dst []byte, a *array.List, i int) (_ []byte, err error) {
	from, to := a.ValueOffsets(i)
	dst = append(dst, '[')
	for k := from; k < to; k++ {
		if k > from {
			dst = append(dst, ',')
		}
		if dst, err = e.Append(dst, a.ListValues(), int(k)); err != nil {
			return nil, err
		}
	}
	return append(dst, ']'), nil
}

func (e Encoder) object(dst []byte, a *array.Struct, i int) (_ []byte, err error) {
	dst = append(dst, '{')
	for f, field := range a.DataType().(*arrow.StructType).Fields() {
		if f > 0 {
			dst = append(dst, ',')
		}
		dst = append(AppendString(dst, field.Name), ':')
		if dst, err = e.Append(dst, a.Field(f), i); err != nil {
			return nil, fmt.Errorf("field %q: %w", field.Name, err)
		}
	}
	return append(dst, '}'), nil
}

func (e Encoder) float(dst []byte, f float64) ([]byte, error) {
	if !math.IsNaN(f) && !math.IsInf(f, 0) {
		return AppendFloat(dst, f), nil
	}
	if e.NonFinite {
		return append(append(append(dst, '"'), NonFinite(f)...), '"'), nil
	}
	return nil, ErrNotFinite
}

// NonFinite returns the name of such a number in JavaScript, Python, and Go.
func NonFinite(f float64) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case f > 0:
		return "Infinity"
	}
	return "-Infinity"
}

// AppendFloat writes the shortest text that reads back as f. It keeps the
// decimal point, so that tools that guess types still see a column of floats.
func AppendFloat(dst []byte, f float64) []byte {
	at := len(dst)
	dst = strconv.AppendFloat(dst, f, floatForm(f), -1, 64)
	if !bytes.ContainsAny(dst[at:], ".e") {
		dst = append(dst, ".0"...)
	}
	return dst
}

// floatForm returns ECMAScript's format for a number: with an exponent if it is
// very large or very small.
func floatForm(f float64) byte {
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		return 'e'
	}
	return 'f'
}

// AppendString quotes a text without the HTML escapes that encoding/json adds,
// but with the escapes that a terminal needs.
func AppendString(dst []byte, s string) []byte {
	if isPlain(s) {
		return append(append(append(dst, '"'), s...), '"')
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil { // cannot fail for a string
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

// Text returns the text of a value whose type JSON does not have: binary, date,
// and timestamp.
func Text(a arrow.Array, i int) (string, error) {
	switch a := a.(type) {
	case *array.Binary:
		return base64.StdEncoding.EncodeToString(a.Value(i)), nil
	case *array.Date32:
		return timeText(a.Value(i).ToTime(), time.DateOnly)
	case *array.Timestamp:
		unit := a.DataType().(*arrow.TimestampType).Unit
		return timeText(a.Value(i).ToTime(unit).UTC(), time.RFC3339Nano)
	}
	return "", fmt.Errorf("values of type %s have no form in JSON", a.DataType())
}

func timeText(t time.Time, layout string) (string, error) {
	if year := t.Year(); year < 0 || year > 9999 {
		return "", ErrYear
	}
	return t.Format(layout), nil
}
