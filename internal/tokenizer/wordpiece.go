package tokenizer

import (
	"fmt"
	"unicode/utf8"
)

// wordPiece takes the longest token that a word begins with, and so on.
type wordPiece struct {
	*vocabulary
	trie    *trie
	inside  uint32 // the node after the prefix of tokens inside a word
	prefix  string
	unknown string
	longest int // words with more characters are unknown
}

func newWordPiece(v *vocabulary, prefix, unknown string, longest int) *wordPiece {
	m := &wordPiece{vocabulary: v, prefix: prefix, unknown: unknown, longest: longest}
	tokens, values := make([]string, 0, len(v.ids)), make([]int32, 0, len(v.ids))
	for id, token := range v.tokens {
		if token != "" {
			tokens, values = append(tokens, token), append(values, int32(id))
		}
	}
	m.trie = newTrie(tokens, values)
	for i := range len(prefix) {
		if m.inside = m.trie.step(m.inside, prefix[i]); m.inside == 0 {
			break
		}
	}
	return m
}

func (m *wordPiece) tokenize(w *work, word string) error {
	if len(word) > m.longest && utf8.RuneCountInString(word) > m.longest {
		return m.miss(w, word)
	}
	w.symbols = w.symbols[:0]
	node := uint32(0)
	for at := 0; at < len(word); {
		id, n := int32(-1), 0
		if at == 0 || m.prefix == "" || node != 0 {
			id, n = m.trie.longest(node, word[at:])
		}
		if n == 0 {
			return m.miss(w, word)
		}
		w.symbols = append(w.symbols, symbol{uint32(id), int32(n)})
		at += n
		node = m.inside
	}
	w.addAll(w.symbols)
	return nil
}

func (m *wordPiece) miss(w *work, word string) error {
	return missWord(w, m.vocabulary, m.unknown, word)
}

// missWord adds the token for unknown words.
func missWord(w *work, v *vocabulary, unknown, word string) error {
	id, ok := v.ids[unknown]
	if !ok {
		return fmt.Errorf("the text has a word that is not in the vocabulary, and neither is the token %q for such words", unknown)
	}
	w.add(id, len(word))
	return nil
}

// wordLevel has a token for each word.
type wordLevel struct {
	*vocabulary
	unknown string
}

func (m *wordLevel) tokenize(w *work, word string) error {
	if id, ok := m.ids[word]; ok {
		w.add(id, len(word))
		return nil
	}
	return missWord(w, m.vocabulary, m.unknown, word)
}
