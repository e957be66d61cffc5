package promptfoo

import (
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/importers/internal/hcltext"
	"github.com/quern-dev/quern/lang/eval"
	"github.com/quern-dev/quern/lang/funcs"
	"github.com/quern-dev/quern/lang/limit"
)

// expression writes pieces as an expression: as a heredoc if the text has
// several lines and a heredoc has the same value. depth is the number of
// enclosing blocks.
func expression(pieces []piece, depth int) string {
	if len(pieces) == 0 {
		return `""`
	}
	if len(pieces) == 1 && pieces[0].kind == pieceValue {
		if t := pieces[0].typ; t == typeNumber || t == typeBool {
			return "tostring(" + pieces[0].hcl + ")"
		}
		return pieces[0].hcl
	}
	quoted := `"` + inline(pieces, quotedText) + `"`
	if strings.Count(quoted, `\n`) == 0 {
		return quoted
	}
	// Whether the layout is right is checked with substitutes for values,
	// conditions, and lists.
	substitutes := withSubstitutes(pieces)
	trial := heredocs(substitutes, depth)
	for i, candidate := range heredocs(pieces, depth) {
		if text, ok := layout(trial[i]); ok && text == rendered(substitutes) {
			return candidate
		}
	}
	return quoted
}

// inline writes pieces as the inside of a template. text writes the text
// between the values.
func inline(pieces []piece, text func(string) string) string {
	var b strings.Builder
	for _, p := range pieces {
		switch p.kind {
		case pieceText:
			b.WriteString(text(p.text))
		case pieceValue:
			b.WriteString("${" + p.hcl + "}")
		case pieceIf:
			b.WriteString("%{ if " + p.hcl + " }" + inline(p.body, text))
			if len(p.or) > 0 {
				b.WriteString("%{ else }" + inline(p.or, text))
			}
			b.WriteString("%{ endif }")
		case pieceFor:
			b.WriteString("%{ for " + p.text + " in " + p.hcl + " }" + inline(p.body, text) + "%{ endfor }")
		}
	}
	return b.String()
}

func quotedText(s string) string {
	q := hcltext.Quote(s)
	return q[1 : len(q)-1]
}

// heredocText escapes the beginning of an interpolation in a heredoc, where
// nothing else is special.
func heredocText(s string) string {
	return strings.NewReplacer("${", "$${", "%{", "%%{").Replace(s)
}

func heredocs(pieces []piece, depth int) []string {
	body := inline(pieces, heredocText)
	end := "EOT"
	for strings.Contains(body, end) {
		end += "_"
	}
	indent := strings.Repeat("  ", depth)
	write := func(body string) string {
		var b strings.Builder
		b.WriteString("<<-" + end + "\n")
		for line := range strings.SplitSeq(body, "\n") {
			if line != "" {
				line = indent + "  " + line
			}
			b.WriteString(line + "\n")
		}
		return b.String() + indent + end
	}
	if most, whole := strings.CutSuffix(body, "\n"); whole {
		return []string{write(most)}
	}
	return []string{"chomp(" + write(body) + "\n" + indent + ")"}
}

// layout returns the text of an expression without references.
func layout(text string) (string, bool) {
	// A heredoc ends with a line.
	e, diags := limit.ParseExpression([]byte(text+"\n"), "template", hcl.InitialPos)
	if diags.HasErrors() {
		return "", false
	}
	v, diags := eval.Value(e, layoutContext)
	if diags.HasErrors() || v.Type() != cty.String || !v.IsKnown() || v.IsNull() {
		return "", false
	}
	return v.AsString(), true
}

var layoutContext = &hcl.EvalContext{Functions: funcs.Pure()}

const substitute = "§"

func withSubstitutes(pieces []piece) []piece {
	out := make([]piece, len(pieces))
	for i, p := range pieces {
		p.body, p.or = withSubstitutes(p.body), withSubstitutes(p.or)
		switch p.kind {
		case pieceValue:
			p.hcl = hcltext.Quote(substitute)
		case pieceIf:
			p.hcl = "true"
		case pieceFor:
			p.hcl = `["a", "b"]`
		}
		out[i] = p
	}
	return out
}

// rendered returns the text with substitutes.
func rendered(pieces []piece) string {
	var b strings.Builder
	for _, p := range pieces {
		switch p.kind {
		case pieceText:
			b.WriteString(p.text)
		case pieceValue:
			b.WriteString(substitute)
		case pieceIf:
			b.WriteString(rendered(p.body))
		case pieceFor:
			b.WriteString(rendered(p.body) + rendered(p.body))
		}
	}
	return b.String()
}
