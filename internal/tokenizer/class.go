package tokenizer

import (
	"sync"
	"unicode"
)

// class is a set of characters, as in a regular expression.
type class struct {
	ascii      [2]uint64 // the set below U+0080, once sealed
	categories uint32    // general categories, by their numbers
	ranges     []runeRange
	scripts    []*unicode.RangeTable
	sets       []*class // that it contains
	both       *class   // of which it has only the characters in this one, too
	negated    bool
}

type runeRange struct{ low, high rune }

// seal computes the set's ASCII characters, so that most tests are of one bit.
func (c *class) seal() *class {
	for r := range rune(unicode.MaxASCII + 1) {
		if c.search(r) {
			c.ascii[r>>6] |= 1 << (r & 63)
		}
	}
	return c
}

func (c *class) has(r rune) bool {
	if r <= unicode.MaxASCII {
		return c.ascii[r>>6]&(1<<(r&63)) != 0
	}
	return c.search(r)
}

func (c *class) search(r rune) bool {
	in := c.categories&(1<<categoryOf(r)) != 0
	for i := 0; !in && i < len(c.ranges); i++ {
		in = c.ranges[i].low <= r && r <= c.ranges[i].high
	}
	for i := 0; !in && i < len(c.sets); i++ {
		in = c.sets[i].search(r)
	}
	in = in || len(c.scripts) > 0 && unicode.In(r, c.scripts...)
	if c.both != nil {
		in = in && c.both.search(r)
	}
	return in != c.negated
}

// The general categories. Their numbers are their positions.
var categoryNames = []string{
	"Cn", "Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Pc", "Pd", "Ps", "Pe",
	"Pi", "Pf", "Po", "Sm", "Sc", "Sk", "So", "Zs", "Zl", "Zp", "Cc", "Cf", "Cs", "Co",
}

// categoryMask returns the categories with a name, such as L or Lu.
func categoryMask(name string) (mask uint32) {
	for i, c := range categoryNames {
		if c == name || c[:1] == name {
			mask |= 1 << i
		}
	}
	return mask
}

// tabled is the end of the characters whose categories are in a table: nearly
// all that occur.
const tabled = 0x20000

var categories = sync.OnceValue(func() []uint8 {
	table := make([]uint8, tabled)
	for i, name := range categoryNames {
		t := unicode.Categories[name]
		if t == nil { // Cn is what is in no other one
			continue
		}
		for _, r := range t.R16 {
			for c := int(r.Lo); c <= int(r.Hi); c += int(r.Stride) {
				table[c] = uint8(i)
			}
		}
		for _, r := range t.R32 {
			for c := int(r.Lo); c <= int(r.Hi) && c < tabled; c += int(r.Stride) {
				table[c] = uint8(i)
			}
		}
	}
	return table
})

func categoryOf(r rune) uint8 {
	if r < tabled {
		return categories()[r]
	}
	for i, name := range categoryNames {
		if t := unicode.Categories[name]; name != "Cn" && t != nil && unicode.Is(t, r) {
			return uint8(i)
		}
	}
	return 0
}

// spaces are the characters that \s matches.
func spaces() *class {
	return &class{categories: categoryMask("Z"), ranges: []runeRange{{'\t', '\r'}, {0x85, 0x85}}}
}

// wordCharacters are the characters that \w matches.
func wordCharacters() *class {
	return &class{
		categories: categoryMask("L") | categoryMask("M") | categoryMask("Nd") | categoryMask("Pc") | categoryMask("Nl"),
		scripts:    []*unicode.RangeTable{unicode.Other_Alphabetic},
		ranges:     []runeRange{{'²', '³'}, {'¹', '¹'}, {'¼', '¾'}},
	}
}
