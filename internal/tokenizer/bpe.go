package tokenizer

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// model turns a word into tokens. It appends them, and with lengths the numbers
// of the word's bytes that they cover.
type model interface {
	tokenize(w *work, word string) error
	// size is the number of tokens in the vocabulary.
	size() int
	// id returns the ID of a token.
	id(token string) (uint32, bool)
	// text returns the text of a token.
	text(id uint32) (string, bool)
}

// vocabulary maps tokens to their IDs and back.
type vocabulary struct {
	ids    map[string]uint32
	tokens []string // by ID; empty if no token has that ID
}

// mostIDs limits the IDs of a vocabulary, so that a damaged file does not need
// gigabytes.
const mostIDs = 1 << 24

func newVocabulary(ids map[string]uint32) (*vocabulary, error) {
	v := &vocabulary{ids: ids}
	for token, id := range ids {
		if id >= mostIDs {
			return nil, fmt.Errorf("model.vocab gives the token %q the ID %d, which is too large", token, id)
		}
		if int(id) >= len(v.tokens) {
			v.tokens = append(v.tokens, make([]string, int(id)+1-len(v.tokens))...)
		}
		v.tokens[id] = token
	}
	return v, nil
}

func (v *vocabulary) size() int { return len(v.ids) }

func (v *vocabulary) id(token string) (uint32, bool) {
	id, ok := v.ids[token]
	return id, ok
}

func (v *vocabulary) text(id uint32) (string, bool) {
	if int(id) >= len(v.tokens) {
		return "", false
	}
	return v.tokens[id], true
}

// bpe is byte pair encoding: of all adjacent pairs in a word, the one whose merge
// has the lowest rank is merged first, from left to right, until none is left.
type bpe struct {
	*vocabulary
	merges         *table // left<<32|right → rank<<32|merged
	unknown        string
	prefix, suffix string
	fuse, fallback bool
	whole          bool // a word that is a token is not split

	// raw has the same tokens as bytes rather than as the characters of
	// byteRunes, if words come that way; nil if not.
	raw      map[string]uint32
	rawBytes [256]int64 // -1: not in the vocabulary
	bytes    [256]int64 // the tokens <0x00> to <0xFF>
}

const none = ^uint32(0)

// newBPE returns the model. merges contains pairs of tokens.
func newBPE(v *vocabulary, merges [][2]string, prefix string) (*bpe, error) {
	m := &bpe{vocabulary: v, prefix: prefix, merges: newTable(len(merges))}
	for rank, pair := range merges {
		left, ok := v.ids[pair[0]]
		right, ok2 := v.ids[pair[1]]
		merged, ok3 := v.ids[pair[0]+strings.TrimPrefix(pair[1], prefix)]
		for i, token := range []string{pair[0], pair[1], pair[0] + strings.TrimPrefix(pair[1], prefix)} {
			if ![]bool{ok, ok2, ok3}[i] {
				return nil, fmt.Errorf("model.merges[%d] needs the token %q, which is not in model.vocab", rank, token)
			}
		}
		m.merges.put(uint64(left)<<32|uint64(right), uint64(rank)<<32|uint64(merged))
	}
	for b := range m.bytes {
		m.bytes[b] = -1
		if id, ok := v.ids[fmt.Sprintf("<0x%02X>", b)]; ok {
			m.bytes[b] = int64(id)
		}
	}
	return m, nil
}

// useBytes makes the model read words as bytes, and reports whether it can.
func (m *bpe) useBytes() bool {
	if m.prefix != "" || m.suffix != "" || m.fallback {
		return false
	}
	m.raw = make(map[string]uint32, len(m.ids))
	for token, id := range m.ids {
		if text, ok := runesToBytes(token); ok {
			m.raw[text] = id
		}
	}
	for b := range m.rawBytes {
		m.rawBytes[b] = -1
		if id, ok := m.ids[string(byteRunes[b])]; ok {
			m.rawBytes[b] = int64(id)
		}
	}
	return true
}

