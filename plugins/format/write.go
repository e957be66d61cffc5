package format

import (
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// unpaired returns a row for each answer: the prompt, the answer, and whether it is a
// good one.
func (a *args) unpaired(e example) ([][]any, error) {
	var out [][]any
	for i, answer := range e.answers {
		values, err := a.values(example{prompt: e.prompt, answers: [][]message{answer}, tools: e.tools})
		if err != nil {
			return nil, err
		}
		out = append(out, append(values, e.good[i]))
	}
	return out, nil
}

// values returns the values of the columns that a form has: texts, lists of
// messages, and nil.
func (a *args) values(e example) ([]any, error) {
	switch a.To {
	case "messages":
		return []any{e.conversation()}, nil
	case "sharegpt":
		return []any{turns(e.conversation())}, checkPlain(e.conversation())
	case "alpaca":
		return instruction(e)
	case "text":
		text, err := a.template.Render(e.of(e.conversation()), false)
		return []any{text}, err
	}
	if len(e.answers) == 0 {
		return nil, fmt.Errorf("the last message is not the assistant's, so there is no completion")
	}
	if a.Template != "" {
		return a.rendered(e)
	}
	var out []any
	if !a.Repeat {
		out = append(out, e.prompt)
	}
	for _, answer := range e.answers {
		if a.Repeat {
			answer = slices.Concat(e.prompt, answer)
		}
		out = append(out, answer)
	}
	return out, nil
}

// rendered returns the texts of the prompt and of each answer.
func (a *args) rendered(e example) ([]any, error) {
	prompt, err := a.template.Render(e.of(e.prompt), true)
	if err != nil {
		return nil, err
	}
	var out []any
	if !a.Repeat {
		out = append(out, prompt)
	}
	for _, answer := range e.answers {
		whole, err := a.template.Render(e.of(slices.Concat(e.prompt, answer)), false)
		if err != nil {
			return nil, err
		}
		rest, ok := strings.CutPrefix(whole, prompt)
		switch {
		case !ok:
			return nil, fmt.Errorf("the template writes the prompt differently when an answer follows")
		case a.Repeat:
			rest = whole
		}
		out = append(out, rest)
	}
	return out, nil
}

var rolesOfTurns = map[string]string{"system": "system", "user": "human", "assistant": "gpt", "tool": "tool"}

func turns(all []message) []message {
	out := slices.Clone(all)
	for i := range out {
		out[i].Role = rolesOfTurns[out[i].Role]
	}
	return out
}

// instruction returns the columns of Alpaca: instruction, input, output, system.
func instruction(e example) ([]any, error) {
	all := e.conversation()
	if err := checkPlain(all); err != nil {
		return nil, err
	}
	var system any
	if all[0].Role == "system" {
		system, all = all[0].Content, all[1:]
	}
	if len(all) != 2 || all[0].Role != "user" || all[1].Role != "assistant" {
		return nil, fmt.Errorf("the conversation is not one question of the user with one answer, which is all that alpaca can express")
	}
	return []any{all[0].Content, "", all[1].Content, system}, nil
}

// writer builds the columns.
type writer struct {
	columns  data.Schema
	builders []array.Builder
}

func newWriter(a *args) *writer {
	w := &writer{columns: a.written()}
	for _, f := range w.columns.Arrow().Fields() {
		w.builders = append(w.builders, array.NewBuilder(memory.DefaultAllocator, f.Type))
	}
	return w
}

func (w *writer) release() {
	for _, b := range w.builders {
		b.Release()
	}
}

// append adds a row.
func (w *writer) append(values []any) {
	for i, b := range w.builders {
		switch v := values[i].(type) {
		case string:
			b.(*array.StringBuilder).Append(v)
		case bool:
			b.(*array.BooleanBuilder).Append(v)
		case []message:
			appendMessages(b.(*array.ListBuilder), v)
		default:
			b.AppendNull()
		}
	}
}

func appendMessages(list *array.ListBuilder, all []message) {
	list.Append(true)
	items := list.ValueBuilder().(*array.StructBuilder)
	for _, m := range all {
		items.Append(true)
		items.FieldBuilder(0).(*array.StringBuilder).Append(m.Role)
		if m.NoContent {
			items.FieldBuilder(1).AppendNull()
		} else {
			items.FieldBuilder(1).(*array.StringBuilder).Append(m.Content)
		}
		if items.NumField() > 2 {
			appendCalls(items, m)
		}
	}
}

func (w *writer) set(b *plugin.FlatBatch) {
	for i, builder := range w.builders {
		b.SetArray(w.columns[i].Name, builder.NewArray())
	}
}
