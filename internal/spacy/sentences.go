package spacy

import (
	"unicode"
	"unicode/utf8"
)

// Sentences returns the number of sentences of a text. A sentence ends after
// words that are punctuation, of which one is the end of a sentence.
func (t *Tokenizer) Sentences(text string) int {
	n, words, ended := 0, 0, false
	for word := range t.tokens(text) {
		words++
		end := t.rules.endsSentence(word)
		switch {
		case ended && !end && !isPunctuation(word):
			n++
			ended = false
		case end:
			ended = true
		}
	}
	if words > 0 {
		n++
	}
	return n
}

// tokens yields the words of a text and, as spaCy does, spaces other than single
// ones.
func (t *Tokenizer) tokens(text string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for start := 0; start < len(text); {
			space := spaceAt(text, start) > 0
			end := start
			for end < len(text) && (spaceAt(text, end) > 0) == space {
				_, n := utf8.DecodeRuneInString(text[end:])
				end += n
			}
			chunk := text[start:end]
			start = end
			if space {
				// The space after a word belongs to it.
				if len(chunk) < len(text[:end]) && chunk[0] == ' ' {
					chunk = chunk[1:]
				}
				if chunk != "" && !yield(chunk) {
					return
				}
				continue
			}
			from := int32(0)
			for _, to := range t.chunk(chunk) {
				if !yield(chunk[from:to]) {
					return
				}
				from = to
			}
		}
	}
}

func (r *rules) endsSentence(word string) bool {
	first, n := utf8.DecodeRuneInString(word)
	return n == len(word) && r.sentenceEnds[first]
}

func isPunctuation(word string) bool {
	for _, r := range word {
		if !unicode.IsPunct(r) {
			return false
		}
	}
	return true
}
