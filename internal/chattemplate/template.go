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
	"strings"
	"sync"
	"time"

	"github.com/nikolalohinski/gonja/v2/builtins"
	"github.com/nikolalohinski/gonja/v2/config"
	"github.com/nikolalohinski/gonja/v2/exec"
	"github.com/nikolalohinski/gonja/v2/loaders"
	"github.com/nikolalohinski/gonja/v2/parser"
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
	compiled *exec.Template
	settings Settings
}

// Parse reads a template.
func Parse(source string, settings Settings) (t *Template, err error) {
	defer recovered(&err)
	const name = "/template"
	loader, err := loaders.NewMemoryLoader(map[string]string{name: source})
	if err != nil {
		return nil, err
	}
	c := config.New()
	c.TrimBlocks, c.LeftStripBlocks = true, true
	compiled, err := exec.NewTemplate(name, c, loader, environment())
	if err != nil {
		return nil, fmt.Errorf("the template cannot be read: %s", reason(err))
	}
	return &Template{compiled, settings}, nil
}

// Render returns the text of a conversation. With reply, it ends where the
// assistant's next message begins.
func (t *Template) Render(c Conversation, reply bool) (text string, err error) {
	defer recovered(&err)
	values := map[string]any{
		"add_generation_prompt": reply, "tools": nil, "documents": nil, "bos_token": t.settings.BOS, "eos_token": t.settings.EOS,
	}
	if values["messages"], err = messageValues(c.Messages); err != nil {
		return "", err
	}
	if c.Tools != nil {
		if values["tools"], err = decode(c.Tools); err != nil {
			return "", fmt.Errorf("the tools are not valid JSON: %w", err)
		}
	}
	if !t.settings.Date.IsZero() {
		values["strftime_now"] = t.strftime
	}
	if text, err = t.compiled.ExecuteToString(exec.NewContext(values)); err != nil {
		return "", fmt.Errorf("the template refuses the conversation: %s", reason(err))
	}
	return text, complete(text, c)
}

// recovered turns a panic of the library, which templates and data can cause, into
// an error.
func recovered(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("the template cannot be rendered: %v", r)
	}
}

// reason returns the innermost error, or what the template raises. The library puts
// it after the whole template.
func reason(err error) string {
	text := err.Error()
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			break
		}
		err, text = inner, inner.Error()
	}
	return strings.TrimSpace(strings.TrimPrefix(text, "invalid call to function 'raise_exception': "))
}

// environment is what templates can use, as in transformers.
var environment = sync.OnceValue(func() *exec.Environment {
	context := exec.NewContext(map[string]any{})
	context.Update(builtins.GlobalFunctions)
	context.Set("raise_exception", func(_ *exec.Evaluator, args *exec.VarArgs) *exec.Value {
		return exec.AsValue(errors.New(args.First().String()))
	})
	filters := exec.NewFilterSet(map[string]exec.FilterFunction{})
	filters.Update(builtins.Filters)
	_ = filters.Replace("tojson", toJSON)
	_ = filters.Replace("items", items)
	structures := exec.NewControlStructureSet(map[string]parser.ControlStructureParser{})
	structures.Update(builtins.ControlStructures)
	_ = structures.Register("generation", parseGeneration)
	methods := builtins.Methods
	methods.Dict = dictMethods()
	return &exec.Environment{Context: context, Filters: filters, Tests: builtins.Tests, ControlStructures: structures, Methods: methods}
})
