package text

import (
	"sort"
	"unicode"
	"unicode/utf8"

	"github.com/apparentlymart/go-textseg/v15/textseg"

	"github.com/quern-dev/quern/internal/tokens"
)

// breakKind says what ends after a character, and therefore whether a chunk may
// end there.
type breakKind uint8

const (
	withinWord breakKind = iota
	afterWord
	afterSentence
	afterParagraph
)

// cut is a text that is being cut into chunks. Positions count characters, that
// is, grapheme clusters, which are never split.
type cut struct {
	text   string
	ends   []int       // byte offset where each character ends
	breaks []breakKind // after each character
	size   int
	count  *tokens.Counter // nil: sizes are in characters
	// tokens contains the number of tokens of the whole text that have ended at
	// each position. A slice of the text has about as many tokens by itself:
	// only those at its ends can differ.
	tokens []int
}

// cutText cuts a text into chunks of at most size characters, or tokens if
// count is not nil. Each chunk begins at most overlap before the end of the
// previous chunk, and ends after it.
func cutText(text string, size, overlap int, count *tokens.Counter) []string {
	c := &cut{text: text, size: size, count: count}
	c.scan()
	c.tokenize()
	var chunks []string
	for from, end := 0, 0; end < len(c.ends); from = c.overlapping(from, end, overlap) {
		from, end = c.next(from, end)
		chunks = append(chunks, c.slice(from, end))
	}
	return chunks
}

// next returns the chunk that begins at from, or at the end of the previous
// chunk if that is the only way not to split a word.
func (c *cut) next(from, before int) (start, end int) {
	if end = c.chunk(from, before); from == before || c.whole(end) {
		return from, end
	}
	if alone := c.chunk(before, before); c.whole(alone) {
		return before, alone
	}
	return from, end
}

// whole reports whether a position is not inside a word.
func (c *cut) whole(at int) bool { return at == len(c.ends) || c.breaks[at-1] != withinWord }

// scan finds the characters of the text and what ends after each of them.
func (c *cut) scan() {
	rest, at := []byte(c.text), 0
	for len(rest) > 0 {
		n, _, err := textseg.ScanGraphemeClusters(rest, true)
		if err != nil || n == 0 {
			n = len(rest)
		}
		rest, at = rest[n:], at+n
		c.ends = append(c.ends, at)
	}
	c.breaks = make([]breakKind, len(c.ends))
	var seen before
	for i := range c.ends {
		r, _ := utf8.DecodeRuneInString(c.character(i))
		switch {
		case unicode.IsSpace(r):
			seen.space(r)
			continue
		case i > 0 && seen.spaces > 0:
			c.breaks[i-1] = seen.kind()
			seen = before{}
		}
		switch {
		case wideStop(r): // needs no white space after it
			c.breaks[i] = afterSentence
			seen.stop, seen.wide = true, true
		case endsSentence(r):
			seen.stop = true
		case !closes(r):
			seen.stop, seen.wide = false, false
		case seen.wide:
			c.breaks[i-1], c.breaks[i] = withinWord, afterSentence
		}
	}
}

// tokenize counts the tokens of the whole text if sizes are in tokens.
func (c *cut) tokenize() {
	if c.count == nil {
		return
	}
	ends, ended := c.count.Ends(c.text), 0
	c.tokens = make([]int, len(c.ends)+1)
	for i, end := range c.ends {
		for ended < len(ends) && ends[ended] <= end {
			ended++
		}
		c.tokens[i+1] = ended
	}
}

// before describes what precedes a character: the end of a sentence, possibly
// in a script without spaces, and then white space.
type before struct {
	stop, wide    bool
	spaces, lines int
}

func (b *before) space(r rune) {
	b.spaces++
	if r == '\n' || r == '\r' || r == '\u2029' {
		b.lines++
	}
}

