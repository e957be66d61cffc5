package linear

import (
	"math"
	"slices"
	"unicode"
	"unicode/utf8"

	"github.com/quern-dev/quern/sdk/go/plugin"
)

// Features defines how a text becomes a sparse vector.
type Features struct {
	// Words is the maximum length of word n-grams. 0 means none.
	Words int `json:"words"`
	// CharsMin and CharsMax are the minimum and maximum length of character
	// n-grams, which are taken from single words with marked borders. If
	// CharsMax is 0, there are none.
	CharsMin int `json:"chars_min"`
	CharsMax int `json:"chars_max"`
	// Bits is the binary logarithm of the number of buckets that n-grams are
	// hashed into.
	Bits int `json:"bits"`
	// Lowercase says whether case is ignored.
	Lowercase bool `json:"lowercase"`
}

// MaxBits is the maximum of Features.Bits: 16,777,216 buckets.
const MaxBits = 24

// Check returns an error that describes the first invalid setting.
func (f Features) Check() error {
	switch {
	case f.Words < 0 || f.Words > 5:
		return plugin.ArgumentErrorf("word_ngrams", "word n-grams must have 0 to 5 words, not %d", f.Words)
	case f.CharsMax < 0 || f.CharsMax > 8:
		return plugin.ArgumentErrorf("char_ngrams", "character n-grams must have 0 to 8 characters, not %d", f.CharsMax)
	case f.CharsMax > 0 && (f.CharsMin < 1 || f.CharsMin > f.CharsMax):
		return plugin.ArgumentErrorf("char_ngrams_min", "the shortest character n-gram must have 1 to %d characters, not %d", f.CharsMax, f.CharsMin)
	case f.Words == 0 && f.CharsMax == 0:
		return plugin.ArgumentErrorf("word_ngrams", "there are no word or character n-grams to learn from")
	case f.Bits < 8 || f.Bits > MaxBits:
		return plugin.ArgumentErrorf("hash_bits", "the number of hash bits must be from 8 to %d, not %d", MaxBits, f.Bits)
	}
	return nil
}

// term is one entry of a sparse vector. Its index is a bucket at first, and a
// place in the weight table once the vector is weighted.
type term struct {
	at    uint32
	value float32
}

// extractor converts texts to buckets with counts. It owns its buffers, so only
// one goroutine may use it.
type extractor struct {
	Features
	runes   []rune
	words   []span // indexes of runes
	hashes  []uint64
	buckets []uint32
	terms   []term
}

type span struct{ from, to int }

// Word borders inside character n-grams, and the two kinds of n-grams, are
// marked by values that are not runes.
const (
	border    = 0x110000
	wordSeed  = 0x9e3779b97f4a7c15
	charSeed  = 0xc2b2ae3d27d4eb4f
	hashPrime = 0x100000001b3
)

// counts returns the buckets of a text in ascending order, with the number of
// n-grams in each. The slice is valid until the next call.
func (x *extractor) counts(text string) []term {
	x.split(text)
	x.buckets = x.buckets[:0]
	x.addWords()
	x.addChars()
	slices.Sort(x.buckets)
	x.terms = x.terms[:0]
	for _, b := range x.buckets {
		if n := len(x.terms); n > 0 && x.terms[n-1].at == b {
			x.terms[n-1].value++
			continue
		}
		x.terms = append(x.terms, term{at: b, value: 1})
	}
	return x.terms
}

// split finds the words. A word is a sequence of letters, digits, and marks, or
// any other single character that is not a space.
func (x *extractor) split(text string) {
	x.runes, x.words = x.runes[:0], x.words[:0]
	start := -1
	end := func() {
		if start >= 0 {
			x.words = append(x.words, span{start, len(x.runes)})
			start = -1
		}
	}
	for _, r := range text {
		if r == utf8.RuneError || unicode.IsSpace(r) || unicode.IsControl(r) {
			end()
			continue
		}
		if x.Lowercase {
			r = unicode.ToLower(r)
		}
		if unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r) {
			if start < 0 {
				start = len(x.runes)
			}
			x.runes = append(x.runes, r)
			continue
		}
		end()
		start = len(x.runes)
		x.runes = append(x.runes, r)
		end()
	}
	end()
}

func (x *extractor) addWords() {
	if x.Words == 0 {
		return
	}
	x.hashes = x.hashes[:0]
	for _, w := range x.words {
		h := uint64(wordSeed)
		for _, r := range x.runes[w.from:w.to] {
			h = step(h, uint64(r))
		}
		x.hashes = append(x.hashes, h)
	}
	for i := range x.hashes {
		h := uint64(wordSeed)
		for n := 0; n < x.Words && i+n < len(x.hashes); n++ {
			h = step(h, x.hashes[i+n])
			x.add(h)
		}
	}
}

func (x *extractor) addChars() {
	if x.CharsMax == 0 {
		return
	}
	for _, w := range x.words {
		// Positions w.from-1 and w.to are the borders.
		for i := w.from - 1; i <= w.to; i++ {
			h := uint64(charSeed)
			for n := 1; n <= x.CharsMax && i+n-1 <= w.to; n++ {
				h = step(h, x.at(w, i+n-1))
				if n >= x.CharsMin {
					x.add(h)
				}
			}
		}
	}
}

func (x *extractor) at(w span, i int) uint64 {
	if i < w.from || i >= w.to {
		return border
	}
	return uint64(x.runes[i])
}

func (x *extractor) add(h uint64) {
	x.buckets = append(x.buckets, uint32(finish(h)>>(64-x.Bits)))
}

func step(h, v uint64) uint64 { return (h ^ v) * hashPrime }

// finish mixes the bits, because FNV's upper bits are weak for short input (the
// finalizer of MurmurHash3).
func finish(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	h ^= h >> 33
	return h
}

// vocabulary assigns places in the weight table to the buckets that get a
// weight, and knows how informative each bucket is.
type vocabulary struct {
	place []uint32  // by bucket: place + 1, or 0 if the bucket has none
	idf   []float32 // by place: inverse document frequency
}

func newVocabulary(bits int, buckets []uint32, idf []float32) *vocabulary {
	v := &vocabulary{place: make([]uint32, 1<<bits), idf: idf}
	for i, b := range buckets {
		v.place[b] = uint32(i) + 1
	}
	return v
}

// buckets returns the buckets that have a place, in the order of their places.
func (v *vocabulary) buckets() []uint32 {
	out := make([]uint32, len(v.idf))
	for b, p := range v.place {
		if p > 0 {
			out[p-1] = uint32(b)
		}
	}
	return out
}

// weigh converts the counts of buckets to the vector that weights are fitted
// to: damped counts times the inverse document frequency, by place, scaled to
// length 1. It works in place.
func (v *vocabulary) weigh(terms []term) []term {
	kept := terms[:0]
	var sum float64
	for _, t := range terms {
		p := v.place[t.at]
		if p == 0 {
			continue
		}
		x := v.idf[p-1]
		if t.value > 1 {
			x *= float32(1 + math.Log(float64(t.value)))
		}
		sum += float64(x) * float64(x)
		kept = append(kept, term{p - 1, x})
	}
	if sum == 0 {
		return kept
	}
	scale := float32(1 / math.Sqrt(sum))
	for i := range kept {
		kept[i].value *= scale
	}
	return kept
}
