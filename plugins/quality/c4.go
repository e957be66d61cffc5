package quality

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/quern-dev/quern/internal/spacy"
)

type c4 struct {
	Sentences   float64  `quern:"min_sentences" default:"5" doc:"The minimum number of sentences in the lines that are left."`
	LoremIpsum  float64  `quern:"max_lorem_ipsum" default:"0" doc:"The maximum number of lines that contain \"lorem ipsum\"."`
	Braces      float64  `quern:"max_curly_brackets" default:"0" doc:"The maximum number of lines that contain a curly bracket."`
	Punctuation bool     `quern:"terminal_punctuation" default:"true" doc:"Whether to remove lines that do not end with a period, question mark, exclamation mark, or quotation mark, or that end with an ellipsis. FineWeb uses false."`
	LineWords   int      `quern:"line_words" default:"3" doc:"Lines with fewer words, as separated by spaces, are removed."`
	WordLength  int      `quern:"word_length" default:"1000" doc:"Lines that contain a word of more characters are removed."`
	JavaScript  bool     `quern:"javascript" default:"true" doc:"Whether to remove lines that mention JavaScript."`
	Policies    bool     `quern:"policies" default:"true" doc:"Whether to remove lines that mention terms of use, a privacy policy, or cookies."`
	Citations   bool     `quern:"citations" default:"true" doc:"Whether to remove citations such as [3], [edit], and [citation needed]."`
	Without     []string `quern:"without" doc:"Rules of this set that are not applied."`
}

func (*c4) name() string         { return "c4" }
func (c *c4) disabled() []string { return c.Without }

func (c *c4) rules() []rule {
	return []rule{{"max_lorem_ipsum", c.LoremIpsum}, {"max_curly_brackets", c.Braces}, {"min_sentences", c.Sentences}}
}

var policies = []string{"terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies"}

// measure also keeps the lines for edit.
func (c *c4) measure(d *document, out []float64) bool {
	clear(out)
	d.kept = d.kept[:0]
	for line := range c.lines(d) {
		lower := strings.ToLower(line)
		if strings.Contains(lower, "lorem ipsum") {
			out[0]++
		}
		if c.JavaScript && strings.Contains(lower, "javascript") {
			continue
		}
		if strings.Contains(line, "{") {
			out[1]++
		}
		if c.Policies && mentionsPolicy(lower) {
			continue
		}
		out[2] += float64(max(1, d.tokenizer.Sentences(line)))
		d.kept = append(d.kept, line)
	}
	return true
}

// edit returns the text without the lines that are removed.
func (*c4) edit(d *document) string { return strip(strings.Join(d.kept, "\n")) }

// lines yields the lines that have enough words and end as they should, without
// citations.
func (c *c4) lines(d *document) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for _, line := range d.splitLines() {
			line = strip(line)
			words, longest := countWords(line)
			if longest > c.WordLength {
				continue
			}
			if c.Citations {
				line = withoutCitations(line)
			}
			if c.Punctuation && !endsSentence(line) || words < c.LineWords {
				continue
			}
			if !yield(line) {
				return
			}
		}
	}
}

func mentionsPolicy(lower string) bool {
	for _, p := range policies {
		if strings.Contains(lower, p) {
			return true
		}
	}
	return false
}

// countWords returns the number of words between spaces, and the length of the
// longest one in characters.
func countWords(line string) (words, longest int) {
	for word := range strings.FieldsFuncSeq(line, spacy.IsSpace) {
		words++
		longest = max(longest, utf8.RuneCountInString(word))
	}
	return words, longest
}

func endsSentence(line string) bool {
	return line != "" && strings.IndexByte(`.?!"'`, line[len(line)-1]) >= 0 && !strings.HasSuffix(line, "...")
}

// withoutCitations removes citations in the style of Wikipedia.
func withoutCitations(line string) string {
	if strings.IndexByte(line, '[') < 0 {
		return line
	}
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(line, "[")
		out.WriteString(before)
		if !found {
			return out.String()
		}
		line = strings.TrimLeftFunc(rest, unicode.IsDigit)
		if len(line) < len(rest) || strings.HasPrefix(rest, "]") {
			if after, ok := strings.CutPrefix(line, "]"); ok {
				line = after
				continue
			}
			line = rest
		} else if after, ok := strings.CutPrefix(rest, "edit]"); ok {
			line = after
			continue
		} else if after, ok := strings.CutPrefix(rest, "citation needed]"); ok {
			line = after
			continue
		}
		out.WriteByte('[')
	}
}
