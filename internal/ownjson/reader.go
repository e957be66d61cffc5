// Package ownjson reads and writes JSON without reflection, for large documents of
// which quern itself is the usual author.
//
// A Reader reads a text in one pass and leaves its strings where they are. It accepts
// only what encoding/json would read in the same way, and gives up on everything
// else: unknown or repeated names, null, and errors of any kind. The caller then reads
// the text with encoding/json, which also explains the errors. What a Writer writes is
// byte by byte what encoding/json writes.
package ownjson

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// Reader reads a JSON text. After it has given up, its methods return zero values.
// The strings that it returns share the memory of the text.
type Reader struct {
	text   string
	at     int
	gone   bool // it has given up
	spaced bool // it has skipped white space
	inner  bool // it has read an item of the present array or object
}

// NewReader returns a reader of a text.
func NewReader(text string) *Reader { return &Reader{text: text} }

// GiveUp leaves the text to encoding/json.
func (r *Reader) GiveUp() { r.gone, r.at = true, len(r.text) }

// Done reports whether the whole text has been read and the reader has not given up.
func (r *Reader) Done() bool {
	r.skipSpace()
	return !r.gone && r.at == len(r.text)
}

// Members are the members of an object that is read into a struct:
//
//	for m := r.Members(); m.Next(); {
//		switch m.Name {
//		case "rows":
//			rows = r.Int()
//		default:
//			r.GiveUp()
//		}
//	}
type Members struct {
	Name string // of the member whose value has to be read
	r    *Reader
	seen [mostMembers]string
	n    int
}

// mostMembers is the largest number of members of a struct.
const mostMembers = 20

// Members begins to read an object.
func (r *Reader) Members() Members {
	r.open('{')
	return Members{r: r}
}

// Next reads the name of the next member. It returns false after the last one.
func (m *Members) Next() bool {
	if !m.r.more('}') {
		return false
	}
	m.Name = m.r.name()
	if m.n == mostMembers || slices.Contains(m.seen[:m.n], m.Name) {
		m.r.GiveUp()
		return false
	}
	m.seen[m.n] = m.Name
	m.n++
	return !m.r.gone
}

// Map reads an object whose members all have the same type.
func Map[V any](r *Reader, value func(*Reader) V) map[string]V {
	all := map[string]V{}
	for r.open('{'); r.more('}'); {
		name, before := r.name(), len(all)
		all[name] = value(r)
		if len(all) == before {
			r.GiveUp()
		}
	}
	return all
}

// List reads an array whose elements all have the same type.
func List[V any](r *Reader, element func(*Reader) V) []V {
	all := []V{}
	for r.open('['); r.more(']'); {
		all = append(all, element(r))
	}
	return all
}

// open reads the bracket that begins an array or an object.
func (r *Reader) open(mark byte) {
	r.want(mark)
	r.inner = false
}

// more reports whether an array or object goes on, and reads the comma, or the bracket
// that ends it.
func (r *Reader) more(closing byte) bool {
	if r.takes(closing) {
		r.inner = true
		return false
	}
	if r.inner {
		r.want(',')
	}
	r.inner = true
	return !r.gone
}

// name reads the name of a member.
func (r *Reader) name() string {
	name := r.Text()
	r.want(':')
	return name
}

// Text reads a string.
func (r *Reader) Text() string {
	r.want('"')
	start := r.at
	for i := start; i < len(r.text); i++ {
		switch c := r.text[i]; {
		case !special(c), c == '<', c == '>', c == '&':
		case c == '"':
			r.at = i + 1
			return r.text[start:i]
		default:
			return r.decoded(start - 1)
		}
	}
	r.GiveUp()
	return ""
}

// decoded reads a string that encoding/json may change. Its first quote is at start.
func (r *Reader) decoded(start int) (text string) {
	r.at = endOfString(r.text, start) + 1
	if json.Unmarshal([]byte(r.text[start:r.at]), &text) != nil {
		r.GiveUp()
		return ""
	}
	return text
}

