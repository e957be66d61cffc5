package promptfoo

import (
	"fmt"
	"strings"
)

// The two languages in configurations, the expressions of Nunjucks and of
// JavaScript, are similar enough to be parsed into one tree. The tree contains
// what both offer and what has a counterpart in HCL. Anything else is a syntax
// error here, and a finding for the user.

// term is an expression.
type term struct {
	op   string // one of the constants below, or an operator
	name string // of opName, opMember, opFilter; the text of opText; the pattern of opRegex
	args []*term
	// num is the value of opNumber.
	num float64
	// extra contains the flags of opRegex, or the parameters of opArrow,
	// separated by commas.
	extra string
}

const (
	opText, opNumber, opBool, opNull = "text", "number", "bool", "null"
	opName, opMember, opIndex        = "name", "member", "index"
	opCall, opFilter, opList         = "call", "filter", "list"
	opCond, opNot, opNegate          = "cond", "not", "negate"
	opRegex, opArrow, opTemplate     = "regex", "arrow", "template"
	opTypeof, opObject               = "typeof", "object"
)

// dialect distinguishes the two languages.
type dialect int

const (
	nunjucks dialect = iota
	javascript
)

// maxTerm is the maximum nesting depth of an expression.
const maxTerm = 100

type parser struct {
	lexer
	tok   token
	depth int
}

// parseTerm parses a complete expression.
func parseTerm(src string, d dialect) (t *term, err error) {
	p := &parser{lexer: lexer{src: src, dialect: d}}
	if err := p.advance(); err != nil {
		return nil, err
	}
	t, err = p.expression()
	if err == nil && p.tok.kind != tokEnd {
		err = p.unexpected()
	}
	return t, err
}

func (p *parser) advance() (err error) {
	p.tok, err = p.next()
	return err
}

func (p *parser) unexpected() error {
	if p.tok.kind == tokEnd {
		return fmt.Errorf("it ends too early")
	}
	return fmt.Errorf("%q has no equivalent", p.tok.text)
}

// is reports whether the token is the given sign or, in Nunjucks, the given
// word.
func (p *parser) is(text string) bool {
	return p.tok.text == text && (p.tok.kind == tokSign || p.tok.kind == tokWord)
}

func (p *parser) accept(text string) (bool, error) {
	if !p.is(text) {
		return false, nil
	}
	return true, p.advance()
}

func (p *parser) expect(text string) error {
	ok, err := p.accept(text)
	if err == nil && !ok {
		err = p.unexpected()
	}
	return err
}

// expression parses a conditional, or something that binds tighter.
func (p *parser) expression() (*term, error) {
	if p.depth++; p.depth > maxTerm {
		return nil, fmt.Errorf("it is nested too deeply")
	}
	defer func() { p.depth-- }()
	t, err := p.binary(0)
	if err != nil {
		return nil, err
	}
	if p.dialect == nunjucks {
		return p.inlineIf(t)
	}
	ok, err := p.accept("?")
	if err != nil || !ok {
		return t, err
	}
	yes, err := p.expression()
	if err == nil {
		err = p.expect(":")
	}
	if err != nil {
		return nil, err
	}
	no, err := p.expression()
	return &term{op: opCond, args: []*term{t, yes, no}}, err
}

// inlineIf parses Nunjucks' `yes if condition else no`.
func (p *parser) inlineIf(yes *term) (*term, error) {
	ok, err := p.accept("if")
	if err != nil || !ok {
		return yes, err
	}
	cond, err := p.binary(0)
	if err != nil {
		return nil, err
	}
	no := &term{op: opText}
	if ok, err = p.accept("else"); err == nil && ok {
		no, err = p.expression()
	}
	return &term{op: opCond, args: []*term{cond, yes, no}}, err
}

// levels contains the operators as in the tree, from lowest to highest
// precedence.
var levels = [][]string{
	{"||", "??"}, {"&&"}, {"==", "!="}, {"<", "<=", ">", ">=", "in"}, {"~"}, {"+", "-"}, {"*", "/", "%"},
}

var spelled = map[string]string{"===": "==", "!==": "!=", "or": "||", "and": "&&"}

func (p *parser) operator(level int) string {
	if p.tok.kind != tokSign && p.tok.kind != tokWord {
		return ""
	}
	sign := p.tok.text
	if p.tok.kind == tokWord && (p.dialect == javascript || sign != "or" && sign != "and" && sign != "in") {
		return ""
	}
	if s, ok := spelled[sign]; ok {
		sign = s
	}
	for _, s := range levels[level] {
		if s == sign {
			return s
		}
	}
	return ""
}

func (p *parser) binary(level int) (*term, error) {
	if level == len(levels) {
		return p.unary()
	}
	left, err := p.binary(level + 1)
	for err == nil {
		op := p.operator(level)
		if op == "" {
			return left, nil
		}
		if err = p.advance(); err != nil {
			break
		}
		var right *term
		if right, err = p.binary(level + 1); err == nil {
			left = &term{op: op, args: []*term{left, right}}
		}
	}
	return nil, err
}

func (p *parser) unary() (*term, error) {
	if p.depth++; p.depth > maxTerm {
		return nil, fmt.Errorf("it is nested too deeply")
	}
	defer func() { p.depth-- }()
	for sign, op := range map[string]string{"!": opNot, "not": opNot, "-": opNegate, "typeof": opTypeof} {
		if !p.is(sign) || (sign == "not") != (p.dialect == nunjucks) && sign != "!" && sign != "-" {
			continue
		}
		if err := p.advance(); err != nil {
			return nil, err
		}
		t, err := p.unary()
		return &term{op: op, args: []*term{t}}, err
	}
	t, err := p.primary()
	if err != nil {
		return nil, err
	}
	return p.postfix(t)
}

