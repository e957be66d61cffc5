package tokenizer

import (
	"strings"
	"unicode/utf8"
)

// Span is a range of bytes of the text that was encoded.
type Span struct{ Start, End int32 }

// piece is a part of the text: normalized, or on its way there.
type piece struct {
	s string
	// align is the origin of each byte of s; nil if s is a part of the original
	// text, or if offsets are not needed.
	align []Span
	// start is where the piece begins in the original text.
	start int32
	// token is an added token, or nil.
	token *addedToken
}

// origin returns which part of the original text a range of the piece comes
// from. Half a character comes from a whole one.
func (p *piece) origin(from, to int) Span {
	switch {
	case from == to:
		return Span{p.start + int32(from), p.start + int32(to)}
	case to > len(p.s): // the model has made more tokens than there is text
		return Span{int32(from), int32(to)}
	case p.align != nil:
		return Span{p.align[from].Start, p.align[to-1].End}
	}
	for from > 0 && !utf8.RuneStart(p.s[from]) {
		from--
	}
	for to < len(p.s) && !utf8.RuneStart(p.s[to]) {
		to++
	}
	return Span{p.start + int32(from), p.start + int32(to)}
}

// part returns a part of the piece.
func (p *piece) part(from, to int) piece {
	out := piece{s: p.s[from:to], start: p.start + int32(from)}
	if p.align != nil {
		out.align = p.align[from:to]
		if from < to {
			out.start = out.align[0].Start
		}
	}
	return out
}

// origins returns align, also for a part of the original text.
func (p *piece) origins() []Span {
	if p.align != nil {
		return p.align
	}
	out := make([]Span, 0, len(p.s))
	for i, r := range p.s {
		n := utf8.RuneLen(r)
		for range n {
			out = append(out, Span{p.start + int32(i), p.start + int32(i+n)})
		}
	}
	return out
}

// change is a character of a new text: it replaces a character and removes the
// removed ones after it, or it is added.
type change struct {
	r       rune
	added   bool
	removed int
}

// transform replaces the text. The changes begin after the first skipped
// characters, which are removed. An added character comes from where the one
// before it comes from.
func (p *piece) transform(track bool, changes []change, skipped int) {
	var out strings.Builder
	out.Grow(len(p.s))
	if !track {
		for _, c := range changes {
			out.WriteRune(c.r)
		}
		p.s = out.String()
		return
	}
	from := p.origins()
	align := make([]Span, 0, len(from))
	at := skip(p.s, 0, skipped)
	for _, c := range changes {
		origin := Span{p.start, p.start}
		switch {
		case !c.added && at < len(from):
			origin = from[at]
		case c.added && at > 0:
			origin = from[at-1]
		}
		if !c.added {
			at = skip(p.s, at, 1+c.removed)
		}
		out.WriteRune(c.r)
		for range utf8.RuneLen(c.r) {
			align = append(align, origin)
		}
	}
	p.s, p.align = out.String(), align
}

// skip returns the position n characters after at.
func skip(s string, at, n int) int {
	for ; n > 0 && at < len(s); n-- {
		_, size := utf8.DecodeRuneInString(s[at:])
		at += size
	}
	return at
}

// filter removes characters.
func (p *piece) filter(track bool, keep func(rune) bool) {
	if strings.IndexFunc(p.s, func(r rune) bool { return !keep(r) }) < 0 {
		return
	}
	changes, skipped := make([]change, 0, len(p.s)), 0
	for _, r := range p.s {
		switch {
		case keep(r):
			changes = append(changes, change{r: r})
		case len(changes) == 0:
			skipped++
		default:
			changes[len(changes)-1].removed++
		}
	}
	p.transform(track, changes, skipped)
}

// replaceEach replaces each character by one or more.
func (p *piece) replaceEach(track bool, with func(r rune, emit func(rune))) {
	changes := make([]change, 0, len(p.s))
	for _, r := range p.s {
		first := true
		with(r, func(r rune) {
			changes = append(changes, change{r: r, added: !first})
			first = false
		})
	}
	p.transform(track, changes, 0)
}

// mapRunes replaces each character by another one.
func (p *piece) mapRunes(track bool, with func(rune) rune) {
	if strings.IndexFunc(p.s, func(r rune) bool { return with(r) != r }) >= 0 {
		p.replaceEach(track, func(r rune, emit func(rune)) { emit(with(r)) })
	}
}

// prepend puts a text in front. Its first character comes from the first one of
// the piece, and so does everything up to that one.
func (p *piece) prepend(track bool, text string) {
	if p.s == "" || text == "" {
		return
	}
	if track {
		from := p.origins()
		_, n := utf8.DecodeRuneInString(p.s)
		// That character now follows as an added one, which comes from the byte
		// before the end of the one that it replaces.
		align := make([]Span, 0, len(text)+len(from))
		for range len(text) + n {
			align = append(align, from[0])
		}
		p.align = append(align, from[n:]...)
	}
	p.s = text + p.s
}

// replace replaces matches by a text, which comes from the end of what it
// replaces.
func (p *piece) replace(track bool, find finder, with string) {
	var out strings.Builder
	var from, align []Span
	last := 0
	find.each(p.s, func(start, end int) {
		if out.Len() == 0 && last == 0 && track {
			from = p.origins()
			align = make([]Span, 0, len(from)+len(with))
		}
		out.WriteString(p.s[last:start])
		out.WriteString(with)
		if track {
			align = append(align, from[last:start]...)
			origin := Span{p.start, p.start}
			if end > 0 {
				origin = from[end-1]
			}
			for range len(with) {
				align = append(align, origin)
			}
		}
		last = end
	})
	if last == 0 && out.Len() == 0 {
		return
	}
	out.WriteString(p.s[last:])
	if track {
		p.align = append(align, from[last:]...)
	}
	p.s = out.String()
}
