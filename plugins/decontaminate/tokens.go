package decontaminate

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/zeebo/xxh3"
	"golang.org/x/text/unicode/norm"
)

// token is a word or a number in a text. Texts that differ only in case,
// punctuation, and spaces have the same tokens.
type token struct {
	hash       uint64
	start, end int // in bytes
}

// tokenize splits a text into words: letters, marks, and digits in a row. In
// scripts without spaces between words, each character is a token.
func tokenize(text string) []token {
	var out []token
	start := -1
	add := func(from, to int) {
		out = append(out, token{xxh3.HashString(normal(text[from:to])), from, to})
	}
	for i, r := range text {
		switch {
		case alone(r):
			if start >= 0 {
				add(start, i)
			}
			add(i, i+utf8.RuneLen(r))
			start = -1
		case unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r):
			if start < 0 {
				start = i
			}
		case start >= 0:
			add(start, i)
			start = -1
		}
	}
	if start >= 0 {
		add(start, len(text))
	}
	return out
}

// alone reports whether a character is a token of its own.
func alone(r rune) bool {
	return r >= 0x2e80 && unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana) || r >= 0xe00 && unicode.In(r, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar) && !unicode.IsMark(r)
}

// normal returns a word in lower case and in Unicode's normal form KC.
func normal(word string) string {
	for i := range len(word) {
		if word[i] >= utf8.RuneSelf {
			return strings.ToLower(norm.NFKC.String(word))
		}
	}
	return strings.ToLower(word)
}

// base is the base of the polynomial hashes of n-grams.
const base = 0x9e3779b97f4a7c15

// grams returns the hashes of the n-grams of a text, by their first token.
func grams(tokens []token, n int) []uint64 {
	hashes := make([]uint64, len(tokens))
	for i, t := range tokens {
		hashes[i] = t.hash
	}
	return gramsOf(hashes, n)
}

// gramsOf returns the hashes of the n-grams of tokens, by their first token; none
// if there are fewer than n tokens.
func gramsOf(tokens []uint64, n int) []uint64 {
	if len(tokens) < n {
		return nil
	}
	out := make([]uint64, len(tokens)-n+1)
	first, hash := uint64(1), uint64(0) // the factor of a gram's first token
	for i := range n {
		hash = hash*base + tokens[i]
		if i > 0 {
			first *= base
		}
	}
	for i := range out {
		out[i] = hash
		if i+n < len(tokens) {
			hash = (hash-first*tokens[i])*base + tokens[i+n]
		}
	}
	return out
}
