package files

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
)

// maxDepth is the maximum nesting depth of JSON values.
const maxDepth = 10_000

// syntax finds where JSON values end and checks them. In addition to RFC 8259,
// it accepts NaN, Infinity, and -Infinity, as Python writes them.
type syntax struct {
	open []byte // the open brackets: { and [
	// spans are the members of the object that the last value is, if it is one.
	spans []span
}

// span is a member of an object, by offsets from the object's beginning: the
// quoted key from key to keyEnd, and the value from value to end.
type span struct{ key, keyEnd, value, end int }

// inObject reports whether the innermost open bracket is that of the outermost
// value, an object.
func (s *syntax) inObject() bool { return len(s.open) == 1 && s.open[0] == '{' }

// members appends the members of raw, the valid value that was scanned last, to
// list.
func (s *syntax) members(raw []byte, list []member) ([]member, error) {
	if raw[0] != '{' {
		return nil, notAnObject(raw)
	}
	for _, m := range s.spans {
		key, err := unquote(raw[m.key:m.keyEnd])
		if err != nil {
			return nil, err
		}
		list = append(list, member{key, raw[m.value:m.end]})
	}
	return list, nil
}

// syntaxError says where a text is not JSON, and why.
type syntaxError struct {
	at      int
	problem string
}

func (e *syntaxError) Error() string { return e.problem }

// extent returns the length of the value at the beginning of data. If whole is
// set, data is everything. Otherwise, extent can return errMore.
func (s *syntax) extent(data []byte, whole bool) (int, error) {
	n, err := s.value(data)
	if err == nil && n == len(data) && !whole && len(data) > 0 && data[n-1] != '}' && data[n-1] != ']' && data[n-1] != '"' {
		return 0, errMore // a number may continue
	}
	if errors.Is(err, errMore) && whole {
		what := "a value"
		if len(s.open) > 0 {
			what = kindOf(s.open[len(s.open)-1:])
		}
		return 0, &syntaxError{len(data), "it ends in the middle of " + what}
	}
	return n, err
}

func (s *syntax) value(b []byte) (i int, err error) {
	s.open, s.spans = s.open[:0], s.spans[:0]
	for {
		// A value, or the end of an empty list, begins at i.
		if i = skipSpace(b, i); i == len(b) {
			return 0, errMore
		}
		if s.inObject() {
			s.spans[len(s.spans)-1].value = i
		}
		switch c := b[i]; c {
		case '{', '[':
			if len(s.open) == maxDepth {
				return 0, &syntaxError{i, fmt.Sprintf("values are nested more than %d deep", maxDepth)}
			}
			s.open = append(s.open, c)
			if i = skipSpace(b, i+1); i == len(b) {
				return 0, errMore
			}
			if b[i] == closing(c) {
				break // the loop below handles it
			}
			if c == '{' {
				if i, err = s.memberKey(b, i); err != nil {
					return 0, err
				}
			}
			continue
		case '"':
			i, err = stringEnd(b, i)
		default:
			i, err = scalarEnd(b, i)
		}
		if err != nil {
			return 0, err
		}
		// A value ends at i.
		for {
			if len(s.open) == 0 {
				return i, nil
			}
			if s.inObject() && len(s.spans) > 0 {
				s.spans[len(s.spans)-1].end = i
			}
			if i = skipSpace(b, i); i == len(b) {
				return 0, errMore
			}
			top := s.open[len(s.open)-1]
			if b[i] == closing(top) {
				s.open = s.open[:len(s.open)-1]
				i++
				continue
			}
			if b[i] != ',' {
				return 0, unexpected(b, i, "\",\" or "+fmt.Sprintf("%q", string(closing(top))))
			}
			i++
			break
		}
		if s.open[len(s.open)-1] == '{' {
			if i, err = s.memberKey(b, skipSpace(b, i)); err != nil {
				return 0, err
			}
		}
	}
}

// closing returns the closing bracket, which is two places after the opening
// one in ASCII.
func closing(open byte) byte { return open + 2 }

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t') {
		i++
	}
	return i
}

func unexpected(b []byte, i int, want string) error {
	return &syntaxError{i, fmt.Sprintf("%q where %s should be", head(b[i:], 12), want)}
}

// memberKey skips a key and the colon after it.
func (s *syntax) memberKey(b []byte, i int) (int, error) {
	if i == len(b) {
		return 0, errMore
	}
	if b[i] != '"' {
		return 0, unexpected(b, i, "a key in double quotes")
	}
	start := i
	i, err := stringEnd(b, i)
	if err != nil {
		return 0, err
	}
	if s.inObject() {
		s.spans = append(s.spans, span{key: start, keyEnd: i})
	}
	if i = skipSpace(b, i); i == len(b) {
		return 0, errMore
	}
	if b[i] != ':' {
		return 0, unexpected(b, i, "\":\"")
	}
	return i + 1, nil
}

