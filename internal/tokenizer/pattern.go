package tokenizer

import (
	"strings"
	"unicode/utf8"
)

// finder finds what a part of a tokenizer looks for.
type finder interface {
	// each calls f with the range of each match, in order. Matches don't overlap.
	each(s string, f func(start, end int))
}

// literal finds a text.
type literal string

func (l literal) each(s string, f func(start, end int)) {
	if l == "" {
		return
	}
	for at := 0; ; {
		i := strings.Index(s[at:], string(l))
		if i < 0 {
			return
		}
		f(at+i, at+i+len(l))
		at += i + len(l)
	}
}

// single finds characters, one by one.
type single func(rune) bool

func (is single) each(s string, f func(start, end int)) {
	for i := 0; i < len(s); {
		r, n := rune(s[i]), 1
		if r >= utf8.RuneSelf {
			r, n = utf8.DecodeRuneInString(s[i:])
		}
		if is(r) {
			f(i, i+n)
		}
		i += n
	}
}

// pattern is a compiled regular expression. Of several matches at a place, the
// one that backtracking finds first is the match, as in Oniguruma.
type pattern struct {
	program []instruction
	// begins contains the bytes that a match can begin with; nil if it can be
	// empty.
	begins *[256]bool
}

type operation uint8

const (
	opMatch  operation = iota // the end
	opRepeat                  // characters of a class, as many as possible
	opSplit                   // continue at x or, failing that, at y
	opJump                    // continue at x
	opAhead                   // look ahead: what follows up to x must match, or not
	opEdge                    // the beginning or the end of the text or, with line, of a line
)

type instruction struct {
	op         operation
	class      *class
	low, high  int // how many characters; high < 0: no limit
	possessive bool
	negated    bool
	line       bool
	x, y       int
	// begins contains the bytes that a match at x can begin with; nil if it can
	// be empty.
	begins *[256]bool
}

// may reports whether the program at x of a split can match.
func (in *instruction) may(s string, at int) bool {
	return in.begins == nil || at < len(s) && in.begins[s[at]]
}

// edge reports whether a position is where the text, or a line, begins or ends.
func (in *instruction) edge(s string, at int) bool {
	if in.negated {
		return at == len(s) || in.line && s[at] == '\n'
	}
	return at == 0 || in.line && s[at-1] == '\n'
}

// each finds all matches.
func (p *pattern) each(s string, f func(start, end int)) {
	for at := 0; at < len(s); {
		end := -1
		if p.begins == nil || p.begins[s[at]] {
			end = p.match(s, at, 0)
		}
		switch {
		case end > at:
			f(at, end)
			at = end
		case s[at] < utf8.RuneSelf:
			at++
		default:
			_, n := utf8.DecodeRuneInString(s[at:])
			at += n
		}
	}
}

// match returns where a match of the program from pc on ends that begins at a
// position, or -1.
func (p *pattern) match(s string, at, pc int) int {
	for {
		in := &p.program[pc]
		switch in.op {
		case opMatch:
			return at
		case opJump:
			pc = in.x
			continue
		case opEdge:
			if !in.edge(s, at) {
				return -1
			}
		case opSplit:
			if in.may(s, at) {
				if end := p.match(s, at, in.x); end >= 0 {
					return end
				}
			}
			pc = in.y
			continue
		case opAhead:
			if (p.match(s, at, pc+1) >= 0) == in.negated {
				return -1
			}
			pc = in.x
			continue
		case opRepeat:
			end, least, n := in.run(s, at)
			if n < in.low {
				return -1
			}
			if in.possessive || end == least {
				at = end
				break
			}
			for ; end > least; end = before(s, end) {
				if found := p.match(s, end, pc+1); found >= 0 {
					return found
				}
			}
			at = end
		}
		pc++
	}
}

// run matches as many characters as possible. least is where the fewest end.
func (in *instruction) run(s string, at int) (end, least, n int) {
	least, end = at, at
	for end < len(s) && n != in.high {
		r, size := rune(s[end]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRuneInString(s[end:])
		}
		if !in.class.has(r) {
			break
		}
		end += size
		if n++; n == in.low {
			least = end
		}
	}
	return end, least, n
}

func before(s string, at int) int {
	for at--; at > 0 && !utf8.RuneStart(s[at]); at-- {
	}
	return at
}
