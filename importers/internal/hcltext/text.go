package hcltext

import (
	"github.com/quern-dev/quern/importers/internal/config"

	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"
)

// Quote writes a text as a literal.
func Quote(s string) string {
	return string(hclwrite.TokensForValue(cty.StringVal(s)).Bytes())
}

// wide is the length of a line above which lists and objects are broken.
const wide = 100

// Literal writes a plain value. Long values take several lines.
func Literal(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		return Quote(v)
	case bool:
		return strconv.FormatBool(v)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case []any:
		items := make([]string, len(v))
		for i, item := range v {
			items[i] = Literal(item)
		}
		return Bracket("[", items, "]", ",")
	case config.Object:
		items := make([]string, len(v))
		for i, m := range v {
			items[i] = Key(m.Name) + " = " + Literal(m.Value)
		}
		return Bracket("{", items, "}", "")
	}
	return "null"
}

// Bracket puts items between signs, on one line if they fit.
func Bracket(open string, items []string, closed, ends string) string {
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

// Key writes the name of an attribute of an object.
func Key(name string) string {
	if IsIdentifier(name) {
		return name
	}
	return Quote(name)
}

// IsIdentifier reports whether a text can be a name in HCL and is not a keyword
// of its expressions.
func IsIdentifier(s string) bool {
	switch s {
	case "true", "false", "null", "for", "in", "if":
		return false
	}
	return hclsyntax.ValidIdentifier(s) && !strings.Contains(s, "-")
}

// Identifier derives a name from any text, or returns other if nothing is left.
func Identifier(s, other string) string {
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
	case !IsIdentifier(name):
		return name + "_" + other
	}
	return name
}
