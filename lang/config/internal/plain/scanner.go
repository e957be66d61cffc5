package plain

import (
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// kind is what a token is. That of a token with one character is the character.
type kind byte

const (
	invalid kind = iota // it is not plain
	end                 // of the text
	ident
	number
	equal
	notEqual
	atMost
	atLeast
	and
	or

	newline kind = '\n' // or a comment up to the end of its line
	quote   kind = '"'  // which begins or ends a string
)

// token is a token within one line, from byte start to byte end.
type token struct {
	kind         kind
	start, end   int
	line, column int // of the start
}

// scanner reads a text token by token.
type scanner struct {
	text     string
	filename string
	offset   int // of the text in the file

	line, lineStart int // of the position that the scanner has reached
	// newlines is set where the end of a line is a token. Where it changes, it
	// changes before the token is scanned that it affects.
	newlines bool

	last, tok token // the token that was read last, and the next one
}

// advance reads the next token.
func (s *scanner) advance() {
	s.last = s.tok
	s.tok = s.scan(s.tok.end)
}

// advanceWithin reads the next token, which is the first or the last one of an
// expression in brackets, and returns whether newlines were tokens outside.
func (s *scanner) advanceWithin(newlines bool) (outside bool) {
	outside, s.newlines = s.newlines, newlines
	s.advance()
	return outside
}

// resume continues after the quote at a position, which is the end of a string,
// and returns the quote.
func (s *scanner) resume(at int) token {
	s.tok = s.token(quote, at, at+1)
	s.advance()
	return s.last
}

// scan returns the token that follows a position.
func (s *scanner) scan(i int) token {
	for i < len(s.text) {
		c := s.text[i]
		switch {
		case c == ' ':
			i++
			continue
		case c == '\n', c == '#', c == '/' && s.peek(i+1) == '/':
			next := strings.IndexByte(s.text[i:], '\n') + i + 1
			if next == i {
				return token{} // a comment without an end of line
			}
			t := s.token(newline, i, next)
			s.line, s.lineStart = s.line+1, next
			if s.newlines {
				return t
			}
			i = next
			continue
		case isLetter(c):
			return s.word(i)
		case isDigit(c):
			return s.number(i)
		}
		return s.symbol(i)
	}
	return s.token(end, i, i)
}

func (s *scanner) word(i int) token {
	next := i + 1
	for isLetter(s.peek(next)) || isDigit(s.peek(next)) || s.peek(next) == '-' {
		next++
	}
	return s.token(ident, i, next)
}

func (s *scanner) number(i int) token {
	next := s.digits(i)
	if s.peek(next) == '.' && isDigit(s.peek(next+1)) {
		next = s.digits(next + 1)
	}
	if c := s.peek(next); c == 'e' || c == 'E' {
		digits := next + 1
		if c := s.peek(digits); c == '+' || c == '-' {
			digits++
		}
		if isDigit(s.peek(digits)) {
			next = s.digits(digits)
		}
	}
	// hcl reads 1.e+2 as a number, and 1.e as an attribute of one.
	if c := s.peek(next); c == '.' || isLetter(c) {
		return token{}
	}
	return s.token(number, i, next)
}

// digits returns the end of the digits at a position.
func (s *scanner) digits(i int) int {
	for isDigit(s.peek(i)) {
		i++
	}
	return i
}

// symbol returns the token that begins with a character that is not part of a
// word or a number.
func (s *scanner) symbol(i int) token {
	c, next := s.text[i], s.peek(i+1)
	switch {
	case next == '=' && strings.IndexByte("=!<>", c) >= 0:
		return s.token(comparison(c), i, i+2)
	case c == '&' && next == '&':
		return s.token(and, i, i+2)
	case c == '|' && next == '|':
		return s.token(or, i, i+2)
	case c == '=' && next == '>', c == next && strings.IndexByte(".:<*", c) >= 0, c == '/' && next == '*':
		return token{}
	case strings.IndexByte("{}[]()=<>+-*/%!?:.,\"", c) >= 0:
		return s.token(kind(c), i, i+1)
	}
	return token{}
}

// comparison returns the comparison that a character and an equals sign form.
func comparison(c byte) kind {
	switch c {
	case '=':
		return equal
	case '!':
		return notEqual
	case '<':
		return atMost
	}
	return atLeast
}

// literal returns the characters of a string from a position to the first
// special one: a quote, or the dollar sign of an interpolation. special is 0 if
// the string is not plain.
func (s *scanner) literal(i int) (chars token, special byte) {
	for next := i; next < len(s.text); next++ {
		switch c, following := s.text[next], s.peek(next+1); {
		case c == '"', c == '$' && following == '{':
			return s.token(quote, i, next), c
		case c == '\n', c == '\\', (c == '$' || c == '%') && (following == c || following == '{'):
			return token{}, 0
		}
	}
	return token{}, 0
}

// peek returns the character at a position, or 0 at the end.
func (s *scanner) peek(i int) byte {
	if i < len(s.text) {
		return s.text[i]
	}
	return 0
}

func (s *scanner) token(k kind, start, end int) token {
	return token{kind: k, start: start, end: end, line: s.line, column: 1 + start - s.lineStart}
}

func isLetter(c byte) bool { return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }

// string returns the text of a token.
func (s *scanner) string(t token) string {
	if t.end > len(s.text) {
		return "" // the parser has failed
	}
	return s.text[t.start:t.end]
}

// at returns the range of a token.
func (s *scanner) at(t token) hcl.Range { return s.between(t, t) }

// between returns the range from one token to another.
func (s *scanner) between(a, b token) hcl.Range {
	return hcl.Range{
		Filename: s.filename,
		Start:    hcl.Pos{Line: a.line, Column: a.column, Byte: s.offset + a.start},
		End:      hcl.Pos{Line: b.line, Column: b.column + b.end - b.start, Byte: s.offset + b.end},
	}
}
