package redact

import (
	"cmp"
	"slices"
	"strings"
)

// match is a part of a text that is of some kind.
type match struct {
	start, end int // in bytes
	kind       string
	// value is what the text means: two ways to write a number have the same
	// value.
	value string
	// named is set if a word nearby names the kind.
	named bool
}

// finder finds something that begins at a byte of a text.
type finder func(text string, i int) (match, bool)

// detector finds personal data and secrets in texts. Any number of goroutines can
// use it.
type detector struct {
	wanted  map[string]bool
	regions []string // of phone numbers that are written as within the country
	bare    bool     // numbers count also if nothing says what they are
	allowed map[string]bool
	own     []*ownPattern

	// digits and letters find what begins with a digit, a plus sign, or a
	// parenthesis, and what begins with a letter.
	digits, letters []finder
}

func (d *detector) prepare() {
	add := func(kind string, to *[]finder, f finder) {
		if d.wanted[kind] {
			*to = append(*to, f)
		}
	}
	add(kindCard, &d.digits, findCard)
	add(kindIP, &d.digits, findIPv4)
	add(kindIP, &d.digits, findIPv6)
	add(kindMAC, &d.digits, findMAC)
	add(kindWallet, &d.digits, findWallet)
	add(kindIBAN, &d.letters, findIBAN)
	add(kindIP, &d.letters, findIPv6)
	add(kindMAC, &d.letters, findMAC)
	add(kindWallet, &d.letters, findWallet)
	for i := range nationals {
		n := &nationals[i]
		find := func(text string, i int) (match, bool) { return d.findNational(n, text, i) }
		for _, shape := range n.shapes {
			switch strings.TrimPrefix(shape, "~")[0] {
			case 'A':
				add(n.kind, &d.letters, find)
			case 'n':
				add(n.kind, &d.letters, find)
				add(n.kind, &d.digits, find)
			default:
				add(n.kind, &d.digits, find)
			}
			break
		}
	}
	add(kindPhone, &d.digits, d.findPhone)
}

// find returns what is in a text, in order and without overlaps.
func (d *detector) find(text string) []match {
	var found []match
	if d.wanted[kindEmail] {
		found = findEmails(text, found)
	}
	if d.wanted[kindCredentials] {
		found = findCredentials(text, found)
	}
	if d.wanted[kindSecret] {
		found = findSecrets(text, found)
	}
	for _, p := range d.own {
		found = d.findOwn(p, text, found)
	}
	found = d.scan(text, found)
	if len(d.allowed) > 0 {
		found = slices.DeleteFunc(found, func(m match) bool { return d.allowed[strings.ToLower(text[m.start:m.end])] })
	}
	return resolve(text, found)
}

// scan tries what can begin at each word and number, from left to right.
func (d *detector) scan(text string, found []match) []match {
	if len(d.digits) == 0 && len(d.letters) == 0 {
		return found
	}
	for i := 0; i < len(text); {
		c := text[i]
		var finders []finder
		end := i + 1
		switch {
		case isDigit(c):
			end = wordEnd(text, i)
			if startsNumber(text, i) {
				finders = d.digits
			}
		case c == '+' || c == '(':
			if startsNumber(text, i) {
				finders = d.digits
			}
		case isLetter(c):
			end = wordEnd(text, i)
			if startsWord(text, i) && canBeNumber(text, i, end) {
				finders = d.letters
			}
		}
		if m, ok := best(text, i, finders); ok {
			found = append(found, m)
			end = m.end
		}
		i = end
	}
	return found
}

// wordEnd returns where the letters and digits end that begin at i.
func wordEnd(text string, i int) int {
	for i < len(text) && isAlnum(text[i]) {
		i++
	}
	return i
}

// canBeNumber reports whether a word can begin something with digits: it has
// some, or is one of its groups of letters.
func canBeNumber(text string, start, end int) bool {
	if end-start <= 3 || end < len(text) && text[end] == ':' {
		return true
	}
	return strings.ContainsAny(text[start:end], "0123456789")
}

// best returns the match at i that a word nearby names, or else the longest one,
// or else that of the first finder.
func best(text string, i int, finders []finder) (match, bool) {
	var chosen match
	for _, find := range finders {
		m, ok := find(text, i)
		if ok && (chosen.end == 0 || m.named && !chosen.named || m.named == chosen.named && m.end > chosen.end) {
			chosen = m
		}
	}
	return chosen, chosen.end > 0
}

// resolve sorts matches. Those that overlap become one, of the longest one's kind,
// so that no part of any is left.
func resolve(text string, found []match) []match {
	slices.SortStableFunc(found, func(a, b match) int {
		return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(b.end, a.end))
	})
	var out []match
	for _, m := range found {
		if len(out) == 0 || m.start >= out[len(out)-1].end {
			out = append(out, m)
			continue
		}
		last := &out[len(out)-1]
		if m.end <= last.end {
			continue
		}
		if m.end-m.start > last.end-last.start {
			last.kind = m.kind
		}
		last.end = m.end
		last.value = text[last.start:last.end]
	}
	return out
}

// before and after are how many bytes around a number are searched for a word that
// says what it is.
const before, after = 60, 24

// near reports whether one of the words is near a part of a text.
func (d *detector) near(text string, start, end int, words []string) bool {
	if len(words) == 0 {
		return false
	}
	around := [...]string{
		strings.ToLower(text[max(0, start-before):start]),
		strings.ToLower(text[end:min(len(text), end+after)]),
	}
	return slices.ContainsFunc(words, func(w string) bool { return containsWord(around[0], w) || containsWord(around[1], w) })
}

// containsWord reports whether a text contains a word as a whole.
func containsWord(text, word string) bool {
	for from := 0; ; {
		i := strings.Index(text[from:], word)
		if i < 0 {
			return false
		}
		i += from
		if startsWord(text, i) && endsWord(text, i+len(word)) {
			return true
		}
		from = i + 1
	}
}
