package survey

import (
	"math/bits"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/quern-dev/quern/internal/measurement"
	"github.com/quern-dev/quern/plugins/profile/drift"
)

// text profiles strings.
type text struct {
	common
	beginnings        beginnings
	characters, words lengths
	odd               oddTexts
	sampled           series
	content           *content
}

// oddTexts counts texts that are not like others, and the bytes of all.
type oddTexts struct{ Empty, Blank, Invalid, Bytes int64 }

// beginnings are those of the texts of a block. Text is all of them together.
type beginnings struct {
	Text []byte
	Ends []int
}

func newText(o Options) (*text, error) {
	content, err := newContent(o)
	c := &text{common: newCommon(o, itself), characters: newLengths(), words: newLengths(), content: content}
	c.Values.Frequent.Texts = map[uint64]beginning{}
	return c, err
}

func (c *text) add(a arrow.Array, hashes []uint64, sampled []int) error {
	texts := a.(*array.String)
	for i, h := range hashes {
		if texts.IsNull(i) {
			c.Nulls++
			continue
		}
		s := texts.Value(i)
		c.Valid++
		c.measure(s)
		c.beginnings.add(s)
		if c.Block.add(h) {
			if err := c.empty(); err != nil {
				return err
			}
		}
	}
	for _, i := range sampled {
		if texts.IsNull(i) {
			c.sampled.missing()
			continue
		}
		id := c.sampled.add(0, hashes[i])
		if c.content != nil {
			c.content.add(id, texts.Value(i))
		}
	}
	return nil
}

// empty empties the block.
func (c *text) empty() error {
	room := workrooms.Get().(*workroom)
	defer workrooms.Put(room)
	sequence := append(room.sequence[:0], c.Block.Keys...)
	room.sequence = sequence
	fresh, err := c.Values.add(c.Block.runs(room), room)
	c.Values.Frequent.learn(fresh, sequence, &c.beginnings)
	c.Block.Keys, c.beginnings = c.Block.Keys[:0], beginnings{c.beginnings.Text[:0], c.beginnings.Ends[:0]}
	return err
}

func (b *beginnings) add(text string) {
	b.Text = append(b.Text, text[:min(len(text), longestValue+1)]...)
	b.Ends = append(b.Ends, len(b.Text))
}

// of returns a text of the block.
func (b *beginnings) of(i int) beginning {
	from := 0
	if i > 0 {
		from = b.Ends[i-1]
	}
	return beginningOf(string(b.Text[from:b.Ends[i]]))
}

func (c *text) measure(s string) {
	characters, words, valid := lengthsOf(s)
	c.odd.Bytes += int64(len(s))
	c.characters.add(characters)
	c.words.add(words)
	switch {
	case s == "":
		c.odd.Empty++
	case words == 0:
		c.odd.Blank++
	}
	if !valid {
		c.odd.Invalid++
	}
}

// lengthsOf counts the characters of a text, and its words: what white space
// separates. A byte that is not valid UTF-8 counts as one character.
func lengthsOf(s string) (characters, words int64, valid bool) {
	i, inside := 0, uint64(0)
	for ; i+8 <= len(s); i += 8 {
		eight := load(s[i : i+8])
		if eight&highBits != 0 {
			break
		}
		letters := ^spaces(eight) & highBits
		words += int64(bits.OnesCount64(letters &^ (letters<<8 | inside)))
		inside = letters >> 56
	}
	c, w, valid := runes(s[i:], inside != 0)
	return int64(i) + c, words + w, valid
}

// load returns the first eight bytes of a text, the first one lowest.
func load(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 | uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

const (
	lowBits  = 0x0101010101010101
	highBits = 0x80 * lowBits
)

// spaces sets the highest bit of each of eight bytes, all of which are ASCII, that
// is white space: 0x20, or from 0x09 to 0x0d.
func spaces(eight uint64) uint64 {
	blank := eight ^ 0x20*lowBits
	isBlank := ^(blank + 0x7f*lowBits)
	atLeast9 := eight + (0x80-0x09)*lowBits
	atLeast14 := eight + (0x80-0x0e)*lowBits
	return (isBlank | atLeast9&^atLeast14) & highBits
}

// runes is lengthsOf for any text. inside says whether it begins within a word.
func runes(s string, inside bool) (characters, words int64, valid bool) {
	valid = true
	for i, r := range s {
		if r == utf8.RuneError && valid {
			_, size := utf8.DecodeRuneInString(s[i:])
			valid = size > 1
		}
		space := unicode.IsSpace(r)
		if !space && !inside {
			words++
		}
		inside = !space
		characters++
	}
	return characters, words, valid
}

func (c *text) finish(out *measurement.ProfileColumn, o Options) error {
	if err := c.empty(); err != nil {
		return err
	}
	out.Texts = &measurement.Texts{
		Empty: c.odd.Empty, Blank: c.odd.Blank, Invalid: c.odd.Invalid, Bytes: c.odd.Bytes,
		Characters: *c.characters.describe(), Words: *c.words.describe(),
	}
	if c.content != nil {
		c.content.describe(out.Texts, c.Valid, c.sampled.IDs, o)
	}
	return c.describe(out, o, func(v frequentValue) string {
		return strings.ToValidUTF8(v.Text, string(unicode.ReplacementChar))
	})
}

func (c *text) series() *series { return &c.sampled }

func (c *text) sketch(s *drift.Column) {
	c.characters.sketch(s, "characters")
	c.classes(s)
}

func (c *text) parts() []any {
	all := []any{&c.common, &c.beginnings, &c.characters, &c.words, &c.odd, &c.sampled}
	if c.content != nil {
		all = append(all, &c.content.known)
	}
	return all
}

func (c *text) forget(keep []bool) {
	c.sampled.forget(keep)
	if c.content != nil {
		c.content.forget(c.sampled.IDs)
	}
}
