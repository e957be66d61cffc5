// Package verbatim makes cty values whose texts keep their bytes. cty
// normalizes every text to Unicode NFC, so a text in another form would reach a
// model or a file with other bytes than the data has.
//
// Attribute names and map keys are in NFC here as well: cty relies on it.
package verbatim

import (
	"unicode/utf8"
	"unsafe"

	"github.com/zclconf/go-cty/cty"
	"golang.org/x/text/unicode/norm"
)

// layout has the fields of cty.Value.
type layout struct {
	typ  cty.Type
	text any
}

// sameLayout is false if cty.Value no longer looks like layout. Text then makes
// what cty makes.
var sameLayout = func() bool {
	var v cty.Value
	if unsafe.Sizeof(v) != unsafe.Sizeof(layout{}) || unsafe.Alignof(v) != unsafe.Alignof(layout{}) {
		return false
	}
	known := cty.StringVal("a")
	l := *(*layout)(unsafe.Pointer(&known))
	text, ok := l.text.(string)
	return ok && text == "a" && l.typ == cty.String
}()

// Text returns a string with exactly these bytes.
//
// cty has no way to make one: cty.StringVal normalizes, and the fields of
// cty.Value are private. This conversion is the only unsafe one of its kind. If
// cty stores strings differently, TestTextKeepsItsBytes fails.
func Text(s string) cty.Value {
	if !sameLayout {
		return cty.StringVal(s)
	}
	return *(*cty.Value)(unsafe.Pointer(&layout{cty.String, s}))
}

// Inert reports whether normalizing has no effect on a text, nor on any text
// made of parts of it and of other inert texts.
func Inert(s string) bool {
	ascii := true
	for i := range len(s) {
		ascii = ascii && s[i] < 0x80
	}
	if ascii {
		return true
	}
	if !utf8.ValidString(s) || !norm.NFC.IsNormalString(s) {
		return false
	}
	for len(s) > 0 {
		p := norm.NFC.PropertiesString(s)
		if !p.BoundaryBefore() {
			return false
		}
		s = s[p.Size():]
	}
	return true
}
