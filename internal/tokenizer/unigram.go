package tokenizer

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"
)

// unigram chooses the tokens of a word whose scores have the highest sum.
type unigram struct {
	*vocabulary
	scores   []float64
	trie     *trie
	unknown  int64   // -1: none
	missed   float64 // the score of an unknown character
	fallback bool
	bytes    [256]int64
}

// unknownPenalty is how much less an unknown character scores than the worst
// token.
const unknownPenalty = 10

func newUnigram(tokens []string, scores []float64, unknown int64, fallback bool) (*unigram, error) {
	if unknown >= int64(len(tokens)) {
		return nil, fmt.Errorf("model.unk_id is %d, but the vocabulary has %d tokens", unknown, len(tokens))
	}
	m := &unigram{
		vocabulary: &vocabulary{ids: make(map[string]uint32, len(tokens)), tokens: tokens},
		scores:     scores, unknown: unknown, fallback: fallback,
	}
	values, worst := make([]int32, len(tokens)), math.Inf(1)
	for i, token := range tokens {
		m.ids[token], values[i] = uint32(i), int32(i)
		worst = min(worst, scores[i])
	}
	m.missed = worst - unknownPenalty
	m.trie = newTrie(tokens, values)
	for b := range m.bytes {
		m.bytes[b] = -1
		if id, ok := m.ids[fmt.Sprintf("<0x%02X>", b)]; ok {
			m.bytes[b] = int64(id)
		}
	}
	return m, nil
}

// size counts all tokens, also ones with the same text.
func (m *unigram) size() int { return len(m.tokens) }

// best is the best way to divide a text up to some place.
type best struct {
	score float64
	from  int32 // where its last token begins; -1: no way is known
	id    int32
}

var errUnknown = errors.New("the text has characters that are not in the vocabulary, and the tokenizer has no unk_id for them")

func (m *unigram) tokenize(w *work, word string) error {
	if known, ok := w.cache[word]; ok {
		w.addAll(w.cached[known.from:known.to])
		return nil
	}
	if err := m.divide(w, word); err != nil {
		return err
	}
	from := int32(len(w.cached))
	if len(word) >= longestCached || len(w.cache) >= mostCached {
		w.symbols = m.collect(w.symbols[:0], w.best, word)
		w.addAll(w.symbols)
		return nil
	}
	w.cached = m.collect(w.cached, w.best, word)
	w.cache[strings.Clone(word)] = cachedWord{from, int32(len(w.cached))}
	w.addAll(w.cached[from:])
	return nil
}

// divide finds the best way, from left to right. Of equally good ones, the first
// that is found stays.
func (m *unigram) divide(w *work, word string) error {
	if cap(w.best) <= len(word) {
		w.best = make([]best, len(word)+1)
	}
	w.best = w.best[:len(word)+1]
	for i := range w.best {
		w.best[i] = best{from: -1}
	}
	for at := 0; at < len(word); {
		_, n := utf8.DecodeRuneInString(word[at:])
		here, known := w.best[at].score, false
		node := uint32(0)
		for end := at; end < len(word); {
			if node = m.trie.step(node, word[end]); node == 0 {
				break
			}
			end++
			id := m.trie.ends[node]
			if id < 0 {
				continue
			}
			w.best[end].offer(here+m.scores[id], at, id)
			known = known || end == at+n
		}
		if !known {
			if m.unknown < 0 {
				return errUnknown
			}
			w.best[at+n].offer(here+m.missed, at, int32(m.unknown))
		}
		at += n
	}
	return nil
}

func (b *best) offer(score float64, from int, id int32) {
	if b.from < 0 || score > b.score {
		*b = best{score, int32(from), id}
	}
}

// collect appends the tokens of the best way. Unknown characters in a row are one
// token, or bytes.
func (m *unigram) collect(out []symbol, found []best, word string) []symbol {
	first := len(out)
	for end := len(word); end > 0; {
		b := found[end]
		from := int(b.from)
		for int64(b.id) == m.unknown && from > 0 && int64(found[from].id) == m.unknown {
			from = int(found[from].from)
		}
		out = m.put(out, word[from:end])
		end = from
	}
	for i, j := first, len(out)-1; i < j; i, j = i+1, j-1 {
		out[i], out[j] = out[j], out[i]
	}
	return out
}

// put appends a token; those of its bytes, from the last to the first. Bytes come
// from the whole token, which only the first of them covers: see work.addAll.
func (m *unigram) put(out []symbol, text string) []symbol {
	if id, ok := m.ids[text]; ok {
		return append(out, symbol{id, int32(len(text))})
	}
	if m.fallback {
		bytes := true
		for i := range len(text) {
			bytes = bytes && m.bytes[text[i]] >= 0
		}
		if bytes {
			for i := len(text) - 1; i > 0; i-- {
				out = append(out, symbol{uint32(m.bytes[text[i]]), sameSpan})
			}
			return append(out, symbol{uint32(m.bytes[text[0]]), int32(len(text))})
		}
	}
	return append(out, symbol{uint32(m.unknown), int32(len(text))})
}

// sameSpan is the length of a token that covers what the one before it covers.
const sameSpan = -2
