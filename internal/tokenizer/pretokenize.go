package tokenizer

import (
	"strings"
	"unicode"
)

// preTokenizer splits a piece into smaller ones.
type preTokenizer interface {
	split(p piece, track bool, emit func(piece))
}

// behavior says what becomes of matches.
type behavior string

const (
	removed            behavior = "Removed"
	isolated           behavior = "Isolated"
	mergedWithPrevious behavior = "MergedWithPrevious"
	mergedWithNext     behavior = "MergedWithNext"
	contiguous         behavior = "Contiguous"
)

// splitter splits at matches or, inverted, at what is between them.
type splitter struct {
	find     finder
	behavior behavior
	inverted bool
}

// stretch is a match or what is between matches.
type stretch struct {
	start, end int
	match      bool
}

func (n splitter) split(p piece, _ bool, emit func(piece)) {
	if p.s == "" {
		return
	}
	if n.behavior == isolated {
		n.isolate(p, emit)
		return
	}
	var all []stretch
	last := 0
	add := func(start, end int, match bool) {
		if start < end {
			all = append(all, stretch{start, end, match != n.inverted})
		}
	}
	n.find.each(p.s, func(start, end int) {
		add(last, start, false)
		add(start, end, true)
		last = end
	})
	add(last, len(p.s), false)
	n.join(all, func(start, end int) { emit(p.part(start, end)) })
}

// isolate makes pieces of the matches and of what is between them.
func (n splitter) isolate(p piece, emit func(piece)) {
	last := 0
	n.find.each(p.s, func(start, end int) {
		if last < start {
			emit(p.part(last, start))
		}
		emit(p.part(start, end))
		last = end
	})
	if last < len(p.s) {
		emit(p.part(last, len(p.s)))
	}
}

// join decides which stretches become one piece.
func (n splitter) join(all []stretch, emit func(start, end int)) {
	for i := 0; i < len(all); i++ {
		s := all[i]
		if n.behavior == removed && s.match {
			continue
		}
		for i+1 < len(all) && n.joins(all, i) {
			i++
			s.end = all[i].end
		}
		emit(s.start, s.end)
	}
}

// joins reports whether a stretch and the next one are one piece.
func (n splitter) joins(all []stretch, i int) bool {
	switch n.behavior {
	case mergedWithPrevious:
		return all[i+1].match && !all[i].match
	case mergedWithNext:
		return all[i].match && !all[i+1].match
	case contiguous:
		return all[i].match == all[i+1].match
	}
	return false
}

// preTokenizers apply one after the other.
type preTokenizers []preTokenizer

func (all preTokenizers) split(p piece, track bool, emit func(piece)) {
	if len(all) == 0 {
		emit(p)
		return
	}
	all[0].split(p, track, func(part piece) {
		if part.s != "" {
			all[1:].split(part, track, emit)
		}
	})
}

// byteLevel makes a character of each byte, optionally after it has split the
// text as GPT-2 does. With raw, the bytes stay what they are, because the model's
// vocabulary has been converted in their place.
type byteLevel struct {
	prefix bool
	words  *pattern // nil: does not split
	raw    bool
}

// gpt2Words is the pattern of GPT-2.
const gpt2Words = `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`

func (n byteLevel) split(p piece, track bool, emit func(piece)) {
	if n.prefix && !strings.HasPrefix(p.s, " ") {
		p.prepend(track, " ")
	}
	each := emit
	if !n.raw {
		each = func(part piece) {
			byteLevelNormalizer{}.normalize(&part, track)
			emit(part)
		}
	}
	if n.words == nil {
		each(p)
		return
	}
	splitter{find: n.words, behavior: isolated}.isolate(p, each)
}

// metaspace replaces spaces by a visible character and splits before it.
type metaspace struct {
	replacement string
	scheme      string // always, first, never
	splits      bool
}

func (n metaspace) split(p piece, track bool, emit func(piece)) {
	p.replace(track, literal(" "), n.replacement)
	if n.scheme != "never" && !strings.HasPrefix(p.s, n.replacement) && (n.scheme == "always" || p.start == 0) {
		p.prepend(track, n.replacement)
	}
	if !n.splits {
		emit(p)
		return
	}
	splitter{find: literal(n.replacement), behavior: mergedWithNext}.split(p, track, emit)
}

// whitespaceWords are words and runs of punctuation. They are defined by another
// library, in which joiners belong to words.
const whitespaceWords = `[\w\x{200c}\x{200d}]+|[^\w\s\x{200c}\x{200d}]+`

// bertPreTokenizer splits at white space and around punctuation.
func bertPreTokenizer() preTokenizer {
	return preTokenizers{
		splitter{find: single(unicode.IsSpace), behavior: removed},
		splitter{find: single(isPunctuated.of), behavior: isolated},
	}
}

// fixedLength splits after every few characters.
type fixedLength int

func (n fixedLength) split(p piece, _ bool, emit func(piece)) {
	for at := 0; at < len(p.s); {
		end := skip(p.s, at, int(n))
		emit(p.part(at, end))
		at = end
	}
}

// unicodeScripts splits where the script changes.
type unicodeScripts struct{}

// Like the original, it drops what precedes the first character that has a
// script.
func (unicodeScripts) split(p piece, _ bool, emit func(piece)) {
	last, from := uint8(0), -1
	for i, r := range p.s {
		script := propertiesOf(r).script
		if script == 0 || script == last {
			continue
		}
		if from >= 0 {
			emit(p.part(from, i))
		}
		last, from = script, i
	}
	if from >= 0 {
		emit(p.part(from, len(p.s)))
	}
}
