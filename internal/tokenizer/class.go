package tokenizer

import (
	"slices"
	"unicode"
)

// class is a set of characters, as in a regular expression.
type class struct {
	ascii      [2]uint64 // the set below U+0080, once sealed
	categories uint32    // general categories, by their numbers
	ranges     []runeRange
	scripts    []uint8
	flags      flags
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
	p := propertiesOf(r)
	in := c.categories&(1<<p.category) != 0 || c.flags&p.flags != 0
	for i := 0; !in && i < len(c.ranges); i++ {
		in = c.ranges[i].low <= r && r <= c.ranges[i].high
	}
	for i := 0; !in && i < len(c.sets); i++ {
		in = c.sets[i].search(r)
	}
	in = in || slices.Contains(c.scripts, p.named)
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

// spaces are the characters that \s matches.
func spaces() *class {
	return &class{categories: categoryMask("Z"), ranges: []runeRange{{'\t', '\r'}, {0x85, 0x85}}}
}

// wordCharacters are the characters that \w matches.
func wordCharacters() *class { return &class{flags: isWord} }
