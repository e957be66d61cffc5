package chattemplate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/quern-dev/quern/internal/jinja"
)

// decode reads JSON as what templates see: objects keep the order of their fields,
// and numbers are integers or floats as in Python.
func decode(text []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	v, err := decodeNext(d)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the JSON value")
	}
	return v, nil
}

func decodeNext(d *json.Decoder) (any, error) {
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('{'):
		return decodeObject(d)
	case json.Delim('['):
		list := []any{}
		for d.More() {
			v, err := decodeNext(d)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err := d.Token()
		return list, err
	}
	if n, ok := token.(json.Number); ok {
		return number(n)
	}
	return token, nil
}

// decodeObject reads the rest of an object. The last of several fields with one
// name counts, as in Python.
func decodeObject(d *json.Decoder) (any, error) {
	o := &jinja.Dict{}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, err
		}
		v, err := decodeNext(d)
		if err != nil {
			return nil, err
		}
		o.Set(name.(string), v)
	}
	_, err := d.Token()
	return o, err
}

func number(n json.Number) (any, error) {
	if !strings.ContainsAny(n.String(), ".eE") {
		i, err := strconv.Atoi(n.String())
		if err != nil {
			return nil, fmt.Errorf("the integer %s does not fit into 64 bits", n)
		}
		return i, nil
	}
	return n.Float64()
}

// toJSON is the filter of transformers: json.dumps of Python, which by default does
// not escape what is not ASCII.
func toJSON(v any, args []any, named *jinja.Dict) (any, error) {
	w := &jsonWriter{item: ", ", key: ": ", indent: -1}
	if err := w.configure(args, named); err != nil {
		return nil, err
	}
	if err := w.write(v, 0); err != nil {
		return nil, err
	}
	return w.out.String(), nil
}

// jsonWriter writes values as Python does.
type jsonWriter struct {
	out       strings.Builder
	item, key string // the separators
	indent    int    // spaces for each level; negative: all in one line
	ascii     bool
}

func (w *jsonWriter) configure(args []any, named *jinja.Dict) error {
	if len(args) > 0 {
		return errors.New("name the arguments of tojson, such as indent=2")
	}
	for _, name := range named.Keys {
		v, _ := named.Get(name)
		indent, isInt := v.(int)
		on, isBool := v.(bool)
		separators, _ := jinja.Elements(v)
		switch {
		case v == nil:
		case name == "indent" && isInt:
			w.indent = indent
		case name == "ensure_ascii" && isBool:
			w.ascii = on
		case name == "separators" && len(separators) == 2:
			item, _ := separators[0].(string)
			key, _ := separators[1].(string)
			defer func() { w.item, w.key = item, key }()
		case name == "sort_keys" && isBool && !on:
		default:
			text, _ := jinja.Text(v)
			return fmt.Errorf("tojson does not support %s=%s here", name, text)
		}
	}
	if w.indent >= 0 {
		w.item = ","
	}
	return nil
}

func (w *jsonWriter) write(v any, depth int) error {
	switch v := v.(type) {
	case nil:
		w.out.WriteString("null")
	case bool:
		w.out.WriteString(strconv.FormatBool(v))
	case string:
		return w.text(v)
	case int:
		w.out.WriteString(strconv.Itoa(v))
	case float64:
		w.out.WriteString(floatText(v))
	case *jinja.Dict:
		return w.sequence("{}", len(v.Keys), depth, func(i int) error {
			if err := w.text(v.Keys[i]); err != nil {
				return err
			}
			w.out.WriteString(w.key)
			value, _ := v.Get(v.Keys[i])
			return w.write(value, depth+1)
		})
	default:
		list, ok := jinja.Elements(v)
		if !ok {
			return fmt.Errorf("tojson cannot write a %s", jinja.TypeName(v))
		}
		return w.sequence("[]", len(list), depth, func(i int) error { return w.write(list[i], depth+1) })
	}
	return nil
}

// sequence writes the items of a list or an object between its brackets.
func (w *jsonWriter) sequence(brackets string, n, depth int, item func(int) error) error {
	w.out.WriteByte(brackets[0])
	for i := range n {
		if i > 0 {
			w.out.WriteString(w.item)
		}
		w.line(depth + 1)
		if err := item(i); err != nil {
			return err
		}
	}
	if n > 0 {
		w.line(depth)
	}
	w.out.WriteByte(brackets[1])
	return nil
}

func (w *jsonWriter) line(depth int) {
	if w.indent >= 0 {
		w.out.WriteString("\n" + strings.Repeat(" ", w.indent*depth))
	}
}

// escapes are the characters for which JSON has a short form.
var escapes = map[rune]string{'"': `\"`, '\\': `\\`, '\n': `\n`, '\r': `\r`, '\t': `\t`, '\b': `\b`, '\f': `\f`}

func (w *jsonWriter) text(s string) error {
	if !utf8.ValidString(s) {
		return errors.New("tojson cannot write text that is not UTF-8")
	}
	w.out.WriteByte('"')
	for _, r := range s {
		short, ok := escapes[r]
		switch {
		case ok:
			w.out.WriteString(short)
		case r < ' ' || w.ascii && r > '~' && r <= 0xFFFF:
			fmt.Fprintf(&w.out, `\u%04x`, r)
		case w.ascii && r > 0xFFFF:
			r -= 0x10000
			fmt.Fprintf(&w.out, `\u%04x\u%04x`, 0xD800+r>>10, 0xDC00+r&0x3FF)
		default:
			w.out.WriteRune(r)
		}
	}
	w.out.WriteByte('"')
	return nil
}

// floatText writes a float as Python's repr: with a point or an exponent, and with an
// exponent from 1e16 and below 1e-4.
func floatText(f float64) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	if a := math.Abs(f); a != 0 && (a >= 1e16 || a < 1e-4) {
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	text := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return text
}
