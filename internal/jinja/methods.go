package jinja

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// methods are the names of the methods of Python's types. Those that are not
// supported are errors, because an attribute that does not exist is not.
var methods = sync.OnceValue(func() map[string][]string {
	list := strings.Fields("append clear copy count extend index insert pop remove reverse sort")
	return map[string][]string{
		"str": strings.Fields(`capitalize casefold center count encode endswith expandtabs find format format_map index isalnum isalpha isascii
			isdecimal isdigit isidentifier islower isnumeric isprintable isspace istitle isupper join ljust lower lstrip maketrans partition removeprefix
			removesuffix replace rfind rindex rjust rpartition rsplit rstrip split splitlines startswith strip swapcase title translate upper zfill`),
		"dict":  strings.Fields("clear copy fromkeys get items keys pop popitem setdefault update values"),
		"list":  list,
		"tuple": list,
	}
})

// method returns a method of a value.
func method(v any, name string) (f Function, ok bool) {
	if !slices.Contains(methods()[TypeName(v)], name) {
		return nil, false
	}
	var call func(c *call) (any, error)
	switch v := v.(type) {
	case string:
		call = stringMethod(v, name)
	case *Dict:
		call = dictMethod(v, name)
	}
	return func(args []any, named *Dict) (any, error) {
		if call == nil {
			return nil, fmt.Errorf("the method %s of %s is not supported", name, TypeName(v))
		}
		return call(newCall(args, named))
	}, true
}

func newCall(args []any, named *Dict) *call { return &call{args: args, named: named} }

func dictMethod(d *Dict, name string) func(*call) (any, error) {
	switch name {
	case "get":
		return func(c *call) (any, error) {
			key, none := c.take(0, "", undefined{}), c.take(1, "", nil)
			if err := c.done(); err != nil || len(c.args) == 0 {
				return nil, errors.New("get expected one or two arguments")
			}
			if k, ok := key.(string); ok {
				if v, ok := d.Get(k); ok {
					return v, nil
				}
			}
			return none, nil
		}
	case "items":
		return viewOf(name, pairs(d))
	case "keys":
		return viewOf(name, texts(d.Keys))
	case "values":
		values := make([]any, len(d.Keys))
		for i, k := range d.Keys {
			values[i] = d.values[k]
		}
		return viewOf(name, values)
	}
	return nil
}

func viewOf(name string, elements []any) func(*call) (any, error) {
	return func(c *call) (any, error) { return view{name, elements}, c.done() }
}

func stringMethod(s, name string) func(*call) (any, error) {
	plain := func(f func(string) string) func(*call) (any, error) {
		return func(c *call) (any, error) { return f(s), c.done() }
	}
	switch name {
	case "upper":
		return plain(upper)
	case "lower":
		return plain(lower)
	case "capitalize":
		return plain(capitalize)
	case "strip", "lstrip", "rstrip":
		return func(c *call) (any, error) {
			chars := c.take(0, "", nil)
			if err := c.done(); err != nil {
				return nil, err
			}
			return strip(s, chars, name != "rstrip", name != "lstrip")
		}
	case "split", "rsplit":
		return func(c *call) (any, error) { return split(s, c, name == "rsplit") }
	case "replace":
		return func(c *call) (any, error) {
			before, after, err := twoTexts(c)
			n := c.take(2, "count", nil)
			if err := errors.Join(err, c.done()); err != nil {
				return nil, err
			}
			return replaced(s, before, after, n)
		}
	case "startswith", "endswith":
		return func(c *call) (any, error) { return hasEdge(s, c, name == "startswith") }
	case "removeprefix", "removesuffix", "find", "count":
		return func(c *call) (any, error) { return withPart(s, name, c) }
	case "join":
		return func(c *call) (any, error) { return joined(s, c) }
	}
	return nil
}

func twoTexts(c *call) (string, string, error) {
	a, ok := c.take(0, "", nil).(string)
	b, ok2 := c.take(1, "", nil).(string)
	if !ok || !ok2 {
		return "", "", errors.New("the arguments must be texts")
	}
	return a, b, nil
}

// strip removes whitespace, or any of the characters, from the ends of a text.
func strip(s string, chars any, left, right bool) (any, error) {
	remove := isSpace
	if chars != nil {
		set, ok := chars.(string)
		if !ok {
			return nil, errors.New("strip arg must be None or str")
		}
		remove = func(r rune) bool { return strings.ContainsRune(set, r) }
	}
	if left {
		s = strings.TrimLeftFunc(s, remove)
	}
	if right {
		s = strings.TrimRightFunc(s, remove)
	}
	return s, nil
}

// split divides a text at a separator, or at whitespace, at most so many times.
func split(s string, c *call, fromRight bool) (any, error) {
	by, most := c.take(0, "sep", nil), c.take(1, "maxsplit", -1)
	n, isInt := most.(int)
	separator, isText := by.(string)
	switch err := c.done(); {
	case err != nil:
		return nil, err
	case !isInt:
		return nil, errors.New("maxsplit must be an integer")
	case by == nil && n < 0:
		return texts(strings.FieldsFunc(s, isSpace)), nil
	case by == nil:
		return nil, errors.New("splitting at whitespace a number of times is not supported")
	case !isText:
		return nil, fmt.Errorf("must be str or None, not %s", TypeName(by))
	case separator == "":
		return nil, errors.New("empty separator")
	case n < 0:
		return texts(strings.Split(s, separator)), nil
	case !fromRight:
		return texts(strings.SplitN(s, separator, n+1)), nil
	}
	var last []string
	for ; n > 0; n-- {
		i := strings.LastIndex(s, separator)
		if i < 0 {
			break
		}
		last = append(last, s[i+len(separator):])
		s = s[:i]
	}
	last = append(last, s)
	slices.Reverse(last)
	return texts(last), nil
}

func texts(all []string) []any {
	out := make([]any, len(all))
	for i, s := range all {
		out[i] = s
	}
	return out
}

func hasEdge(s string, c *call, first bool) (any, error) {
	part := c.take(0, "", nil)
	if err := c.done(); err != nil {
		return nil, err
	}
	all, ok := part.(tuple)
	if !ok {
		all = tuple{part}
	}
	for _, p := range all {
		edge, ok := p.(string)
		if !ok {
			return nil, fmt.Errorf("first arg must be str or a tuple of str, not %s", TypeName(p))
		}
		if first && strings.HasPrefix(s, edge) || !first && strings.HasSuffix(s, edge) {
			return true, nil
		}
	}
	return false, nil
}

func withPart(s, name string, c *call) (any, error) {
	part, ok := c.take(0, "", nil).(string)
	if err := c.done(); err != nil || !ok {
		return nil, fmt.Errorf("%s needs one text", name)
	}
	switch name {
	case "removeprefix":
		return strings.TrimPrefix(s, part), nil
	case "removesuffix":
		return strings.TrimSuffix(s, part), nil
	case "count":
		return strings.Count(s, part), nil
	}
	i := strings.Index(s, part)
	if i > 0 {
		i = len([]rune(s[:i]))
	}
	return i, nil
}

func joined(s string, c *call) (any, error) {
	all, err := items(c.take(0, "", nil))
	if err := errors.Join(err, c.done()); err != nil {
		return nil, err
	}
	parts := make([]string, len(all))
	for i, e := range all {
		part, ok := e.(string)
		if !ok {
			return nil, fmt.Errorf("sequence item %d: expected str instance, %s found", i, TypeName(e))
		}
		parts[i] = part
	}
	return strings.Join(parts, s), nil
}
