package jinja

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// kind is the kind of a token.
type kind int

const (
	end kind = iota // of the template
	data
	variableBegin
	variableEnd
	blockBegin
	blockEnd
	name
	text
	integer
	float
	operator
)

// token is a part of a template. value is what it says: of a text, what is between
// its quotes, still with escapes.
type token struct {
	kind  kind
	value string
	line  int
}

func (t token) is(values ...string) bool {
	return (t.kind == operator || t.kind == name) && slices.Contains(values, t.value)
}

func (t token) String() string {
	if t.kind == end {
		return "the end of the template"
	}
	return fmt.Sprintf("%q in line %d", t.value, t.line)
}

// lexer divides a template into tokens. It removes whitespace as Jinja does with
// trim_blocks and lstrip_blocks.
type lexer struct {
	source string
	pos    int
	tokens []token
	// lineStarts is set at the beginning of a line.
	lineStarts bool
	// counted is the position up to which breaks counts the line breaks.
	counted, breaks int
}

func lex(source string) ([]token, error) {
	source = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(source)
	l := &lexer{source: strings.TrimSuffix(source, "\n"), lineStarts: true}
	for l.pos < len(l.source) {
		if err := l.next(); err != nil {
			return nil, err
		}
	}
	l.add(end, "")
	return l.tokens, nil
}

func (l *lexer) add(k kind, value string) {
	l.tokens = append(l.tokens, token{k, value, l.line()})
}

func (l *lexer) line() int {
	l.breaks += strings.Count(l.source[l.counted:l.pos], "\n")
	l.counted = l.pos
	return 1 + l.breaks
}

func (l *lexer) errorf(format string, args ...any) error {
	return fmt.Errorf("line %d: %s", l.line(), fmt.Sprintf(format, args...))
}

// next reads text up to a tag, and the tag.
func (l *lexer) next() error {
	rest := l.source[l.pos:]
	at := strings.Index(rest, "{")
	for at >= 0 && (at+1 == len(rest) || !strings.ContainsRune("{%#", rune(rest[at+1]))) {
		more := strings.Index(rest[at+1:], "{")
		if more < 0 {
			at = -1
			break
		}
		at += 1 + more
	}
	if at < 0 {
		l.add(data, rest)
		l.pos = len(l.source)
		return nil
	}
	tag := rest[at : at+2]
	before := l.stripped(rest[:at], tag, rest[at+2:])
	if before != "" {
		l.add(data, before)
	}
	l.pos += at + 2
	if tag == "{#" {
		return l.comment()
	}
	if sign := l.peek(); sign == '-' || sign == '+' {
		l.pos++
	}
	if tag == "{{" {
		l.add(variableBegin, "{{")
		return l.expression("}}", variableEnd)
	}
	if after, ok := strings.CutPrefix(strings.TrimLeft(l.source[l.pos:], " \t\n"), "raw"); ok && isTagEnd(after) {
		return l.raw()
	}
	l.add(blockBegin, "{%")
	return l.expression("%}", blockEnd)
}

func isTagEnd(s string) bool {
	s = strings.TrimLeft(s, " \t\n")
	return strings.HasPrefix(s, "%}") || strings.HasPrefix(s, "-%}") || strings.HasPrefix(s, "+%}")
}

// stripped removes the whitespace before a tag.
func (l *lexer) stripped(s, tag, after string) string {
	switch {
	case strings.HasPrefix(after, "-"):
		return strings.TrimRightFunc(s, isSpace)
	case tag == "{{" || strings.HasPrefix(after, "+"):
		return s
	}
	begin := strings.LastIndex(s, "\n") + 1
	if (begin > 0 || l.lineStarts) && strings.TrimLeftFunc(s[begin:], isSpace) == "" {
		return s[:begin]
	}
	return s
}

func (l *lexer) peek() byte {
	if l.pos < len(l.source) {
		return l.source[l.pos]
	}
	return 0
}

func (l *lexer) comment() error {
	n := strings.Index(l.source[l.pos:], "#}")
	if n < 0 {
		return l.errorf("a comment has no end")
	}
	signed := l.source[l.pos : l.pos+n]
	l.pos += n + 2
	l.afterTag(signed)
	return nil
}

// afterTag removes the whitespace after a tag whose content, with the sign at its
// end, is given: all after a minus, nothing after a plus, and otherwise a line break.
func (l *lexer) afterTag(signed string) {
	begin := l.pos
	switch {
	case strings.HasSuffix(signed, "-"):
		l.pos = len(l.source) - len(strings.TrimLeftFunc(l.source[l.pos:], isSpace))
	case !strings.HasSuffix(signed, "+") && l.peek() == '\n':
		l.pos++
	}
	l.lineStarts = l.pos > begin && l.source[l.pos-1] == '\n'
}