// kind returns what ends after the white space.
func (b *before) kind() breakKind {
	switch {
	case b.lines > 1:
		return afterParagraph
	case b.stop || b.lines == 1:
		return afterSentence
	}
	return afterWord
}

func endsSentence(r rune) bool { return r == '.' || r == '!' || r == '?' || r == '\u2026' }

// wideStop reports whether a character ends a sentence in scripts without
// spaces.
func wideStop(r rune) bool { return r == '\u3002' || r == '\uff01' || r == '\uff1f' }

// closes reports whether a character belongs to the sentence that ended before
// it.
func closes(r rune) bool {
	return unicode.Is(unicode.Pe, r) || unicode.Is(unicode.Pf, r) || r == '"' || r == '\''
}

func (c *cut) byteAt(position int) int {
	if position == 0 {
		return 0
	}
	return c.ends[position-1]
}

func (c *cut) slice(from, to int) string { return c.text[c.byteAt(from):c.byteAt(to)] }

func (c *cut) character(i int) string { return c.slice(i, i+1) }

// measure returns the size of a slice.
func (c *cut) measure(from, to int) int {
	if c.count == nil {
		return to - from
	}
	return int(c.count.Text(c.slice(from, to)))
}

// chunk returns the end of the chunk that begins at from. It is after before,
// the end of the previous chunk.
func (c *cut) chunk(from, before int) int {
	most := c.reach(from, before)
	if most == len(c.ends) {
		return most
	}
	half := max(before, from+(most-from)/2)
	for _, want := range []struct {
		kind  breakKind
		least int
	}{{afterParagraph, half}, {afterSentence, half}, {afterWord, before}} {
		for end := most; end > want.least; end-- {
			if c.breaks[end-1] >= want.kind && c.measure(from, end) <= c.size {
				return end
			}
		}
	}
	return most
}

// reach returns the last position at which a chunk that begins at from can end.
// It is at least one after before.
func (c *cut) reach(from, before int) int {
	if c.count == nil {
		return min(max(from+c.size, before+1), len(c.ends))
	}
	first := before + 1
	guess := sort.SearchInts(c.tokens, c.tokens[from]+c.size+1)
	end := searchNear(first, len(c.ends)+1, guess, func(at int) bool { return c.measure(from, at) > c.size }) - 1
	// More characters can have fewer tokens, but the part that is cut off can
	// have more.
	for end > first && c.measure(from, end) > c.size {
		end--
	}
	return max(end, first)
}

// overlapping returns the beginning of the chunk after the chunk from … to: the
// first word that begins at most overlap before its end. It is inside a word
// only if that chunk ends inside a word.
func (c *cut) overlapping(from, to, overlap int) int {
	if overlap == 0 || to == len(c.ends) {
		return to
	}
	fits := func(at int) bool { return c.measure(at, to) <= overlap && c.measure(at, to+1) <= c.size }
	guess := to - overlap
	if c.count != nil {
		guess = sort.SearchInts(c.tokens, c.tokens[to]-overlap)
	}
	first := searchNear(from+1, to, guess, fits)
	for first < to && !fits(first) {
		first++
	}
	for at := first; at < to; at++ {
		if c.whole(at) && fits(at) {
			return at
		}
	}
	if c.whole(to) {
		return to
	}
	return first
}

// searchNear is like sort.Search between low and high, but needs only few calls
// of f if the result is near guess.
func searchNear(low, high, guess int, f func(int) bool) int {
	if low >= high {
		return low
	}
	if guess = min(max(guess, low), high-1); f(guess) {
		high = guess
		for step := 1; low < high; step *= 2 {
			at := max(high-step, low)
			if !f(at) {
				low = at + 1
				break
			}
			high = at
		}
	} else {
		low = guess + 1
		for step := 1; low < high; step *= 2 {
			at := min(low+step-1, high-1)
			if f(at) {
				high = at
				break
			}
			low = at + 1
		}
	}
	return low + sort.Search(high-low, func(i int) bool { return f(low + i) })
}
