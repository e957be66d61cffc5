package jinja

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// expression computes a value.
type expression func(s *scope) (any, error)

// parser reads the tokens of a template.
type parser struct {
	tokens  []token
	pos     int
	filters map[string]Filter
	// depth is how deeply expressions and blocks are nested.
	depth int
	// loops is the number of loops around the present place, within a macro.
	loops int
}

func (p *parser) peek() token { return p.tokens[p.pos] }

func (p *parser) take() token {
	t := p.tokens[p.pos]
	if t.kind != end {
		p.pos++
	}
	return t
}

// accept takes the next token if it is one of these operators or names.
func (p *parser) accept(values ...string) (token, bool) {
	if p.peek().is(values...) {
		return p.take(), true
	}
	return token{}, false
}

func (p *parser) expect(value string) error {
	if t := p.take(); !t.is(value) {
		return fmt.Errorf("expected %q instead of %s", value, t)
	}
	return nil
}

func (p *parser) expectKind(k kind) (token, error) {
	if t := p.take(); t.kind != k {
		return t, fmt.Errorf("unexpected %s", t)
	} else {
		return t, nil
	}
}

// deepest is how deeply a template can be nested.
const deepest = 200

func (p *parser) nested() error {
	if p.depth++; p.depth > deepest {
		return fmt.Errorf("line %d is nested too deeply", p.peek().line)
	}
	return nil
}

// expression reads a conditional expression, which includes all others.
func (p *parser) expression() (expression, error) {
	if err := p.nested(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	value, err := p.or()
	for err == nil {
		if _, ok := p.accept("if"); !ok {
			return value, nil
		}
		value, err = p.conditional(value)
	}
	return nil, err
}

func (p *parser) conditional(value expression) (expression, error) {
	condition, err := p.or()
	if err != nil {
		return nil, err
	}
	alternative := constant(undefined{"the inline if-expression evaluated to false and no else section was defined"})
	if _, ok := p.accept("else"); ok {
		if alternative, err = p.expression(); err != nil {
			return nil, err
		}
	}
	return func(s *scope) (any, error) {
		c, err := condition(s)
		if err != nil {
			return nil, err
		}
		if truth(c) {
			return value(s)
		}
		return alternative(s)
	}, nil
}

func constant(v any) expression { return func(*scope) (any, error) { return v, nil } }

func (p *parser) or() (expression, error)  { return p.logic("or", true, p.and) }
func (p *parser) and() (expression, error) { return p.logic("and", false, p.not) }

// logic reads operands of and, or of or, whose value is that of the first operand
// that decides, or else of the last one.
func (p *parser) logic(word string, decides bool, operand func() (expression, error)) (expression, error) {
	left, err := operand()
	for err == nil {
		if _, ok := p.accept(word); !ok {
			return left, nil
		}
		first, right := left, expression(nil)
		right, err = operand()
		left = func(s *scope) (any, error) {
			v, err := first(s)
			if err != nil || truth(v) == decides {
				return v, err
			}
			return right(s)
		}
	}
	return nil, err
}

func (p *parser) not() (expression, error) {
	if _, ok := p.accept("not"); !ok {
		return p.comparison()
	}
	if err := p.nested(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	of, err := p.not()
	return negation(of), err
}

func negation(of expression) expression {
	return func(s *scope) (any, error) {
		v, err := of(s)
		return !truth(v), err
	}
}

// comparison reads a chain of comparisons, such as 1 < x <= 5.
func (p *parser) comparison() (expression, error) {
	first, err := p.sum()
	if err != nil {
		return nil, err
	}
	var operators []string
	operands := []expression{first}
	for {
		op, ok := p.accept("==", "!=", "<", "<=", ">", ">=", "in")
		if !ok && p.peek().is("not") && p.tokens[p.pos+1].is("in") {
			p.pos += 2
			op, ok = token{value: "not in"}, true
		}
		if !ok {
			break
		}
		next, err := p.sum()
		if err != nil {
			return nil, err
		}
		operators, operands = append(operators, op.value), append(operands, next)
	}
	if len(operators) == 0 {
		return first, nil
	}
	return func(s *scope) (any, error) {
		left, err := operands[0](s)
		for i := 0; err == nil && i < len(operators); i++ {
			var right any
			if right, err = operands[i+1](s); err != nil {
				break
			}
			holds, failed := compare(operators[i], left, right)
			if failed != nil || !holds {
				return false, failed
			}
			left = right
		}
		return err == nil, err
	}, nil
}

func (p *parser) sum() (expression, error)           { return p.arithmetic(p.concatenation, "+", "-") }
func (p *parser) concatenation() (expression, error) { return p.arithmetic(p.product, "~") }
func (p *parser) product() (expression, error)       { return p.arithmetic(p.power, "*", "/", "//", "%") }
func (p *parser) power() (expression, error) {
	return p.arithmetic(func() (expression, error) { return p.unary(true) }, "**")
}

func (p *parser) arithmetic(operand func() (expression, error), operators ...string) (expression, error) {
	left, err := operand()
	for err == nil {
		op, ok := p.accept(operators...)
		if !ok {
			return left, nil
		}
		first, right := left, expression(nil)
		right, err = operand()
		left = func(s *scope) (any, error) {
			a, err := first(s)
			if err != nil {
				return nil, err
			}
			b, err := right(s)
			if err != nil {
				return nil, err
			}
			return s.run.charged(operate(op.value, a, b))
		}
	}
	return nil, err
}

// unary reads a signed operand. Filters apply to the result, except after a sign.
func (p *parser) unary(filtered bool) (expression, error) {
	if err := p.nested(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	value, err := p.signed()
	if err == nil && filtered {
		value, err = p.filtered(value)
	}
	return value, err
}

func (p *parser) signed() (expression, error) {
	sign, ok := p.accept("+", "-")
	if !ok {
		value, err := p.primary()
		if err != nil {
			return nil, err
		}
		return p.postfix(value)
	}
	of, err := p.unary(false)
	return func(s *scope) (any, error) {
		v, err := of(s)
		if err != nil {
			return nil, err
		}
		return operate(sign.value, 0, v)
	}, err
}

// primary reads a literal, a name, or an expression in parentheses.
func (p *parser) primary() (expression, error) {
	t := p.take()
	switch {
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
