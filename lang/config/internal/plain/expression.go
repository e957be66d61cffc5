package plain

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// nothing is the expression that a parser returns if it fails.
func (p *parser) nothing() hclsyntax.Expression {
	p.fail()
	return &hclsyntax.LiteralValueExpr{}
}

func (p *parser) expression() hclsyntax.Expression {
	first := p.tok
	condition := p.operation(1)
	if p.tok.kind != '?' {
		return condition
	}
	p.advance()
	yes := p.expression()
	p.expect(':')
	no := p.expression()
	return &hclsyntax.ConditionalExpr{
		Condition: condition, TrueResult: yes, FalseResult: no,
		SrcRange: hcl.RangeBetween(p.at(first), no.Range()),
	}
}

// operation parses operators that bind at least as tightly as a precedence.
func (p *parser) operation(tightest int) hclsyntax.Expression {
	left := p.traversals(p.term())
	for {
		op, precedence := operator(p.tok.kind)
		if precedence < tightest {
			return left
		}
		p.advance()
		right := p.operation(precedence + 1)
		left = &hclsyntax.BinaryOpExpr{LHS: left, Op: op, RHS: right, SrcRange: hcl.RangeBetween(left.Range(), right.Range())}
	}
}

// operator returns a binary operator and its precedence, which is 0 for a token
// that is none.
func operator(k kind) (*hclsyntax.Operation, int) {
	switch k {
	case or:
		return hclsyntax.OpLogicalOr, 1
	case and:
		return hclsyntax.OpLogicalAnd, 2
	case equal:
		return hclsyntax.OpEqual, 3
	case notEqual:
		return hclsyntax.OpNotEqual, 3
	case '<':
		return hclsyntax.OpLessThan, 4
	case '>':
		return hclsyntax.OpGreaterThan, 4
	case atMost:
		return hclsyntax.OpLessThanOrEqual, 4
	case atLeast:
		return hclsyntax.OpGreaterThanOrEqual, 4
	case '+':
		return hclsyntax.OpAdd, 5
	case '-':
		return hclsyntax.OpSubtract, 5
	case '*':
		return hclsyntax.OpMultiply, 6
	case '/':
		return hclsyntax.OpDivide, 6
	case '%':
		return hclsyntax.OpModulo, 6
	}
	return nil, 0
}

func (p *parser) term() hclsyntax.Expression {
	switch p.tok.kind {
	case ident:
		return p.name()
	case number:
		return p.number()
	case quote:
		return p.template()
	case '(':
		return p.parentheses()
	case '[':
		return p.tuple()
	case '{':
		return p.object()
	case '-':
		return p.unary(hclsyntax.OpNegate)
	case '!':
		return p.unary(hclsyntax.OpLogicalNot)
	}
	return p.nothing()
}

func (p *parser) number() hclsyntax.Expression {
	t := p.expect(number)
	v, err := cty.ParseNumberVal(p.string(t))
	if err != nil {
		return p.nothing()
	}
	return &hclsyntax.LiteralValueExpr{Val: v, SrcRange: p.at(t)}
}

func (p *parser) unary(op *hclsyntax.Operation) hclsyntax.Expression {
	symbol := p.tok
	p.advance()
	operand := p.traversals(p.term())
	return &hclsyntax.UnaryOpExpr{
		Op: op, Val: operand,
		SrcRange: hcl.RangeBetween(p.at(symbol), operand.Range()), SymbolRange: p.at(symbol),
	}
}

// name parses a constant, a call, or the beginning of a reference.
func (p *parser) name() hclsyntax.Expression {
	t := p.expect(ident)
	if p.tok.kind == '(' {
		return p.call(t)
	}
	at := p.at(t)
	switch name := p.string(t); name {
	case "true":
		return &hclsyntax.LiteralValueExpr{Val: cty.True, SrcRange: at}
	case "false":
		return &hclsyntax.LiteralValueExpr{Val: cty.False, SrcRange: at}
	case "null":
		return &hclsyntax.LiteralValueExpr{Val: cty.NullVal(cty.DynamicPseudoType), SrcRange: at}
	default:
		steps := make(hcl.Traversal, 1, 2)
		steps[0] = hcl.TraverseRoot{Name: name, SrcRange: at}
		return &hclsyntax.ScopeTraversalExpr{Traversal: steps, SrcRange: at}
	}
}

func (p *parser) call(name token) hclsyntax.Expression {
	open := p.tok
	outside := p.advanceWithin(false)
	args, closing := p.list(')', outside)
	return &hclsyntax.FunctionCallExpr{
		Name: p.string(name), Args: args,
		NameRange: p.at(name), OpenParenRange: p.at(open), CloseParenRange: p.at(closing),
	}
}

func (p *parser) tuple() hclsyntax.Expression {
	open := p.tok
	outside := p.advanceWithin(false)
	if p.isFor() {
		return p.nothing()
	}
	exprs, closing := p.list(']', outside)
	return &hclsyntax.TupleConsExpr{Exprs: exprs, SrcRange: p.between(open, closing), OpenRange: p.at(open)}
}

func (p *parser) isFor() bool { return p.tok.kind == ident && p.string(p.tok) == "for" }

// list parses expressions with commas between them, and what closes the list.
func (p *parser) list(closing kind, outside bool) (all []hclsyntax.Expression, last token) {
	for p.tok.kind != closing {
		all = append(all, p.expression())
		if p.tok.kind != closing {
			p.expect(',')
		}
		if p.failed {
			return nil, token{}
		}
	}
	p.advanceWithin(outside)
	return all, p.last
}

