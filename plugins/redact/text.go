package redact

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isLetter(c byte) bool { return 'A' <= c&^0x20 && c&^0x20 <= 'Z' }

func isAlnum(c byte) bool { return isDigit(c) || isLetter(c) }

func decode(s string) (rune, int) { return utf8.DecodeRuneInString(s) }

// digitsOf returns the digits of a text.
func digitsOf(s string) string {
	return strings.Map(func(r rune) rune {
		if '0' <= r && r <= '9' {
			return r
		}
		return -1
	}, s)
}

// startsWord reports whether a word can begin at i: no letter, digit, or
// underscore precedes it.
func startsWord(text string, i int) bool {
	if i == 0 {
		return true
	}
	c := text[i-1]
	if c < utf8.RuneSelf {
		return !isAlnum(c) && c != '_'
	}
	// Scripts without spaces between words may precede a number.
	r, _ := utf8.DecodeLastRuneInString(text[:i])
	return !unicode.IsLetter(r) && !unicode.IsDigit(r) || unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul, unicode.Thai)
}

// endsWord reports whether a word can end at i.
func endsWord(text string, i int) bool {
	if i == len(text) {
		return true
	}
	c := text[i]
	if c < utf8.RuneSelf {
		return !isAlnum(c) && c != '_'
	}
	r, _ := decode(text[i:])
	return !unicode.IsLetter(r) && !unicode.IsDigit(r) || unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul, unicode.Thai)
}

// startsNumber reports whether a number can begin at i: it is not the rest of a
// longer one, such as 555-0123 in 212-555-0123.
func startsNumber(text string, i int) bool {
	if !startsWord(text, i) {
		return false
	}
	return i < 2 || !strings.ContainsRune("-./+", rune(text[i-1])) || !isDigit(text[i-2])
}

// inSequence reports whether a number in groups that spaces separate is a part of
// more such groups of three or more digits.
func inSequence(text string, start, end int) bool {
	written := text[start:end]
	if !strings.Contains(written, " ") || strings.Trim(written, "0123456789 ") != "" {
		return false
	}
	n := 0
	for k := start - 2; start > 0 && k >= 0 && text[start-1] == ' ' && isDigit(text[k]); k-- {
		n++
	}
	if n >= 3 {
		return true
	}
	n = 0
	for k := end + 1; k < len(text) && text[end] == ' ' && isDigit(text[k]); k++ {
		n++
	}
	return n >= 3
}

// endsNumber reports whether a number can end at i: it does not continue as one
// with decimals does.
func endsNumber(text string, i int) bool {
	if i < len(text) && (text[i] == 'x' || text[i] == 'X') && i+1 < len(text) && isDigit(text[i+1]) {
		return true // the extension of a phone number
	}
	if !endsWord(text, i) {
		return false
	}
	return i+1 >= len(text) || !strings.ContainsRune("-./", rune(text[i])) || !isDigit(text[i+1])
}
