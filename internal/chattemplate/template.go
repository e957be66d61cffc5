// Package chattemplate renders conversations as the text that a model reads, with
// the model's chat template: a Jinja template, as tokenizer_config.json and
// chat_template.jinja of Hugging Face contain it.
//
// The text is that of transformers' apply_chat_template. A template that cannot be
// read, or that refuses a conversation, is an error. Templates do not learn the
// date, which strftime_now returns in transformers: the same conversation always
// has the same text.
package chattemplate

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/nikolalohinski/gonja/v2/builtins"
	"github.com/nikolalohinski/gonja/v2/config"
	"github.com/nikolalohinski/gonja/v2/exec"
	"github.com/nikolalohinski/gonja/v2/loaders"
	"github.com/nikolalohinski/gonja/v2/parser"
)

// Message is a part of a conversation.
type Message struct{ Role, Content string }

// Tokens are the special tokens of a model that templates write.
type Tokens struct{ BOS, EOS string }

// Template is a chat template.
type Template struct {
	compiled *exec.Template
	tokens   Tokens
}

// Parse reads a template.
func Parse(source string, tokens Tokens) (t *Template, err error) {
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
	return &Template{compiled, tokens}, nil
}

// Render returns the text of a conversation. With reply, it ends where the
// assistant's next message begins.
func (t *Template) Render(messages []Message, reply bool) (text string, err error) {
	defer recovered(&err)
	list := make([]any, len(messages))
	for i, m := range messages {
		list[i] = map[string]any{"role": m.Role, "content": m.Content}
	}
	text, err = t.compiled.ExecuteToString(exec.NewContext(map[string]any{
		"messages": list, "add_generation_prompt": reply, "tools": nil, "documents": nil, "bos_token": t.tokens.BOS, "eos_token": t.tokens.EOS,
	}))
	if err != nil {
		return "", fmt.Errorf("the template refuses the conversation: %s", reason(err))
	}
	return text, complete(text, messages)
}

// complete returns an error if the text lacks what a user wrote. Jinja renders what
// is not defined as nothing, so a template for another form of messages would lose
// it silently.
func complete(text string, messages []Message) error {
	for i, m := range messages {
		if m.Role == "user" && !strings.Contains(text, strings.TrimSpace(m.Content)) {
			return fmt.Errorf("the template leaves out the content of message %d", i+1)
		}
	}
	return nil
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
	structures := exec.NewControlStructureSet(map[string]parser.ControlStructureParser{})
	structures.Update(builtins.ControlStructures)
	_ = structures.Register("generation", parseGeneration)
	return &exec.Environment{Context: context, Filters: filters, Tests: builtins.Tests, ControlStructures: structures, Methods: builtins.Methods}
})

// toJSON writes texts and numbers as Python's json.dumps does. Other values cannot
// occur in conversations of texts.
func toJSON(_ *exec.Evaluator, in *exec.Value, _ *exec.VarArgs) *exec.Value {
	if !in.IsString() && !in.IsNumber() && !in.IsBool() && !in.IsNil() {
		return exec.AsValue(errors.New("tojson is only supported for texts and numbers"))
	}
	var out strings.Builder
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(in.Interface()); err != nil {
		return exec.AsValue(err)
	}
	return exec.AsSafeValue(strings.TrimSuffix(out.String(), "\n"))
}
