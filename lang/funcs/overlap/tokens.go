package overlap

import (
	"regexp"
	"strings"
)

// separated are the places at which mteval-v13a splits, and their replacements.
var separated = []struct {
	at *regexp.Regexp
	by string
}{
	{regexp.MustCompile(`([{-~\[-` + "`" + ` -&(-+:-@/])`), ` $1 `},
	{regexp.MustCompile(`([^0-9])([.,])`), `$1 $2 `},
	{regexp.MustCompile(`([.,])([^0-9])`), ` $1 $2`},
	{regexp.MustCompile(`([0-9])(-)`), `$1 $2 `},
}

// entities are decoded one after the other, so that "&amp;lt;" becomes "<".
var entities = [][2]string{{"&quot;", `"`}, {"&amp;", "&"}, {"&lt;", "<"}, {"&gt;", ">"}}

// tokens13a splits a text as the evaluation of WMT does (mteval-v13a).
func tokens13a(text string) []string {
	text = strings.ReplaceAll(text, "<skipped>", "")
	text = strings.ReplaceAll(text, "-\n", "")
	text = strings.ReplaceAll(text, "\n", " ")
	for _, e := range entities {
		text = strings.ReplaceAll(text, e[0], e[1])
	}
	text = " " + text + " "
	for _, s := range separated {
		text = s.at.ReplaceAllString(text, s.by)
	}
	return strings.Fields(text)
}
