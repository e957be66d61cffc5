package render

import (
	"strings"
	"unicode"
)

// context is how many unchanged lines are shown around changed ones.
const context = 1

// maxCells bounds the work of comparing two texts word by word. Longer texts
// are shown one after the other.
const maxCells = 4 << 20

// piece is a run of words that are in both texts or in only one.
type piece struct {
	text string
	kind int // 0 in both, -1 before only, +1 after only
}

// diffLines compares two texts word by word and returns the lines of the result
// in which something changed, with some context. mark formats a part that was
// removed or added.
func diffLines(before, after string, mark func(s string, added bool) string) []string {
	var lines []string
	var changed []bool
	line, dirty := "", false
	flush := func() {
		lines, changed = append(lines, line), append(changed, dirty)
		line, dirty = "", false
	}
	for _, p := range diffWords(before, after) {
		for i, part := range strings.Split(p.text, "\n") {
			if i > 0 {
				dirty = dirty || p.kind != 0
				flush()
			}
			switch {
			case part == "":
			case p.kind == 0:
				line += clipped(part, unchangedKept)
			default:
				line, dirty = line+mark(clipped(part, changedKept), p.kind > 0), true
			}
		}
	}
	flush()
	return around(lines, changed)
}

// How many characters of a long stretch of a line are kept at each end.
const unchangedKept, changedKept = 80, 200

// clipped removes the middle of a long stretch, such as the columns of a
// wide table.
func clipped(s string, kept int) string {
	r := []rune(s)
	if len(r) <= 2*kept+len(" … ") {
		return s
	}
	return string(r[:kept]) + " … " + string(r[len(r)-kept:])
}

// around keeps changed lines and their neighbors, and marks the omissions.
func around(lines []string, changed []bool) []string {
	var out []string
	skipped := false
	for i, line := range lines {
		near := false
		for j := max(0, i-context); j <= min(len(lines)-1, i+context); j++ {
			near = near || changed[j]
		}
		if !near {
			skipped = true
			continue
		}
		if skipped {
			out = append(out, "…")
			skipped = false
		}
		out = append(out, line)
	}
	if skipped && len(out) > 0 {
		out = append(out, "…")
	}
	return out
}

// diffWords finds the longest common sequence of words.
func diffWords(before, after string) []piece {
	a, b := words(before), words(after)
	start := 0
	for start < len(a) && start < len(b) && a[start] == b[start] {
		start++
	}
	end := 0
	for end < len(a)-start && end < len(b)-start && a[len(a)-1-end] == b[len(b)-1-end] {
		end++
	}
	r := &runs{}
	r.add(0, a[:start]...)
	middle(a[start:len(a)-end], b[start:len(b)-end], r.add)
	r.add(0, a[len(a)-end:]...)
	return r.pieces()
}

// runs joins words to pieces: each once, because a text can have a hundred thousand.
type runs struct {
	done  []piece
	words []string // of the present piece
	kind  int
}

func (r *runs) add(kind int, words ...string) {
	if len(words) == 0 {
		return
	}
	if kind != r.kind {
		r.pieces()
	}
	r.words, r.kind = append(r.words, words...), kind
}

// pieces ends the present piece and returns all.
func (r *runs) pieces() []piece {
	if len(r.words) > 0 {
		r.done = append(r.done, piece{strings.Join(r.words, ""), r.kind})
		r.words = r.words[:0]
	}
	return r.done
}

func middle(a, b []string, add func(int, ...string)) {
	if (len(a)+1)*(len(b)+1) > maxCells {
		add(-1, a...)
		add(1, b...)
		return
	}
	// common[i][j] is the length of the longest common sequence of a[i:]
	// and b[j:].
	width := len(b) + 1
	common := make([]int32, (len(a)+1)*width)
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				common[i*width+j] = common[(i+1)*width+j+1] + 1
			} else {
				common[i*width+j] = max(common[(i+1)*width+j], common[i*width+j+1])
			}
		}
	}
	i, j := 0, 0
	for i < len(a) && j < len(b) {
		switch {
		case a[i] == b[j]:
			add(0, a[i])
			i, j = i+1, j+1
		case common[(i+1)*width+j] >= common[i*width+j+1]:
			add(-1, a[i])
			i++
		default:
			add(1, b[j])
			j++
		}
	}
	add(-1, a[i:]...)
	add(1, b[j:]...)
}

// words splits a text into words, spaces, and signs. Joined, they give the
// text.
func words(s string) []string {
	var out []string
	start := 0
	last := -1
	for i, r := range s {
		class := classOf(r)
		if i > 0 && (class != last || class == classSign) {
			out = append(out, s[start:i])
			start = i
		}
		last = class
	}
	if start < len(s) {
		out = append(out, s[start:])
	}
	return out
}

const (
	classWord = iota
	classSpace
	classLine
	classSign
)

func classOf(r rune) int {
	switch {
	case r == '\n':
		return classLine
	case unicode.IsSpace(r):
		return classSpace
	case unicode.IsLetter(r), unicode.IsDigit(r), r == '_':
		return classWord
	}
	return classSign
}
