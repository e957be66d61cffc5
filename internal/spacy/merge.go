package spacy

import (
	"slices"
	"strings"
)

// span is a range of words that are a special text together.
type span struct {
	first, words int
	text         string
}

// merge replaces words that are a special text together, such as an emoticon,
// by those of the special text. Longer ones come first.
func (r *rules) merge(s string, ends []int32) []int32 {
	spans := r.specialSpans(s, ends)
	if len(spans) == 0 {
		return ends
	}
	slices.SortFunc(spans, func(a, b span) int {
		if a.words != b.words {
			return b.words - a.words
		}
		return a.first - b.first
	})
	taken := make([]bool, len(ends))
	chosen := map[int]span{}
	for _, m := range spans {
		if last := m.first + m.words - 1; !taken[m.first] && !taken[last] {
			chosen[m.first] = m
		}
		for i := range m.words {
			taken[m.first+i] = true
		}
	}
	var out []int32
	for i := 0; i < len(ends); {
		m, ok := chosen[i]
		if !ok {
			out = append(out, ends[i])
			i++
			continue
		}
		start := startOf(ends, i)
		for _, end := range r.specials[m.text] {
			out = append(out, start+end)
		}
		i += m.words
	}
	return out
}

// specialSpans finds the special texts among the words.
func (r *rules) specialSpans(s string, ends []int32) []span {
	var out []span
	for i, end := range ends {
		start := startOf(ends, i)
		for _, p := range r.phrases[s[start:end]] {
			n := len(p.words)
			if i+n <= len(ends) && strings.HasPrefix(s[start:], p.text) && sameWords(s, ends[i:i+n], start, p.words) {
				out = append(out, span{i, n, p.text})
			}
		}
	}
	return out
}

func startOf(ends []int32, i int) int32 {
	if i == 0 {
		return 0
	}
	return ends[i-1]
}

func sameWords(s string, ends []int32, start int32, words []string) bool {
	for i, end := range ends {
		if s[start:end] != words[i] {
			return false
		}
		start = end
	}
	return true
}
