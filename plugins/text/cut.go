package text

import (
	"math"
	"sort"
	"unicode"
	"unicode/utf8"

	"github.com/apparentlymart/go-textseg/v15/textseg"

	"github.com/quern-dev/quern/internal/tokens"
)

// rank says how good a place after a character is for the end of a chunk. Zero
// means that it splits something that should stay whole.
type rank uint8

// The ranks of places in prose.
const (
	withinWord rank = iota
	afterWord
	afterSentence
	afterParagraph
)

// limit is the size of chunks.
type limit struct {
	size    int // 0: no limit
	overlap int
	count   *tokens.Counter // nil: sizes are in characters
}

// cut is a text that is being cut into chunks. Positions count characters, that
// is, grapheme clusters, which are never split.
type cut struct {
	limit
	text  string
	ends  []int  // byte offset where each character ends
	ranks []rank // after each character
	// unit is the lowest rank of places between units, which stay whole if they
	// fit into a chunk, and overlaps consist of.
	unit rank
	// part is the part of a chunk, 1/part, that is full before the place with the
	// highest rank counts instead of the last unit that fits. 0: nothing.
	part int
	// solid chunks are too long rather than split within a unit.
	solid bool
	// tokens contains the number of tokens of the whole text that have ended at
	// each position. A slice of the text has about as many tokens by itself:
	// only those at its ends can differ.
	tokens []int
}

// newCut finds the characters of a text.
func (l limit) newCut(text string) *cut {
	c := &cut{limit: l, text: text, unit: afterWord, part: 2}
	for rest, at := []byte(text), 0; len(rest) > 0; {
		n, _, err := textseg.ScanGraphemeClusters(rest, true)
		if err != nil || n == 0 {
			n = len(rest)
		}
		rest, at = rest[n:], at+n
		c.ends = append(c.ends, at)
	}
	c.ranks = make([]rank, len(c.ends))
	return c
}

// prose cuts a text into chunks that end where paragraphs, sentences, and words
// end.
func (l limit) prose(text string) []chunk {
	c := l.newCut(text)
	c.rankProse(true)
	return c.chunks()
}

// chunks cuts the text into chunks of at most size characters, or tokens. Each
// chunk begins at most overlap before the end of the previous chunk, and ends
// after it. Without a size, each unit is a chunk.
func (c *cut) chunks() []chunk {
	if c.size == 0 {
		return c.units()
	}
	c.tokenize()
	var chunks []chunk
	for from, end := 0, 0; end < len(c.ends); from = c.overlapping(from, end) {
		from, end = c.next(from, end)
		chunks = append(chunks, chunk{start: c.byteAt(from), end: c.byteAt(end)})
	}
	return chunks
}

func (c *cut) units() []chunk {
	var chunks []chunk
	start := 0
	for i, end := range c.ends {
		if c.ranks[i] >= c.unit || i == len(c.ends)-1 {
			chunks = append(chunks, chunk{start: start, end: end})
			start = end
		}
	}
	return chunks
}

// next returns the chunk that begins at from, or at the end of the previous
// chunk if that is the only way not to split a unit.
func (c *cut) next(from, before int) (start, end int) {
	if end = c.chunk(from, before); from == before || c.whole(end) && (!c.solid || c.measure(from, end) <= c.size) {
		return from, end
	}
	if alone := c.chunk(before, before); c.whole(alone) {
		return before, alone
	}
	return from, end
}

// whole reports whether a position is not inside a unit.
func (c *cut) whole(at int) bool { return c.rankAt(at) >= c.unit }

// rankAt returns the rank of a position.
func (c *cut) rankAt(at int) rank {
	if at == 0 || at == len(c.ends) {
		return math.MaxUint8
	}
	return c.ranks[at-1]
}

// rankProse ranks places by what ends there. Without guess, only what is sure ends
// a sentence: an empty line, and the stops of scripts without spaces.
func (c *cut) rankProse(guess bool) {
	var seen before
	for i := range c.ends {
		r, _ := utf8.DecodeRuneInString(c.character(i))
		switch {
		case unicode.IsSpace(r):
			if seen.wide && seen.spaces == 0 {
				c.ranks[i-1] = withinWord // the white space belongs to the sentence
			}
			seen.space(r)
			continue
		case i > 0 && seen.spaces > 0:
			c.ranks[i-1] = seen.rank(guess)
			seen = before{}
		}
		switch {
		case wideStop(r): // needs no white space after it
			c.ranks[i] = afterSentence
			seen.stop, seen.wide = true, true
		case endsSentence(r):
			seen.stop = true
		case !closes(r):
			seen.stop, seen.wide = false, false
		case seen.wide:
			c.ranks[i-1], c.ranks[i] = withinWord, afterSentence
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

// rank returns the rank of the place after the white space.
func (b *before) rank(guess bool) rank {
	switch {
	case b.lines > 1:
		return afterParagraph
	case b.wide, guess && (b.stop || b.lines == 1):
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
	least := before
	if c.part > 0 {
		least = max(before, from+(most-from)/c.part)
	}
	if end := c.best(from, least, most); end > 0 {
		return end
	}
	for end := least; end > before; end-- {
		if c.ranks[end-1] > 0 && c.measure(from, end) <= c.size {
			return end
		}
	}
	for c.solid && most < len(c.ends) && c.ranks[most-1] == 0 {
		most++
	}
	return most
}

// best returns the last of the places with the highest rank after least at which a
// chunk can end, or 0.
func (c *cut) best(from, least, most int) (best int) {
	for end := most; end > least; end-- {
		if r := c.ranks[end-1]; r > 0 && (best == 0 || r > c.ranks[best-1]) && c.measure(from, end) <= c.size {
			best = end
		}
	}
	return best
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
// first unit that begins at most overlap before its end. It is inside a unit only
// if that chunk ends inside one.
func (c *cut) overlapping(from, to int) int {
	if c.overlap == 0 || to == len(c.ends) {
		return to
	}
	fits := func(at int) bool { return c.measure(at, to) <= c.overlap && c.measure(at, to+1) <= c.size }
	guess := to - c.overlap
	if c.count != nil {
		guess = sort.SearchInts(c.tokens, c.tokens[to]-c.overlap)
	}
	first := searchNear(from+1, to, guess, fits)
	for first < to && !fits(first) {
		first++
	}
	lowest := max(min(c.unit, c.rankAt(to)), 1)
	for at := first; at < to; at++ {
		if c.rankAt(at) >= lowest && fits(at) {
			return at
		}
	}
	if c.rankAt(to) > 0 {
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
