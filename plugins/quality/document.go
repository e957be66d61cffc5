package quality

import (
	"strings"
	"unicode/utf8"

	"github.com/quern-dev/quern/internal/spacy"
)

// document is the text that is judged. Characters are Unicode code points, words
// those of spaCy's tokenizer, and lines and spaces those of Python, because that
// is how datatrove measures. It reuses its memory for the next text.
type document struct {
	tokenizer *spacy.Tokenizer
	text      string
	chars     int
	words     []string
	divided   bool
	lines     []string
	// kept are the lines that c4 does not remove.
	kept []string
	// corrected is the text with the corrections of refinedweb.
	corrected string
	ngrams    ngrams
	seen      counter
}

func (d *document) reset(text string) {
	d.text, d.chars, d.divided = text, utf8.RuneCountInString(text), false
}

// allWords returns the words of the text.
func (d *document) allWords() []string {
	if !d.divided {
		d.words, d.divided = d.tokenizer.Words(d.text, d.words[:0]), true
	}
	return d.words
}

// splitLines returns the lines of the text as Python's str.splitlines does.
func (d *document) splitLines() []string {
	d.lines = d.lines[:0]
	start := 0
	for i := 0; i < len(d.text); {
		n := lineBreak(d.text[i:])
		if n == 0 {
			i++
			continue
		}
		d.lines = append(d.lines, d.text[start:i])
		i += n
		start = i
	}
	if start < len(d.text) {
		d.lines = append(d.lines, d.text[start:])
	}
	return d.lines
}

// lineBreak returns the length of the line break at the beginning, in bytes, or
// 0.
func lineBreak(s string) int {
	switch c := s[0]; {
	case c == '\r' && len(s) > 1 && s[1] == '\n':
		return 2
	case '\n' <= c && c <= '\r', 0x1c <= c && c <= 0x1e:
		return 1
	case c == 0xc2 && strings.HasPrefix(s, "\u0085"):
		return 2
	case c == 0xe2 && (strings.HasPrefix(s, "\u2028") || strings.HasPrefix(s, "\u2029")):
		return 3
	}
	return 0
}

// splitAt returns the parts between runs of at least n line feeds.
func (d *document) splitAt(text string, n int) []string {
	d.lines = d.lines[:0]
	start := 0
	for i := 0; i < len(text); {
		feeds := len(text[i:]) - len(strings.TrimLeft(text[i:], "\n"))
		if feeds >= n {
			d.lines = append(d.lines, text[start:i])
			start = i + feeds
		}
		if next := strings.IndexByte(text[i+feeds:], '\n'); next >= 0 {
			i += feeds + next
		} else {
			break
		}
	}
	return append(d.lines, text[start:])
}

// duplicates returns how many of the parts occur earlier, and how many
// characters these have.
func (d *document) duplicates(parts []string) (n, chars int) {
	d.seen.reset(len(parts))
	for i, part := range parts {
		if count, _ := d.seen.add(hashOf(part), i); count > 1 {
			n++
			chars += utf8.RuneCountInString(part)
		}
	}
	return n, chars
}

func strip(s string) string { return strings.TrimFunc(s, spacy.IsSpace) }

func share(n, of int) float64 { return float64(n) / float64(of) }
