// Package plain parses the plain part of HCL's syntax into the same tree as hcl
// does, in a fifth of the time and with a quarter of the allocations, because it
// keeps no tokens.
//
// Large configurations are generated and consist of little else: blocks,
// arguments, references, calls, operators, lists, objects, and strings with
// interpolations, in ASCII. The package knows no heredocs, for expressions,
// splats, escapes, or directives, and reports no errors. Whatever it does not
// know or would have to report is for hcl to parse.
package plain

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// Parse returns the body that hcl parses from a text without diagnostics. It
// returns nil if the text is not plain, or not valid. start is the beginning of
// a line.
func Parse(src []byte, filename string, start hcl.Pos) *hclsyntax.Body {
	if !isPlain(src) {
		return nil
	}
	p := &parser{scanner: scanner{text: string(src), filename: filename, offset: start.Byte, line: start.Line, newlines: true}}
	p.tok = p.scan(0)
	body := p.body(p.tok, end)
	if p.failed {
		return nil
	}
	return body
}

// isPlain reports whether each byte of a text is a character in a column of its own.
func isPlain(src []byte) bool {
	for _, b := range src {
		if b != '\n' && (b < ' ' || b > '~') {
			return false
		}
	}
	return true
}

// parser parses the tokens of a scanner. If it fails, what its methods return
// has no meaning.
type parser struct {
	scanner
	failed bool
}

// fail makes every following token invalid, so that all loops end.
func (p *parser) fail() {
	p.failed = true
	p.text = p.text[:0]
	p.tok = token{}
}

// expect reads a token of a kind.
func (p *parser) expect(k kind) token {
	t := p.tok
	if t.kind != k {
		p.fail()
		return t
	}
	p.advance()
	return t
}

// body parses arguments and blocks up to a closing token.
func (p *parser) body(open token, closing kind) *hclsyntax.Body {
	b := &hclsyntax.Body{Attributes: hclsyntax.Attributes{}, Blocks: hclsyntax.Blocks{}}
	for p.tok.kind != closing {
		switch p.tok.kind {
		case newline:
			p.advance()
		case ident:
			p.item(b)
		default:
			p.fail()
			return b
		}
	}
	last := p.tok
	p.advance()
	b.SrcRange = p.between(open, last)
	b.EndRange = after(b.SrcRange)
	return b
}

func (p *parser) item(b *hclsyntax.Body) {
	name := p.tok
	p.advance()
	if p.tok.kind != '=' {
		b.Blocks = append(b.Blocks, p.block(name))
		p.endOfLine()
		return
	}
	a := p.attribute(name)
	p.endOfLine()
	if b.Attributes[a.Name] != nil {
		p.fail()
	}
	b.Attributes[a.Name] = a
}

// endOfLine reads what must follow an argument or a block.
func (p *parser) endOfLine() {
	if p.tok.kind != end {
		p.expect(newline)
	}
}

func (p *parser) attribute(name token) *hclsyntax.Attribute {
	equals := p.expect('=')
	e := p.expression()
	return &hclsyntax.Attribute{
		Name: p.string(name), Expr: e,
		SrcRange: p.between(name, p.last), NameRange: p.at(name), EqualsRange: p.at(equals),
	}
}

func (p *parser) block(name token) *hclsyntax.Block {
	b := &hclsyntax.Block{Type: p.string(name), TypeRange: p.at(name)}
	for p.tok.kind == quote || p.tok.kind == ident {
		label, at := p.label()
		b.Labels, b.LabelRanges = append(b.Labels, label), append(b.LabelRanges, at)
	}
	open := p.expect('{')
	b.OpenBraceRange = p.at(open)
	if p.tok.kind == ident {
		b.Body = p.lineBody()
	} else {
		b.Body = p.body(open, '}')
	}
	b.CloseBraceRange = p.at(p.last)
	return b
}

// label parses a label of a block, with or without quotes.
func (p *parser) label() (string, hcl.Range) {
	if p.tok.kind == ident {
		name := p.expect(ident)
		return p.string(name), p.at(name)
	}
	open := p.tok
	literal, special := p.literal(open.end)
	if special != '"' {
		p.fail()
		return "", hcl.Range{}
	}
	closing := p.resume(literal.end)
	return p.string(literal), p.between(open, closing)
}

// lineBody parses the rest of a block on one line, whose body is one argument.
func (p *parser) lineBody() *hclsyntax.Body {
	a := p.attribute(p.expect(ident))
	p.expect('}')
	return &hclsyntax.Body{Attributes: hclsyntax.Attributes{a.Name: a}, SrcRange: a.SrcRange, EndRange: after(a.SrcRange)}
}

// after is the empty range at the end of a range.
func after(r hcl.Range) hcl.Range {
	return hcl.Range{Filename: r.Filename, Start: r.End, End: r.End}
}
