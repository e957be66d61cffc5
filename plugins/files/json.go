package files

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// member is one member of a JSON object: its key, and its value as it stands.
type member struct{ key, value []byte }

// members cuts a line that holds a JSON object into its members, appending to
// list. What it returns points into line where it can.
func members(line []byte, list []member) ([]member, error) {
	if !json.Valid(line) {
		var any json.RawMessage
		return nil, fmt.Errorf("the line is no JSON: %w", json.Unmarshal(line, &any))
	}
	// From here on the grammar is known to hold.
	rest := space(line)
	if rest[0] != '{' {
		return nil, fmt.Errorf("the line holds %s, and an object is expected", kindOf(rest))
	}
	rest = space(rest[1:])
	for rest[0] != '}' {
		n := valueLength(rest)
		key := unquote(rest[:n])
		rest = space(rest[n:])
		rest = space(rest[1:]) // the colon
		n = valueLength(rest)
		list = append(list, member{key, rest[:n]})
		rest = space(rest[n:])
		if rest[0] == ',' {
			rest = space(rest[1:])
		}
	}
	return list, nil
}

func space(b []byte) []byte { return bytes.TrimLeft(b, " \t\r\n") }

// valueLength is the length of the valid value that b begins with.
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

// unquote reads a valid JSON string.
func unquote(b []byte) []byte {
	b = b[1 : len(b)-1]
	escape := bytes.IndexByte(b, '\\')
	if escape < 0 {
		return b
	}
	out := make([]byte, 0, len(b))
	for ; escape >= 0; escape = bytes.IndexByte(b, '\\') {
		out = append(out, b[:escape]...)
		var n int
		out, n = unescape(out, b[escape:])
		b = b[escape+n:]
	}
	return append(out, b...)
}

// unescape appends what the escape that b begins with stands for, and returns
// the escape's length.
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
		if len(b) >= 12 && b[6] == '\\' && b[7] == 'u' {
			if pair := utf16.DecodeRune(r, hexRune(b[8:12])); pair != utf8.RuneError {
				return utf8.AppendRune(out, pair), 12
			}
		}
		// Half of a pair becomes U+FFFD, as in encoding/json.
		return utf8.AppendRune(out, r), 6
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

// kindOf names what kind of value b begins with.
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
