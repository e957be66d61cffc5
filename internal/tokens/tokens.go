// Package tokens counts the tokens of texts and requests. It uses the model's
// own tokenizer if that is known, and otherwise an estimate based on scripts,
// which it marks as an estimate.
package tokens

import (
	"sync"

	"github.com/tiktoken-go/tokenizer/codec"

	"github.com/quern-dev/quern/internal/tokenizer"
	"github.com/quern-dev/quern/sdk/go/llm"
)

// Counter counts tokens with one tokenizer: one of tiktoken's encodings, or that
// of a tokenizer.json.
type Counter struct {
	codec *codec.Codec
	file  *tokenizer.Tokenizer
}

// encodings contains the encodings of models that are still available. A
// vocabulary adds a few megabytes to the program, so the other ones in the
// library are not linked.
var encodings = map[string]func() *codec.Codec{
	"o200k_base":  codec.NewO200kBase,
	"cl100k_base": codec.NewCl100kBase,
}

var (
	mu       sync.Mutex
	counters = map[string]*Counter{}
)

// For returns the counter for an encoding with tiktoken's name, such as
// o200k_base. For an unknown encoding, the counter estimates.
func For(encoding string) *Counter {
	mu.Lock()
	defer mu.Unlock()
	if c := counters[encoding]; c != nil {
		return c
	}
	c := &Counter{}
	if open := encodings[encoding]; open != nil {
		c.codec = open()
	}
	counters[encoding] = c
	return c
}

// Exact reports whether the counts are those of the tokenizer rather than
// estimates.
func (c *Counter) Exact() bool { return c.codec != nil || c.file != nil }

// Text returns the number of tokens of a text.
func (c *Counter) Text(s string) int64 {
	if c.codec != nil {
		if n, err := c.codec.Count(s); err == nil {
			return int64(n)
		}
	}
	if c.file != nil {
		if n, err := c.file.Count(s); err == nil {
			return int64(n)
		}
	}
	return estimate(s)
}

// Ends returns the byte offsets at which the tokens of a text end, or nil if
// they are not known.
func (c *Counter) Ends(s string) []int {
	if c.file != nil {
		return c.fileEnds(s)
	}
	if c.codec == nil {
		return nil
	}
	_, parts, err := c.codec.Encode(s)
	if err != nil {
		return nil
	}
	ends, at := make([]int, len(parts)), 0
	for i, part := range parts {
		at += len(part)
		ends[i] = at
	}
	return ends
}

// What the chat format adds, according to OpenAI's published way to count the
// tokens of messages: three for each message, and three before the answer.
const (
	perMessage = 3
	perRequest = 3
)

// Message returns the number of tokens that a message adds to a request.
func (c *Counter) Message(m llm.Message) int64 {
	n := perMessage + c.Text(m.Role) + c.Text(m.Content)
	for _, call := range m.ToolCalls {
		n += c.Text(call.Name) + c.Text(call.Arguments)
	}
	return n
}

// Request returns the number of tokens of a request: its messages, tools, and
// schema.
func (c *Counter) Request(r *llm.Request) int64 {
	if r.Prompt != "" {
		return c.Text(r.Prompt)
	}
	n := int64(perRequest)
	for _, m := range r.Messages {
		n += c.Message(m)
	}
	for _, t := range r.Tools {
		n += c.Text(t.Name) + c.Text(t.Description) + c.Text(string(t.Parameters))
	}
	if r.Output != nil {
		n += c.Text(string(r.Output.Schema))
	}
	return n
}
