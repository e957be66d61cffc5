package spacy

import (
	"iter"
	"unicode"
	"unicode/utf8"
)

// Sentences returns the number of sentences of a text.
func (t *Tokenizer) Sentences(text string) int {
	n := 0
	for range t.SentenceStarts(text) {
		n++
	}
	return n
}

// SentenceStarts yields where the sentences of a text begin, in bytes. A sentence
// ends after words that are punctuation, of which one is the end of a sentence.
// White space other than a single space is a word, too, so a sentence can begin
// with it.
func (t *Tokenizer) SentenceStarts(text string) iter.Seq[int] {
	return func(yield func(int) bool) {
		first, ended := true, false
		for start, word := range t.tokens(text) {
			end := t.rules.endsSentence(word)
			switch {
			case first || ended && !end && !isPunctuation(word):
				if !yield(start) {
					return
				}
				first, ended = false, end
			case end:
				ended = true
			}
		}
	}
}

// tokens yields where the words of a text begin, and the words. As in spaCy, spaces
// other than single ones are words.
func (t *Tokenizer) tokens(text string) iter.Seq2[int, string] {
	return func(yield func(int, string) bool) {
		for start := 0; start < len(text); {
			space := spaceAt(text, start) > 0
			end := start
			for end < len(text) && (spaceAt(text, end) > 0) == space {
				_, n := utf8.DecodeRuneInString(text[end:])
				end += n
			}
			chunk, at := text[start:end], start
			start = end
			if space {
				// The space after a word belongs to it.
				if len(chunk) < len(text[:end]) && chunk[0] == ' ' {
					chunk, at = chunk[1:], at+1
				}
				if chunk != "" && !yield(at, chunk) {
					return
				}
				continue
			}
			from := int32(0)
			for _, to := range t.chunk(chunk) {
				if !yield(at+int(from), chunk[from:to]) {
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
