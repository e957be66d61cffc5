package printable

import (
	"fmt"
	"io"
	"unicode/utf8"
)

// JSON returns a JSON text in which the characters that Text replaces are
// escapes, such as \u009b. In JSON they only occur in strings, and a program
// reads the same strings as before. Line breaks and tabs between values stay.
// JSON writers escape what is below U+0020 themselves.
func JSON(text []byte) []byte {
	out := text[:0:0]
	copied := 0
	for i := 0; i < len(text); {
		if text[i] < 0x7f {
			i++
			continue
		}
		r, n := utf8.DecodeRune(text[i:])
		if visible(r) != r {
			out = append(out, text[copied:i]...)
			out = fmt.Appendf(out, `\u%04x`, r)
			copied = i + n
		}
		i += n
	}
	if copied == 0 {
		return text
	}
	return append(out, text[copied:]...)
}

// JSONWriter returns a writer that passes JSON texts on to w as JSON returns
// them. Each call of Write has a whole text, as encoding/json makes them.
func JSONWriter(w io.Writer) io.Writer { return jsonWriter{w} }

type jsonWriter struct{ w io.Writer }

func (j jsonWriter) Write(text []byte) (int, error) {
	if _, err := j.w.Write(JSON(text)); err != nil {
		return 0, err
	}
	return len(text), nil
}
