package files

import (
	"bytes"
	"encoding/json"
	"fmt"
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
		key, err := unquote(rest[:n])
		if err != nil {
			return nil, err
		}
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
func unquote(b []byte) ([]byte, error) {
	if bytes.IndexByte(b, '\\') < 0 {
		return b[1 : len(b)-1], nil
	}
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, err
	}
	return []byte(s), nil
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
