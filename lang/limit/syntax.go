package limit

import (
	"bytes"
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// Config reports the place where a configuration file is nested too deeply to
// be parsed.
func Config(src []byte, name string) *hcl.Diagnostic {
	if !suspect(src) {
		return nil
	}
	tokens, _ := hclsyntax.LexConfig(src, name, hcl.InitialPos)
	return deepest(tokens, true)
}

// Expression is Config for a single expression.
func Expression(src []byte, name string, start hcl.Pos) *hcl.Diagnostic {
	if !suspect(src) {
		return nil
	}
	tokens, _ := hclsyntax.LexExpression(src, name, start)
	return deepest(tokens, false)
}

// Template is Config for a template.
func Template(src []byte, name string, start hcl.Pos) *hcl.Diagnostic {
	if !suspect(src) {
		return nil
	}
	tokens, _ := hclsyntax.LexTemplate(src, name, start)
	return deepest(tokens, false)
}

// ParseConfig is hcl's parser of configuration files, for texts that may be
// nested too deeply for it.
func ParseConfig(src []byte, name string, start hcl.Pos) (*hcl.File, hcl.Diagnostics) {
	if d := Config(src, name); d != nil {
		return nil, hcl.Diagnostics{d}
	}
	return hclsyntax.ParseConfig(src, name, start)
}

// ParseExpression is ParseConfig for an expression.
func ParseExpression(src []byte, name string, start hcl.Pos) (hclsyntax.Expression, hcl.Diagnostics) {
	if d := Expression(src, name, start); d != nil {
		return nil, hcl.Diagnostics{d}
	}
	return hclsyntax.ParseExpression(src, name, start)
}

// ParseTemplate is ParseConfig for a template.
func ParseTemplate(src []byte, name string, start hcl.Pos) (hclsyntax.Expression, hcl.Diagnostics) {
	if d := Template(src, name, start); d != nil {
		return nil, hcl.Diagnostics{d}
	}
	return hclsyntax.ParseTemplate(src, name, start)
}

// nesting are the characters that can increase the depth of a parser.
const nesting = "([{!-?+*/%&|<>="

var nests = func() (is [256]bool) {
	for _, c := range []byte(nesting) {
		is[c] = true
	}
	return is
}()

// suspect reports whether a text could be nested too deeply. Most texts are
// not, which is determined without tokens: no top-level block contains enough
// of the nesting characters. The end of a block is recognized by its closing
// brace, unless there are heredocs or comments that could contain one.
func suspect(src []byte) bool {
	most, whole := Now().Depth, bytes.Contains(src, []byte("<<")) || bytes.Contains(src, []byte("/*"))
	n := 0
	for i, c := range src {
		if !nests[c] {
			if !whole && c == '}' && i > 0 && src[i-1] == '\n' && (i+1 == len(src) || src[i+1] == '\n') {
				n = 0
			}
			continue
		}
		if n++; n > most {
			return true
		}
	}
	return false
}

// level is the text between two brackets. deep is the number of operators in
// its current element so far, because they nest as brackets do.
type level struct {
	deep int
	// lines is set if a line break ends an element.
	lines bool
}

// deepest reports the first token that is nested too deeply. Line breaks end
// elements in the outermost level of a configuration, but not in an expression.
func deepest(tokens hclsyntax.Tokens, lines bool) *hcl.Diagnostic {
	levels, depth := []level{{lines: lines}}, 0
	add := func(n int) {
		levels[len(levels)-1].deep += n
		depth += n
	}
	for i, t := range tokens {
		switch t.Type {
		case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenOParen, hclsyntax.TokenTemplateInterp,
			hclsyntax.TokenTemplateControl, hclsyntax.TokenOQuote, hclsyntax.TokenOHeredoc:
			if t.Type == hclsyntax.TokenTemplateControl {
				add(control(tokens[i+1:], levels[len(levels)-1].deep))
			}
			if t.Type == hclsyntax.TokenOBrack {
				add(1) // it may be an index
			}
			levels = append(levels, level{lines: t.Type == hclsyntax.TokenOBrace && !startsFor(tokens[i+1:])})
			depth++
		case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenTemplateSeqEnd,
			hclsyntax.TokenCQuote, hclsyntax.TokenCHeredoc:
			if len(levels) > 1 {
				depth -= 1 + levels[len(levels)-1].deep
				levels = levels[:len(levels)-1]
			}
		case hclsyntax.TokenComma:
			add(-levels[len(levels)-1].deep)
		case hclsyntax.TokenNewline, hclsyntax.TokenComment:
			if levels[len(levels)-1].lines && bytes.HasSuffix(t.Bytes, []byte("\n")) {
				add(-levels[len(levels)-1].deep)
			}
		case hclsyntax.TokenStar, hclsyntax.TokenSlash, hclsyntax.TokenPlus, hclsyntax.TokenMinus, hclsyntax.TokenPercent,
			hclsyntax.TokenEqualOp, hclsyntax.TokenNotEqual, hclsyntax.TokenLessThan, hclsyntax.TokenLessThanEq,
			hclsyntax.TokenGreaterThan, hclsyntax.TokenGreaterThanEq, hclsyntax.TokenAnd, hclsyntax.TokenOr,
			hclsyntax.TokenBang, hclsyntax.TokenQuestion:
			add(1)
		}
		if depth > Now().Depth {
			return tooDeep(t.Range)
		}
	}
	return nil
}

func tooDeep(at hcl.Range) *hcl.Diagnostic {
	return &hcl.Diagnostic{
		Severity: hcl.DiagError, Summary: "Nested too deeply", Subject: &at,
		Detail: fmt.Sprintf("More than %d brackets, operators, or blocks are nested here. Check for an unclosed bracket, or for generated code. If this is intended, set the environment variable %s to a higher value.", Now().Depth, DepthVariable),
	}
}

// control returns by how much the part of a template after a directive is
// nested deeper than the part before it.
func control(next hclsyntax.Tokens, deep int) int {
	if len(next) == 0 {
		return 0
	}
	switch string(next[0].Bytes) {
	case "if", "for":
		return 1
	case "endif", "endfor":
		return -min(1, deep)
	}
	return 0
}

// startsFor reports whether a brace begins a `for`, in which line breaks do not
// matter.
func startsFor(next hclsyntax.Tokens) bool {
	for _, t := range next {
		if t.Type != hclsyntax.TokenNewline && t.Type != hclsyntax.TokenComment {
			return t.Type == hclsyntax.TokenIdent && string(t.Bytes) == "for"
		}
	}
	return false
}

// JSON reports the place where a JSON text is nested too deeply to be parsed.
func JSON(src []byte, name string) *hcl.Diagnostic {
	if depth, _ := JSONShape(src); depth <= Now().Depth {
		return nil
	}
	return tooDeep(hcl.Range{Filename: name, Start: hcl.InitialPos, End: hcl.InitialPos})
}

// JSONShape returns how deeply a JSON text is nested, and a lower bound on its
// number of values.
func JSONShape[T string | []byte](text T) (depth, values int) {
	open, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[', c == '{':
			open++
			values++
			depth = max(depth, open)
		case c == ']', c == '}':
			open--
		case c == ',':
			values++
		}
	}
	return depth, values
}
