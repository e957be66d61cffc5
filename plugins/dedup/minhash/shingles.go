package minhash

import (
	"slices"
	"unicode"
	"unicode/utf8"

	"github.com/zeebo/xxh3"
)

// shingler computes the hashes of a text's shingles.
//
// Words are runs of letters, digits, and marks, in lower case; everything else separates
// them. A character of a script that is written without spaces is a word by itself.
// Characters are those of the text in lower case, where a run of white space counts as one
// space. A text that is shorter than a shingle is one shingle.
type shingler struct {
	n          int
	characters bool

	units []uint64 // hashes of words or characters
	out   []uint64
	word  []byte

	begin int // of the word
	// places are where the words are in the text, if locates is set.
	locates bool
	places  []Place
}

// Place is a range of bytes of a text.
type Place struct{ From, To int }

// of returns the hashes of the shingles in order, repeated ones included. They are valid
// until the next call.
func (s *shingler) of(text string) []uint64 {
	s.units, s.out, s.places = s.units[:0], s.out[:0], s.places[:0]
	if s.characters {
		s.splitCharacters(text)
	} else {
		s.splitWords(text)
	}
	if len(s.units) == 0 {
		return nil
	}
	n := min(s.n, len(s.units))
	// The hash of a shingle is a polynomial of the hashes of its units.
	const base = 0x9ddfea08eb382d69
	var sum, top uint64 = 0, 1
	for range n - 1 {
		top *= base
	}
	for i, u := range s.units {
		if i >= n {
			sum -= s.units[i-n] * top
		}
		sum = sum*base + u
		if i >= n-1 {
			s.out = append(s.out, mix(sum))
		}
	}
	return s.out
}

// inWords maps ASCII letters and digits to lower case, and all other bytes to 0.
var inWords = func() (t [256]byte) {
	for c := byte(0); c < utf8.RuneSelf; c++ {
		switch {
		case 'a' <= c && c <= 'z' || '0' <= c && c <= '9':
			t[c] = c
		case 'A' <= c && c <= 'Z':
			t[c] = c + 'a' - 'A'
		}
	}
	return t
}()

func (s *shingler) splitWords(text string) {
	s.word = s.word[:0]
	for i := 0; i < len(text); {
		if len(s.word) == 0 {
			s.begin = i
		}
		if text[i] < utf8.RuneSelf {
			i = s.splitASCII(text, i)
			continue
		}
		r, size := utf8.DecodeRuneInString(text[i:])
		at := i
		i += size
		switch {
		case unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar):
			s.endWord(at)
			s.begin = at
			s.word = utf8.AppendRune(s.word, r)
			s.endWord(i)
		case unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r):
			s.word = utf8.AppendRune(s.word, unicode.ToLower(r))
		default:
			s.endWord(at)
		}
	}
	s.endWord(len(text))
}

// splitASCII adds the ASCII characters from a position of the text to the word, or ends it
// if there are none. It returns the position that follows.
func (s *shingler) splitASCII(text string, from int) int {
	to := from
	for to < len(text) && inWords[text[to]] != 0 {
		to++
	}
	if to == from {
		s.endWord(from)
		return from + 1
	}
	at := len(s.word)
	s.word = append(s.word, text[from:to]...)
	for i, c := range s.word[at:] {
		s.word[at+i] = inWords[c]
	}
	return to
}

func (s *shingler) endWord(end int) {
	if len(s.word) == 0 {
		return
	}
	s.units = append(s.units, xxh3.Hash(s.word))
	s.word = s.word[:0]
	if s.locates {
		s.places = append(s.places, Place{s.begin, end})
	}
}

func (s *shingler) splitCharacters(text string) {
	space := true // white space at the start does not count
	for _, r := range text {
		if unicode.IsSpace(r) {
			if !space {
				s.units = append(s.units, mix(' '))
			}
			space = true
			continue
		}
		space = false
		s.units = append(s.units, mix(uint64(unicode.ToLower(r))))
	}
	if space && len(s.units) > 0 {
		s.units = s.units[:len(s.units)-1]
	}
}

// Runs finds the runs of words in texts. It is not safe for concurrent use.
type Runs struct{ shingles shingler }

// NewRuns returns a finder of runs of n words.
func NewRuns(n int) *Runs { return &Runs{shingler{n: n, locates: true}} }

// Of returns the hashes of the runs of a text, by their first words, and where all words
// are. A text with fewer words has no runs. Both are valid until the next call.
func (r *Runs) Of(text string) (hashes []uint64, words []Place) {
	hashes = r.shingles.of(text)
	if len(r.shingles.units) < r.shingles.n {
		return nil, r.shingles.places
	}
	return hashes, r.shingles.places
}

// Shingles returns the set of a text's shingles, as sorted hashes. They are valid until
// the next call of a method.
func (s *Signer) Shingles(text string) []uint64 {
	all := s.shingles.of(text)
	slices.Sort(all)
	return slices.Compact(all)
}

// Jaccard is the similarity of two sets of shingles: the share of their common ones
// among all.
func Jaccard(a, b []uint64) float64 {
	common, i, j := 0, 0, 0
	for i < len(a) && j < len(b) {
		switch {
		case a[i] < b[j]:
			i++
		case a[i] > b[j]:
			j++
		default:
			common++
			i++
			j++
		}
	}
	if all := len(a) + len(b) - common; all > 0 {
		return float64(common) / float64(all)
	}
	return 0
}
