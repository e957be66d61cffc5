package tokens

import (
	"errors"
	"unicode/utf8"

	"github.com/quern-dev/quern/internal/tokenizer"
)

// Read returns the counter for the content of a tokenizer.json.
func Read(content []byte) (*Counter, error) {
	t, err := tokenizer.Parse(content)
	if err != nil {
		return nil, err
	}
	return &Counter{file: t}, nil
}

// Check reports whether Read can read a tokenizer.json, apart from mistakes in its
// vocabulary.
func Check(content []byte) error { return tokenizer.Check(content) }

// Known reports whether an encoding with tiktoken's name comes with quern.
func Known(encoding string) bool { return encodings[encoding] != nil }

// Encode returns the tokens of a text. A counter that estimates has none.
func (c *Counter) Encode(text string, o tokenizer.Options) (*tokenizer.Encoding, error) {
	switch {
	case c.file != nil:
		return c.file.Encode(text, o)
	case c.codec == nil:
		return nil, errors.New("the tokenizer is not known")
	}
	ids, parts, err := c.codec.Encode(text)
	if err != nil {
		return nil, err
	}
	e := &tokenizer.Encoding{IDs: make([]uint32, len(ids))}
	for i, id := range ids {
		e.IDs[i] = uint32(id)
	}
	if o.Offsets {
		e.Offsets = offsets(text, parts)
	}
	return e, nil
}

// offsets returns where the parts of a text are, as whole characters.
func offsets(text string, parts []string) []tokenizer.Span {
	out, at := make([]tokenizer.Span, len(parts)), 0
	for i, part := range parts {
		start, end := at, at+len(part)
		at = end
		for start > 0 && start < len(text) && !utf8.RuneStart(text[start]) {
			start--
		}
		for end < len(text) && !utf8.RuneStart(text[end]) {
			end++
		}
		out[i] = tokenizer.Span{Start: int32(start), End: int32(end)}
	}
	return out
}

// fileEnds is Ends for a tokenizer.json.
func (c *Counter) fileEnds(s string) []int {
	e, err := c.file.Encode(s, tokenizer.Options{Offsets: true})
	if err != nil {
		return nil
	}
	ends := make([]int, len(e.Offsets))
	for i, span := range e.Offsets {
		ends[i] = int(span.End)
	}
	return ends
}
