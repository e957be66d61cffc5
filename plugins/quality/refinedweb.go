package quality

import (
	"regexp"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/quern-dev/quern/internal/spacy"
)

type refinedWeb struct {
	Removed    float64  `quern:"max_removed_words" default:"0.05" doc:"The maximum share of words that are removed. Words are separated by spaces and begin with a letter or digit."`
	Uppercase  float64  `quern:"line_uppercase" default:"0.5" doc:"Lines with a larger share of capital letters among their characters are removed."`
	Numbers    bool     `quern:"numbers" default:"true" doc:"Whether to remove lines of digits alone."`
	Counters   bool     `quern:"counters" default:"true" doc:"Whether to remove lines that count something, such as \"3 likes\"."`
	LineWords  int      `quern:"line_words" default:"2" doc:"Lines with fewer words are removed. Empty lines stay."`
	ShortWords int      `quern:"short_line_words" default:"10" doc:"In lines of at most so many words, \"sign-in\" at the beginning, \"read more...\" at the end, and \"items in cart\" anywhere are removed."`
	Without    []string `quern:"without" doc:"Rules of this set that are not applied."`
}

func (*refinedWeb) name() string         { return "refinedweb" }
func (r *refinedWeb) disabled() []string { return r.Without }
func (r *refinedWeb) rules() []rule      { return []rule{{"max_removed_words", r.Removed}} }

// measure also keeps the corrected text for edit.
func (r *refinedWeb) measure(d *document, out []float64) bool {
	d.corrected = r.correct(d.text)
	before := countWordsOfText(d.text)
	if before == 0 {
		return false
	}
	out[0] = share(before-countWordsOfText(d.corrected), before)
	return true
}

// edit returns the text with the corrections.
func (*refinedWeb) edit(d *document) string { return d.corrected }

// A correction returns what a line becomes, and whether it stays.
type correction func(line string) (string, bool)

// correct applies one correction after the other to all lines, as DCLM does.
func (r *refinedWeb) correct(text string) string {
	for _, c := range []correction{r.uppercase, r.numbers, r.counters, r.length, r.cart, r.more, r.signIn} {
		text = correctLines(text, c)
	}
	return text
}

// correctLines corrects the lines of a text, and removes white space around it.
func correctLines(text string, c correction) string {
	var out strings.Builder
	first, changed := true, false
	for line := range strings.SplitSeq(text, "\n") {
		corrected, stays := line, true
		if line != "" {
			corrected, stays = c(line)
		}
		changed = changed || !stays || len(corrected) != len(line)
		if !stays {
			continue
		}
		if !first {
			out.WriteByte('\n')
		}
		first = false
		out.WriteString(corrected)
	}
	if !changed {
		return strip(text)
	}
	return strip(out.String())
}

func (r *refinedWeb) uppercase(line string) (string, bool) {
	n := 0
	for _, c := range line {
		if unicode.IsUpper(c) || unicode.Is(unicode.Other_Uppercase, c) {
			n++
		}
	}
	return line, share(n, utf8.RuneCountInString(line)) <= r.Uppercase
}

func (r *refinedWeb) numbers(line string) (string, bool) {
	return line, !r.Numbers || strings.ContainsFunc(line, func(c rune) bool { return !unicode.IsDigit(c) })
}

// counterLine is DCLM's pattern. Its class \W is that of Python.
var counterLine = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[^\pL\pN_]*\p{Nd}[,.\p{Nd}]*[kmb]?[\s\x{85}\pZ]+(?:likes|shares|comments|retweets|reposts|quotes|bookmarks|upvotes|downvotes|downloads|views|followers)[^\pL\pN_]*$`)
})

func (r *refinedWeb) counters(line string) (string, bool) {
	return line, !r.Counters || !strings.ContainsFunc(line, unicode.IsDigit) || !counterLine().MatchString(strings.ToLower(line))
}

func (r *refinedWeb) length(line string) (string, bool) {
	words, _ := countWords(line)
	return line, words >= r.LineWords
}

const inCart = "items in cart"

func (r *refinedWeb) cart(line string) (string, bool) {
	return r.without(line, func(line string) string {
		left := ""
		for {
			i := indexFold(line, inCart)
			if i < 0 {
				return left + line
			}
			left += trimSpaceBefore(line[:i])
			line = line[i+len(inCart):]
		}
	})
}

func (r *refinedWeb) more(line string) (string, bool) {
	const end = "read more..."
	return r.without(line, func(line string) string {
		if n := len(line) - len(end); n >= 0 && strings.EqualFold(line[n:], end) {
			return trimSpaceBefore(line[:n])
		}
		return line
	})
}

func (r *refinedWeb) signIn(line string) (string, bool) {
	const start = "sign-in"
	return r.without(line, func(line string) string {
		if len(line) < len(start) || !strings.EqualFold(line[:len(start)], start) {
			return line
		}
		line = line[len(start):]
		if c, n := utf8.DecodeRuneInString(line); n > 0 && spacy.IsSpace(c) {
			line = line[n:]
		}
		return line
	})
}

// without removes something from a short line, and the line if only white space is
// left.
func (r *refinedWeb) without(line string, remove func(string) string) (string, bool) {
	if words, _ := countWords(line); words > r.ShortWords {
		return line, true
	}
	line = remove(line)
	return line, strip(line) != ""
}

// indexFold returns where a text in ASCII first occurs in any case, or -1.
func indexFold(s, text string) int {
	for i := 0; i+len(text) <= len(s); i++ {
		if strings.EqualFold(s[i:i+len(text)], text) {
			return i
		}
	}
	return -1
}

// trimSpaceBefore removes one white space at the end.
func trimSpaceBefore(s string) string {
	if c, n := utf8.DecodeLastRuneInString(s); n > 0 && spacy.IsSpace(c) {
		return s[:len(s)-n]
	}
	return s
}

// countWordsOfText returns the number of words that begin with a letter or digit.
func countWordsOfText(text string) int {
	n := 0
	for word := range strings.FieldsFuncSeq(text, isFastTextSpace) {
		if c, _ := utf8.DecodeRuneInString(word); unicode.IsLetter(c) || unicode.IsNumber(c) {
			n++
		}
	}
	return n
}

// isFastTextSpace reports whether fastText divides words at a character.
func isFastTextSpace(c rune) bool {
	return c == ' ' || '\t' <= c && c <= '\r' || c == 0
}
