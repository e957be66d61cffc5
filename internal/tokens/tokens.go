// Package tokens counts the tokens of texts and requests: with the model's own
// tokenizer where it is known, elsewhere with an estimate by script, which says
// that it is one.
package tokens

import (
	"sync"

	"github.com/tiktoken-go/tokenizer/codec"

	"github.com/quern-dev/quern/sdk/go/llm"
)

// Counter counts by one tokenizer.
type Counter struct{ codec *codec.Codec }

// encodings are those of models that are still served. A vocabulary is a few
// megabytes of the program, so the library's other ones are not linked in.
var encodings = map[string]func() *codec.Codec{
	"o200k_base":  codec.NewO200kBase,
	"cl100k_base": codec.NewCl100kBase,
}

var (
	mu       sync.Mutex
	counters = map[string]*Counter{}
)

// For returns the counter of an encoding by tiktoken's name, such as
// o200k_base. One that is not known is estimated.
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

// Exact says whether the counts are the tokenizer's own.
func (c *Counter) Exact() bool { return c.codec != nil }

// Text is the number of tokens of a text.
func (c *Counter) Text(s string) int64 {
	if c.codec != nil {
		if n, err := c.codec.Count(s); err == nil {
			return int64(n)
		}
	}
	return estimate(s)
}

// Ends are the bytes of a text where its tokens end, or nil if they are not known.
func (c *Counter) Ends(s string) []int {
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

// What a chat's form adds, by OpenAI's published recipe for counting the
// tokens of messages: three for each message, and three before the answer.
const (
	perMessage = 3
	perRequest = 3
)

// Message is the number of tokens that a message adds to a request.
func (c *Counter) Message(m llm.Message) int64 {
	n := perMessage + c.Text(m.Role) + c.Text(m.Content)
	for _, call := range m.ToolCalls {
		n += c.Text(call.Name) + c.Text(call.Arguments)
	}
	return n
}

// Request is the number of tokens of a request: messages, tools and schema.
func (c *Counter) Request(r *llm.Request) int64 {
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
