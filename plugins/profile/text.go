package profile

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/quern-dev/quern/internal/measurement"
)

// text profiles strings.
type text struct {
	common
	characters, words     *lengths
	empty, blank, invalid int64
	bytes                 int64

	content *content
	sampled *series
}

func newText(o options) (*text, error) {
	content, err := newContent(o)
	return &text{
		common:     common{values: newValues(o.dir, func(id uint64) uint64 { return id })},
		characters: newLengths(), words: newLengths(), content: content, sampled: &series{},
	}, err
}

func (c *text) add(a arrow.Array, hashes []uint64, sampled []int) error {
	texts := a.(*array.String)
	for i, h := range hashes {
		if texts.IsNull(i) {
			c.nulls++
			continue
		}
		s := texts.Value(i)
		c.valid++
		c.measure(s)
		if err := c.values.add(h, 1, s); err != nil {
			return err
		}
	}
	for _, i := range sampled {
		if texts.IsNull(i) {
			c.sampled.missing()
			continue
		}
		c.sampled.add(0, hashes[i])
		if c.content != nil {
			c.content.add(texts.Value(i))
		}
	}
	return nil
}

func (c *text) measure(s string) {
	characters, words, valid := lengthsOf(s)
	c.bytes += int64(len(s))
	c.characters.add(characters)
	c.words.add(words)
	switch {
	case s == "":
		c.empty++
	case words == 0:
		c.blank++
	}
	if !valid {
		c.invalid++
	}
}

// lengthsOf counts the characters of a text, and its words: what white space
// separates. A byte that is not valid UTF-8 counts as one character.
func lengthsOf(s string) (characters, words int64, valid bool) {
	inside := false
	for i := 0; i < len(s); i++ {
		b := s[i]
		if b >= utf8.RuneSelf {
			c, w, valid := foreign(s[i:], inside)
			return characters + c, words + w, valid
		}
		space := b == ' ' || b-'\t' < 5
		if !space && !inside {
			words++
		}
		inside = !space
		characters++
	}
	return characters, words, true
}

// foreign is lengthsOf for a text that is not ASCII.
func foreign(s string, inside bool) (characters, words int64, valid bool) {
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

func (c *text) finish(out *measurement.ProfileColumn, o options) error {
	out.Texts = &measurement.Texts{
		Empty: c.empty, Blank: c.blank, Invalid: c.invalid, Bytes: c.bytes,
		Characters: *c.characters.describe(), Words: *c.words.describe(),
	}
	if c.content != nil {
		c.content.describe(out.Texts, c.valid, o)
	}
	return c.common.finish(out, o, func(v frequentValue) string {
		return strings.ToValidUTF8(v.text, string(unicode.ReplacementChar))
	})
}

func (c *text) series() *series { return c.sampled }

func (c *text) sketch(s *sketch) {
	s.grid("characters", c.characters.grid)
	s.classes(c.values)
}
