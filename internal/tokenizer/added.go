package tokenizer

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// addedToken is a token that is found before the text is split into words.
type addedToken struct {
	id                                                uint32
	content                                           string
	singleWord, lstrip, rstrip, normalized, isSpecial bool
}

// addedTokens finds added tokens in a text.
type addedTokens struct {
	tokens []*addedToken
	trie   *trie
	begins [256]bool
}

// newAddedTokens returns the finder of tokens, or nil if there are none. forms
// are the texts to find.
func newAddedTokens(tokens []*addedToken, forms []string) *addedTokens {
	if len(tokens) == 0 {
		return nil
	}
	a := &addedTokens{tokens: tokens}
	values := make([]int32, len(tokens))
	for i := range tokens {
		values[i] = int32(i)
		if forms[i] != "" {
			a.begins[forms[i][0]] = true
		}
	}
	a.trie = newTrie(forms, values)
	return a
}

// split yields the added tokens of a piece and what is between them.
func (a *addedTokens) split(p piece, emit func(piece)) {
	if p.s == "" {
		return
	}
	if a == nil {
		emit(p)
		return
	}
	last := 0
	for at := 0; at < len(p.s); {
		if !a.begins[p.s[at]] {
			at++
			continue
		}
		value, n := a.trie.longest(0, p.s[at:])
		if n == 0 {
			at++
			continue
		}
		start, end := at, at+n
		at = end
		token := a.tokens[value]
		if token.singleWord && (wordAt(p.s, start, true) || wordAt(p.s, end, false)) {
			continue
		}
		if token.lstrip {
			start = max(last, len(strings.TrimRightFunc(p.s[:start], unicode.IsSpace)))
		}
		if token.rstrip {
			end = len(p.s) - len(strings.TrimLeftFunc(p.s[end:], unicode.IsSpace))
		}
		if last < start {
			emit(p.part(last, start))
		}
		found := p.part(start, end)
		found.token = token
		emit(found)
		last = end
	}
	if last < len(p.s) {
		emit(p.part(last, len(p.s)))
	}
}

// wordAt reports whether the character before or after a position belongs to a
// word.
func wordAt(s string, at int, before bool) bool {
	r, n := utf8.DecodeRuneInString(s[at:])
	if before {
		r, n = utf8.DecodeLastRuneInString(s[:at])
	}
	return n > 0 && isAddedWord.of(r)
}
