package fasttext

import "strings"

// endOfLine is the word that fastText appends to each line.
const endOfLine = "</s>"

// dictionary assigns words and n-grams the rows of the input matrix.
type dictionary struct {
	words  map[string]int32
	labels []string
	// counts says how often each label occurs in the training data.
	counts []int64
	// size is the number of words, after whose rows those of the buckets begin.
	size int32
	// pruned is nil if the model has all buckets. Otherwise it contains the
	// buckets that are left.
	pruned *buckets
}

// smallestEntry is the number of bytes of an entry with an empty word.
const smallestEntry = 1 + 8 + 1

func (d *dictionary) read(in *reader, s *settings) {
	entries, words, labels := in.int32(), in.int32(), in.int32()
	in.int64() // the number of tokens in the training data
	pruned := in.int64()
	if in.err == nil && (words < 0 || labels < 0 || int64(words)+int64(labels) != int64(entries)) {
		in.fail(damaged("its dictionary has %d entries, but %d words and %d labels", entries, words, labels))
	}
	if !in.fits(int64(entries), smallestEntry) {
		return
	}
	d.size, d.words = words, make(map[string]int32, words)
	for i := range entries {
		text, count, label := in.text(), in.int64(), in.bool()
		if in.err == nil && label != (i >= words) {
			in.fail(damaged("a label is among the words of its dictionary, or the reverse"))
		}
		if in.err != nil {
			return
		}
		if label {
			d.labels = append(d.labels, withoutPrefix(text))
			d.counts = append(d.counts, count)
		} else {
			d.words[text] = i
		}
	}
	if pruned >= 0 {
		d.pruned = readBuckets(in, pruned, s.bucket)
	}
}

// rows returns the number of rows that the input matrix must have at least.
func (d *dictionary) rows(s *settings) int64 {
	words := int64(d.size)
	switch {
	case d.pruned != nil:
		return words + d.pruned.rows
	case s.usesBuckets():
		return words + int64(s.bucket)
	}
	return words
}

// isSpace reports whether a byte separates words.
func isSpace(c byte) bool { return c == ' ' || c == 0 || '\t' <= c && c <= '\r' }

// line collects the rows of a text's words and n-grams.
func (p *Predictor) line(text string) {
	p.rows, p.hashes = p.rows[:0], p.hashes[:0]
	for start := 0; start < len(text); {
		if isSpace(text[start]) {
			start++
			continue
		}
		end := start + 1
		for end < len(text) && !isSpace(text[end]) {
			end++
		}
		p.token(text[start:end])
		if text[start:end] == endOfLine { // fastText stops reading here
			p.wordNgrams()
			return
		}
		start = end
	}
	p.token(endOfLine)
	p.wordNgrams()
}

// token adds the rows of a word and of its n-grams.
func (p *Predictor) token(word string) {
	id, known := p.model.dictionary.words[word]
	if !known && strings.HasPrefix(word, labelPrefix) {
		return
	}
	if known {
		p.rows = append(p.rows, id)
	}
	if word != endOfLine {
		p.subwords(word)
	}
	if p.model.settings.wordNgrams > 1 {
		p.hashes = append(p.hashes, int32(hash(word)))
	}
}

// subwords adds the rows of a word's n-grams of characters, with < before and >
// after the word.
func (p *Predictor) subwords(word string) {
	minn, maxn := int(p.model.settings.minn), int(p.model.settings.maxn)
	if maxn <= 0 {
		return
	}
	p.word = append(append(append(p.word[:0], '<'), word...), '>')
	w := p.word
	for i := range w {
		if w[i]&0xC0 == 0x80 { // not the first byte of a character
			continue
		}
		h := uint32(hashSeed)
		for j, n := i, 1; j < len(w) && n <= maxn; n++ {
			h = hashByte(h, w[j])
			for j++; j < len(w) && w[j]&0xC0 == 0x80; j++ {
				h = hashByte(h, w[j])
			}
			if n >= minn && (n > 1 || i > 0 && j < len(w)) {
				p.bucket(h % uint32(p.model.settings.bucket))
			}
		}
	}
}

// wordNgrams adds the rows of the n-grams of words.
func (p *Predictor) wordNgrams() {
	n := int(p.model.settings.wordNgrams)
	for i, first := range p.hashes {
		h := uint64(int64(first))
		for j := i + 1; j < len(p.hashes) && j < i+n; j++ {
			h = h*116049371 + uint64(int64(p.hashes[j]))
			p.bucket(uint32(h % uint64(p.model.settings.bucket)))
		}
	}
}

// bucket adds the row of a bucket, unless the model was pruned of it.
func (p *Predictor) bucket(b uint32) {
	d, row := &p.model.dictionary, int32(b)
	if d.pruned != nil {
		var ok bool
		if row, ok = d.pruned.find(b); !ok {
			return
		}
	}
	p.rows = append(p.rows, d.size+row)
}

// The hash is FNV-1a, but extends the sign of bytes, as fastText always has.
const hashSeed = 2166136261

func hashByte(h uint32, c byte) uint32 { return (h ^ uint32(int8(c))) * 16777619 }

func hash(word string) uint32 {
	h := uint32(hashSeed)
	for i := range len(word) {
		h = hashByte(h, word[i])
	}
	return h
}
