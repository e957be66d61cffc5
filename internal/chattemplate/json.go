package chattemplate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/nikolalohinski/gonja/v2/exec"
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
	o := &object{}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, err
		}
		v, err := decodeNext(d)
		if err != nil {
			return nil, err
		}
		o.set(name.(string), v)
	}
	_, err := d.Token()
	return o.dict(), err
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

// object is an object of a template while it is built.
type object struct{ d exec.Dict }

func (o *object) set(name string, v any) {
	for _, p := range o.d.Pairs {
		if p.Key.String() == name {
			p.Value = exec.AsValue(v)
			return
		}
	}
	o.d.Pairs = append(o.d.Pairs, &exec.Pair{Key: exec.AsValue(name), Value: exec.AsValue(v)})
}

func (o *object) dict() *exec.Dict { return &o.d }

// toJSON is the filter of transformers: json.dumps of Python, which by default does
// not escape what is not ASCII.
func toJSON(_ *exec.Evaluator, in *exec.Value, args *exec.VarArgs) *exec.Value {
	w := &jsonWriter{item: ", ", key: ": ", indent: -1}
	if err := w.configure(args); err != nil {
		return exec.AsValue(err)
	}
	if err := w.write(in.Interface(), 0); err != nil {
		return exec.AsValue(err)
	}
	return exec.AsSafeValue(w.out.String())
}

// jsonWriter writes values as Python does.
type jsonWriter struct {
	out       strings.Builder
	item, key string // the separators
	indent    int    // spaces for each level; negative: all in one line
	ascii     bool
}

func (w *jsonWriter) configure(args *exec.VarArgs) error {
	if len(args.Args) > 0 {
		return errors.New("name the arguments of tojson, such as indent=2")
	}
	for name, v := range args.KwArgs {
		switch {
		case v.IsNil():
		case name == "indent" && v.IsInteger():
			w.indent = v.Integer()
		case name == "ensure_ascii" && v.IsBool():
			w.ascii = v.Bool()
		case name == "separators" && v.IsList() && v.Len() == 2:
			defer func() { w.item, w.key = v.Index(0).String(), v.Index(1).String() }()
		case name == "sort_keys" && v.IsBool() && !v.Bool():
		default:
			return fmt.Errorf("tojson does not support %s=%s here", name, v.String())
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
	case *exec.Value:
		return w.write(v.Interface(), depth)
	case *exec.Dict:
		return w.write(*v, depth)
	case exec.Dict:
		return w.sequence("{}", len(v.Pairs), depth, func(i int) error {
			if err := w.text(v.Pairs[i].Key.String()); err != nil {
				return err
			}
			w.out.WriteString(w.key)
			return w.write(v.Pairs[i].Value.Interface(), depth+1)
		})
	default:
		list := reflect.ValueOf(v)
		if list.Kind() != reflect.Slice {
			return fmt.Errorf("tojson cannot write a %s", list.Kind())
		}
		return w.sequence("[]", list.Len(), depth, func(i int) error { return w.write(list.Index(i).Interface(), depth+1) })
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