// raw reads the text up to {% endraw %}, which has no tags.
func (l *lexer) raw() error {
	l.endOfTag()
	content := l.source[l.pos:]
	for from := 0; ; {
		at := strings.Index(content[from:], "{%")
		if at < 0 {
			return l.errorf("raw has no endraw")
		}
		at += from
		inner := strings.TrimLeft(strings.TrimLeft(content[at+2:], "-+"), " \t\n")
		if after, ok := strings.CutPrefix(inner, "endraw"); ok && isTagEnd(after) {
			l.add(data, l.stripped(content[:at], "{%", content[at+2:]))
			l.pos += at
			l.endOfTag()
			return nil
		}
		from = at + 2
	}
}

// endOfTag skips the rest of a tag without arguments.
func (l *lexer) endOfTag() {
	n := strings.Index(l.source[l.pos:], "%}")
	signed := l.source[l.pos : l.pos+n]
	l.pos += n + 2
	l.afterTag(signed)
}

// operators are those of two characters, and then those of one.
var operators = []string{"//", "**", "==", "!=", "<=", ">=", "+", "-", "*", "/", "%", "~", "<", ">", "=", ".", ":", "|", ",", "(", ")", "[", "]", "{", "}"}

// expression reads the tokens up to the end of a tag.
func (l *lexer) expression(closing string, as kind) error {
	for open := 0; l.pos < len(l.source); {
		rest := l.source[l.pos:]
		if open == 0 {
			signed := strings.HasPrefix(rest, "-"+closing) || as == blockEnd && strings.HasPrefix(rest, "+"+closing)
			if signed || strings.HasPrefix(rest, closing) {
				sign := ""
				if signed {
					sign = rest[:1]
				} else if as == variableEnd {
					sign = "+" // no line break is removed
				}
				l.add(as, closing)
				l.pos += len(closing) + len(rest[:1])*btoi(signed)
				l.afterTag(sign)
				return nil
			}
		}
		switch r, size := utf8.DecodeRuneInString(rest); {
		case isSpace(r):
			l.pos += size
		case r == '"' || r == '\'':
			if err := l.text(byte(r)); err != nil {
				return err
			}
		case r >= '0' && r <= '9':
			l.number()
		case r == '_' || unicode.IsLetter(r):
			n := strings.IndexFunc(rest, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) })
			if n < 0 {
				n = len(rest)
			}
			l.add(name, rest[:n])
			l.pos += n
		default:
			i := slices.IndexFunc(operators, func(op string) bool { return strings.HasPrefix(rest, op) })
			if i < 0 {
				return l.errorf("unexpected %q", r)
			}
			open += strings.Count("([{", operators[i][:1]) - strings.Count(")]}", operators[i][:1])
			if open < 0 {
				return l.errorf("unexpected %q", operators[i])
			}
			l.add(operator, operators[i])
			l.pos += len(operators[i])
		}
	}
	return l.errorf("a tag has no %s", closing)
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (l *lexer) text(quote byte) error {
	for i := l.pos + 1; i < len(l.source); i++ {
		switch l.source[i] {
		case '\\':
			i++
		case quote:
			l.add(text, l.source[l.pos+1:i])
			l.pos = i + 1
			return nil
		}
	}
	return l.errorf("a text has no end")
}

func (l *lexer) number() {
	rest := l.source[l.pos:]
	digits := func(s string) int { return len(s) - len(strings.TrimLeft(s, "0123456789_")) }
	n, k := digits(rest), integer
	if afterDot := len(l.tokens) > 0 && l.tokens[len(l.tokens)-1].is("."); !afterDot {
		if d := strings.HasPrefix(rest[n:], "."); d && digits(rest[n+1:]) > 0 {
			n, k = n+1+digits(rest[n+1:]), float
		}
		if exponent := strings.TrimLeft(rest[n:], "eE"); len(rest[n:])-len(exponent) == 1 {
			signed := strings.TrimLeft(exponent, "+-")
			if d := digits(signed); d > 0 && len(exponent)-len(signed) <= 1 {
				n, k = n+1+len(exponent)-len(signed)+d, float
			}
		}
	}
	l.add(k, strings.ReplaceAll(rest[:n], "_", ""))
	l.pos += n
}

// isSpace is Python's str.isspace.
func isSpace(r rune) bool { return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f }