func (p *parser) primary() (*term, error) {
	tok := p.tok
	switch tok.kind {
	case tokText:
		return &term{op: opText, name: tok.text}, p.advance()
	case tokNumber:
		return &term{op: opNumber, num: tok.num}, p.advance()
	case tokRegex:
		return &term{op: opRegex, name: tok.text, extra: tok.flags}, p.advance()
	case tokTemplate:
		return p.template(tok.text)
	case tokWord:
		return p.word(tok.text)
	}
	switch {
	case p.is("("):
		return p.parenthesized()
	case p.is("["):
		items, err := p.arguments("[", "]")
		return &term{op: opList, args: items}, err
	case p.is("{") && p.dialect == javascript:
		return p.object()
	}
	return nil, p.unexpected()
}

// object parses {name: value, …}. Its names are in extra.
func (p *parser) object() (*term, error) {
	t := &term{op: opObject}
	var names []string
	if err := p.expect("{"); err != nil {
		return nil, err
	}
	for !p.is("}") {
		if p.tok.kind != tokWord && p.tok.kind != tokText {
			return nil, p.unexpected()
		}
		name := p.tok.text
		if err := p.advance(); err != nil {
			return nil, err
		}
		v := &term{op: opName, name: name}
		if ok, err := p.accept(":"); err != nil {
			return nil, err
		} else if ok {
			if v, err = p.expression(); err != nil {
				return nil, err
			}
		}
		names, t.args = append(names, name), append(t.args, v)
		if ok, err := p.accept(","); err != nil {
			return nil, err
		} else if !ok {
			break
		}
	}
	t.extra = strings.Join(names, ",")
	return t, p.expect("}")
}

func (p *parser) word(name string) (*term, error) {
	if err := p.advance(); err != nil {
		return nil, err
	}
	switch name {
	case "true", "false":
		return &term{op: opBool, name: name}, nil
	case "null", "none", "undefined":
		return &term{op: opNull}, nil
	case "function", "new", "typeof", "await", "async", "void", "delete":
		return nil, fmt.Errorf("%s has no equivalent", name)
	}
	if p.dialect == javascript && p.is("=>") {
		return p.arrow(name)
	}
	return &term{op: opName, name: name}, nil
}

// parenthesized parses an expression in parentheses, or the parameters of an
// arrow function.
func (p *parser) parenthesized() (*term, error) {
	items, err := p.arguments("(", ")")
	if err != nil {
		return nil, err
	}
	if p.dialect == javascript && p.is("=>") {
		var params []string
		for _, t := range items {
			if t.op != opName {
				return nil, fmt.Errorf("a function with these parameters has no equivalent")
			}
			params = append(params, t.name)
		}
		return p.arrow(strings.Join(params, ","))
	}
	if len(items) != 1 {
		return nil, p.unexpected()
	}
	return items[0], nil
}

func (p *parser) arrow(params string) (*term, error) {
	if err := p.advance(); err != nil {
		return nil, err
	}
	if p.is("{") {
		return nil, fmt.Errorf("a function with statements has no equivalent")
	}
	body, err := p.expression()
	return &term{op: opArrow, extra: params, args: []*term{body}}, err
}

// template parses a JavaScript template literal with ${…}.
func (p *parser) template(src string) (*term, error) {
	t := &term{op: opTemplate}
	for {
		before, rest, found := strings.Cut(src, "${")
		t.args = append(t.args, &term{op: opText, name: unescape(before)})
		if !found {
			return t, p.advance()
		}
		inside, after, closed := strings.Cut(rest, "}")
		if !closed {
			return nil, fmt.Errorf("a ${ is not closed")
		}
		part, err := parseTerm(inside, javascript)
		if err != nil {
			return nil, err
		}
		t.args, src = append(t.args, part), after
	}
}

// arguments parses expressions between two signs, separated by commas.
func (p *parser) arguments(open, closed string) ([]*term, error) {
	if err := p.expect(open); err != nil {
		return nil, err
	}
	var args []*term
	for !p.is(closed) {
		t, err := p.expression()
		if err != nil {
			return nil, err
		}
		args = append(args, t)
		if ok, err := p.accept(","); err != nil {
			return nil, err
		} else if !ok {
			break
		}
	}
	return args, p.expect(closed)
}

func (p *parser) postfix(t *term) (*term, error) {
	for {
		var err error
		switch {
		case p.is("."), p.is("?."):
			t, err = p.member(t)
		case p.is("["):
			var items []*term
			if items, err = p.arguments("[", "]"); err == nil && len(items) != 1 {
				err = p.unexpected()
			}
			t = &term{op: opIndex, args: append([]*term{t}, items...)}
		case p.is("("):
			var args []*term
			args, err = p.arguments("(", ")")
			t = &term{op: opCall, args: append([]*term{t}, args...)}
		case p.dialect == nunjucks && p.is("|"):
			t, err = p.filter(t)
		default:
			return t, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

func (p *parser) member(of *term) (*term, error) {
	if err := p.advance(); err != nil {
		return nil, err
	}
	if p.tok.kind != tokWord {
		return nil, p.unexpected()
	}
	t := &term{op: opMember, name: p.tok.text, args: []*term{of}}
	return t, p.advance()
}

func (p *parser) filter(of *term) (*term, error) {
	if err := p.advance(); err != nil {
		return nil, err
	}
	if p.tok.kind != tokWord {
		return nil, p.unexpected()
	}
	t := &term{op: opFilter, name: p.tok.text, args: []*term{of}}
	if err := p.advance(); err != nil || !p.is("(") {
		return t, err
	}
	args, err := p.arguments("(", ")")
	t.args = append(t.args, args...)
	return t, err
}