func (p *parser) parentheses() hclsyntax.Expression {
	open := p.tok
	outside := p.advanceWithin(false)
	e := p.expression()
	if p.tok.kind != ')' {
		return p.nothing()
	}
	p.advanceWithin(outside)
	return &hclsyntax.ParenthesesExpr{Expression: e, SrcRange: p.between(open, p.last)}
}

func (p *parser) object() hclsyntax.Expression {
	open := p.tok
	outside := p.advanceWithin(true)
	var items []hclsyntax.ObjectConsItem
	for p.tok.kind != '}' {
		if p.tok.kind == newline {
			p.advance()
			continue
		}
		if len(items) == 0 && p.isFor() {
			return p.nothing()
		}
		items = append(items, p.objectItem())
		if p.tok.kind == ',' {
			p.advance()
		} else if p.tok.kind != '}' {
			p.expect(newline)
		}
		if p.failed {
			return p.nothing()
		}
	}
	p.advanceWithin(outside)
	return &hclsyntax.ObjectConsExpr{Items: items, SrcRange: p.between(open, p.last), OpenRange: p.at(open)}
}

func (p *parser) objectItem() hclsyntax.ObjectConsItem {
	computed := p.tok.kind == '('
	key := p.expression()
	if p.tok.kind == ':' {
		p.advance()
	} else {
		p.expect('=')
	}
	return hclsyntax.ObjectConsItem{
		KeyExpr:   &hclsyntax.ObjectConsKeyExpr{Wrapped: key, ForceNonLiteral: computed},
		ValueExpr: p.expression(),
	}
}

// template parses a string.
func (p *parser) template() hclsyntax.Expression {
	open, outside := p.tok, p.newlines
	var parts []hclsyntax.Expression
	interpolations := 0
	next := open.end
	for {
		literal, special := p.literal(next)
		if special == 0 {
			return p.nothing()
		}
		if literal.end > literal.start {
			parts = append(parts, &hclsyntax.LiteralValueExpr{Val: cty.StringVal(p.string(literal)), SrcRange: p.at(literal)})
		}
		if next = literal.end; special == '"' {
			break
		}
		p.newlines = false
		p.tok = p.scan(next + len("${"))
		parts = append(parts, p.expression())
		if p.tok.kind != '}' {
			return p.nothing()
		}
		interpolations, next = interpolations+1, p.tok.end
	}
	p.newlines = outside
	closing := p.resume(next)
	at := p.between(open, closing)
	switch {
	case len(parts) == 0:
		parts = append(parts, &hclsyntax.LiteralValueExpr{Val: cty.StringVal(""), SrcRange: after(at)})
	case len(parts) == 1 && interpolations == 1:
		return &hclsyntax.TemplateWrapExpr{Wrapped: parts[0], SrcRange: at}
	}
	return &hclsyntax.TemplateExpr{Parts: parts, SrcRange: at}
}

// traversals parses the attributes and indices that follow a term.
func (p *parser) traversals(term hclsyntax.Expression) hclsyntax.Expression {
	e := term
	for {
		switch first := p.tok; first.kind {
		case '.':
			p.advance()
			name := p.expect(ident)
			at := p.between(first, name)
			e = extend(e, hcl.TraverseAttr{Name: p.string(name), SrcRange: at}, at)
		case '[':
			e = p.index(term, e)
		default:
			return e
		}
	}
}

// index parses an index of an expression that begins with a term.
func (p *parser) index(term, e hclsyntax.Expression) hclsyntax.Expression {
	open := p.tok
	outside := p.advanceWithin(false)
	key := p.expression()
	if p.tok.kind != ']' {
		return p.nothing()
	}
	p.advanceWithin(outside)
	at := p.between(open, p.last)
	if v, ok := constant(key); ok {
		return extend(e, hcl.TraverseIndex{Key: v, SrcRange: at}, at)
	}
	return &hclsyntax.IndexExpr{
		Collection: e, Key: key,
		SrcRange: hcl.RangeBetween(term.Range(), at), OpenRange: p.at(open), BracketRange: at,
	}
}

// constant returns the value of an index that is part of a traversal.
func constant(key hclsyntax.Expression) (cty.Value, bool) {
	if t, ok := key.(*hclsyntax.TemplateExpr); ok && t.IsStringLiteral() {
		key = t.Parts[0].(*hclsyntax.LiteralValueExpr)
	}
	literal, ok := key.(*hclsyntax.LiteralValueExpr)
	if !ok {
		return cty.NilVal, false
	}
	return literal.Val, true
}

// extend adds a step to an expression.
func extend(e hclsyntax.Expression, step hcl.Traverser, at hcl.Range) hclsyntax.Expression {
	switch e := e.(type) {
	case *hclsyntax.ScopeTraversalExpr:
		e.Traversal, e.SrcRange = append(e.Traversal, step), hcl.RangeBetween(e.SrcRange, at)
		return e
	case *hclsyntax.RelativeTraversalExpr:
		e.Traversal, e.SrcRange = append(e.Traversal, step), hcl.RangeBetween(e.SrcRange, at)
		return e
	}
	return &hclsyntax.RelativeTraversalExpr{Source: e, Traversal: hcl.Traversal{step}, SrcRange: hcl.RangeBetween(e.Range(), at)}
}
