package ownjson

import (
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"github.com/quern-dev/quern/internal/ordered"
)

// Writer writes a JSON text without white space, as encoding/json does.
type Writer struct {
	text  []byte
	err   error
	inner bool // the next name or element is not the first one of its object or array
}

// Result returns the text, or the first error.
func (w *Writer) Result() ([]byte, error) { return w.text, w.err }

// Grow makes room for n more bytes.
func (w *Writer) Grow(n int) { w.text = slices.Grow(w.text, n) }

// Open begins an object or an array.
func (w *Writer) Open(mark byte) { w.text, w.inner = append(w.text, mark), false }

// Close ends an object or an array.
func (w *Writer) Close(mark byte) { w.text, w.inner = append(w.text, mark), true }

// Name writes the name of a member. Its value comes next.
func (w *Writer) Name(name string) {
	w.Next()
	w.Text(name)
	w.text = append(w.text, ':')
}

// Next begins an element of an array.
func (w *Writer) Next() {
	if w.inner {
		w.text = append(w.text, ',')
	}
	w.inner = true
}

// Text writes a string.
func (w *Writer) Text(s string) {
	if !plain(s) {
		w.Any(s)
		return
	}
	w.text = append(w.text, '"')
	w.text = append(w.text, s...)
	w.text = append(w.text, '"')
}

// plain reports whether encoding/json writes a string as it is.
func plain(s string) bool {
	for i := range len(s) {
		if special(s[i]) {
			return false
		}
	}
	return true
}

// special reports whether encoding/json escapes a byte, or may do so.
func special(c byte) bool {
	const (
		low  = 1<<' ' - 1 | 1<<'"' | 1<<'&' | 1<<'<' | 1<<'>'
		high = 1 << ('\\' - 64)
	)
	return c >= 0x80 || [2]uint64{low, high}[c>>6]>>(c&63)&1 != 0
}

// Given writes a member that is a string, unless the string is empty.
func (w *Writer) Given(name, text string) {
	if text != "" {
		w.Name(name)
		w.Text(text)
	}
}

// Time writes a time.
func (w *Writer) Time(t time.Time) {
	text, err := t.MarshalJSON()
	w.add(text, err)
}

// Int writes a whole number.
func (w *Writer) Int(n int64) { w.text = strconv.AppendInt(w.text, n, 10) }

// Any writes a value with encoding/json.
func (w *Writer) Any(v any) {
	text, err := json.Marshal(v)
	w.add(text, err)
}

func (w *Writer) add(text []byte, err error) {
	if err != nil && w.err == nil {
		w.err = err
	}
	w.text = append(w.text, text...)
}

// Verbatim writes a text that is JSON without white space.
func (w *Writer) Verbatim(text string) { w.text = append(w.text, text...) }

// WriteMap writes an object whose members all have the same type, sorted by name, or
// null.
func WriteMap[V any](w *Writer, all map[string]V, value func(*Writer, V)) {
	if all == nil {
		w.Any(nil)
		return
	}
	w.Open('{')
	for _, name := range ordered.Keys(all) {
		w.Name(name)
		value(w, all[name])
	}
	w.Close('}')
}

// WriteList writes an array whose elements all have the same type, or null.
func WriteList[V any](w *Writer, all []V, element func(*Writer, V)) {
	if all == nil {
		w.Any(nil)
		return
	}
	w.Open('[')
	for _, v := range all {
		w.Next()
		element(w, v)
	}
	w.Close(']')
}
