package tokenizer

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"encoding/json"
	"slices"
	"sort"
	"sync"
)

// What the library tokenizers knows about characters; testdata/unicode.py asks it.
// It has tables of several versions of Unicode, none of which is Go's.
//
//go:embed unicode.json.gz
var unicodeFile []byte

// flags are properties of a character, in the order of the file.
type flags uint16

const (
	isWord       flags = 1 << iota // \w in patterns
	isAddedWord                    // next to it, an added token is not a word of its own
	isNumeric                      // for Digits
	isPunctuated                   // for Punctuation and BertPreTokenizer
	isControl                      // removed by BertNormalizer
	isMark                         // removed by StripAccents
	isNonspacing                   // removed by BertNormalizer, as an accent
	isCased                        // another character in lower case
	isNormalized                   // changed by a normal form, or has a combining class
	isExtending                    // part of the grapheme cluster before it
)

// properties are those of one character. Scripts are numbers.
type properties struct {
	flags flags
	// category is an index into categoryNames.
	category uint8
	// script is that of UnicodeScripts, or 0 if the character goes with any.
	script uint8
	// named is the script in patterns: an index into the names, from 1.
	named uint8
}

// tabled is the end of the characters whose properties are in a table: nearly all
// that occur.
const tabled = 0x20000

// characters has the properties of all characters.
type characters struct {
	table   []properties
	runs    []run // of other characters, in order
	lower   map[rune]rune
	scripts []string
}

// run is a range of characters with the same properties.
type run struct {
	first, last rune
	properties
}

var knownCharacters = sync.OnceValue(func() *characters {
	z, err := gzip.NewReader(bytes.NewReader(unicodeFile))
	if err != nil {
		panic(err) // the file is part of the program
	}
	var in struct {
		Scripts []string
		Runs    [][6]int32
		Lower   [][2]rune
	}
	if err := json.NewDecoder(z).Decode(&in); err != nil {
		panic(err)
	}
	c := &characters{table: make([]properties, tabled), lower: make(map[rune]rune, len(in.Lower)), scripts: in.Scripts}
	for _, r := range in.Runs {
		p := properties{category: uint8(r[2]), flags: flags(r[3]), script: uint8(r[4]), named: uint8(r[5])}
		for at := r[0]; at <= min(r[1], tabled-1); at++ {
			c.table[at] = p
		}
		if r[1] >= tabled {
			c.runs = append(c.runs, run{r[0], r[1], p})
		}
	}
	for _, l := range in.Lower {
		c.lower[l[0]] = l[1]
	}
	return c
})

func propertiesOf(r rune) properties {
	c := knownCharacters()
	if uint32(r) < tabled {
		return c.table[r]
	}
	i := sort.Search(len(c.runs), func(i int) bool { return c.runs[i].last >= r })
	if i < len(c.runs) && c.runs[i].first <= r {
		return c.runs[i].properties
	}
	return properties{}
}

func (f flags) of(r rune) bool { return propertiesOf(r).flags&f != 0 }

// toLower returns the lower case of a character, which is one character for all but
// one, dottedI.
func toLower(r rune) rune {
	if !isCased.of(r) {
		return r
	}
	return knownCharacters().lower[r]
}

// scriptNamed returns the number of the script with a name in patterns, or 0.
func scriptNamed(name string) uint8 {
	return uint8(slices.Index(knownCharacters().scripts, name) + 1)
}
