package jinja

import (
	"errors"
	"fmt"
	"sync"
)

// test is a test, such as that in `x is defined`.
type test struct {
	arguments int
	holds     func(v any, args []any) (bool, error)
}

// tests are those of Jinja that chat templates use.
var tests = sync.OnceValue(func() map[string]test {
	is := func(f func(any) bool) test {
		return test{0, func(v any, _ []any) (bool, error) { return f(v), nil }}
	}
	all := map[string]test{
		"defined":   is(func(v any) bool { return !isA[undefined](v) }),
		"undefined": is(isA[undefined]),
		"none":      is(func(v any) bool { return v == nil }),
		"string":    is(func(v any) bool { return isA[string](v) || isA[markup](v) }),
		"mapping":   is(isA[*Dict]),
		"boolean":   is(isA[bool]),
		"integer":   is(isA[int]),
		"float":     is(isA[float64]),
		"true":      is(func(v any) bool { return v == true }),
		"false":     is(func(v any) bool { return v == false }),
		"callable":  is(func(v any) bool { return isA[Function](v) || isA[undefined](v) }),
		"number":    is(func(v any) bool { _, ok := numberOf(v); return ok }),
		"iterable":  is(func(v any) bool { _, err := items(v); return err == nil }),
		"sequence":  is(func(v any) bool { _, err := items(v); return err == nil }),
		"odd":       parity(1),
		"even":      parity(0),
		"in":        {1, func(v any, args []any) (bool, error) { return contains(args[0], v) }},
		"divisibleby": {1, func(v any, args []any) (bool, error) {
			rest, err := operate("%", v, args[0])
			return err == nil && equal(rest, 0), err
		}},
	}
	for op, names := range map[string][]string{
		"==": {"eq", "equalto"}, "!=": {"ne"}, "<": {"lt", "lessthan"}, "<=": {"le"}, ">": {"gt", "greaterthan"}, ">=": {"ge"},
	} {
		for _, n := range names {
			all[n] = test{1, func(v any, args []any) (bool, error) { return compare(op, v, args[0]) }}
		}
	}
	return all
})

func isA[T any](v any) bool {
	_, ok := v.(T)
	return ok
}

func parity(rest int) test {
	return test{0, func(v any, _ []any) (bool, error) {
		n, err := operate("%", v, 2)
		return err == nil && equal(n, rest), err
	}}
}

// mostNumbers is the limit of Jinja's sandbox for range().
const mostNumbers = 100_000

// globals are the functions that every template can call.
var globals = sync.OnceValue(func() map[string]any {
	return map[string]any{
		"namespace": Function(func(args []any, named *Dict) (any, error) {
			n := &namespace{}
			return n, fill(&n.Dict, args, named)
		}),
		"dict": Function(func(args []any, named *Dict) (any, error) {
			d := &Dict{}
			return d, fill(d, args, named)
		}),
		"range": Function(numbers),
	}
})

// fill sets what is given by another dict and by name.
func fill(d *Dict, args []any, named *Dict) error {
	for _, a := range args {
		from, ok := a.(*Dict)
		if !ok || len(args) > 1 {
			return errors.New("dict() supports one dict and named values")
		}
		d.update(from)
	}
	d.update(named)
	return nil
}

func numbers(args []any, named *Dict) (any, error) {
	bounds := [3]int{0, 0, 1}
	for i, a := range args {
		n, ok := a.(int)
		if !ok || i == len(bounds) {
			return nil, errors.New("range() takes one to three integers")
		}
		bounds[i] = n
	}
	if len(args) == 0 || len(named.Keys) > 0 || bounds[2] == 0 {
		return nil, errors.New("range() takes one to three integers, and the step is not 0")
	}
	if len(args) == 1 {
		bounds[0], bounds[1] = 0, bounds[0]
	}
	var out []any
	for n := bounds[0]; bounds[2] > 0 && n < bounds[1] || bounds[2] < 0 && n > bounds[1]; n += bounds[2] {
		if len(out) == mostNumbers {
			return nil, fmt.Errorf("range() is longer than %d", mostNumbers)
		}
		out = append(out, n)
	}
	return out, nil
}
