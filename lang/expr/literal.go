package expr

import (
	"fmt"
	"math/big"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"golang.org/x/text/unicode/norm"

	"github.com/quern-dev/quern/internal/jsontext"
	"github.com/quern-dev/quern/internal/ordered"
)

// name writes a key without quotes if possible.
func (p *printer) name(s string) {
	if hclsyntax.ValidIdentifier(s) && s != "for" {
		p.WriteString(s)
		return
	}
	p.quoted(s)
}

func (p *printer) quoted(s string) {
	p.WriteByte('"')
	p.WriteString(escape(s, false))
	p.WriteByte('"')
}

// text writes a text so that it is read back with the same bytes. A literal is
// normalized to NFC when it is read, so any other form is written as ASCII
// JSON.
func (p *printer) text(s string) {
	if norm.NFC.IsNormalString(s) {
		p.quoted(s)
		return
	}
	p.WriteString("jsondecode(")
	p.quoted(asciiJSON(s))
	p.WriteByte(')')
}

// asciiJSON returns a text as JSON with escapes for everything but ASCII.
func asciiJSON(s string) string {
	var b strings.Builder
	text, _ := jsontext.Marshal(s) // which cannot fail for a string
	for _, r := range string(text) {
		switch {
		case r < utf8.RuneSelf:
			b.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// value writes a known value so that it is read back with the same type.
func (p *printer) value(v cty.Value) { p.write(v, false) }

// write writes a value. typed is set if a conversion around it determines its
// type.
func (p *printer) write(v cty.Value, typed bool) {
	t := v.Type()
	ownType := t.IsCollectionType() || v.IsNull() && t != cty.DynamicPseudoType
	switch {
	case !typed && ownType && expressible(t):
		p.WriteString(convertName + "(")
		p.write(v, true)
		p.WriteString(", " + typeexpr.TypeString(t) + ")")
	case v.IsNull():
		p.WriteString("null")
	case t == cty.String:
		p.text(v.AsString())
	case t == cty.Number:
		p.WriteString(numberText(v.AsBigFloat()))
	case t == cty.Bool:
		fmt.Fprintf(p, "%t", v.True())
	case t.IsTupleType(), t.IsListType(), t.IsSetType():
		p.sequence(v, typed)
	default:
		p.mapping(v, typed)
	}
}

func (p *printer) sequence(v cty.Value, typed bool) {
	p.WriteByte('[')
	for i, e := range v.AsValueSlice() {
		if i > 0 {
			p.WriteString(", ")
		}
		p.write(e, typed)
	}
	p.WriteByte(']')
}

func (p *printer) mapping(v cty.Value, typed bool) {
	parts := v.AsValueMap()
	if len(parts) == 0 {
		p.WriteString("{}")
		return
	}
	p.WriteString("{ ")
	for i, k := range ordered.Keys(parts) {
		if i > 0 {
			p.WriteString(", ")
		}
		p.name(k)
		p.WriteString(" = ")
		p.write(parts[k], typed)
	}
	p.WriteString(" }")
}

// expressible reports whether a type can be written as a type constraint.
func expressible(t cty.Type) bool {
	switch {
	case t.IsCollectionType():
		return expressible(t.ElementType())
	case t.IsTupleType():
		return !slices.ContainsFunc(t.TupleElementTypes(), func(t cty.Type) bool { return !expressible(t) })
	case t.IsObjectType():
		for name, a := range t.AttributeTypes() {
			if !hclsyntax.ValidIdentifier(name) || !expressible(a) {
				return false
			}
		}
	}
	return !t.IsCapsuleType()
}

// numberText returns what hcl makes of a number in a template. It reads back as
// the same number.
func numberText(f *big.Float) string {
	if f.Sign() == 0 {
		return "0"
	}
	return f.Text('f', -1)
}

// escape writes text for a quoted template. A $ or % that would begin a
// sequence is written as its code point, because HCL's own escapes depend on
// how many of them are adjacent. followed is set if a sequence comes next.
func escape(s string, followed bool) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		c := s[i]
		if c == '$' || c == '%' {
			run := len(s[i:]) - len(strings.TrimLeft(s[i:], "$%"))
			rest := s[i+run:]
			opens := strings.HasPrefix(rest, "{") || (rest == "" && followed)
			for _, c := range []byte(s[i : i+run]) {
				if opens {
					fmt.Fprintf(&b, `\u%04x`, c)
				} else {
					b.WriteByte(c)
				}
			}
			i += run
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		i += size
		writeRune(&b, r)
	}
	return b.String()
}

func writeRune(b *strings.Builder, r rune) {
	switch {
	case r == '\n':
		b.WriteString(`\n`)
	case r == '\r':
		b.WriteString(`\r`)
	case r == '\t':
		b.WriteString(`\t`)
	case r == '"', r == '\\':
		b.WriteByte('\\')
		b.WriteRune(r)
	case r < ' ', r == 0x7f, r == 0xfeff, r == 0x2028, r == 0x2029:
		fmt.Fprintf(b, `\u%04x`, r)
	default:
		b.WriteRune(r)
	}
}
