// Package spacy splits texts into words and sentences exactly as the rule-based
// pipelines of spaCy 3.8 do: spacy.blank("en") and spacy.blank("xx") with the
// sentencizer. Filters for training data are defined in terms of these words.
//
// The rules (rules.json) are spaCy's, which is MIT-licensed; see LICENSE. What
// spaCy expresses as regular expressions is written by hand here, because Go's
// have no lookaround and are slow.
package spacy

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Tokenizer splits texts into words. It caches what it has seen, so it must not
// be used by several goroutines at the same time.
type Tokenizer struct {
	rules *rules
	// cache maps texts between spaces to the ends of their words.
	cache map[string][]int32
	ends  []int32
}

// English returns a tokenizer for English.
func English() *Tokenizer { return newTokenizer(english()) }

// Multilingual returns the tokenizer that has no exceptions of a language.
func Multilingual() *Tokenizer { return newTokenizer(multilingual()) }

func newTokenizer(r *rules) *Tokenizer { return &Tokenizer{rules: r, cache: map[string][]int32{}} }

const (
	// mostCached is the maximum number of texts in the cache, and longestCached
	// their maximum length in bytes.
	mostCached    = 1 << 15
	longestCached = 64
)

// Words appends the words of a text, which are parts of it. Spaces are not
// words.
func (t *Tokenizer) Words(text string, words []string) []string {
	for start := 0; start < len(text); {
		if n := spaceAt(text, start); n > 0 {
			start += n
			continue
		}
		end := start + 1
		for end < len(text) && spaceAt(text, end) == 0 {
			end++
		}
		chunk := text[start:end]
		from := int32(0)
		for _, to := range t.chunk(chunk) {
			words = append(words, chunk[from:to])
			from = to
		}
		start = end
	}
	return words
}

// chunk returns the ends of the words of a text without spaces.
func (t *Tokenizer) chunk(s string) []int32 {
	if isLetters(s) && t.rules.specials[s] == nil {
		t.ends = append(t.ends[:0], int32(len(s)))
		return t.ends
	}
	if ends, ok := t.cache[s]; ok {
		return ends
	}
	t.ends = t.rules.split(s, true, t.ends[:0])
	t.ends = t.rules.merge(s, t.ends)
	if len(s) > longestCached {
		return t.ends
	}
	if len(t.cache) == mostCached {
		clear(t.cache)
	}
	ends := slices.Clone(t.ends)
	t.cache[strings.Clone(s)] = ends
	return ends
}

// isLetters reports whether a text consists of ASCII letters. If it is not
// special, it is one word.
func isLetters(s string) bool {
	for i := range len(s) {
		if c := s[i] | 0x20; c < 'a' || c > 'z' {
			return false
		}
	}
	return true
}

// spaceAt returns the length of the space at a position, in bytes, or 0. Spaces
// are those of Python's str.isspace.
func spaceAt(s string, i int) int {
	c := s[i]
	switch {
	case c < utf8.RuneSelf:
		if c == ' ' || '\t' <= c && c <= '\r' || 0x1c <= c && c <= 0x1f {
			return 1
		}
		return 0
	case c != 0xc2 && c != 0xe1 && c != 0xe2 && c != 0xe3: // the first bytes of other spaces
		return 0
	}
	if r, n := utf8.DecodeRuneInString(s[i:]); IsSpace(r) {
		return n
	}
	return 0
}

// IsSpace reports whether a character is a space for Python's str.isspace.
func IsSpace(r rune) bool {
	switch {
	case r < utf8.RuneSelf:
		return r == ' ' || '\t' <= r && r <= '\r' || 0x1c <= r && r <= 0x1f
	case r < 0x1680:
		return r == 0x85 || r == 0xa0
	}
	return r == 0x1680 || 0x2000 <= r && r <= 0x200a || r == 0x2028 || r == 0x2029 || r == 0x202f || r == 0x205f || r == 0x3000
}
