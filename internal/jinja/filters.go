package jinja

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/language"
)

// call are the arguments of a filter or a method.
type call struct {
	args  []any
	named *Dict
	used  int
}

// take returns the argument at a position or with a name, or the value for none.
func (c *call) take(i int, name string, none any) any {
	if i < len(c.args) {
		c.used++
		return c.args[i]
	}
	if v, ok := c.named.Get(name); ok {
		c.used++
		return v
	}
	return none
}

// done is an error if arguments are left.
func (c *call) done() error {
	if c.used != len(c.args)+len(c.named.Keys) {
		return errors.New("these arguments are not supported")
	}
	return nil
}

// filters are those of Jinja that chat templates use.
var filters = sync.OnceValue(func() map[string]Filter {
	all := map[string]Filter{
		"trim": func(v any, args []any, named *Dict) (any, error) {
			c := &call{args: args, named: named}
			chars := c.take(0, "chars", nil)
			s, err := Text(v)
			if err := cmp.Or(err, c.done()); err != nil {
				return nil, err
			}
			return strip(s, chars, true, true)
		},
		"length": plain(length), "count": plain(length),
		"string": plain(func(v any) (any, error) { return Text(v) }),
		"safe": plain(func(v any) (any, error) {
			s, err := Text(v)
			return markup(s), err
		}),
		"upper": onText(upper), "lower": onText(lower), "capitalize": onText(capitalize), "title": onText(title),
		"default": orDefault, "d": orDefault,
		"first": plain(func(v any) (any, error) { return edge(v, 0, "first") }),
		"last":  plain(func(v any) (any, error) { return edge(v, -1, "last") }),
		"list": plain(func(v any) (any, error) {
			all, err := items(v)
			return slices.Clone(all), err
		}),
		"items": plain(func(v any) (any, error) {
			if _, ok := v.(undefined); ok {
				return []any(nil), nil
			}
			d, ok := v.(*Dict)
			if !ok {
				return nil, errors.New("can only get item pairs from a mapping")
			}
			return pairs(d), nil
		}),
		"join": join, "replace": replace, "dictsort": dictsort, "reverse": plain(reverse),
		"int": toInt, "float": toFloat, "abs": plain(abs), "unique": plain(unique),
		"selectattr": selectBy(true, true), "rejectattr": selectBy(true, false), "select": selectBy(false, true), "reject": selectBy(false, false),
	}
	all["map"] = mapped(all)
	return all
})

// plain is a filter without arguments.
func plain(f func(any) (any, error)) Filter {
	return func(v any, args []any, named *Dict) (any, error) {
		if len(args)+len(named.Keys) > 0 {
			return nil, errors.New("these arguments are not supported")
		}
		return f(v)
	}
}

// onText is a filter of what a value is written as.
func onText(f func(string) string) Filter {
	return plain(func(v any) (any, error) {
		s, err := Text(v)
		return f(s), err
	})
}

func length(v any) (any, error) {
	switch v := v.(type) {
	case string:
		return len([]rune(v)), nil
	case undefined:
		return 0, nil
	}
	all, err := items(v)
	if err != nil {
		return nil, fmt.Errorf("object of type '%s' has no len()", TypeName(v))
	}
	return len(all), nil
}

// Python's rules for special cases are those of Unicode.
func upper(s string) string { return cases.Upper(language.Und).String(s) }
func lower(s string) string { return cases.Lower(language.Und).String(s) }

func capitalize(s string) string {
	first, size := utf8.DecodeRuneInString(s)
	if size == 0 {
		return ""
	}
	return cases.Title(language.Und, cases.NoLower).String(string(first)) + lower(s[size:])
}

// title writes the first letter of each word in upper case.
func title(s string) string {
	var b strings.Builder
	for len(s) > 0 {
		n := strings.IndexFunc(s, isWordBreak)
		if n < 0 {
			n = len(s)
		}
		if word := []rune(s[:n]); n > 0 {
			b.WriteString(upper(string(word[0])) + lower(string(word[1:])))
		}
		s = s[n:]
		breaks := len(s) - len(strings.TrimLeftFunc(s, isWordBreak))
		b.WriteString(s[:breaks])
		s = s[breaks:]
	}
	return b.String()
}

func isWordBreak(r rune) bool { return isSpace(r) || strings.ContainsRune("-({[<", r) }

func orDefault(v any, args []any, named *Dict) (any, error) {
	c := &call{args: args, named: named}
	value, boolean := c.take(0, "default_value", ""), c.take(1, "boolean", false)
	if err := c.done(); err != nil {
		return nil, err
	}
	if _, ok := v.(undefined); ok || truth(boolean) && !truth(v) {
		return value, nil
	}
	return v, nil
}

func edge(v any, i int, name string) (any, error) {
	all, err := items(v)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return undefined{fmt.Sprintf("no %s item, sequence was empty", name)}, nil
	}
	return item(all, i)
}

func join(v any, args []any, named *Dict) (any, error) {
	c := &call{args: args, named: named}
	between, by := c.take(0, "d", ""), c.take(1, "attribute", nil)
	all, err := items(v)
	if err := cmp.Or(err, c.done()); err != nil {
		return nil, err
	}
	separator, err := Text(between)
	if err != nil {
		return nil, err
	}
	parts := make([]string, len(all))
	for i, e := range all {
		if by != nil {
			if e, err = path(e, by); err != nil {
				return nil, err
			}
		}
		if parts[i], err = Text(e); err != nil {
			return nil, err
		}
	}
	return strings.Join(parts, separator), nil
}