// longestCached is the maximum length of a word whose tokens are remembered, in
// bytes, and mostCached the maximum number of such words.
const (
	longestCached = 256
	mostCached    = 1 << 16
)

// cachedWord is where the symbols of a word are.
type cachedWord struct{ from, to int32 }

func (m *bpe) tokenize(w *work, word string) error {
	if word == "" {
		return nil
	}
	if m.whole {
		ids := m.ids
		if m.raw != nil {
			ids = m.raw
		}
		if id, ok := ids[word]; ok {
			w.add(id, len(word))
			return nil
		}
	}
	if known, ok := w.cache[word]; ok {
		w.addAll(w.cached[known.from:known.to])
		return nil
	}
	var err error
	if w.symbols, err = m.spell(w.symbols[:0], word); err != nil {
		return err
	}
	m.merge(w)
	if len(word) < longestCached && len(w.cache) < mostCached {
		from := int32(len(w.cached))
		w.cached = append(w.cached, w.symbols...)
		w.cache[strings.Clone(word)] = cachedWord{from, int32(len(w.cached))}
	}
	w.addAll(w.symbols)
	return nil
}

// symbol is a token of a word, and the number of bytes that it covers.
type symbol struct {
	id     uint32
	length int32
}

// spell returns the word as single characters or bytes.
func (m *bpe) spell(out []symbol, word string) ([]symbol, error) {
	unknown := symbol{id: none}
	flush := func() {
		if unknown.id != none {
			out, unknown = append(out, unknown), symbol{id: none}
		}
	}
	miss := func(length int) error {
		if m.unknown == "" {
			return nil
		}
		id, ok := m.ids[m.unknown]
		if !ok {
			return fmt.Errorf("the text has characters that are not in the vocabulary, and neither is the token %q for them", m.unknown)
		}
		if !m.fuse {
			flush()
		}
		unknown.id, unknown.length = id, unknown.length+int32(length)
		return nil
	}
	if m.raw != nil {
		for i := range len(word) {
			if id := m.rawBytes[word[i]]; id >= 0 {
				flush()
				out = append(out, symbol{uint32(id), 1})
			} else if err := miss(1); err != nil {
				return nil, err
			}
		}
		flush()
		return out, nil
	}
	for i, r := range word {
		n := utf8.RuneLen(r)
		s := word[i : i+n]
		if i > 0 && m.prefix != "" {
			s = m.prefix + s
		}
		if i+n == len(word) && m.suffix != "" {
			s += m.suffix
		}
		if id, ok := m.ids[s]; ok {
			flush()
			out = append(out, symbol{id, int32(n)})
			continue
		}
		if m.fallback && m.hasBytes(s) {
			for k := range len(s) {
				out = append(out, symbol{uint32(m.bytes[s[k]]), 1})
			}
			continue
		}
		if err := miss(n); err != nil {
			return nil, err
		}
	}
	flush()
	return out, nil
}

func (m *bpe) hasBytes(s string) bool {
	for k := range len(s) {
		if m.bytes[s[k]] < 0 {
			return false
		}
	}
	return true
}

// shortWord is the number of symbols up to which looking at all pairs is faster
// than a heap.
const shortWord = 48

func (m *bpe) merge(w *work) {
	if len(w.symbols) <= shortWord {
		m.mergeShort(w)
	} else {
		m.mergeLong(w)
	}
}

const noMerge = ^uint64(0)

// rank returns the rank and the result of a merge.
func (m *bpe) rank(left, right uint32) uint64 {
	if v, ok := m.merges.get(uint64(left)<<32 | uint64(right)); ok {
		return v
	}
	return noMerge
}

func (m *bpe) mergeShort(w *work) {
	s := w.symbols
	if len(s) < 2 {
		return
	}
	var buffer [shortWord]uint64
	ranks := buffer[:len(s)-1]
	for i := range ranks {
		ranks[i] = m.rank(s[i].id, s[i+1].id)
	}
	for len(ranks) > 0 {
		best := 0
		for i, r := range ranks {
			if r>>32 < ranks[best]>>32 {
				best = i
			}
		}
		if ranks[best] == noMerge {
			break
		}
		s[best] = symbol{uint32(ranks[best]), s[best].length + s[best+1].length}
		s = append(s[:best+1], s[best+2:]...)
		ranks = append(ranks[:best], ranks[best+1:]...)
		if best > 0 {
			ranks[best-1] = m.rank(s[best-1].id, s[best].id)
		}
		if best < len(ranks) {
			ranks[best] = m.rank(s[best].id, s[best+1].id)
		}
	}
	w.symbols = s
}

