package tokenizer

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// normalizer changes a piece. track says that its origins are needed.
type normalizer interface {
	normalize(p *piece, track bool)
}

type normalizers []normalizer

func (all normalizers) normalize(p *piece, track bool) {
	for _, n := range all {
		n.normalize(p, track)
	}
}

// unicodeForm is NFC, NFD, NFKC, or NFKD.
type unicodeForm struct{ form norm.Form }

func (n unicodeForm) normalize(p *piece, track bool) {
	if isASCII(p.s) || n.form.IsNormalString(p.s) {
		return
	}
	changes := decompose(p.s, n.form == norm.NFKC || n.form == norm.NFKD)
	if n.form == norm.NFC || n.form == norm.NFKC {
		changes = compose(changes)
	}
	p.transform(track, changes, 0)
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] > unicode.MaxASCII {
			return false
		}
	}
	return true
}

type lowercase struct{}

func (lowercase) normalize(p *piece, track bool) {
	switch {
	case isASCII(p.s):
		p.mapASCII(track, strings.ToLower(p.s))
	case strings.ContainsRune(p.s, dottedI):
		p.replaceEach(track, func(r rune, emit func(rune)) {
			if r == dottedI {
				emit('i')
				emit('\u0307')
				return
			}
			emit(toLower(r))
		})
	default:
		p.mapRunes(track, toLower)
	}
}

// dottedI is the only character whose lowercase form has two characters.
const dottedI = '\u0130'

// mapASCII replaces the text by one in which each byte comes from the one at its
// place.
func (p *piece) mapASCII(track bool, s string) {
	if s != p.s && track {
		p.align = p.origins()
	}
	p.s = s
}

type strip struct{ left, right bool }

func (n strip) normalize(p *piece, track bool) {
	from, to := 0, len(p.s)
	if n.left {
		from = len(p.s) - len(strings.TrimLeftFunc(p.s, unicode.IsSpace))
	}
	if n.right {
		to = max(from, len(strings.TrimRightFunc(p.s, unicode.IsSpace)))
	}
	if from > 0 || to < len(p.s) {
		if track {
			p.align = p.origins()[from:to]
		}
		p.s = p.s[from:to]
	}
}

type stripAccents struct{}

func (stripAccents) normalize(p *piece, track bool) {
	p.filter(track, func(r rune) bool { return !isMark.of(r) })
}

type replacement struct {
	find finder
	with string
}

func (n replacement) normalize(p *piece, track bool) { p.replace(track, n.find, n.with) }

type prefix string

func (n prefix) normalize(p *piece, track bool) { p.prepend(track, string(n)) }

// nmt removes control characters and turns rare white space into spaces.
type nmt struct{}

func (nmt) normalize(p *piece, track bool) {
	p.filter(track, func(r rune) bool {
		switch {
		case r >= 0x01 && r <= 0x08, r == 0x0b, r >= 0x0e && r <= 0x1f, r == 0x7f, r == 0x8f, r == 0x9f:
			return false
		}
		return true
	})
	p.mapRunes(track, func(r rune) rune {
		switch r {
		case '\t', '\n', '\f', '\r', 0x1680, 0x200b, 0x200c, 0x200d, 0x200e, 0x200f, 0x2028, 0x2029, 0x2581, 0xfeff, 0xfffd:
			return ' '
		}
		return r
	})
}

// byteLevelNormalizer writes each byte as a character.
type byteLevelNormalizer struct{}

func (byteLevelNormalizer) normalize(p *piece, track bool) {
	p.replaceEach(track, func(r rune, emit func(rune)) {
		for _, b := range []byte(string(r)) {
			emit(byteRunes[b])
		}
	})
}

// bert is the normalizer of BERT.
type bert struct{ clean, chinese, accents, lower bool }

func (n bert) normalize(p *piece, track bool) {
	if n.clean {
		p.filter(track, func(r rune) bool { return r != 0 && r != unicode.ReplacementChar && !isControl.of(r) })
		p.mapRunes(track, func(r rune) rune {
			if unicode.IsSpace(r) {
				return ' '
			}
			return r
		})
	}
	if n.chinese && strings.IndexFunc(p.s, chinese) >= 0 {
		p.replaceEach(track, func(r rune, emit func(rune)) {
			if !chinese(r) {
				emit(r)
				return
			}
			emit(' ')
			emit(r)
			emit(' ')
		})
	}
	if n.accents && !isASCII(p.s) {
		unicodeForm{norm.NFD}.normalize(p, track)
		p.filter(track, func(r rune) bool { return !isNonspacing.of(r) })
	}
	if n.lower {
		lowercase{}.normalize(p, track)
	}
}

func chinese(r rune) bool {
	switch {
	case r < 0x3400:
		return false
	case r <= 0x4dbf, r >= 0x4e00 && r <= 0x9fff, r >= 0x20000 && r <= 0x2a6df, r >= 0x2a700 && r <= 0x2b73f,
		r >= 0x2b740 && r <= 0x2b81f, r >= 0x2b920 && r <= 0x2ceaf, r >= 0xf900 && r <= 0xfaff, r >= 0x2f800 && r <= 0x2fa1f:
		return true
	}
	return false
}
