package promptfoo

import (
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/eval"
	"github.com/quern-dev/quern/lang/funcs"
	"github.com/quern-dev/quern/lang/limit"
)

// quote writes a text as a literal.
func quote(s string) string {
	return string(hclwrite.TokensForValue(cty.StringVal(s)).Bytes())
}

// wide is the length of a line above which lists and objects are broken.
const wide = 100

// literal writes a plain value. Long values take several lines.
func literal(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		return quote(v)
	case bool:
		return strconv.FormatBool(v)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case []any:
		items := make([]string, len(v))
		for i, item := range v {
			items[i] = literal(item)
		}
		return bracket("[", items, "]", ",")
	case object:
		items := make([]string, len(v))
		for i, m := range v {
			items[i] = key(m.Name) + " = " + literal(m.Value)
		}
		return bracket("{", items, "}", "")
	}
	return "null"
}

// bracket puts items between signs, on one line if they fit.
func bracket(open string, items []string, closed, ends string) string {
	if len(items) == 0 {
		return open + closed
	}
	one := strings.Join(items, ", ")
	if len(one) < wide && !strings.Contains(one, "\n") {
		if open == "{" {
			return "{ " + one + " }"
		}
		return open + one + closed
	}
	var b strings.Builder
	b.WriteString(open + "\n")
	for _, item := range items {
		b.WriteString(item + ends + "\n")
	}
	return b.String() + closed
}

// key writes the name of an attribute of an object.
func key(name string) string {
	if isIdentifier(name) {
		return name
	}
	return quote(name)
}

// isIdentifier reports whether a text can be a name in HCL and is not a keyword
// of its expressions.
func isIdentifier(s string) bool {
	switch s {
	case "true", "false", "null", "for", "in", "if":
		return false
	}
	return hclsyntax.ValidIdentifier(s) && !strings.Contains(s, "-")
}

// identifier derives a name from any text, or returns other if nothing is left.
func identifier(s, other string) string {
	var b strings.Builder
	gap := false
	for _, r := range strings.ToLower(s) {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			if gap && b.Len() > 0 {
				b.WriteByte('_')
			}
			gap = false
			b.WriteRune(r)
		default:
			gap = true
		}
	}
	name := b.String()
	const longest = 40
	if len(name) > longest {
		name = name[:longest]
		if i := strings.LastIndexByte(name, '_'); i > longest/2 {
			name = name[:i]
		}
	}
	switch {
	case name == "":
		return other
	case name[0] >= '0' && name[0] <= '9':
		return other + "_" + name
	case !isIdentifier(name):
		return name + "_" + other
	}
	return name
}

// ---- templates ---------------------------------------------------------------

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
	q := quote(s)
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
			p.hcl = quote(substitute)
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
