// Package chattemplate renders conversations as the text that a model reads, with
// the model's chat template: a Jinja template, as tokenizer_config.json and
// chat_template.jinja of Hugging Face contain it.
//
// The text is that of transformers' apply_chat_template. A template that cannot be
// read, or that refuses a conversation, is an error. Templates do not learn the
// present date, which strftime_now returns in transformers, but one that is given:
// the same conversation always has the same text.
package chattemplate

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/quern-dev/quern/internal/jinja"
)

// Conversation is what a template writes.
type Conversation struct {
	Messages []Message
	// Tools is a list of the functions that the model can call, as JSON, or nil.
	Tools json.RawMessage
}

// Settings are what templates get in addition to a conversation.
type Settings struct {
	// BOS and EOS are the special tokens that templates write.
	BOS, EOS string
	// Date is what strftime_now returns. If it is zero, templates have no such
	// function.
	Date time.Time
}

// Template is a chat template.
type Template struct {
	template *jinja.Template
	settings Settings
}

// Parse reads a template.
func Parse(source string, settings Settings) (*Template, error) {
	t, err := jinja.Parse(source, map[string]jinja.Filter{"tojson": toJSON})
	if err != nil {
		return nil, fmt.Errorf("the template cannot be read: %w", err)
	}
	return &Template{t, settings}, nil
}

// Render returns the text of a conversation. With reply, it ends where the
// assistant's next message begins.
func (t *Template) Render(c Conversation, reply bool) (string, error) {
	values := map[string]any{
		"add_generation_prompt": reply, "tools": nil, "documents": nil, "bos_token": t.settings.BOS, "eos_token": t.settings.EOS,
		"raise_exception": jinja.Function(raise),
	}
	var err error
	if values["messages"], err = messageValues(c.Messages); err != nil {
		return "", err
	}
	if c.Tools != nil {
		if values["tools"], err = decode(c.Tools); err != nil {
			return "", fmt.Errorf("the tools are not valid JSON: %w", err)
		}
	}
	if !t.settings.Date.IsZero() {
		values["strftime_now"] = jinja.Function(t.strftime)
	}
	text, err := t.template.Render(values)
	if err != nil {
		return "", fmt.Errorf("the template refuses the conversation: %w", err)
	}
	return text, complete(text, c)
}

// raise is raise_exception, with which templates refuse conversations.
func raise(args []any, named *jinja.Dict) (any, error) {
	if len(args) != 1 || len(named.Keys) > 0 {
		return nil, errors.New("raise_exception needs a message")
	}
	message, err := jinja.Text(args[0])
	if err != nil {
		return nil, err
	}
	return nil, errors.New(message)
}
