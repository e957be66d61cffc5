// Package jsontext writes JSON that people and models read. encoding/json
// escapes <, >, and & for the sake of HTML, and the line separators U+2028 and
// U+2029 for that of old JavaScript; RFC 8259 asks for neither, and in a prompt
// the escapes are other text than what was meant.
package jsontext

import (
	"bytes"
	"encoding/json"
)

// Marshal is json.Marshal without these escapes.
func Marshal(v any) ([]byte, error) {
	text, err := json.Marshal(v)
	return Plain(text), err
}

// MarshalIndent is json.MarshalIndent without these escapes.
func MarshalIndent(v any, prefix, indent string) ([]byte, error) {
	text, err := json.MarshalIndent(v, prefix, indent)
	return Plain(text), err
}

// plain are the characters that encoding/json escapes without need.
var plain = map[string]string{`\u003c`: "<", `\u003e`: ">", `\u0026`: "&", `\u2028`: "\u2028", `\u2029`: "\u2029"}

// Plain returns a JSON text of encoding/json with these characters written as
// they are. A text without them is returned itself.
func Plain(text []byte) []byte {
	const escape = len(`\u003c`)
	if !bytes.Contains(text, []byte(`\u`)) {
		return text
	}
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); {
		if text[i] != '\\' || i+1 == len(text) {
			out = append(out, text[i])
			i++
			continue
		}
		if i+escape <= len(text) {
			if c, ok := plain[string(text[i:i+escape])]; ok {
				out = append(out, c...)
				i += escape
				continue
			}
		}
		out = append(out, text[i], text[i+1]) // \\u003c is a backslash with text after it
		i += 2
	}
	return out
}
