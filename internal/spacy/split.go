package spacy

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// split appends the ends of the words of a text without spaces. Without
// specials, it applies no exceptions.
func (r *rules) split(s string, specials bool, ends []int32) []int32 {
	isSpecial := func(s string) bool { return specials && s != "" && r.specials[s] != nil }
	// The words before from and the ends from to on, in descending order, are
	// done.
	from, to := 0, len(s)
	var suffixes []int32
	for from < to && !isSpecial(s[from:to]) {
		rest := s[from:to]
		pre := r.prefix(rest)
		if pre > 0 && isSpecial(rest[pre:]) {
			from += pre
			ends = append(ends, int32(from))
			break
		}
		suf := r.suffix(rest[pre:])
		if suf > 0 && isSpecial(rest[:len(rest)-suf]) {
			suffixes = append(suffixes, int32(to))
			to -= suf
			break
		}
		if pre == 0 && suf == 0 {
			break
		}
		if pre > 0 {
			from += pre
			ends = append(ends, int32(from))
		}
		if suf > 0 {
			suffixes = append(suffixes, int32(to))
			to -= suf
		}
	}
	ends = r.middle(s, from, to, specials, ends)
	slices.Reverse(suffixes)
	return append(ends, suffixes...)
}

// middle appends the ends of the words between the affixes.
func (r *rules) middle(s string, from, to int, specials bool, ends []int32) []int32 {
	rest := s[from:to]
	if rest == "" {
		return ends
	}
	if special := r.specials[rest]; specials && special != nil {
		for _, end := range special {
			ends = append(ends, int32(from)+end)
		}
		return ends
	}
	if !r.isURL(rest) {
		done := 0
		for start, n := range r.infixes(rest) {
			if start == 0 {
				continue
			}
			if start != done {
				ends = append(ends, int32(from+start))
			}
			done = start + n
			ends = append(ends, int32(from+done))
		}
		if done == len(rest) {
			return ends
		}
	}
	return append(ends, int32(to))
}

// prefix returns the length of the word to split off at the beginning, or 0.
func (r *rules) prefix(s string) int {
	first, n := utf8.DecodeRuneInString(s)
	switch first {
	case '.':
		if dots := len(s) - len(strings.TrimLeft(s, ".")); dots > 1 {
			return dots
		}
		return 0
	case '+':
		if len(s) > 1 && isDigit(s[1]) {
			return 0
		}
		return 1
	case 'U':
		if strings.HasPrefix(s, "US$") {
			return 3
		}
		return 0
	case 'C', 'A':
		if len(s) > 1 && s[1] == '$' {
			return 2
		}
		return 0
	}
	if n > 0 && r.class(first)&isPrefix != 0 {
		return n
	}
	return 0
}

// suffix returns the length of the longest word to split off at the end, or 0.
func (r *rules) suffix(s string) int {
	last, n := utf8.DecodeLastRuneInString(s)
	if n == 0 {
		return 0
	}
	longest := r.unit(s)
	if r.class(last)&isSuffix != 0 {
		longest = max(longest, n)
	}
	before := s[:len(s)-n]
	switch last {
	case '…':
		if strings.HasSuffix(before, "…") {
			longest = 2 * n
		}
	case '.':
		longest = max(longest, r.finalDots(s, before))
	case 's', 'S':
		if strings.HasSuffix(before, "'") {
			longest = max(longest, 2)
		} else if strings.HasSuffix(before, "’") {
			longest = max(longest, len("’s"))
		}
	case '+':
		if before != "" && isDigit(before[len(before)-1]) {
			longest = max(longest, 1)
		}
	}
	return longest
}

// finalDots returns the length of the dots to split off at the end.
func (r *rules) finalDots(s, before string) int {
	if dots := len(s) - len(strings.TrimRight(s, ".")); dots > 1 {
		return dots
	}
	previous, n := utf8.DecodeLastRuneInString(before)
	if n == 0 {
		return 0
	}
	if r.class(previous)&beforeDot != 0 {
		return 1
	}
	earlier, m := utf8.DecodeLastRuneInString(before[:len(before)-n])
	switch {
	case m == 0:
	case earlier == '°' && strings.ContainsRune("FfCcKk", previous):
		return 1
	case r.class(previous)&isUpper != 0 && r.class(earlier)&isUpper != 0:
		return 1
	}
	return 0
}

// unit returns the length of a unit or currency that follows a digit. None
// contains a digit itself.
func (r *rules) unit(s string) int {
	for i := len(s) - 1; i >= 0 && len(s)-1-i <= r.longestUnit; i-- {
		if isDigit(s[i]) {
			if r.units[s[i+1:]] {
				return len(s) - 1 - i
			}
			return 0
		}
	}
	return 0
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func (r *rules) hasInfix(s string) bool {
	for range r.infixes(s) {
		return true
	}
	return false
}

// infixes yields the starts and lengths of the words that divide a text.
func (r *rules) infixes(s string) func(yield func(start, length int) bool) {
	return func(yield func(start, length int) bool) {
		var previous rune // 0 at the beginning
		for i := 0; i < len(s); {
			c, n := utf8.DecodeRuneInString(s[i:])
			if length := r.infix(s[i:], c, n, previous); length > 0 {
				if !yield(i, length) {
					return
				}
				previous, _ = utf8.DecodeLastRuneInString(s[:i+length])
				i += length
				continue
			}
			previous = c
			i += n
		}
	}
}

// infix returns the length of the word that divides a text at the beginning of
// s, or 0. c is the first character, of n bytes.
func (r *rules) infix(s string, c rune, n int, previous rune) int {
	if c == '.' {
		if dots := len(s) - len(strings.TrimLeft(s, ".")); dots > 1 {
			return dots
		}
	}
	if r.class(c)&isIcon != 0 {
		return n
	}
	next, _ := utf8.DecodeRuneInString(s[n:])
	if n == len(s) {
		next = 0
	}
	left, right := r.class(previous), r.class(next)
	digit := '0' <= previous && previous <= '9'
	switch c {
	case '+', '-', '*', '^':
		if digit && ('0' <= next && next <= '9' || next == '-') {
			return 1
		}
	case '.':
		if left&leftOfDot != 0 && right&rightOfDot != 0 {
			return 1
		}
	case ',':
		if left&isAlpha != 0 && right&isAlpha != 0 {
			return 1
		}
	case ':', '<', '>', '=', '/':
		if (left&isAlpha != 0 || digit) && right&isAlpha != 0 {
			return 1
		}
	}
	if left&isAlpha != 0 || digit && r.digitsBeforeHyphen {
		return r.hyphen(s)
	}
	return 0
}

// hyphen returns the length of the hyphen at the beginning, if a letter follows.
func (r *rules) hyphen(s string) int {
	for _, h := range r.hyphens {
		if rest, ok := strings.CutPrefix(s, h); ok {
			if next, n := utf8.DecodeRuneInString(rest); n > 0 && r.class(next)&isAlpha != 0 {
				return len(h)
			}
		}
	}
	return 0
}
