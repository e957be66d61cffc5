package jinja

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// postfix reads attributes, items, slices, and calls of a value.
func (p *parser) postfix(of expression) (expression, error) {
	var err error
	for err == nil {
		t, ok := p.accept(".", "[", "(")
		switch {
		case !ok:
			return of, nil
		case t.value == ".":
			of, err = p.attribute(of)
		case t.value == "[":
			of, err = p.subscript(of)
		default:
			of, err = p.call(of)
		}
	}
	return nil, err
}

func (p *parser) attribute(of expression) (expression, error) {
	switch t := p.take(); t.kind {
	case name:
		return then(of, func(s *scope, v any) (any, error) {
			return attribute(v, t.value)
		}), nil
	case integer:
		i, err := strconv.Atoi(t.value)
		return then(of, func(s *scope, v any) (any, error) {
			return item(v, i)
		}), err
	default:
		return nil, fmt.Errorf("unexpected %s", t)
	}
}

func (p *parser) subscript(of expression) (expression, error) {
	var parts [3]expression
	colons := 0
	for !p.peek().is("]") {
		if _, ok := p.accept(":"); ok {
			if colons++; colons == len(parts) {
				return nil, fmt.Errorf("unexpected %s", p.peek())
			}
			continue
		}
		if parts[colons] != nil {
			return nil, fmt.Errorf("unexpected %s", p.peek())
		}
		var err error
		if parts[colons], err = p.expression(); err != nil {
			return nil, err
		}
	}
	p.take()
	if colons == 0 && parts[0] == nil {
		return nil, errors.New("an index is missing")
	}
	return then(of, func(s *scope, v any) (any, error) {
		var at [3]any
		var err error
		for i, e := range parts {
			if e == nil {
				continue
			}
			if at[i], err = e(s); err != nil {
				return nil, err
			}
		}
		if colons > 0 {
			return s.run.charged(slice(v, at[0], at[1], at[2]))
		}
		return item(v, at[0])
	}), nil
}

// arguments are those of a call.
type arguments struct {
	positional []expression
	names      []string
	named      []expression
}

// arguments reads the arguments of a call after its parenthesis.
func (p *parser) arguments() (*arguments, error) {
	a := &arguments{}
	for {
		if _, ok := p.accept(")"); ok {
			return a, nil
		}
		if len(a.positional)+len(a.named) > 0 {
			if err := p.expect(","); err != nil {
				return nil, err
			}
			if _, ok := p.accept(")"); ok {
				return a, nil
			}
		}
		if p.peek().kind == name && p.tokens[p.pos+1].is("=") {
			a.names = append(a.names, p.take().value)
			p.take()
			e, err := p.expression()
			if err != nil {
				return nil, err
			}
			a.named = append(a.named, e)
			continue
		}
		if len(a.named) > 0 {
			return nil, fmt.Errorf("unexpected %s: it follows a named argument", p.peek())
		}
		e, err := p.expression()
		if err != nil {
			return nil, err
		}
		a.positional = append(a.positional, e)
	}
}

func (a *arguments) evaluate(s *scope) ([]any, *Dict, error) {
	positional, err := evaluate(s, a.positional)
	if err != nil {
		return nil, nil, err
	}
	values, err := evaluate(s, a.named)
	if err != nil {
		return nil, nil, err
	}
	named := &Dict{}
	for i, n := range a.names {
		named.Set(n, values[i])
	}
	return positional, named, nil
}

func (p *parser) call(of expression) (expression, error) {
	args, err := p.arguments()
	return func(s *scope) (any, error) {
		f, err := of(s)
		if err != nil {
			return nil, err
		}
		positional, named, err := args.evaluate(s)
		if err != nil {
			return nil, err
		}
		switch f := f.(type) {
		case Function:
			return s.run.charged(f(positional, named))
		case undefined:
			return nil, f.err()
		}
		return nil, fmt.Errorf("'%s' object is not callable", TypeName(f))
	}, err
}

// filtered reads the filters and tests that follow a value.
func (p *parser) filtered(of expression) (expression, error) {
	var err error
	for err == nil {
		t, ok := p.accept("|", "is", "(")
		switch {
		case !ok:
			return of, nil
		case t.value == "|":
			of, err = p.filter(of)
		case t.value == "is":
			of, err = p.test(of)
		default:
			of, err = p.call(of)
		}
	}
	return nil, err
}

// ofMarkup are the filters that treat markup like any text.
var ofMarkup = []string{"safe", "default", "d"}

// filter reads the name of a filter and its arguments.
func (p *parser) filter(of expression) (expression, error) {
	n, err := p.expectKind(name)
	if err != nil {
		return nil, err
	}
	f, ok := p.filters[n.value]
	if !ok {
		f, ok = filters()[n.value]
	}
	if !ok {
		return nil, fmt.Errorf("line %d: the filter %q is not supported", n.line, n.value)
	}
	args := &arguments{}
	if _, ok := p.accept("("); ok {
		if args, err = p.arguments(); err != nil {
			return nil, err
		}
	}
	return then(of, func(s *scope, v any) (any, error) {
		positional, named, err := args.evaluate(s)
		if err != nil {
			return nil, err
		}
		if isA[markup](v) && !slices.Contains(ofMarkup, n.value) {
			return nil, fmt.Errorf("the filter %s is not supported for the result of safe", n.value)
		}
		return s.run.charged(f(v, positional, named))
	}), nil
}

// test reads the name of a test and its argument, which needs no parentheses.
func (p *parser) test(of expression) (expression, error) {
	_, not := p.accept("not")
	n, err := p.expectKind(name)
	if err != nil {
		return nil, err
	}
	t, ok := tests()[n.value]
	if !ok {
		return nil, fmt.Errorf("line %d: the test %q is not supported", n.line, n.value)
	}
	args := &arguments{}
	switch next := p.peek(); {
	case next.is("("):
		p.take()
		args, err = p.arguments()
	case next.kind == text || next.kind == integer || next.kind == float || next.is("[", "{") || next.kind == name && !next.is("else", "or", "and", "is", "if", "in", "not", "recursive"):
		var arg expression
		if arg, err = p.primary(); err == nil {
			arg, err = p.postfix(arg)
		}
		args.positional = []expression{arg}
	}
	if err != nil {
		return nil, err
	}
	result := then(of, func(s *scope, v any) (any, error) {
		positional, named, err := args.evaluate(s)
		if err != nil {
			return nil, err
		}
		if len(positional) != t.arguments || len(named.Keys) > 0 {
			return nil, fmt.Errorf("the test %s takes %d arguments", n.value, t.arguments)
		}
		return t.holds(v, positional)
	})
	if not {
		return negation(result), nil
	}
	return result, nil
}

// then returns an expression that computes a value from that of another one.
func then(of expression, use func(s *scope, v any) (any, error)) expression {
	return func(s *scope) (any, error) {
		v, err := of(s)
		if err != nil {
			return nil, err
		}
		return use(s, v)
	}
}
