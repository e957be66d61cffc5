package tokens

import (
	"math"
	"unicode"
)

// The number of tokens per character. The values are between those of
// cl100k_base and o200k_base, which differ by up to a factor of five for
// scripts that the older one barely covers. A space usually belongs to the word
// after it.
const (
	asciiLetter  = 0.26
	asciiCapital = 0.4
	asciiDigit   = 0.45
	asciiSign    = 0.75
	lineBreak    = 0.5
	foreignLatin = 0.85 // with an accent, which splits words
	sign         = 1.0
	emoji        = 2.1
	rare         = 2.0 // scripts that tokenizers split into bytes
)

// scripts contains the scripts whose characters, except for rare ones, have
// fewer than two tokens.
var scripts = []struct {
	of           []*unicode.RangeTable
	perCharacter float64
}{
	{[]*unicode.RangeTable{unicode.Latin}, foreignLatin},
	{[]*unicode.RangeTable{unicode.Han}, 1},
	{[]*unicode.RangeTable{unicode.Hiragana, unicode.Katakana}, 0.75},
	{[]*unicode.RangeTable{unicode.Hangul}, 0.9},
	{[]*unicode.RangeTable{unicode.Cyrillic}, 0.45},
	{[]*unicode.RangeTable{unicode.Greek, unicode.Arabic, unicode.Hebrew}, 0.6},
	{[]*unicode.RangeTable{unicode.Devanagari, unicode.Bengali, unicode.Tamil, unicode.Thai}, 0.72},
	{[]*unicode.RangeTable{unicode.Gujarati, unicode.Kannada, unicode.Malayalam, unicode.Telugu}, 0.95},
	{[]*unicode.RangeTable{unicode.Georgian, unicode.Armenian, unicode.Khmer, unicode.Myanmar}, 0.95},
}

// estimate returns the approximate number of tokens of a text for an unknown
// tokenizer, based on the scripts of its characters.
func estimate(s string) int64 {
	var sum float64
	for _, r := range s {
		sum += perCharacter(r)
	}
	return int64(math.Ceil(sum))
}

func perCharacter(r rune) float64 {
	switch {
	case 'a' <= r && r <= 'z':
		return asciiLetter
	case r == ' ':
		return 0
	case 'A' <= r && r <= 'Z':
		return asciiCapital
	case '0' <= r && r <= '9':
		return asciiDigit
	case r < ' ':
		return lineBreak
	case r <= unicode.MaxASCII:
		return asciiSign
	case r >= 0x1F000 && r < 0x20000, r == '\u200d', r == '\ufe0f':
		return emoji // or a part of one
	}
	for _, s := range scripts {
		if unicode.In(r, s.of...) {
			return s.perCharacter
		}
	}
	if unicode.In(r, unicode.Common, unicode.Inherited) {
		return sign
	}
	return rare
}
