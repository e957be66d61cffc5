package quality

import (
	"strings"
	"unicode/utf8"
)

type fineWeb struct {
	Punctuation     float64  `quern:"min_line_punctuation" default:"0.12" doc:"The minimum share of lines that end with a terminal punctuation mark of any script."`
	ShortLines      float64  `quern:"max_short_lines" default:"0.67" doc:"The maximum share of lines that are short."`
	ShortLineLength int      `quern:"short_line_length" default:"30" doc:"The maximum length of a short line, in characters."`
	DuplicateChars  float64  `quern:"max_duplicate_line_chars" default:"0.01" doc:"The maximum share of characters of lines that occur earlier in the text."`
	LineFeeds       float64  `quern:"max_line_feeds" default:"0.3" doc:"The maximum number of line feeds for each word or punctuation mark."`
	Without         []string `quern:"without" doc:"Rules of this set that are not applied."`
}

func (*fineWeb) name() string         { return "fineweb" }
func (f *fineWeb) disabled() []string { return f.Without }

func (f *fineWeb) rules() []rule {
	return []rule{
		{"min_line_punctuation", f.Punctuation}, {"max_short_lines", f.ShortLines},
		{"max_duplicate_line_chars", f.DuplicateChars}, {"max_line_feeds", f.LineFeeds},
	}
}

func (f *fineWeb) measure(d *document, out []float64) bool {
	d.lines = d.lines[:0]
	ended, short := 0, 0
	for line := range strings.SplitSeq(d.text, "\n") {
		if strip(line) == "" {
			continue
		}
		d.lines = append(d.lines, line)
		if last, _ := utf8.DecodeLastRuneInString(line); isTerminal(last) {
			ended++
		}
		if utf8.RuneCountInString(line) <= f.ShortLineLength {
			short++
		}
	}
	if len(d.lines) == 0 {
		return false
	}
	feeds := strings.Count(d.text, "\n")
	_, duplicate := d.duplicates(d.lines)
	out[0], out[1] = share(ended, len(d.lines)), share(short, len(d.lines))
	out[2] = share(duplicate, d.chars-feeds)
	out[3] = share(feeds, len(d.allWords()))
	return true
}
