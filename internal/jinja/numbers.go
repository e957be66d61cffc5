package jinja

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
)

func abs(v any) (any, error) {
	if f, ok := v.(float64); ok {
		return math.Abs(f), nil
	}
	n, ok := integerOf(v)
	if !ok {
		return nil, fmt.Errorf("bad operand type for abs(): '%s'", TypeName(v))
	}
	return max(n, -n), nil
}

// toInt returns 0, or the given default, for what is not a number.
func toInt(v any, args []any, named *Dict) (any, error) {
	c := &call{args: args, named: named}
	none := c.take(0, "default", 0)
	if err := c.done(); err != nil {
		return nil, err
	}
	if u, ok := v.(undefined); ok {
		return nil, u.err()
	}
	if n, ok := integerOf(v); ok {
		return n, nil
	}
	f, ok := v.(float64)
	if s, isText := v.(string); isText {
		s = strings.TrimFunc(s, isSpace)
		if n, err := strconv.Atoi(s); err == nil {
			return n, nil
		}
		var err error
		if f, ok, err = parseFloat(s); err != nil {
			return nil, err
		}
	}
	if !ok {
		return none, nil
	}
	if math.Abs(f) >= 1<<53 || math.IsNaN(f) {
		return nil, errOverflow
	}
	return int(f), nil
}

func toFloat(v any, args []any, named *Dict) (any, error) {
	c := &call{args: args, named: named}
	none := c.take(0, "default", 0.0)
	if err := c.done(); err != nil {
		return nil, err
	}
	if u, ok := v.(undefined); ok {
		return nil, u.err()
	}
	if f, ok := numberOf(v); ok {
		return f, nil
	}
	if s, ok := v.(string); ok {
		switch f, ok, err := parseFloat(strings.TrimFunc(s, isSpace)); {
		case err != nil:
			return nil, err
		case ok:
			return f, nil
		}
	}
	return none, nil
}

// parseFloat reads a float, if the text is one. Forms that Go and Python read
// differently, such as digits of other scripts, are errors.
func parseFloat(s string) (f float64, ok bool, err error) {
	different := func(r rune) bool {
		return r == '_' || r == 'x' || r == 'X' || r > unicode.MaxASCII && unicode.IsDigit(r)
	}
	if strings.ContainsFunc(s, different) && strings.ContainsFunc(s, unicode.IsDigit) {
		return 0, false, fmt.Errorf("reading %q as a number is not supported", s)
	}
	f, err = strconv.ParseFloat(s, 64)
	return f, err == nil || errors.Is(err, strconv.ErrRange), nil
}
