// Package format writes configuration files in their canonical layout.
//
// It changes only the layout: the result means the same, and
// formatting it again changes nothing. A file that does not parse is left
// alone.
package format

import (
	"bytes"
	"regexp"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/quern-dev/quern/lang/config"
)

// Source formats a file. In addition to indentation, spaces, and the alignment of
// equals signs, it puts labels of blocks in quotes, writes "${x}" as x if
// nothing else is in the quotes, leaves at most one blank line between
// two lines and none at the beginning and end of a block, uses Unix line
// endings, and ends the file with one line break. If there are errors, it returns src
// unchanged; the errors are about config.UnixLines(src).
func Source(src []byte, filename string) ([]byte, hcl.Diagnostics) {
	unix := config.UnixLines(src)
	if d := config.CheckText(filename, unix); d != nil {
		return src, hcl.Diagnostics{d}
	}
	if _, diags := hclsyntax.ParseConfig(unix, filename, hcl.InitialPos); diags.HasErrors() {
		return src, diags
	}
	f, diags := hclwrite.ParseConfig(unix, filename, hcl.InitialPos)
	if diags.HasErrors() {
		return src, diags
	}
	body(f.Body())
	tokens := blankLines(lineEnds(f.BuildTokens(nil)))
	text := bytes.TrimRight(tokens.Bytes(), " \t\r")
	if len(text) > 0 && !bytes.HasSuffix(text, []byte("\n")) {
		text = append(text, '\n')
	}
	return hclwrite.Format(text), nil
}

func body(b *hclwrite.Body) {
	for name, a := range b.Attributes() {
		tokens := a.Expr().BuildTokens(nil)
		if cleaned, ok := unwrap(tokens); ok {
			b.SetAttributeRaw(name, cleaned)
		}
	}
	for _, block := range b.Blocks() {
		// Setting the labels again writes them in quotes.
		block.SetLabels(block.Labels())
		body(block.Body())
	}
}

// unwrap removes the quotes and the interpolation from an expression that is a
// template with only one interpolation.
func unwrap(tokens hclwrite.Tokens) (hclwrite.Tokens, bool) {
	n := len(tokens)
	if n < 5 ||
		tokens[0].Type != hclsyntax.TokenOQuote || tokens[n-1].Type != hclsyntax.TokenCQuote ||
		tokens[1].Type != hclsyntax.TokenTemplateInterp || tokens[n-2].Type != hclsyntax.TokenTemplateSeqEnd {
		return nil, false
	}
	inner := tokens[2 : n-2]
	if !single(inner) || bytes.HasSuffix(tokens[1].Bytes, []byte("~")) || bytes.HasPrefix(tokens[n-2].Bytes, []byte("~")) {
		return nil, false
	}
	if spansLines(inner) {
		inner = parenthesized(inner)
	}
	return inner, true
}

// single reports whether tokens contain a single interpolation, apart from
// nested ones: in "${a}${b}", the first ends before the last begins.
func single(tokens hclwrite.Tokens) bool {
	depth := 0
	for _, t := range tokens {
		switch t.Type {
		case hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl:
			depth++
		case hclsyntax.TokenTemplateSeqEnd:
			if depth--; depth < 0 {
				return false
			}
		}
	}
	return true
}

// spansLines reports whether there is a line break outside of brackets, which
// an interpolation allows and an argument does not.
func spansLines(tokens hclwrite.Tokens) bool {
	depth := 0
	for _, t := range tokens {
		switch t.Type {
		case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenOParen, hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl:
			depth++
		case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenTemplateSeqEnd:
			depth--
		case hclsyntax.TokenNewline, hclsyntax.TokenComment:
			if depth == 0 {
				return true
			}
		}
	}
	return false
}

func parenthesized(tokens hclwrite.Tokens) hclwrite.Tokens {
	open := &hclwrite.Token{Type: hclsyntax.TokenOParen, Bytes: []byte("(")}
	end := &hclwrite.Token{Type: hclsyntax.TokenCParen, Bytes: []byte(")")}
	return append(append(hclwrite.Tokens{open}, tokens...), end)
}

var windowsEnd = regexp.MustCompile(`\r+\n`)

// lineEnds converts Windows line endings to Unix ones, except in heredocs,
// where they are part of a value.
func lineEnds(tokens hclwrite.Tokens) hclwrite.Tokens {
	for _, t := range tokens {
		if t.Type == hclsyntax.TokenNewline || t.Type == hclsyntax.TokenComment {
			t.Bytes = windowsEnd.ReplaceAll(t.Bytes, []byte("\n"))
		}
	}
	return tokens
}

// blankLines removes superfluous blank lines. Line breaks inside heredocs are
// not newline tokens, so they remain.
func blankLines(tokens hclwrite.Tokens) hclwrite.Tokens {
	var out hclwrite.Tokens
	breaks := 2 // as if after a blank line, so that none begins the file
	for i, t := range tokens {
		if t.Type == hclsyntax.TokenNewline {
			if breaks >= 2 || breaks == 1 && closes(tokens[i+1:]) {
				continue
			}
			breaks++
			out = append(out, t)
			continue
		}
		out = append(out, t)
		breaks = 0
		switch {
		case t.Type == hclsyntax.TokenComment && bytes.HasSuffix(t.Bytes, []byte("\n")):
			breaks = 1
		case opens(t, tokens[i+1:]):
			// The line break before a closing bracket is not followed by
			// another one.
			out = append(out, lineBreak())
			breaks = 2
		}
	}
	return out
}

func lineBreak() *hclwrite.Token {
	return &hclwrite.Token{Type: hclsyntax.TokenNewline, Bytes: []byte("\n")}
}

// opens reports whether a bracket is followed by a line break.
func opens(t *hclwrite.Token, rest hclwrite.Tokens) bool {
	switch t.Type {
	case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenOParen:
		return len(rest) > 0 && rest[0].Type == hclsyntax.TokenNewline
	}
	return false
}

// closes reports whether only line breaks precede a closing bracket or the end
// of the file.
func closes(rest hclwrite.Tokens) bool {
	for _, t := range rest {
		switch t.Type {
		case hclsyntax.TokenNewline:
		case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenEOF:
			return true
		default:
			return false
		}
	}
	return true
}
