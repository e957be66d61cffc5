package files

import (
	"bytes"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// member is a member of a JSON object: its key, and its value as it is in the
// file.
type member struct{ key, value []byte }

// members splits a valid JSON object into its members and appends them to list.
// If possible, they point into raw.
func members(raw []byte, list []member) ([]member, error) {
	if raw[0] != '{' {
		return nil, notAnObject(raw)
	}
	rest := space(raw[1:])
	for rest[0] != '}' {
		n := valueLength(rest)
		key, err := unquote(rest[:n])
		if err != nil {
			return nil, err
		}
		rest = space(rest[n:])
		rest = space(rest[1:]) // skip the colon
		n = valueLength(rest)
		list = append(list, member{key, rest[:n]})
		rest = space(rest[n:])
		if rest[0] == ',' {
			rest = space(rest[1:])
		}
	}
	return list, nil
}

func notAnObject(raw []byte) error {
	return fmt.Errorf("the row is %s, but it must be an object", kindOf(raw))
}

func space(b []byte) []byte { return bytes.TrimLeft(b, " \t\r\n") }

// valueLength returns the length of the valid value at the beginning of b.
func valueLength(b []byte) int {
	switch b[0] {
	case '"':
		return stringLength(b)
	case '{', '[':
		return nestLength(b)
	}
	if i := bytes.IndexAny(b, ",]} \t\r\n"); i >= 0 {
		return i
	}
	return len(b)
}

func stringLength(b []byte) int {
	for i := 1; ; i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
}

func nestLength(b []byte) int {
	depth := 0
	for i := 0; ; i++ {
		switch b[i] {
		case '"':
			i += stringLength(b[i:]) - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
}

// unpaired is the error that an escape is half of a surrogate pair. It does not depend
// on the column's type.
type unpaired string

func (u unpaired) Error() string {
	return string(u) + " is half of a surrogate pair, which is not a character"
}

// unquote decodes a valid JSON string. An unpaired surrogate, which UTF-8
// cannot represent, is an error.
func unquote(b []byte) ([]byte, error) {
	b = b[1 : len(b)-1]
	escape := bytes.IndexByte(b, '\\')
	if escape < 0 {
		return b, nil
	}
	out := make([]byte, 0, len(b))
	for ; escape >= 0; escape = bytes.IndexByte(b, '\\') {
		out = append(out, b[:escape]...)
		var n int
		if out, n = unescape(out, b[escape:]); n == 0 {
			return nil, unpaired(b[escape : escape+6])
		}
		b = b[escape+n:]
	}
	return append(out, b...), nil
}

// unescape decodes the escape sequence at the beginning of b, appends the
// result, and returns the length of the sequence, or 0 if it is not valid.
func unescape(out, b []byte) ([]byte, int) {
	switch b[1] {
	case 'b':
		return append(out, '\b'), 2
	case 'f':
		return append(out, '\f'), 2
	case 'n':
		return append(out, '\n'), 2
	case 'r':
		return append(out, '\r'), 2
	case 't':
		return append(out, '\t'), 2
	case 'u':
		r := hexRune(b[2:6])
		if !utf16.IsSurrogate(r) {
			return utf8.AppendRune(out, r), 6
		}
		if len(b) >= 12 && b[6] == '\\' && b[7] == 'u' {
			if pair := utf16.DecodeRune(r, hexRune(b[8:12])); pair != utf8.RuneError {
				return utf8.AppendRune(out, pair), 12
			}
		}
		return out, 0
	}
	return append(out, b[1]), 2
}

func hexRune(b []byte) (r rune) {
	for _, c := range b {
		r <<= 4
		switch {
		case c <= '9':
			r |= rune(c - '0')
		default:
			r |= rune(c|0x20-'a') + 10
		}
	}
	return r
}

// kindOf returns the name of the kind of value that b begins with.
func kindOf(b []byte) string {
	switch b[0] {
	case '{':
		return "an object"
	case '[':
		return "a list"
	case '"':
		return "a string"
	case 't', 'f':
		return "true or false"
	case 'n':
		return "null"
	}
	return "a number"
}
