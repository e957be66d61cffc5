// Package printable makes text from outside (data, model responses, file
// contents, plugin messages) safe to print on a terminal. A terminal obeys
// control characters: raw ones could recolor or erase what quern printed, set
// the window title, or write to the clipboard. Writing direction overrides could
// make text read differently from what it is.
package printable

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Text replaces what could steer a terminal. Line feeds and tabs stay. A control
// character becomes its picture (ESC becomes ␛); bytes that are not UTF-8,
// C1 controls, and direction overrides become U+FFFD.
func Text(s string) string {
	if isSafe(s) {
		return s
	}
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return r
		}
		return visible(r)
	}, strings.ToValidUTF8(s, string(unicode.ReplacementChar)))
}

// Line is Text on one line: runs of white space become one space.
func Line(s string) string {
	return Text(strings.Join(strings.Fields(s), " "))
}

// isSafe reports whether Text would return s itself: most text is.
func isSafe(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if r != '\n' && r != '\t' && visible(r) != r {
			return false
		}
	}
	return true
}

func visible(r rune) rune {
	const pictures, delete = '\u2400', '\u007f'
	switch {
	case r < ' ':
		return pictures + r
	case r == delete:
		return '\u2421'
	case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r) && r != '\u200e' && r != '\u200f' && r != '\u061c':
		return unicode.ReplacementChar
	}
	return r
}

// Values returns args with text made safe, for use with fmt: strings, errors,
// and whatever has a String method.
func Values(args []any) []any {
	safe := make([]any, len(args))
	for i, arg := range args {
		safe[i] = value(arg)
	}
	return safe
}

func value(arg any) any {
	switch v := arg.(type) {
	case string:
		return Text(v)
	case []byte:
		return Text(string(v))
	case error:
		return Text(v.Error())
	case interface{ String() string }:
		return Text(v.String())
	}
	return arg
}
