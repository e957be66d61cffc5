package profile

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	// frequentValues is the maximum number of values that are counted at the
	// same time, and so the number of distinct values up to which counts are
	// exact.
	frequentValues = 1 << 14
	// longestValue is how many bytes of a value are kept, for people.
	longestValue = 120
)

// frequent finds the most frequent values. When there are more than
// frequentValues of them, it subtracts the median count from all counts and
// forgets the values that have none left (Misra and Gries 1982; Anderson et al.
// 2017). So each count is too low by at most lost, which is at most
// 2/frequentValues of all values. Which values it knows then depends on the order
// of the rows.
type frequent struct {
	// at contains the position of each value, counted from 1.
	at     *counter
	values []frequentValue
	// lost is how much was subtracted.
	lost int64
}

type frequentValue struct {
	id uint64
	n  int64
	// text is the beginning of a text.
	text string
	cut  bool
}

func newFrequent() *frequent { return &frequent{at: newCounter()} }

// exact reports whether all values are known, with their counts.
func (f *frequent) exact() bool { return f.lost == 0 }

// full reports whether the next new value does not fit.
func (f *frequent) full() bool { return len(f.values) >= frequentValues }

// has reports whether a value is known.
func (f *frequent) has(id uint64) bool { return f.at.find(id).N > 0 }

// add counts a value n times. id identifies it. text is not kept.
func (f *frequent) add(id uint64, n int64, text string) {
	if s := f.at.find(id); s.N > 0 {
		f.values[s.N-1].n += n
		return
	}
	if f.full() {
		f.purge()
	}
	v := frequentValue{id: id, n: n}
	v.text, v.cut = beginning(text)
	f.values = append(f.values, v)
	f.at.add(id, int64(len(f.values)))
}

// beginning returns a copy of what is kept of a text, without half a character at
// the end.
func beginning(text string) (kept string, cut bool) {
	if len(text) <= longestValue {
		return strings.Clone(text), false
	}
	end := longestValue
	for end > longestValue-utf8.UTFMax && !utf8.RuneStart(text[end]) {
		end--
	}
	return strings.Clone(text[:end]), true
}

func (f *frequent) purge() {
	counts := make([]int64, len(f.values))
	for i, v := range f.values {
		counts[i] = v.n
	}
	slices.Sort(counts)
	less := counts[len(counts)/2]
	f.lost += less
	kept := f.values[:0]
	f.at = newCounter()
	for _, v := range f.values {
		if v.n -= less; v.n > 0 {
			kept = append(kept, v)
			f.at.add(v.id, int64(len(kept)))
		}
	}
	clear(f.values[len(kept):])
	f.values = kept
}

// top returns the most frequent values, at most most of them. If not all are
// known, it returns only those that are certainly more frequent than any value
// that is not.
func (f *frequent) top(most int) []frequentValue {
	all := slices.DeleteFunc(slices.Clone(f.values), func(v frequentValue) bool { return v.n <= f.lost })
	slices.SortFunc(all, func(a, b frequentValue) int {
		return cmp.Or(-cmp.Compare(a.n, b.n), cmp.Compare(a.text, b.text), cmp.Compare(a.id, b.id))
	})
	return all[:min(most, len(all))]
}
