package jinja

import (
	"fmt"
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
	// macros is the number of macros around the present place.
	macros int
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
	return then(of, func(s *scope, v any) (any, error) {
		return operate(sign.value, 0, v)
	}), err
}
