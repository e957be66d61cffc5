package llm

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// UnmarshalJSON decodes a message as MarshalJSON writes it or in OpenAI's chat
// format, which datasets use: content can be null or a list of text parts, and
// a tool call can have its name and arguments under function. Content that a
// request cannot carry, such as an image, is an error.
func (m *Message) UnmarshalJSON(text []byte) error {
	var given struct {
		Role       string          `json:"role"`
		Content    json.RawMessage `json:"content"`
		ToolCalls  []givenCall     `json:"tool_calls"`
		ToolCallID *string         `json:"tool_call_id"`
		Name       *string         `json:"name"`
		Refusal    *string         `json:"refusal"`
	}
	if err := strictly(text, &given); err != nil {
		return err
	}
	if given.Name != nil && *given.Name != "" {
		return fmt.Errorf("a message has the name %q, which requests do not support", *given.Name)
	}
	content, err := readContent(given.Content)
	if err != nil {
		return err
	}
	if content == "" && given.Refusal != nil {
		content = *given.Refusal
	}
	*m = Message{Role: given.Role, Content: content}
	if given.ToolCallID != nil {
		m.ToolCallID = *given.ToolCallID
	}
	for _, c := range given.ToolCalls {
		call, err := c.call()
		if err != nil {
			return err
		}
		m.ToolCalls = append(m.ToolCalls, call)
	}
	return nil
}

// givenCall is a tool call in either form. Members that a dataset's row lacks
// are null.
type givenCall struct {
	ID        *string         `json:"id"`
	Type      *string         `json:"type"`
	Index     json.RawMessage `json:"index"`
	Name      *string         `json:"name"`
	Arguments json.RawMessage `json:"arguments"`
	Function  *struct {
		Name      *string         `json:"name"`
		Arguments json.RawMessage `json:"arguments"`
	} `json:"function"`
}

func (c givenCall) call() (ToolCall, error) {
	if c.Type != nil && *c.Type != "function" {
		return ToolCall{}, fmt.Errorf("a tool call is of type %q; only functions can be called", *c.Type)
	}
	name, arguments := c.Name, c.Arguments
	if c.Function != nil {
		name, arguments = c.Function.Name, c.Function.Arguments
	}
	if name == nil {
		return ToolCall{}, fmt.Errorf("a tool call has no name")
	}
	out := ToolCall{Name: *name}
	if c.ID != nil {
		out.ID = *c.ID
	}
	var err error
	out.Arguments, err = readArguments(arguments)
	return out, err
}

// readArguments returns the arguments as the model wrote them. Some datasets
// have them as an object.
func readArguments(raw json.RawMessage) (string, error) {
	if isNull(raw) {
		return "", nil
	}
	if raw[0] == '"' {
		var text string
		err := json.Unmarshal(raw, &text)
		return text, err
	}
	var b bytes.Buffer
	err := json.Compact(&b, raw)
	return b.String(), err
}

// readContent returns the text of a message: a string, null, or a list of
// texts.
func readContent(raw json.RawMessage) (string, error) {
	switch {
	case isNull(raw):
		return "", nil
	case raw[0] == '"':
		var text string
		err := json.Unmarshal(raw, &text)
		return text, err
	case raw[0] != '[':
		return "", fmt.Errorf("the content of a message is %s, not a text", raw)
	}
	var parts []json.RawMessage
	if err := json.Unmarshal(raw, &parts); err != nil {
		return "", err
	}
	texts := make([]string, len(parts))
	for i, part := range parts {
		var err error
		if texts[i], err = readPart(part); err != nil {
			return "", err
		}
	}
	return strings.Join(texts, ""), nil
}

func readPart(raw json.RawMessage) (text string, err error) {
	if raw[0] == '"' {
		err = json.Unmarshal(raw, &text)
		return text, err
	}
	var part struct {
		Type string  `json:"type"`
		Text *string `json:"text"`
	}
	if err := json.Unmarshal(raw, &part); err != nil {
		return "", err
	}
	if part.Text == nil || part.Type != "text" && part.Type != "input_text" && part.Type != "output_text" {
		return "", fmt.Errorf("a message has content of type %q; requests carry text only", part.Type)
	}
	return *part.Text, nil
}

func isNull(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

func strictly(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	return d.Decode(into)
}
