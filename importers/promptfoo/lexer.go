package promptfoo

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

type tokenKind int

const (
	tokEnd tokenKind = iota
	tokWord
	tokNumber
	tokText
	tokSign
	tokRegex
	tokTemplate // the content of `…`, including escapes
)

type token struct {
	kind  tokenKind
	text  string
	num   float64
	flags string
}

type lexer struct {
	src     string
	pos     int
	dialect dialect
	// operand is set if an operand has just ended, so that a slash means
	// division instead of beginning a regular expression.
	operand bool
}

// signs contains the signs of more than one character, longest first.
var signs = []string{"===", "!==", "...", "==", "!=", "<=", ">=", "&&", "||", "??", "?.", "=>", "**", "//"}

func (l *lexer) next() (token, error) {
	l.blanks()
	if l.pos >= len(l.src) {
		return token{kind: tokEnd}, nil
	}
	t, err := l.token()
	l.operand = t.kind != tokSign || t.text == ")" || t.text == "]"
	return t, err
}

func (l *lexer) blanks() {
	for l.pos < len(l.src) {
		rest := l.src[l.pos:]
		r, size := utf8.DecodeRuneInString(rest)
		switch {
		case unicode.IsSpace(r):
			l.pos += size
		case l.dialect == javascript && strings.HasPrefix(rest, "//"):
			line, _, _ := strings.Cut(rest, "\n")
			l.pos += len(line)
		case l.dialect == javascript && strings.HasPrefix(rest, "/*"):
			if end := strings.Index(rest, "*/"); end >= 0 {
				l.pos += end + 2
			} else {
				l.pos = len(l.src)
			}
		default:
			return
		}
	}
}

func (l *lexer) token() (token, error) {
	rest := l.src[l.pos:]
	c := rest[0]
	switch {
	case c == '"' || c == '\'':
		return l.quoted(c)
	case c == '`' && l.dialect == javascript:
		t, err := l.quoted(c)
		t.kind = tokTemplate
		return t, err
	case c == '/' && l.dialect == javascript && !l.operand:
		return l.regex()
	case c >= '0' && c <= '9':
		return l.number()
	case wordLength(rest) > 0:
		n := wordLength(rest)
		l.pos += n
		return token{kind: tokWord, text: rest[:n]}, nil
	}
	for _, s := range signs {
		if strings.HasPrefix(rest, s) {
			l.pos += len(s)
			return token{kind: tokSign, text: s}, nil
		}
	}
	_, size := utf8.DecodeRuneInString(rest)
	l.pos += size
	return token{kind: tokSign, text: rest[:size]}, nil
}

func wordLength(s string) int {
	for i, r := range s {
		if r != '_' && r != '$' && !unicode.IsLetter(r) && (i == 0 || !unicode.IsDigit(r)) {
			return i
		}
	}
	return len(s)
}

func (l *lexer) number() (token, error) {
	end := l.pos
	for end < len(l.src) && strings.ContainsRune("0123456789.eE_", rune(l.src[end])) {
		end++
	}
	text := strings.TrimSuffix(l.src[l.pos:end], ".")
	f, err := strconv.ParseFloat(strings.ReplaceAll(text, "_", ""), 64)
	if err != nil {
		return token{}, fmt.Errorf("%q is not a number", text)
	}
	l.pos += len(text)
	return token{kind: tokNumber, text: text, num: f}, nil
}

// quoted reads a string. It replaces the escapes, except in a template.
func (l *lexer) quoted(quote byte) (token, error) {
	for i := l.pos + 1; i < len(l.src); i++ {
		switch l.src[i] {
		case '\\':
			i++
		case quote:
			text := l.src[l.pos+1 : i]
			l.pos = i + 1
			if quote != '`' {
				text = unescape(text)
			}
			return token{kind: tokText, text: text}, nil
		}
	}
	return token{}, fmt.Errorf("a %c is not closed", quote)
}

func (l *lexer) regex() (token, error) {
	class := false
	for i := l.pos + 1; i < len(l.src) && l.src[i] != '\n'; i++ {
		switch l.src[i] {
		case '\\':
			i++
		case '[':
			class = true
		case ']':
			class = false
		case '/':
			if class {
				continue
			}
			t := token{kind: tokRegex, text: l.src[l.pos+1 : i]}
			n := wordLength(l.src[i+1:])
			t.flags = l.src[i+1 : i+1+n]
			l.pos = i + 1 + n
			return t, nil
		}
	}
	return token{}, fmt.Errorf("a regular expression is not closed")
}

// unescape replaces the escapes in a JavaScript string.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		switch s[i] {
		case 'n':
			b.WriteByte('\n')
		case 't':
			b.WriteByte('\t')
		case 'r':
			b.WriteByte('\r')
		case 'u':
			if n, err := strconv.ParseUint(s[i+1:min(i+5, len(s))], 16, 32); err == nil && i+5 <= len(s) {
				b.WriteRune(rune(n))
				i += 4
				continue
			}
			b.WriteByte('u')
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String()
}