// path returns the value at a path such as "a.b.0", or the element at an index.
func path(v, at any) (any, error) {
	s, ok := at.(string)
	if !ok {
		return item(v, at)
	}
	for step := range strings.SplitSeq(s, ".") {
		var err error
		key := any(step)
		if n, failed := strconv.Atoi(step); failed == nil && n >= 0 {
			key = n
		}
		if v, err = item(v, key); err != nil {
			return nil, err
		}
	}
	return v, nil
}

func replace(v any, args []any, named *Dict) (any, error) {
	c := &call{args: args, named: named}
	old, by, n := c.take(0, "old", nil), c.take(1, "new", nil), c.take(2, "count", nil)
	s, err := Text(v)
	if err := cmp.Or(err, c.done()); err != nil {
		return nil, err
	}
	before, ok := old.(string)
	after, ok2 := by.(string)
	if !ok || !ok2 {
		return nil, errors.New("replace needs two texts")
	}
	return replaced(s, before, after, n)
}

func replaced(s, before, after string, n any) (any, error) {
	count, ok := n.(int)
	switch {
	case n == nil:
		count = -1
	case !ok:
		return nil, errors.New("the count must be an integer")
	}
	if most := strings.Count(s, before); most > 0 && len(after) > longest/most {
		return nil, errors.New("a text is too long")
	}
	return strings.Replace(s, before, after, count), nil
}

// dictsort returns the keys and values of a dict, sorted.
func dictsort(v any, args []any, named *Dict) (any, error) {
	c := &call{args: args, named: named}
	sensitive, by, reversed := truth(c.take(0, "case_sensitive", false)), c.take(1, "by", "key"), truth(c.take(2, "reverse", false))
	if err := c.done(); err != nil {
		return nil, err
	}
	d, ok := v.(*Dict)
	switch {
	case !ok:
		return nil, fmt.Errorf("'%s' object has no attribute 'items'", TypeName(v))
	case by != "key":
		return nil, errors.New("dictsort supports only by='key'")
	}
	folded := func(s string) string {
		if sensitive {
			return s
		}
		return lower(s)
	}
	keys := slices.Clone(d.Keys)
	slices.SortStableFunc(keys, func(a, b string) int {
		if reversed {
			a, b = b, a
		}
		return strings.Compare(folded(a), folded(b))
	})
	out := make([]any, len(keys))
	for i, k := range keys {
		out[i] = tuple{k, d.values[k]}
	}
	return out, nil
}

func pairs(d *Dict) []any {
	out := make([]any, len(d.Keys))
	for i, k := range d.Keys {
		out[i] = tuple{k, d.values[k]}
	}
	return out
}

// mapped is the filter map: an attribute of each element, or the result of a filter.
func mapped(filters map[string]Filter) Filter {
	return func(v any, args []any, named *Dict) (any, error) {
		all, err := items(v)
		if err != nil {
			return nil, err
		}
		at, byAttribute := named.Get("attribute")
		apply := func(e any) (any, error) { return path(e, at) }
		switch {
		case byAttribute && (len(args) > 0 || len(named.Keys) > 1), !byAttribute && len(args) == 0:
			return nil, errors.New("these arguments are not supported")
		case !byAttribute:
			n, _ := args[0].(string)
			f, ok := filters[n]
			if !ok {
				return nil, fmt.Errorf("the filter %q is not supported in map", n)
			}
			apply = func(e any) (any, error) { return f(e, args[1:], named) }
		}
		out := make([]any, len(all))
		for i, e := range all {
			if out[i], err = apply(e); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
}

// selectBy keeps, or drops, the elements that pass a test, or whose attribute does.
func selectBy(byAttribute, keep bool) Filter {
	return func(v any, args []any, named *Dict) (any, error) {
		all, err := items(v)
		if err != nil {
			return nil, err
		}
		if len(named.Keys) > 0 || byAttribute && len(args) == 0 {
			return nil, errors.New("these arguments are not supported")
		}
		var at any
		if byAttribute {
			at, args = args[0], args[1:]
		}
		passes := func(e any) (bool, error) { return truth(e), nil }
		if len(args) > 0 {
			n, _ := args[0].(string)
			t, ok := tests()[n]
			if !ok || t.arguments != len(args)-1 {
				return nil, fmt.Errorf("the test %q is not supported here", n)
			}
			passes = func(e any) (bool, error) { return t.holds(e, args[1:]) }
		}
		var out []any
		for _, e := range all {
			tested := e
			if byAttribute {
				if tested, err = path(e, at); err != nil {
					return nil, err
				}
			}
			ok, err := passes(tested)
			if err != nil {
				return nil, err
			}
			if ok == keep {
				out = append(out, e)
			}
		}
		return out, nil
	}
}

func reverse(v any) (any, error) {
	if s, ok := v.(string); ok {
		runes := []rune(s)
		slices.Reverse(runes)
		return string(runes), nil
	}
	all, err := items(v)
	out := slices.Clone(all)
	slices.Reverse(out)
	return out, err
}

func unique(v any) (any, error) {
	all, err := items(v)
	if err != nil {
		return nil, err
	}
	var out []any
	for _, e := range all {
		if _, ok := e.(string); !ok {
			return nil, errors.New("unique supports only texts")
		}
		if !slices.ContainsFunc(out, func(o any) bool { return lower(o.(string)) == lower(e.(string)) }) {
			out = append(out, e)
		}
	}
	return out, nil
}