// plainText contains the bytes that are themselves in strings.
var plainText = func() (plain [256]bool) {
	for c := range plain {
		plain[c] = c >= ' ' && c != '"' && c != '\\'
	}
	return plain
}()

// plainEnd returns the position of the first byte from i on that is not itself in
// a string, or len(b). It looks at eight bytes at a time: subtracting from a byte
// below the subtrahend sets its highest bit, as does the byte itself if it is not
// ASCII, which the mask excludes. The first bit that is set is exact, because
// borrows only go to later bytes.
func plainEnd(b []byte, i int) int {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	for ; i+8 <= len(b); i += 8 {
		word := binary.LittleEndian.Uint64(b[i:])
		quote, escape := word^('"'*ones), word^('\\'*ones)
		special := ((word - ' '*ones) & ^word) | ((quote - ones) & ^quote) | ((escape - ones) & ^escape)
		if special &= highs; special != 0 {
			return i + bits.TrailingZeros64(special)/8
		}
	}
	for i < len(b) && plainText[b[i]] {
		i++
	}
	return i
}

func stringEnd(b []byte, i int) (int, error) {
	for i++; ; {
		i = plainEnd(b, i)
		if i == len(b) {
			return 0, errMore
		}
		switch b[i] {
		case '"':
			return i + 1, nil
		case '\\':
			n, err := escapeLength(b, i)
			if err != nil {
				return 0, err
			}
			i += n
		default:
			return 0, &syntaxError{i, fmt.Sprintf("%q in a string; it should be escaped", b[i:i+1])}
		}
	}
}

func escapeLength(b []byte, i int) (int, error) {
	if i+1 == len(b) {
		return 0, errMore
	}
	if b[i+1] != 'u' {
		if bytes.IndexByte([]byte(`"\/bfnrt`), b[i+1]) < 0 {
			return 0, &syntaxError{i, fmt.Sprintf("%q is not an escape that JSON has", b[i:i+2])}
		}
		return 2, nil
	}
	for k := i + 2; k < i+6; k++ {
		if k == len(b) {
			return 0, errMore
		}
		if c := b[k] | 0x20; (b[k] < '0' || b[k] > '9') && (c < 'a' || c > 'f') {
			return 0, &syntaxError{i, "\\u without four hexadecimal digits"}
		}
	}
	return 6, nil
}

// literals contains the values that are not numbers, strings, lists, or
// objects.
var literals = []string{"true", "false", "null", "NaN", "Infinity", "-Infinity"}

func scalarEnd(b []byte, i int) (int, error) {
	if b[i] >= '0' && b[i] <= '9' {
		return numberEnd(b, i)
	}
	for _, w := range literals {
		if bytes.HasPrefix(b[i:], []byte(w)) {
			return i + len(w), nil
		}
		if len(b)-i < len(w) && string(b[i:]) == w[:len(b)-i] {
			return 0, errMore
		}
	}
	if c := b[i]; c != '-' && (c < '0' || c > '9') {
		return 0, unexpected(b, i, "a value")
	}
	return numberEnd(b, i)
}

func numberEnd(b []byte, i int) (int, error) {
	start := i
	digits := func() bool {
		from := i
		for i < len(b) && b[i] >= '0' && b[i] <= '9' {
			i++
		}
		return i > from
	}
	bad := func() (int, error) {
		if i == len(b) {
			return 0, errMore
		}
		return 0, &syntaxError{start, fmt.Sprintf("%q is not a number as JSON writes it", head(b[start:], 12))}
	}
	if b[i] == '-' {
		i++
	}
	if i < len(b) && b[i] == '0' {
		i++
		if i < len(b) && b[i] >= '0' && b[i] <= '9' {
			return bad()
		}
	} else if !digits() {
		return bad()
	}
	if i < len(b) && b[i] == '.' {
		i++
		if !digits() {
			return bad()
		}
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		if !digits() {
			return bad()
		}
	}
	return i, nil
}

// compactJSON appends a valid value without insignificant white space.
func compactJSON(out, raw []byte) []byte {
	for i := 0; i < len(raw); {
		switch c := raw[i]; c {
		case ' ', '\n', '\r', '\t':
			i++
		case '"':
			n := stringLength(raw[i:])
			out = append(out, raw[i:i+n]...)
			i += n
		default:
			out = append(out, c)
			i++
		}
	}
	return out
}
