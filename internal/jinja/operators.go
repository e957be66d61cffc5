package jinja

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
)

// errOverflow: integers of Python have any size, and those here 64 bits.
var errOverflow = errors.New("an integer does not fit into 64 bits")

// longest is the longest text or list that an operator makes, in bytes or elements.
const longest = 1 << 26

// operate computes a binary operation as Python does.
func operate(op string, a, b any) (any, error) {
	for _, v := range []any{a, b} {
		if u, ok := v.(undefined); ok && op != "~" {
			return nil, u.err()
		}
	}
	if op == "~" {
		return concatenate(a, b)
	}
	x, xInt := integerOf(a)
	y, yInt := integerOf(b)
	if xInt && yInt {
		return integers(op, x, y)
	}
	f, fOK := numberOf(a)
	g, gOK := numberOf(b)
	switch {
	case fOK && gOK:
		return floats(op, f, g)
	case op == "+" && (isA[markup](a) || isA[markup](b)):
		return addMarkup(a, b)
	case op == "+":
		return add(a, b)
	case op == "*" && xInt:
		return repeat(b, x, a)
	case op == "*" && yInt:
		return repeat(a, y, b)
	}
	return nil, unsupported(op, a, b)
}

func unsupported(op string, a, b any) error {
	return fmt.Errorf("unsupported operand type(s) for %s: '%s' and '%s'", op, TypeName(a), TypeName(b))
}

func concatenate(a, b any) (any, error) {
	x, err := Text(a)
	if err != nil {
		return nil, err
	}
	y, err := Text(b)
	if err == nil && len(x)+len(y) > longest {
		err = errors.New("a text is too long")
	}
	return x + y, err
}

func integerOf(v any) (int, bool) {
	switch v := v.(type) {
	case int:
		return v, true
	case bool:
		return btoi(v), true
	}
	return 0, false
}

func numberOf(v any) (float64, bool) {
	if f, ok := v.(float64); ok {
		return f, true
	}
	n, ok := integerOf(v)
	return float64(n), ok
}

func integers(op string, x, y int) (any, error) {
	if (op == "/" || op == "//" || op == "%") && y == 0 {
		return nil, errors.New("division by zero")
	}
	z, exact := 0, true
	switch op {
	case "+":
		z = x + y
		exact = (z > x) == (y > 0)
	case "-":
		z = x - y
		exact = (z < x) == (y > 0)
	case "*":
		z = x * y
		exact = x == 0 || z/x == y && !(x == -1 && y == math.MinInt)
	case "/":
		return float64(x) / float64(y), nil
	case "//":
		z = int(math.Floor(float64(x) / float64(y)))
		exact = max(x, -x, y, -y) < 1<<52
	case "%":
		z = x % y
		if z != 0 && (z < 0) != (y < 0) {
			z += y
		}
	default:
		return nil, fmt.Errorf("the operator %s is not supported", op)
	}
	if !exact {
		return nil, errOverflow
	}
	return z, nil
}

func floats(op string, x, y float64) (any, error) {
	if (op == "/" || op == "//" || op == "%") && y == 0 {
		return nil, errors.New("float division by zero")
	}
	switch op {
	case "+":
		return x + y, nil
	case "-":
		return x - y, nil
	case "*":
		return x * y, nil
	case "/":
		return x / y, nil
	}
	return nil, fmt.Errorf("the operator %s is not supported for floats", op)
}

func add(a, b any) (any, error) {
	switch x := a.(type) {
	case string:
		y, ok := b.(string)
		if !ok {
			return nil, fmt.Errorf("can only concatenate str (not \"%s\") to str", TypeName(b))
		}
		return concatenate(x, y)
	case []any:
		y, ok := b.([]any)
		if !ok {
			return nil, fmt.Errorf("can only concatenate list (not \"%s\") to list", TypeName(b))
		}
		if len(x)+len(y) > longest {
			return nil, errors.New("a list is too long")
		}
		return slices.Concat(x, y), nil
	case tuple:
		if y, ok := b.(tuple); ok && len(x)+len(y) <= longest {
			return slices.Concat(x, y), nil
		}
	}
	return nil, unsupported("+", a, b)
}

var htmlEscapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "'", "&#39;", `"`, "&#34;")

// addMarkup joins texts of which at least one is markup. The other one is escaped.
func addMarkup(a, b any) (any, error) {
	var out markup
	for _, v := range []any{a, b} {
		switch v := v.(type) {
		case markup:
			out += v
		case string:
			out += markup(htmlEscapes.Replace(v))
		default:
			return nil, unsupported("+", a, b)
		}
	}
	return out, nil
}

// repeat returns a text or a list n times.
func repeat(v any, n int, by any) (any, error) {
	n = max(n, 0)
	switch v := v.(type) {
	case string:
		if n > longest/max(len(v), 1) {
			return nil, errors.New("a text is too long")
		}
		return strings.Repeat(v, n), nil
	case []any:
		if n > longest/max(len(v), 1) {
			return nil, errors.New("a list is too long")
		}
		return slices.Repeat(v, n), nil
	}
	return nil, unsupported("*", v, by)
}

func compare(op string, a, b any) (bool, error) {
	switch op {
	case "==":
		return equal(a, b), nil
	case "!=":
		return !equal(a, b), nil
	case "in":
		return contains(b, a)
	case "not in":
		found, err := contains(b, a)
		return !found, err
	}
	order, err := ordered(op, a, b)
	switch op {
	case "<":
		return order < 0, err
	case "<=":
		return order <= 0, err
	case ">":
		return order > 0, err
	}
	return order >= 0, err
}

func equal(a, b any) bool {
	if x, ok := integerOf(a); ok {
		if y, ok := integerOf(b); ok {
			return x == y
		}
	}
	if x, ok := numberOf(a); ok {
		y, ok := numberOf(b)
		return ok && x == y
	}
	switch x := a.(type) {
	case nil:
		return b == nil
	case string:
		if y, ok := b.(markup); ok {
			return x == string(y)
		}
		y, ok := b.(string)
		return ok && x == y
	case markup:
		return equal(string(x), b)
	case undefined:
		_, ok := b.(undefined)
		return ok
	case []any:
		y, ok := b.([]any)
		return ok && slices.EqualFunc(x, y, equal)
	case tuple:
		y, ok := b.(tuple)
		return ok && slices.EqualFunc(x, y, equal)
	case *Dict:
		y, ok := b.(*Dict)
		return ok && len(x.Keys) == len(y.Keys) && !slices.ContainsFunc(x.Keys, func(k string) bool {
			v, there := y.Get(k)
			return !there || !equal(x.values[k], v)
		})
	}
	return false
}

// ordered compares numbers or texts.
func ordered(op string, a, b any) (int, error) {
	x, xOK := numberOf(a)
	y, yOK := numberOf(b)
	s, sOK := a.(string)
	t, tOK := b.(string)
	switch {
	case xOK && yOK && x < y:
		return -1, nil
	case xOK && yOK && x > y:
		return 1, nil
	case xOK && yOK && x == y:
		return 0, nil
	case sOK && tOK:
		return strings.Compare(s, t), nil
	}
	for _, v := range []any{a, b} {
		if u, ok := v.(undefined); ok {
			return 0, u.err()
		}
	}
	return 0, fmt.Errorf("'%s' not supported between instances of '%s' and '%s'", op, TypeName(a), TypeName(b))
}

func contains(in, v any) (bool, error) {
	if s, ok := in.(string); ok {
		part, ok := v.(string)
		if !ok {
			return false, fmt.Errorf("'in <string>' requires string as left operand, not %s", TypeName(v))
		}
		return strings.Contains(s, part), nil
	}
	if _, ok := in.(*Dict); ok && (isA[[]any](v) || isA[*Dict](v)) {
		return false, fmt.Errorf("unhashable type: '%s'", TypeName(v))
	}
	all, err := items(in)
	if err != nil {
		return false, fmt.Errorf("argument of type '%s' is not iterable", TypeName(in))
	}
	return slices.ContainsFunc(all, func(e any) bool { return equal(e, v) }), nil
}