// mergeLong merges with a heap of ranks and places. Merged symbols form a list.
func (m *bpe) mergeLong(w *work) {
	s := w.symbols
	n := len(s)
	next, previous := make([]int32, n), make([]int32, n)
	h := w.heap[:0]
	push := func(left, right int32) {
		if r := m.rank(s[left].id, s[right].id); r != noMerge {
			h = append(h, r&^(1<<32-1)|uint64(left))
		}
	}
	for i := range n {
		next[i], previous[i] = int32(i+1), int32(i-1)
		if i+1 < n {
			push(int32(i), int32(i+1))
		}
	}
	h.init()
	for len(h) > 0 {
		top := h.pop()
		left := int32(uint32(top))
		right := next[left]
		if s[left].length < 0 || int(right) >= n {
			continue
		}
		r := m.rank(s[left].id, s[right].id)
		if r == noMerge || r>>32 != top>>32 { // it has changed since
			continue
		}
		s[left] = symbol{uint32(r), s[left].length + s[right].length}
		s[right].length = -1
		next[left] = next[right]
		if int(next[left]) < n {
			previous[next[left]] = left
			push(left, next[left])
			h.up(len(h) - 1)
		}
		if before := previous[left]; before >= 0 {
			push(before, left)
			h.up(len(h) - 1)
		}
	}
	out := s[:0]
	for _, one := range s {
		if one.length >= 0 {
			out = append(out, one)
		}
	}
	w.symbols, w.heap = out, h[:0]
}

// heap is a binary heap with the lowest number on top.
type heap []uint64

func (h heap) init() {
	for i := len(h)/2 - 1; i >= 0; i-- {
		h.down(i)
	}
}

func (h heap) up(i int) {
	for i > 0 && h[i] < h[(i-1)/2] {
		h[i], h[(i-1)/2] = h[(i-1)/2], h[i]
		i = (i - 1) / 2
	}
}

func (h heap) down(i int) {
	for {
		child := 2*i + 1
		if child >= len(h) {
			return
		}
		if child+1 < len(h) && h[child+1] < h[child] {
			child++
		}
		if h[i] <= h[child] {
			return
		}
		h[i], h[child] = h[child], h[i]
		i = child
	}
}

func (h *heap) pop() uint64 {
	old := *h
	top := old[0]
	old[0] = old[len(old)-1]
	*h = old[:len(old)-1]
	h.down(0)
	return top
}

// byteRunes are the characters that a byte-level vocabulary uses for bytes:
// printable Latin-1 characters for themselves, and those from U+0100 on for the
// others.
var byteRunes = func() (out [256]rune) {
	others := rune(0x100)
	for b := range out {
		if r := rune(b); r >= '!' && r <= '~' || r >= 0xa1 && r != 0xad {
			out[b] = r
			continue
		}
		out[b] = others
		others++
	}
	return out
}()

// runeByte returns the byte that a character is used for.
func runeByte(r rune) (byte, bool) {
	switch {
	case r < 0x100:
		return byte(r), byteRunes[byte(r)] == r
	case r <= 0x120:
		return byte(r - 0x100), true
	case r <= 0x142:
		return byte(0x7f + r - 0x121), true
	case r == 0x143:
		return 0xad, true
	}
	return 0, false
}

// runesToBytes returns the bytes that a token consists of.
func runesToBytes(token string) (string, bool) {
	out := make([]byte, 0, len(token))
	for _, r := range token {
		b, ok := runeByte(r)
		if !ok {
			return "", false
		}
		out = append(out, b)
	}
	return string(out), true
}
