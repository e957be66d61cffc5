package files

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// jsonValues parses JSON values into column types.
type jsonValues struct {
	// inferred says that the types were inferred. A number must then be
	// represented exactly, and a key of an object without a field in the struct
	// is an error. Otherwise, such a key is left out.
	inferred bool
}

// parse parses a valid JSON value. s is the shape that the type was inferred
// from, or nil if the user set the type.
func (j jsonValues) parse(t arrow.DataType, s *shape, raw []byte) (parsed, error) {
	if raw[0] == 'n' {
		return parsed{null: true}, nil
	}
	switch t := t.(type) {
	case *arrow.StringType:
		if s != nil && !s.has(raw) {
			return parsed{}, fmt.Errorf("%s (%s) comes after rows with %s", kindOf(raw), head(raw, 60), s.describe())
		}
		return jsonText(raw)
	case *arrow.ListType:
		return j.list(t, s, raw)
	case *arrow.StructType:
		return j.structure(t, s, raw)
	}
	return j.scalar(t, raw)
}

// jsonText returns the content of a string, or the JSON of any other value.
func jsonText(raw []byte) (parsed, error) {
	if raw[0] == '"' {
		text, err := unquote(raw)
		return parsed{text: text}, err
	}
	return parsed{text: compactJSON(nil, raw)}, nil
}

func (j jsonValues) scalar(t arrow.DataType, raw []byte) (parsed, error) {
	number := kindOf(raw) == "a number"
	switch {
	case t.ID() == arrow.INT64 && number:
		if i, ok := wholeNumber(raw); ok {
			return parsed{i: i}, nil
		}
	case t.ID() == arrow.FLOAT64 && number:
		f, err := strconv.ParseFloat(string(raw), 64)
		if err == nil && j.inferred && !math.IsNaN(f) && !math.IsInf(f, 0) && !holdsDigits(string(raw), f) {
			return parsed{}, fmt.Errorf("float64 cannot represent all digits of %s", head(raw, 60))
		}
		if err == nil {
			return parsed{f: f}, nil
		}
	case t.ID() == arrow.BOOL && (raw[0] == 't' || raw[0] == 'f'):
		return parsed{b: raw[0] == 't'}, nil
	case raw[0] == '"' && (t.ID() == arrow.DATE32 || t.ID() == arrow.TIMESTAMP || t.ID() == arrow.BINARY):
		return jsonQuoted(t, raw)
	}
	return parsed{}, fmt.Errorf("%s (%s) is not a valid %s", kindOf(raw), head(raw, 60), jsonTypeName(t))
}

// jsonQuoted parses a type that JSON can represent only as a string.
func jsonQuoted(t arrow.DataType, raw []byte) (parsed, error) {
	text, err := unquote(raw)
	if err != nil {
		return parsed{}, err
	}
	switch t.ID() {
	case arrow.DATE32:
		return parseText("date", text)
	case arrow.TIMESTAMP:
		return parseText("timestamp", text)
	}
	b, err := base64.StdEncoding.AppendDecode(nil, text)
	if err != nil {
		return parsed{}, fmt.Errorf("%q is not valid base64, which a binary column needs", head(text, 60))
	}
	return parsed{text: b}, nil
}

func jsonTypeName(t arrow.DataType) string {
	switch t.ID() {
	case arrow.BOOL:
		return "bool"
	case arrow.DATE32:
		return "date"
	case arrow.TIMESTAMP:
		return "timestamp"
	}
	return t.Name()
}

// wholeNumber parses an integer, including one written as 1.0 or 1e3.
func wholeNumber(raw []byte) (int64, bool) {
	if i, err := strconv.ParseInt(string(raw), 10, 64); err == nil {
		return i, true
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) >= 1<<53 || !bytes.ContainsAny(raw, ".eE") || !holdsDigits(string(raw), f) {
		return 0, false
	}
	return int64(f), true
}

func (j jsonValues) list(t *arrow.ListType, s *shape, raw []byte) (parsed, error) {
	if raw[0] != '[' {
		return parsed{}, fmt.Errorf("%s (%s) is not a list", kindOf(raw), head(raw, 60))
	}
	var of *shape
	if s != nil {
		of = s.list
	}
	values := []parsed{}
	err := elements(raw, func(e []byte) error {
		v, err := j.parse(t.Elem(), of, e)
		if err != nil {
			return fmt.Errorf("element %d: %w", len(values), err)
		}
		values = append(values, v)
		return nil
	})
	return parsed{deep: values}, err
}

func (j jsonValues) structure(t *arrow.StructType, s *shape, raw []byte) (parsed, error) {
	if raw[0] != '{' {
		return parsed{}, fmt.Errorf("%s (%s) is not an object", kindOf(raw), head(raw, 60))
	}
	list, err := members(raw, nil)
	if err != nil {
		return parsed{}, err
	}
	values := make([]parsed, t.NumFields())
	raws := make([][]byte, t.NumFields())
	for i := range values {
		values[i].null = true
	}
	for _, m := range list {
		i, ok := t.FieldIdx(string(m.key))
		if !ok && j.inferred {
			return parsed{}, unheardOf(m.key)
		}
		if !ok {
			continue
		}
		if err := once(&raws[i], m); err != nil {
			return parsed{}, err
		}
		var of *shape
		if s != nil && s.object != nil {
			of = s.object.fields[string(m.key)]
		}
		if values[i], err = j.parse(t.Field(i).Type, of, m.value); err != nil {
			return parsed{}, fmt.Errorf("%s: %w", m.key, err)
		}
	}
	return parsed{deep: values}, nil
}

// once makes sure that a key occurs only once. raw is the value that it already
// has.
func once(raw *[]byte, m member) error {
	if *raw != nil && !bytes.Equal(*raw, m.value) {
		return fmt.Errorf("the key %q appears twice, with different values", m.key)
	}
	*raw = m.value
	return nil
}

func unheardOf(key []byte) error {
	return fmt.Errorf("the key %q does not occur in the rows that the columns were inferred from", key)
}

// putDeep appends a list or struct.
func putDeep(b array.Builder, deep any) error {
	values, ok := deep.([]parsed)
	if !ok {
		return fmt.Errorf("a value for %s is of type %T", b.Type(), deep)
	}
	switch b := b.(type) {
	case *array.ListBuilder:
		b.Append(true)
		for _, v := range values {
			if err := put(b.ValueBuilder(), v); err != nil {
				return err
			}
		}
	case *array.StructBuilder:
		b.Append(true)
		for i, v := range values {
			if err := put(b.FieldBuilder(i), v); err != nil {
				return err
			}
		}
	default:
		return fmt.Errorf("columns of type %s are not supported", b.Type())
	}
	return nil
}
