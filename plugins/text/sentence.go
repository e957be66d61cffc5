package text

import (
	"sort"
	"strings"

	"github.com/quern-dev/quern/internal/spacy"
)

// sentences cuts a text into chunks of whole sentences.
func (l limit) sentences(text string, words *spacy.Tokenizer) []chunk {
	c := l.newCut(text)
	c.unit, c.part = afterSentence, 0
	c.rankProse(false)
	for i, r := range c.ranks {
		c.ranks[i] = min(r, afterSentence)
	}
	for start := range words.SentenceStarts(text) {
		if start > 0 {
			c.setRank(afterSpaces(text, start), afterSentence)
		}
	}
	return c.chunks()
}

// afterSpaces returns the end of the white space at a position.
func afterSpaces(text string, at int) int {
	return len(text) - len(strings.TrimLeftFunc(text[at:], spacy.IsSpace))
}

// setRank sets the rank of the place at a byte offset, unless that is inside a
// character.
func (c *cut) setRank(offset int, r rank) {
	if i := sort.SearchInts(c.ends, offset); i < len(c.ends) && c.ends[i] == offset {
		c.ranks[i] = r
	}
}
