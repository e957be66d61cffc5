package jinja

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
)

// Values are nil (None), bool, int, float64, string, []any, tuple, *Dict, and those
// below. They are not changed once they exist.

// Dict is an object. Its keys are in order.
type Dict struct {
	Keys   []string
	values map[string]any
}

// Set sets the value of a key.
func (d *Dict) Set(key string, v any) {
	if _, ok := d.values[key]; !ok {
		d.Keys = append(d.Keys, key)
	}
	if d.values == nil {
		d.values = map[string]any{}
	}
	d.values[key] = v
}

// Get returns the value of a key.
func (d *Dict) Get(key string) (any, bool) {
	v, ok := d.values[key]
	return v, ok
}

func (d *Dict) update(from *Dict) {
	for _, k := range from.Keys {
		d.Set(k, from.values[k])
	}
}

// tuple is a list that is written in parentheses.
type tuple []any

// view is what the methods keys, values, and items return.
type view struct {
	name     string
	elements []any
}

// markup is a text that the filter safe has marked as HTML. Python escapes the texts
// that are added to it with +, also in templates that have nothing to do with HTML.
type markup string

// undefined is a value that does not exist. It can be printed, tested, and iterated
// over, but nothing else.
type undefined struct{ message string }

func (u undefined) err() error { return errors.New(u.message) }

// namespace is what namespace() returns. A template can change its attributes.
type namespace struct{ Dict }

// Function is a function that templates can call.
type Function func(args []any, named *Dict) (any, error)

// TypeName is the name of a value's type in Python.
func TypeName(v any) string {
	switch v := v.(type) {
	case nil:
		return "NoneType"
	case bool:
		return "bool"
	case int:
		return "int"
	case float64:
		return "float"
	case string:
		return "str"
	case markup:
		return "Markup"
	case []any:
		return "list"
	case tuple:
		return "tuple"
	case *Dict:
		return "dict"
	case view:
		return "dict_" + v.name
	case *namespace:
		return "Namespace"
	case *loop:
		return "LoopContext"
	case undefined:
		return "Undefined"
	}
	return "function"
}

// objectName is how Jinja's errors name a value.
func objectName(v any) string {
	if v == nil {
		return "None"
	}
	return TypeName(v) + " object"
}

func truth(v any) bool {
	switch v := v.(type) {
	case nil, undefined:
		return false
	case bool:
		return v
	case int:
		return v != 0
	case float64:
		return v != 0
	case string:
		return v != ""
	case markup:
		return v != ""
	case []any:
		return len(v) > 0
	case tuple:
		return len(v) > 0
	case *Dict:
		return len(v.Keys) > 0
	case view:
		return len(v.elements) > 0
	}
	return true
}

// items returns what `for` iterates over.
func items(v any) ([]any, error) {
	switch v := v.(type) {
	case undefined:
		return nil, nil
	case []any:
		return v, nil
	case tuple:
		return v, nil
	case view:
		return v.elements, nil
	case string:
		var out []any
		for _, r := range v {
			out = append(out, string(r))
		}
		return out, nil
	case *Dict:
		out := make([]any, len(v.Keys))
		for i, k := range v.Keys {
			out[i] = k
		}
		return out, nil
	}
	return nil, fmt.Errorf("'%s' object is not iterable", TypeName(v))
}

// Elements returns the elements of a list or a tuple.
func Elements(v any) ([]any, bool) {
	switch v := v.(type) {
	case []any:
		return v, true
	case tuple:
		return v, true
	}
	return nil, false
}

// Text returns what Python's str() returns, which is how a template writes a value.
func Text(v any) (string, error) {
	switch v := v.(type) {
	case undefined:
		return "", nil
	case string:
		return v, nil
	case markup:
		return string(v), nil
	}
	return repr(v)
}

// repr returns what Python's repr() returns.
func repr(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "None", nil
	case bool:
		if v {
			return "True", nil
		}
		return "False", nil
	case int:
		return strconv.Itoa(v), nil
	case float64:
		return floatText(v), nil
	case string:
		return quote(v), nil
	case undefined:
		return "Undefined", nil
	case []any:
		return sequence("[", v, "]")
	case tuple:
		if len(v) == 1 {
			return sequence("(", v, ",)")
		}
		return sequence("(", v, ")")
	case view:
		return sequence(TypeName(v)+"([", v.elements, "])")
	case *Dict:
		var parts []string
		for _, k := range v.Keys {
			r, err := repr(v.values[k])
			if err != nil {
				return "", err
			}
			parts = append(parts, quote(k)+": "+r)
		}
		return "{" + strings.Join(parts, ", ") + "}", nil
	}
	return "", fmt.Errorf("a %s cannot be written", TypeName(v))
}

