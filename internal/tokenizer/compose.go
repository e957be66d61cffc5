package tokenizer

import (
	"slices"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// norm.Form does not say where its characters come from, and breaks up long runs
// of combining marks, so decomposition and composition are done here with its
// tables.

// Hangul syllables are composed by arithmetic.
const (
	hangulBase, hangulCount       = 0xac00, 11172
	leadBase, vowelBase           = 0x1100, 0x1161
	tailBase                      = 0x11a7
	leads, vowels, tails          = 19, 21, 28
	syllablesOfLead               = vowels * tails
	noCombiningClass        uint8 = 0
)

// decompose returns the decomposition of a text. A character's first part
// replaces it, and the others are added.
func decompose(s string, compatible bool) []change {
	form := norm.NFD
	if compatible {
		form = norm.NFKD
	}
	out, classes := make([]change, 0, len(s)), make([]uint8, 0, len(s))
	ready := 0 // what is before it is in order
	order := func() {
		if len(out)-ready > 1 {
			sortByClass(out[ready:], classes[ready:])
		}
		ready = len(out)
	}
	add := func(r rune, added bool) {
		class := combiningClass(r)
		if class == noCombiningClass {
			order()
		}
		out, classes = append(out, change{r: r, added: added}), append(classes, class)
	}
	for i, r := range s {
		var parts []byte
		if isNormalized.of(r) {
			parts = form.PropertiesString(s[i:]).Decomposition()
		}
		switch syllable := r - hangulBase; {
		case r < utf8.RuneSelf:
			order()
			out, classes = append(out, change{r: r}), append(classes, 0)
		case syllable >= 0 && syllable < hangulCount:
			add(leadBase+syllable/syllablesOfLead, false)
			add(vowelBase+syllable%syllablesOfLead/tails, true)
			if tail := syllable % tails; tail != 0 {
				add(tailBase+tail, true)
			}
		case len(parts) == 0:
			add(r, false)
		default:
			for k, part := range string(parts) {
				add(part, k > 0)
			}
		}
	}
	order()
	return out
}

// sortByClass puts combining marks into canonical order.
func sortByClass(changes []change, classes []uint8) {
	if slices.IsSorted(classes) {
		return
	}
	order := make([]int, len(changes))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return int(classes[a]) - int(classes[b]) })
	old, oldClasses := slices.Clone(changes), slices.Clone(classes)
	for to, from := range order {
		changes[to], classes[to] = old[from], oldClasses[from]
	}
}

// compose combines characters. What a composed character replaces is what its
// parts replace.
func compose(in []change) []change {
	out := make([]change, 0, len(in))
	starter := -1 // the last character of class 0 in out
	var last uint8
	for _, c := range in {
		class := combiningClass(c.r)
		if starter >= 0 && (len(out) == starter+1 || last < class) {
			if r, ok := pair(out[starter].r, c.r); ok {
				out[starter].r = r
				if !c.added {
					out[starter].absorb(c.removed)
				}
				continue
			}
		}
		if class == noCombiningClass {
			starter = len(out)
		}
		last = class
		out = append(out, c)
	}
	return out
}

// absorb makes a character replace one more, and what that one removed.
func (c *change) absorb(removed int) {
	if c.added {
		c.added, c.removed = false, removed
		return
	}
	c.removed += 1 + removed
}

// pair returns the character that two compose to.
func pair(a, b rune) (rune, bool) {
	if a < utf8.RuneSelf && b < 0x300 {
		return 0, false
	}
	var buffer [2 * utf8.UTFMax]byte
	s := utf8.AppendRune(utf8.AppendRune(buffer[:0], a), b)
	if norm.NFC.IsNormal(s) {
		return 0, false
	}
	composed := norm.NFC.Bytes(s)
	r, n := utf8.DecodeRune(composed)
	return r, n == len(composed) && isNormalized.of(r)
}

// combiningClass returns the canonical combining class. Characters that the
// reference does not know have none.
func combiningClass(r rune) uint8 {
	if !isNormalized.of(r) {
		return noCombiningClass
	}
	return norm.NFD.PropertiesString(string(r)).CCC()
}