// SkipText reads a string without decoding it. It gives up if encoding/json would have
// escaped more of it.
func (r *Reader) SkipText() {
	r.want('"')
	for i := r.at; i < len(r.text); i++ {
		switch c := r.text[i]; {
		case !special(c):
		case c == '"':
			r.at = i + 1
			return
		case c == '\\':
			n := escapeLen(r.text[i:])
			if n == 0 {
				r.GiveUp()
				return
			}
			i += n - 1
		case c < 0x80, strings.HasPrefix(r.text[i:], "\u2028"), strings.HasPrefix(r.text[i:], "\u2029"):
			r.GiveUp()
			return
		}
	}
	r.GiveUp()
}

// escapeLen returns the length of the escape that a text begins with, or 0 if it is not
// valid.
func escapeLen(text string) int {
	const unicode = len(`\u0000`)
	switch {
	case len(text) < 2:
		return 0
	case strings.IndexByte(`"\/bfnrt`, text[1]) >= 0:
		return 2
	case text[1] != 'u' || len(text) < unicode:
		return 0
	}
	for _, c := range []byte(text[2:unicode]) {
		if !('0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F') {
			return 0
		}
	}
	return unicode
}

// Verbatim returns the text that read reads. compact is set if it contains no white
// space, except in strings.
func (r *Reader) Verbatim(read func()) (text string, compact bool) {
	r.skipSpace()
	start := r.at
	r.spaced = false
	read()
	if r.gone {
		return "", false
	}
	return r.text[start:r.at], !r.spaced
}

// Int reads a whole number with at most 18 digits, all of which fit.
func (r *Reader) Int() int64 {
	negative := r.takes('-')
	start, n := r.at, int64(0)
	for r.at < len(r.text) && r.text[r.at] >= '0' && r.text[r.at] <= '9' {
		n = 10*n + int64(r.text[r.at]-'0')
		r.at++
	}
	digits := r.text[start:r.at]
	if digits == "" || len(digits) > 18 || len(digits) > 1 && digits[0] == '0' || r.at < len(r.text) && strings.IndexByte(".eE", r.text[r.at]) >= 0 {
		r.GiveUp()
		return 0
	}
	if negative {
		return -n
	}
	return n
}

// Time reads a time.
func (r *Reader) Time() (t time.Time) {
	text, _ := r.Verbatim(r.SkipText)
	if t.UnmarshalJSON([]byte(text)) != nil {
		r.GiveUp()
	}
	return t
}

// Into reads any value except null into what v points to, with encoding/json.
func (r *Reader) Into(v any) {
	if text := strings.TrimRight(r.value(), space); text == "null" || r.gone || json.Unmarshal([]byte(text), v) != nil {
		r.GiveUp()
	}
}

// value returns the text up to where a value ends, provided that it is valid.
func (r *Reader) value() string {
	r.skipSpace()
	start, depth := r.at, 0
	for r.at < len(r.text) {
		switch r.text[r.at] {
		case '"':
			r.at = endOfString(r.text, r.at)
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth < 0 {
				return r.text[start:r.at]
			}
		case ',':
			if depth == 0 {
				return r.text[start:r.at]
			}
		}
		r.at++
	}
	r.at = len(r.text)
	return r.text[start:]
}

// endOfString returns the position of the quote that ends the string that begins at a
// position, or that of the last byte if none does.
func endOfString(text string, i int) int {
	for i++; i < len(text) && text[i] != '"'; i++ {
		if text[i] == '\\' {
			i++
		}
	}
	return min(i, len(text)-1)
}

// want reads a punctuation mark.
func (r *Reader) want(mark byte) {
	if !r.takes(mark) {
		r.GiveUp()
	}
}

// takes reads a punctuation mark, if it is next.
func (r *Reader) takes(mark byte) bool {
	r.skipSpace()
	if r.at < len(r.text) && r.text[r.at] == mark {
		r.at++
		return true
	}
	return false
}

func (r *Reader) skipSpace() {
	for r.at < len(r.text) && r.text[r.at] <= ' ' && strings.IndexByte(space, r.text[r.at]) >= 0 {
		r.at++
		r.spaced = true
	}
}

// space is what JSON may contain between tokens.
const space = " \n\r\t"
