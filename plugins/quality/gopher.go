package quality

import (
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

type gopherRepetition struct {
	Paragraphs     float64  `quern:"max_duplicate_paragraphs" default:"0.3" doc:"The maximum share of paragraphs that occur earlier in the text, among all paragraphs."`
	ParagraphChars float64  `quern:"max_duplicate_paragraph_chars" default:"0.2" doc:"The maximum share of such paragraphs' characters."`
	Lines          float64  `quern:"max_duplicate_lines" default:"0.3" doc:"The maximum share of lines that occur earlier in the text, among all lines."`
	LineChars      float64  `quern:"max_duplicate_line_chars" default:"0.2" doc:"The maximum share of such lines' characters."`
	Top2           float64  `quern:"max_top_2gram" default:"0.2" doc:"The maximum share of the most frequent sequence of 2 words."`
	Top3           float64  `quern:"max_top_3gram" default:"0.18" doc:"The maximum share of the most frequent sequence of 3 words."`
	Top4           float64  `quern:"max_top_4gram" default:"0.16" doc:"The maximum share of the most frequent sequence of 4 words."`
	Duplicate5     float64  `quern:"max_duplicate_5grams" default:"0.15" doc:"The maximum share of sequences of 5 words that occur earlier in the text."`
	Duplicate6     float64  `quern:"max_duplicate_6grams" default:"0.14" doc:"The same for 6 words."`
	Duplicate7     float64  `quern:"max_duplicate_7grams" default:"0.13" doc:"The same for 7 words."`
	Duplicate8     float64  `quern:"max_duplicate_8grams" default:"0.12" doc:"The same for 8 words."`
	Duplicate9     float64  `quern:"max_duplicate_9grams" default:"0.11" doc:"The same for 9 words."`
	Duplicate10    float64  `quern:"max_duplicate_10grams" default:"0.1" doc:"The same for 10 words."`
	Without        []string `quern:"without" doc:"Rules of this set that are not applied."`
}

func (*gopherRepetition) name() string         { return "gopher_repetition" }
func (g *gopherRepetition) disabled() []string { return g.Without }

func (g *gopherRepetition) rules() []rule {
	return []rule{
		{"max_duplicate_paragraphs", g.Paragraphs}, {"max_duplicate_paragraph_chars", g.ParagraphChars},
		{"max_duplicate_lines", g.Lines}, {"max_duplicate_line_chars", g.LineChars},
		{"max_top_2gram", g.Top2}, {"max_top_3gram", g.Top3}, {"max_top_4gram", g.Top4},
		{"max_duplicate_5grams", g.Duplicate5}, {"max_duplicate_6grams", g.Duplicate6}, {"max_duplicate_7grams", g.Duplicate7},
		{"max_duplicate_8grams", g.Duplicate8}, {"max_duplicate_9grams", g.Duplicate9}, {"max_duplicate_10grams", g.Duplicate10},
	}
}

func (*gopherRepetition) measure(d *document, out []float64) bool {
	if d.text == "" {
		return false
	}
	paragraphs := d.splitAt(strip(d.text), 2)
	n, chars := d.duplicates(paragraphs)
	out[0], out[1] = share(n, len(paragraphs)), share(chars, d.chars)
	lines := d.splitAt(d.text, 1)
	n, chars = d.duplicates(lines)
	out[2], out[3] = share(n, len(lines)), share(chars, d.chars)
	d.ngrams.read(d.allWords())
	for n := 2; n <= 4; n++ {
		out[2+n] = math.NaN()
		if chars, ok := d.ngrams.top(n); ok {
			out[2+n] = share(chars, d.chars)
		}
	}
	for n := 5; n <= 10; n++ {
		out[2+n] = share(d.ngrams.duplicated(n), d.chars)
	}
	return true
}

type gopherQuality struct {
	MinWords      float64  `quern:"min_words" default:"50" doc:"The minimum number of words, without punctuation."`
	MaxWords      float64  `quern:"max_words" default:"100000" doc:"The maximum number of words, without punctuation."`
	MinWordLength float64  `quern:"min_word_length" default:"3" doc:"The minimum mean length of words, in characters."`
	MaxWordLength float64  `quern:"max_word_length" default:"10" doc:"The maximum mean length of words, in characters."`
	Hashes        float64  `quern:"max_hashes" default:"0.1" doc:"The maximum number of hash signs for each word or punctuation mark."`
	Ellipses      float64  `quern:"max_ellipses" default:"0.1" doc:"The maximum number of ellipses for each word or punctuation mark."`
	Bullets       float64  `quern:"max_bullet_lines" default:"0.9" doc:"The maximum share of lines that begin with a bullet or hyphen."`
	EllipsisLines float64  `quern:"max_ellipsis_lines" default:"0.3" doc:"The maximum share of lines that end with an ellipsis."`
	Alphabetic    float64  `quern:"min_alphabetic_words" default:"0.8" doc:"The minimum share of words and punctuation marks that contain a letter."`
	MinStopWords  float64  `quern:"min_stop_words" default:"2" doc:"The minimum number of different stop words in the text."`
	StopWords     []string `quern:"stop_words" default:"[\"the\", \"be\", \"to\", \"of\", \"and\", \"that\", \"have\", \"with\"]" doc:"The stop words. Upper and lower case are different."`
	Without       []string `quern:"without" doc:"Rules of this set that are not applied."`
}

func (*gopherQuality) name() string         { return "gopher_quality" }
func (g *gopherQuality) disabled() []string { return g.Without }

func (g *gopherQuality) rules() []rule {
	return []rule{
		{"min_words", g.MinWords}, {"max_words", g.MaxWords},
		{"min_word_length", g.MinWordLength}, {"max_word_length", g.MaxWordLength},
		{"max_hashes", g.Hashes}, {"max_ellipses", g.Ellipses},
		{"max_bullet_lines", g.Bullets}, {"max_ellipsis_lines", g.EllipsisLines},
		{"min_alphabetic_words", g.Alphabetic}, {"min_stop_words", g.MinStopWords},
	}
}

func (g *gopherQuality) measure(d *document, out []float64) bool {
	words := d.allWords()
	if len(words) == 0 {
		return false
	}
	n, chars, alphabetic, stops := 0, 0, 0, 0
	seen := make([]bool, len(g.StopWords))
	for _, w := range words {
		if !isSymbol(w) {
			n++
			chars += utf8.RuneCountInString(w)
		}
		if strings.IndexFunc(w, unicode.IsLetter) >= 0 {
			alphabetic++
		}
		if i := slices.Index(g.StopWords, w); i >= 0 && !seen[i] {
			seen[i] = true
			stops++
		}
	}
	out[0], out[1] = float64(n), float64(n)
	out[2] = share(chars, n) // NaN if there are only symbols
	out[3] = out[2]
	out[4] = share(strings.Count(d.text, "#"), len(words))
	out[5] = share(strings.Count(d.text, "...")+strings.Count(d.text, "…"), len(words))
	out[6], out[7] = d.markedLines()
	out[8] = share(alphabetic, len(words))
	out[9] = float64(stops)
	return true
}

// markedLines returns the shares of lines that begin with a bullet and that end
// with an ellipsis.
func (d *document) markedLines() (bullets, ellipses float64) {
	lines := d.splitLines()
	b, e := 0, 0
	for _, line := range lines {
		line = strip(line)
		if strings.HasPrefix(line, "•") || strings.HasPrefix(line, "-") {
			b++
		}
		if strings.HasSuffix(line, "...") || strings.HasSuffix(line, "…") {
			e++
		}
	}
	return share(b, len(lines)), share(e, len(lines))
}

// isSymbol reports whether a word consists of punctuation.
func isSymbol(word string) bool {
	for _, r := range word {
		if !isPunctuation(r) {
			return false
		}
	}
	return true
}