func sequence(before string, of []any, after string) (string, error) {
	parts := make([]string, len(of))
	for i, v := range of {
		var err error
		if parts[i], err = repr(v); err != nil {
			return "", err
		}
	}
	return before + strings.Join(parts, ", ") + after, nil
}

// floatText writes a float as Python does.
func floatText(f float64) string {
	switch {
	case math.IsNaN(f):
		return "nan"
	case math.IsInf(f, 0):
		return strings.TrimPrefix(strings.ToLower(strconv.FormatFloat(f, 'g', -1, 64)), "+")
	}
	if a := math.Abs(f); a != 0 && (a >= 1e16 || a < 1e-4) {
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// quote writes a text as Python does.
func quote(s string) string {
	q := byte('\'')
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		q = '"'
	}
	var b strings.Builder
	b.WriteByte(q)
	for _, r := range s {
		switch {
		case r == rune(q) || r == '\\':
			b.WriteRune('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == ' ' || unicode.IsPrint(r):
			b.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	b.WriteByte(q)
	return b.String()
}

// attribute is value.name: a method, or else the value of a key.
func attribute(v any, key string) (any, error) {
	if m, ok := method(v, key); ok {
		return m, nil
	}
	switch v := v.(type) {
	case undefined:
		return nil, v.err()
	case *Dict:
		if found, ok := v.Get(key); ok {
			return found, nil
		}
	case *namespace:
		if found, ok := v.Get(key); ok {
			return found, nil
		}
	case *loop:
		if found, ok := v.get(key); ok {
			return found, nil
		}
	}
	return undefined{fmt.Sprintf("'%s' has no attribute '%s'", objectName(v), key)}, nil
}

// item is value[key]: the value of a key, or else a method.
func item(v, key any) (any, error) {
	if b, ok := key.(bool); ok {
		key = btoi(b)
	}
	switch v := v.(type) {
	case undefined:
		return nil, v.err()
	case *Dict:
		k, ok := key.(string)
		if found, there := v.Get(k); ok && there {
			return found, nil
		}
	case string:
		if i, ok := key.(int); ok {
			return at([]rune(v), i, func(r rune) any { return string(r) }, v), nil
		}
	case []any:
		if i, ok := key.(int); ok {
			return at(v, i, func(v any) any { return v }, v), nil
		}
	case tuple:
		if i, ok := key.(int); ok {
			return at(v, i, func(v any) any { return v }, v), nil
		}
	}
	if k, ok := key.(string); ok {
		return attribute(v, k)
	}
	return noElement(v, key), nil
}

func at[T any](list []T, i int, value func(T) any, of any) any {
	j := i
	if j < 0 {
		j += len(list)
	}
	if j < 0 || j >= len(list) {
		return noElement(of, i)
	}
	return value(list[j])
}

func noElement(v, key any) undefined {
	k, _ := repr(key)
	return undefined{fmt.Sprintf("%s has no element %s", objectName(v), k)}
}

// slice is value[from:to:step].
func slice(v any, from, to, step any) (any, error) {
	switch v := v.(type) {
	case undefined:
		return nil, v.err()
	case string:
		runes, err := sliceOf([]rune(v), from, to, step)
		return string(runes), err
	case []any:
		return sliceOf(v, from, to, step)
	case tuple:
		part, err := sliceOf([]any(v), from, to, step)
		return tuple(part), err
	}
	return undefined{fmt.Sprintf("%s cannot be sliced", objectName(v))}, nil
}

func sliceOf[T any](list []T, from, to, step any) ([]T, error) {
	bounds := [3]int{0, len(list), 1}
	for i, b := range []any{step, from, to} {
		n, ok := b.(int)
		if b != nil && !ok {
			return nil, errors.New("slice indices must be integers or None")
		}
		switch {
		case i == 0 && ok:
			bounds[2] = n
			if n == 0 {
				return nil, errors.New("slice step cannot be zero")
			}
			if n < 0 {
				bounds[0], bounds[1] = len(list)-1, -1
			}
		case ok:
			if n < 0 {
				n += len(list)
			}
			low, high := 0, len(list)
			if bounds[2] < 0 {
				low, high = -1, len(list)-1
			}
			bounds[i-1] = min(max(n, low), high)
		}
	}
	var out []T
	for i := bounds[0]; bounds[2] > 0 && i < bounds[1] || bounds[2] < 0 && i > bounds[1]; i += bounds[2] {
		out = append(out, list[i])
	}
	return out, nil
}
