package jinja

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// body reads statements up to a tag with one of these names, and takes the name. With
// no names, it reads up to the end of the template.
func (p *parser) body(until ...string) (all []statement, ended token, err error) {
	if err := p.nested(); err != nil {
		return nil, token{}, err
	}
	defer func() { p.depth-- }()
	for {
		switch t := p.take(); t.kind {
		case end:
			if len(until) > 0 {
				return nil, t, fmt.Errorf("%s is missing", strings.Join(until, " or "))
			}
			return all, t, nil
		case data:
			all = append(all, func(_ *scope, out *strings.Builder) error { out.WriteString(t.value); return nil })
		case variableBegin:
			st, err := p.output()
			if err != nil {
				return nil, t, err
			}
			all = append(all, st)
		default: // the beginning of a tag
			n, err := p.expectKind(name)
			if err != nil {
				return nil, n, err
			}
			if slices.Contains(until, n.value) {
				return all, n, nil
			}
			st, err := p.statement(n)
			if err != nil {
				return nil, n, err
			}
			all = append(all, st)
		}
	}
}

func (p *parser) endOfTag() error {
	_, err := p.expectKind(blockEnd)
	return err
}

func (p *parser) output() (statement, error) {
	value, err := p.tupleOrExpression()
	if err == nil {
		_, err = p.expectKind(variableEnd)
	}
	return func(s *scope, out *strings.Builder) error {
		v, err := value(s)
		if err != nil {
			return err
		}
		text, err := Text(v)
		out.WriteString(text)
		return err
	}, err
}

// tupleOrExpression reads an expression, or several with commas between them.
func (p *parser) tupleOrExpression() (expression, error) {
	first, err := p.expression()
	if err != nil || !p.peek().is(",") {
		return first, err
	}
	all := []expression{first}
	for {
		if _, ok := p.accept(","); !ok {
			break
		}
		if k := p.peek().kind; k == variableEnd || k == blockEnd {
			break
		}
		next, err := p.expression()
		if err != nil {
			return nil, err
		}
		all = append(all, next)
	}
	return func(s *scope) (any, error) {
		v, err := evaluate(s, all)
		return tuple(v), err
	}, nil
}

func (p *parser) statement(tag token) (statement, error) {
	switch tag.value {
	case "if":
		return p.ifStatement()
	case "for":
		return p.forStatement()
	case "set":
		return p.set()
	case "macro":
		return p.macro()
	case "generation": // marks what the assistant writes
		if err := p.endOfTag(); err != nil {
			return nil, err
		}
		return p.block("endgeneration")
	case "break", "continue":
		if p.loops == 0 {
			return nil, fmt.Errorf("line %d: %s is not in a loop", tag.line, tag.value)
		}
		result := errBreak
		if tag.value == "continue" {
			result = errContinue
		}
		return func(*scope, *strings.Builder) error { return result }, p.endOfTag()
	}
	return nil, fmt.Errorf("line %d: the tag %q is not supported", tag.line, tag.value)
}

// block reads statements that have variables of their own.
func (p *parser) block(until string) (statement, error) {
	body, _, err := p.body(until)
	if err == nil {
		err = p.endOfTag()
	}
	return func(s *scope, out *strings.Builder) error { return execute(body, s.inner(), out) }, err
}

func (p *parser) ifStatement() (statement, error) {
	var conditions []expression
	var bodies [][]statement
	for {
		condition, err := p.tupleOrExpression()
		if err == nil {
			err = p.endOfTag()
		}
		if err != nil {
			return nil, err
		}
		body, ended, err := p.body("elif", "else", "endif")
		if err != nil {
			return nil, err
		}
		conditions, bodies = append(conditions, condition), append(bodies, body)
		if ended.value == "elif" {
			continue
		}
		if ended.value == "else" {
			if err := p.endOfTag(); err != nil {
				return nil, err
			}
			if body, _, err = p.body("endif"); err != nil {
				return nil, err
			}
			conditions, bodies = append(conditions, constant(true)), append(bodies, body)
		}
		break
	}
	return func(s *scope, out *strings.Builder) error {
		for i, condition := range conditions {
			v, err := condition(s)
			if err != nil {
				return err
			}
			if truth(v) {
				return execute(bodies[i], s, out)
			}
		}
		return nil
	}, p.endOfTag()
}

// target is what a loop or a set assigns to: names, or an attribute of a namespace.
type target struct {
	names     []string
	attribute string
	// unpack is set if the value is divided among the names.
	unpack bool
}

func (p *parser) target(attributes bool) (target, error) {
	var t target
	_, parentheses := p.accept("(")
	for {
		n, err := p.expectKind(name)
		if err != nil {
			return t, err
		}
		if slices.Contains([]string{"true", "false", "none", "True", "False", "None"}, n.value) {
			return t, fmt.Errorf("line %d: cannot assign to %s", n.line, n.value)
		}
		t.names = append(t.names, n.value)
		if _, ok := p.accept("."); ok && attributes && len(t.names) == 1 {
			a, err := p.expectKind(name)
			t.attribute = a.value
			return t, err
		}
		if _, ok := p.accept(","); !ok {
			break
		}
		t.unpack = true
		if p.peek().kind != name || p.peek().is("in") {
			break
		}
	}
	if parentheses {
		return t, p.expect(")")
	}
	return t, nil
}

