package config

import (
	"bytes"
	"reflect"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/apparentlymart/go-textseg/v15/textseg"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/limit"
)

// jsonText is a string of a JSON file, without its quotes, with the place of each
// of its bytes in the file: an escape is longer than the character it encodes.
type jsonText struct {
	at    hcl.Range // with the quotes
	start hcl.Pos   // after the first quote
	raw   []byte
	text  []byte
	// from are the offsets in raw that the bytes of text come from, followed by the end.
	from []int
}

// newJSONText decodes the string at a place. The parser has accepted it.
func newJSONText(src []byte, at hcl.Range) *jsonText {
	t := &jsonText{at: at, start: at.Start, raw: src[at.Start.Byte+1 : at.End.Byte-1]}
	t.start.Byte++
	t.start.Column++
	for i := 0; i < len(t.raw); {
		part, size := unescape(t.raw[i:])
		t.text = append(t.text, part...)
		for range part {
			t.from = append(t.from, i)
		}
		i += size
	}
	t.from = append(t.from, len(t.raw))
	return t
}

var escapes = map[byte]string{'b': "\b", 'f': "\f", 'n': "\n", 'r': "\r", 't': "\t"}

// unescape decodes the first character of a JSON string and returns how many
// bytes it takes.
func unescape(raw []byte) (part []byte, size int) {
	if raw[0] != '\\' || len(raw) < 2 {
		return raw[:1], 1
	}
	if raw[1] != 'u' {
		if control, ok := escapes[raw[1]]; ok {
			return []byte(control), 2
		}
		return raw[1:2], 2
	}
	r := codeUnit(raw)
	size = min(len(`\u0000`), len(raw))
	if utf16.IsSurrogate(r) && bytes.HasPrefix(raw[size:], []byte(`\u`)) {
		if pair := utf16.DecodeRune(r, codeUnit(raw[size:])); pair != utf8.RuneError {
			return utf8.AppendRune(nil, pair), 2 * size
		}
	}
	return utf8.AppendRune(nil, r), size
}

func codeUnit(raw []byte) rune {
	if len(raw) < len(`\u0000`) {
		return utf8.RuneError
	}
	n, err := strconv.ParseUint(string(raw[2:6]), 16, 16)
	if err != nil {
		return utf8.RuneError
	}
	return rune(n)
}

// read parses the text.
func (t *jsonText) read(as reading) (hclsyntax.Expression, hcl.Diagnostics) {
	if as == asIs {
		return &hclsyntax.LiteralValueExpr{Val: cty.StringVal(string(t.text)), SrcRange: t.at}, nil
	}
	parse := limit.ParseTemplate
	if as == asExpression && !bytes.HasPrefix(t.text, []byte("${")) {
		parse = limit.ParseExpression
	}
	e, diags := parse(t.text, t.at.Filename, t.start)
	if len(t.raw) == len(t.text) {
		return e, diags
	}
	seen := map[uintptr]bool{}
	relocate(reflect.ValueOf(e), t.position, seen)
	for _, d := range diags { // their ranges may be those of nodes
		relocate(reflect.ValueOf(d.Subject), t.position, seen)
		relocate(reflect.ValueOf(d.Context), t.position, seen)
	}
	return e, diags
}

// position converts a position in the text to one in the file.
func (t *jsonText) position(p hcl.Pos) hcl.Pos {
	i := min(max(p.Byte-t.start.Byte, 0), len(t.text))
	at := t.start
	at.Byte += t.from[i]
	columns, err := textseg.TokenCount(t.raw[:t.from[i]], textseg.ScanGraphemeClusters)
	if err == nil {
		at.Column += columns
	}
	return at
}

var (
	rangeType = reflect.TypeFor[hcl.Range]()
	valueType = reflect.TypeFor[cty.Value]()
)

// relocate changes all positions in a syntax tree.
func relocate(v reflect.Value, to func(hcl.Pos) hcl.Pos, seen map[uintptr]bool) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() && !seen[v.Pointer()] {
			seen[v.Pointer()] = true
			relocate(v.Elem(), to, seen)
		}
	case reflect.Interface:
		relocateInside(v, to, seen)
	case reflect.Slice:
		for i := range v.Len() {
			relocate(v.Index(i), to, seen)
		}
	case reflect.Struct:
		if v.Type() == valueType || !v.CanSet() {
			return
		}
		if v.Type() == rangeType {
			r := v.Interface().(hcl.Range)
			r.Start, r.End = to(r.Start), to(r.End)
			v.Set(reflect.ValueOf(r))
			return
		}
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				relocate(v.Field(i), to, seen)
			}
		}
	}
}

// relocateInside changes what an interface holds: the steps of a traversal are
// structs, of which it holds a copy.
func relocateInside(v reflect.Value, to func(hcl.Pos) hcl.Pos, seen map[uintptr]bool) {
	if v.IsNil() {
		return
	}
	if v.Elem().Kind() == reflect.Pointer {
		relocate(v.Elem(), to, seen)
		return
	}
	changed := reflect.New(v.Elem().Type()).Elem()
	changed.Set(v.Elem())
	relocate(changed, to, seen)
	if v.CanSet() {
		v.Set(changed)
	}
}
