package jinja

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// primary reads a literal, a name, or an expression in parentheses.
func (p *parser) primary() (expression, error) {
	t := p.take()
	switch {
	case t.kind == name && p.macros > 0 && t.is("varargs", "kwargs", "caller"):
		return nil, fmt.Errorf("line %d: %s of macros is not supported", t.line, t.value)
	case t.kind == name:
		return named(t.value), nil
	case t.kind == text:
		all := ""
		for ; t.kind == text; t = p.take() {
			s, err := unescape(t.value)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", t.line, err)
			}
			all += s
		}
		p.pos--
		return constant(all), nil
	case t.kind == integer:
		n, err := strconv.Atoi(t.value)
		return constant(n), err
	case t.kind == float:
		f, err := strconv.ParseFloat(t.value, 64)
		return constant(f), err
	case t.is("("):
		return p.parentheses()
	case t.is("["):
		elements, err := p.list("]")
		return func(s *scope) (any, error) { return evaluate(s, elements) }, err
	case t.is("{"):
		return p.dict()
	}
	return nil, fmt.Errorf("unexpected %s", t)
}

func named(n string) expression {
	switch n {
	case "true", "True":
		return constant(true)
	case "false", "False":
		return constant(false)
	case "none", "None":
		return constant(nil)
	}
	return func(s *scope) (any, error) { return s.lookup(n) }
}

// parentheses reads a tuple, or an expression.
func (p *parser) parentheses() (expression, error) {
	elements, err := p.list(")")
	if err != nil {
		return nil, err
	}
	if len(elements) == 1 && !p.tokens[p.pos-2].is(",") {
		return elements[0], nil
	}
	return func(s *scope) (any, error) {
		all, err := evaluate(s, elements)
		return tuple(all), err
	}, nil
}

// list reads expressions up to a bracket.
func (p *parser) list(closing string) (all []expression, err error) {
	for {
		if _, ok := p.accept(closing); ok {
			return all, nil
		}
		if len(all) > 0 {
			if err := p.expect(","); err != nil {
				return nil, err
			}
			if _, ok := p.accept(closing); ok {
				return all, nil
			}
		}
		e, err := p.expression()
		if err != nil {
			return nil, err
		}
		all = append(all, e)
	}
}

func evaluate(s *scope, all []expression) ([]any, error) {
	out := make([]any, len(all))
	for i, e := range all {
		var err error
		if out[i], err = e(s); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (p *parser) dict() (expression, error) {
	var keys, values []expression
	for {
		if _, ok := p.accept("}"); ok {
			break
		}
		if len(keys) > 0 {
			if err := p.expect(","); err != nil {
				return nil, err
			}
			if _, ok := p.accept("}"); ok {
				break
			}
		}
		key, err := p.expression()
		if err == nil {
			err = p.expect(":")
		}
		if err != nil {
			return nil, err
		}
		value, err := p.expression()
		if err != nil {
			return nil, err
		}
		keys, values = append(keys, key), append(values, value)
	}
	return func(s *scope) (any, error) {
		d := &Dict{}
		for i := range keys {
			k, err := keys[i](s)
			if err != nil {
				return nil, err
			}
			v, err := values[i](s)
			if err != nil {
				return nil, err
			}
			key, ok := k.(string)
			if !ok {
				return nil, fmt.Errorf("keys that are not texts, such as a %s, are not supported", TypeName(k))
			}
			d.Set(key, v)
		}
		return d, nil
	}, nil
}

// unescape reads the escapes of a text as Python does.
func unescape(s string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		if r, ok := escapes[s[i]]; ok {
			b.WriteString(r)
			continue
		}
		digits := map[byte]int{'x': 2, 'u': 4, 'U': 8}[s[i]]
		switch {
		case digits > 0:
			if i+digits >= len(s) {
				return "", fmt.Errorf("the escape \\%c needs %d digits", s[i], digits)
			}
			code, err := strconv.ParseUint(s[i+1:i+1+digits], 16, 32)
			if err != nil || code > utf8.MaxRune || code >= 0xD800 && code < 0xE000 {
				return "", fmt.Errorf("the escape \\%s is not a character", s[i:i+1+digits])
			}
			b.WriteRune(rune(code))
			i += digits
		case s[i] >= '0' && s[i] <= '7', s[i] == 'N':
			return "", fmt.Errorf("the escape \\%c is not supported", s[i])
		default:
			b.WriteByte('\\')
			b.WriteByte(s[i])
		}
	}
	return b.String(), nil
}

var escapes = map[byte]string{'\n': "", '\\': "\\", '\'': "'", '"': "\"", 'a': "\a", 'b': "\b", 'f': "\f", 'n': "\n", 'r': "\r", 't': "\t", 'v': "\v"}