func (t target) assign(s *scope, v any) error {
	if t.attribute != "" {
		found, err := s.lookup(t.names[0])
		if err != nil {
			return err
		}
		n, ok := found.(*namespace)
		if !ok {
			return errors.New("cannot assign attribute on non-namespace object")
		}
		n.Set(t.attribute, v)
		return nil
	}
	if !t.unpack {
		s.values[t.names[0]] = v
		return nil
	}
	parts, err := items(v)
	if err != nil {
		return fmt.Errorf("cannot unpack non-iterable %s object", TypeName(v))
	}
	if len(parts) != len(t.names) {
		return fmt.Errorf("expected %d values to unpack, got %d", len(t.names), len(parts))
	}
	for i, n := range t.names {
		s.values[n] = parts[i]
	}
	return nil
}

func (p *parser) set() (statement, error) {
	to, err := p.target(true)
	if err != nil {
		return nil, err
	}
	if _, ok := p.accept("="); ok {
		value, err := p.tupleOrExpression()
		if err != nil {
			return nil, err
		}
		return func(s *scope, _ *strings.Builder) error {
			v, err := value(s)
			if err != nil {
				return err
			}
			return to.assign(s, v)
		}, p.endOfTag()
	}
	if err := p.endOfTag(); err != nil {
		return nil, err
	}
	body, err := p.block("endset")
	return func(s *scope, _ *strings.Builder) error {
		var out strings.Builder
		if err := body(s, &out); err != nil {
			return err
		}
		return to.assign(s, out.String())
	}, err
}

// macro reads a function that returns the text of its body.
func (p *parser) macro() (statement, error) {
	n, err := p.expectKind(name)
	if err == nil {
		err = p.expect("(")
	}
	if err != nil {
		return nil, err
	}
	m := &macro{name: n.value}
	for !p.peek().is(")") {
		if len(m.parameters) > 0 {
			if err := p.expect(","); err != nil {
				return nil, err
			}
		}
		parameter, err := p.expectKind(name)
		if err != nil {
			return nil, err
		}
		m.parameters = append(m.parameters, parameter.value)
		var value expression
		if _, ok := p.accept("="); ok {
			if value, err = p.expression(); err != nil {
				return nil, err
			}
		} else if len(m.defaults) > 0 && m.defaults[len(m.defaults)-1] != nil {
			return nil, fmt.Errorf("line %d: the parameter %s needs a default", parameter.line, parameter.value)
		}
		m.defaults = append(m.defaults, value)
	}
	p.take()
	if err := p.endOfTag(); err != nil {
		return nil, err
	}
	loops := p.loops
	p.loops = 0
	p.macros++
	m.body, _, err = p.body("endmacro")
	p.loops = loops
	p.macros--
	if err == nil {
		err = p.endOfTag()
	}
	return func(s *scope, _ *strings.Builder) error {
		s.values[m.name] = Function(func(args []any, named *Dict) (any, error) { return m.call(s, args, named) })
		return nil
	}, err
}

type macro struct {
	name       string
	parameters []string
	// defaults are nil for parameters without one.
	defaults []expression
	body     []statement
}

// mostCalls is how deeply macros can call each other.
const mostCalls = 200

// call calls a macro that was defined in a scope.
func (m *macro) call(defined *scope, args []any, named *Dict) (any, error) {
	s := defined.inner()
	if s.run.depth++; s.run.depth > mostCalls {
		return nil, errors.New("maximum recursion depth exceeded")
	}
	defer func() { s.run.depth-- }()
	if len(args) > len(m.parameters) {
		return nil, fmt.Errorf("macro '%s' takes not more than %d argument(s)", m.name, len(m.parameters))
	}
	for _, given := range named.Keys {
		switch i := slices.Index(m.parameters, given); {
		case i < 0:
			return nil, fmt.Errorf("macro '%s' takes no keyword argument '%s'", m.name, given)
		case i < len(args):
			return nil, fmt.Errorf("macro '%s' got multiple values for argument '%s'", m.name, given)
		}
	}
	for i, parameter := range m.parameters {
		v, ok := named.Get(parameter)
		switch {
		case i < len(args):
			v = args[i]
		case ok:
		case m.defaults[i] == nil:
			v = undefined{fmt.Sprintf("parameter '%s' was not provided", parameter)}
		default:
			var err error
			if v, err = m.defaults[i](s); err != nil {
				return nil, err
			}
		}
		s.values[parameter] = v
	}
	var out strings.Builder
	err := execute(m.body, s, &out)
	return out.String(), err
}
