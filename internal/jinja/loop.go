package jinja

import (
	"errors"
	"strings"
)

// forLoop is {% for %}.
type forLoop struct {
	to        target
	over      expression
	condition expression // or nil
	body      []statement
	otherwise []statement // for no elements
}

func (p *parser) forStatement() (statement, error) {
	f := &forLoop{}
	var err error
	if f.to, err = p.target(false); err != nil {
		return nil, err
	}
	if err := p.expect("in"); err != nil {
		return nil, err
	}
	// An if at this place is a condition on elements, not part of the expression.
	if f.over, err = p.or(); err != nil {
		return nil, err
	}
	if _, ok := p.accept("if"); ok {
		if f.condition, err = p.expression(); err != nil {
			return nil, err
		}
	}
	if err := p.endOfTag(); err != nil {
		return nil, err
	}
	p.loops++
	body, ended, err := p.body("else", "endfor")
	p.loops--
	if err != nil {
		return nil, err
	}
	f.body = body
	if ended.value == "else" {
		if err := p.endOfTag(); err != nil {
			return nil, err
		}
		if f.otherwise, _, err = p.body("endfor"); err != nil {
			return nil, err
		}
	}
	return f.execute, p.endOfTag()
}

func (f *forLoop) execute(s *scope, out *strings.Builder) error {
	elements, err := f.elements(s)
	if err != nil {
		return err
	}
	if len(elements) == 0 {
		return execute(f.otherwise, s.inner(), out)
	}
	for i, e := range elements {
		if err := s.run.step(); err != nil {
			return err
		}
		inner := s.inner()
		if err := f.to.assign(inner, e); err != nil {
			return err
		}
		inner.values["loop"] = &loop{elements, i}
		switch err := execute(f.body, inner, out); {
		case errors.Is(err, errBreak):
			return nil
		case err != nil && !errors.Is(err, errContinue):
			return err
		}
	}
	return nil
}

// elements returns those that meet the condition.
func (f *forLoop) elements(s *scope) ([]any, error) {
	v, err := f.over(s)
	if err != nil {
		return nil, err
	}
	all, err := items(v)
	if err != nil || f.condition == nil {
		return all, err
	}
	var out []any
	for _, e := range all {
		inner := s.inner()
		if err := f.to.assign(inner, e); err != nil {
			return nil, err
		}
		inner.values["loop"] = undefined{"'loop' is undefined. The filter section of a loop as well as the else block don't have access to the special 'loop' variable of the current loop."}
		c, err := f.condition(inner)
		if err != nil {
			return nil, err
		}
		if truth(c) {
			out = append(out, e)
		}
	}
	return out, nil
}

// loop is the variable loop in an iteration.
type loop struct {
	elements []any
	i        int
}

// get returns an attribute.
func (l *loop) get(name string) (any, bool) {
	n := len(l.elements)
	switch name {
	case "index":
		return l.i + 1, true
	case "index0":
		return l.i, true
	case "revindex":
		return n - l.i, true
	case "revindex0":
		return n - l.i - 1, true
	case "first":
		return l.i == 0, true
	case "last":
		return l.i == n-1, true
	case "length":
		return n, true
	case "depth": // of recursive loops, which are not supported
		return 1, true
	case "depth0":
		return 0, true
	case "previtem":
		return l.at(l.i-1, "there is no previous item"), true
	case "nextitem":
		return l.at(l.i+1, "there is no next item"), true
	case "cycle":
		return Function(l.cycle), true
	}
	return nil, false
}

func (l *loop) at(i int, missing string) any {
	if i < 0 || i >= len(l.elements) {
		return undefined{missing}
	}
	return l.elements[i]
}

func (l *loop) cycle(args []any, _ *Dict) (any, error) {
	if len(args) == 0 {
		return nil, errors.New("no items for cycling given")
	}
	return args[l.i%len(args)], nil
}
