package chattemplate

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/quern-dev/quern/internal/jinja"
)

// Message is a part of a conversation.
type Message struct {
	Role    string
	Content string
	// NoContent is true if the content is null, as that of a message can be that
	// calls functions. Templates get an empty text, because several would write the
	// word None.
	NoContent bool
	// Calls are the functions that the assistant calls.
	Calls []Call
	// CallID is the ID of the call whose result a message of a tool is, and Name the
	// function's name. Both can be empty.
	CallID, Name string
}

// Call is a call of a function. ID can be empty.
type Call struct {
	ID, Name string
	// Arguments is a JSON object.
	Arguments json.RawMessage
}

// Equal reports whether two messages say the same.
func (m Message) Equal(other Message) bool {
	return m.Role == other.Role && m.Content == other.Content && m.NoContent == other.NoContent && m.CallID == other.CallID && m.Name == other.Name &&
		slices.EqualFunc(m.Calls, other.Calls, func(a, b Call) bool {
			return a.ID == b.ID && a.Name == b.Name && string(a.Arguments) == string(b.Arguments)
		})
}

// messageValues returns messages as templates see them. Only what a message has is
// defined.
func messageValues(all []Message) (any, error) {
	out := make([]any, len(all))
	for i, m := range all {
		o := &jinja.Dict{}
		o.Set("role", m.Role)
		o.Set("content", m.Content)
		if m.CallID != "" {
			o.Set("tool_call_id", m.CallID)
		}
		if m.Name != "" {
			o.Set("name", m.Name)
		}
		if len(m.Calls) > 0 {
			calls, err := callValues(m.Calls)
			if err != nil {
				return nil, fmt.Errorf("message %d: %w", i+1, err)
			}
			o.Set("tool_calls", calls)
		}
		out[i] = o
	}
	return out, nil
}

// callValues returns calls with their arguments as objects, from which templates
// write JSON.
func callValues(all []Call) (any, error) {
	out := make([]any, len(all))
	for i, c := range all {
		arguments, err := decode(c.Arguments)
		if err != nil {
			return nil, fmt.Errorf("the arguments of %s are not valid JSON: %w", c.Name, err)
		}
		function, call := &jinja.Dict{}, &jinja.Dict{}
		function.Set("name", c.Name)
		function.Set("arguments", arguments)
		if c.ID != "" {
			call.Set("id", c.ID)
		}
		call.Set("type", "function")
		call.Set("function", function)
		out[i] = call
	}
	return out, nil
}

// complete returns an error if the text lacks what a user or a tool wrote, or a
// function. Jinja renders what is not defined as nothing, so a template for another
// form of messages would lose it silently.
func complete(text string, c Conversation) error {
	for i, m := range c.Messages {
		if content := strings.TrimSpace(m.Content); m.Role == "user" && !strings.Contains(text, content) || m.Role == "tool" && !containsResult(text, content) {
			return fmt.Errorf("the template leaves out the content of message %d", i+1)
		}
		for _, call := range m.Calls {
			if !strings.Contains(text, call.Name) {
				return fmt.Errorf("the template leaves out the call of %s in message %d", call.Name, i+1)
			}
		}
	}
	var tools []struct {
		Name     string
		Function struct{ Name string }
	}
	if c.Tools == nil || json.Unmarshal(c.Tools, &tools) != nil {
		return nil
	}
	for _, tool := range tools {
		if name := max(tool.Name, tool.Function.Name); !strings.Contains(text, name) {
			return fmt.Errorf("the template leaves out the tool %s", name)
		}
	}
	return nil
}

// containsResult reports whether a text contains a result of a tool, as it is or as
// a JSON string.
func containsResult(text, content string) bool {
	w := &jsonWriter{}
	return strings.Contains(text, content) || w.text(content) == nil && strings.Contains(text, strings.Trim(w.out.String(), `"`))
}
