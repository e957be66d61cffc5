package text

import (
	"slices"
	"strings"
)

// The ranks of places in source code, which are between lines. Places before lines
// with less indentation rank higher, by three ranks for each space: one for lines
// that end or continue a statement, one for other lines, and one for lines that
// follow an empty line.
const (
	// beforeEmptyLine is before an empty line, which belongs to the lines before it.
	beforeEmptyLine = rank(1)
	mostIndented    = 80
	// beforeBlock is before a line without indentation that follows an empty line.
	beforeBlock = beforeEmptyLine + 3*(mostIndented+1)

	// tab is the width of a tab, in spaces.
	tab = 4
)

// code cuts source code into chunks of whole lines.
func (l limit) code(text string) []chunk {
	c := l.newCut(text)
	c.unit, c.part, c.solid = 1, 4, true
	if c.size == 0 {
		c.unit = beforeBlock
	}
	c.rankLines()
	return c.chunks()
}

// rankLines ranks the places between lines.
func (c *cut) rankLines() {
	empty := false // the line before is empty
	start := 0     // the first character of the line
	for i := range c.ends {
		if !c.endsLine(i) && i < len(c.ends)-1 {
			continue
		}
		line := c.slice(start, i+1)
		blank := strings.TrimSpace(line) == ""
		if start > 0 {
			c.ranks[start-1] = rankBefore(line, blank, empty)
		}
		start, empty = i+1, blank
	}
}

// endsLine reports whether a character is the end of a line.
func (c *cut) endsLine(i int) bool {
	switch c.character(i) {
	case "\n", "\r\n", "\r":
		return true
	}
	return false
}

// rankBefore returns the rank of the place before a line.
func rankBefore(line string, blank, afterEmpty bool) rank {
	if blank {
		return beforeEmptyLine
	}
	r := beforeBlock - 3*rank(indentation(line))
	switch {
	case continues(strings.TrimSpace(line)):
		return r - 2
	case !afterEmpty:
		return r - 1
	}
	return r
}

// indentation returns the width of the white space before a line.
func indentation(line string) int {
	n := 0
	for _, r := range line {
		switch r {
		case ' ':
			n++
		case '\t':
			n += tab - n%tab
		default:
			return min(n, mostIndented)
		}
	}
	return 0
}

// continuations are words that begin a line which belongs to the lines before it.
var continuations = []string{"catch", "done", "elif", "else", "elseif", "elsif", "end", "ensure", "esac", "except", "fi", "finally", "rescue"}

func continues(line string) bool {
	if strings.ContainsRune(")]}", rune(line[0])) {
		return true
	}
	word := line
	if end := strings.IndexFunc(line, func(r rune) bool { return !isIdentifier(r) }); end >= 0 {
		word = line[:end]
	}
	return slices.Contains(continuations, strings.ToLower(word))
}

func isIdentifier(r rune) bool {
	return r == '_' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || r >= 0x80
}
