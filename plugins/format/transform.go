package format

import (
	"context"
	"strings"

	"github.com/quern-dev/quern/internal/chattemplate"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

type args struct {
	Input    plugin.Dataset `quern:"input,required" doc:"The dataset to convert."`
	From     string         `quern:"from,required" oneof:"alpaca,sharegpt,messages,prompt_completion,preference,unpaired" doc:"The form of the rows."`
	To       string         `quern:"to,required" oneof:"alpaca,sharegpt,messages,prompt_completion,preference,unpaired,text" doc:"The form to write."`
	Template string         `quern:"template" doc:"The chat template with which to write texts rather than messages: the path of a model's 'tokenizer_config.json' or of a '.jinja' file, or 'chatml'."`
	BOS      *string        `quern:"bos_token" doc:"What the template writes as 'bos_token'. By default, what 'tokenizer_config.json' says."`
	EOS      *string        `quern:"eos_token" doc:"What the template writes as 'eos_token'. By default, what 'tokenizer_config.json' says."`
	Tools    plugin.Column  `quern:"tools" type:"string" doc:"With 'template': the functions that the model can call, as a JSON list of their schemas, such as 'row.tools'. If the column is not text, use 'jsonencode(row.tools)'. Null means none."`
	Date     string         `quern:"date" doc:"With 'template': the date that the template gets from 'strftime_now', such as \"2026-01-31\". Without it, templates have no such function, and most of them write no date or a fixed one."`
	Repeat   bool           `quern:"repeat_prompt" default:"false" doc:"With 'to = \"preference\"', whether 'chosen' and 'rejected' are whole conversations that begin with the prompt, rather than the prompt being a column of its own."`
	// ToolCalls says that turns can be calls, because only the rows show it.
	ToolCalls bool `quern:"tool_calls" default:"false" doc:"With 'from = \"sharegpt\"', whether turns from 'function_call' are read as calls of tools. The messages then have 'tool_calls'."`

	template *chattemplate.Template
	// calls reports whether messages can have calls of tools: those of the input do.
	calls bool
}

// transform implements transform "format".
type transform struct{ root func() string }

// Prepare declares the columns.
func (t transform) Prepare(_ context.Context, p *plugin.Prepare[args]) error {
	a := p.Args
	p.KeepInput("input")
	for _, key := range []string{"from", "to", "template", "date", "tool_calls"} {
		if !p.Known(key) {
			p.Errorf(key, "%s is not known yet\nIts value must be known when quern plans.", key)
			return nil
		}
	}
	in := p.Input("input")
	if in == nil {
		return nil
	}
	read := columnsOf(a.From, in.Schema)
	for _, problem := range check(a.From, in.Schema) {
		p.Errorf("from", "%s", problem)
	}
	a.calls = a.ToolCalls || haveCalls(in.Schema, read)
	p.ReadColumns("input", read...)
	for _, name := range read {
		p.DropColumn(name)
	}
	a.checkTarget(p)
	for _, c := range a.written() {
		p.AddColumn(c.Name, c.Type)
	}
	if a.Template != "" {
		if err := t.declareTemplate(p); err != nil {
			p.Errorf("template", "Cannot use this chat template\n%s.", err)
		}
	}
	return nil
}

// checkTarget reports forms that cannot be written.
func (a *args) checkTarget(p *plugin.Prepare[args]) {
	switch {
	case a.From == "preference" && !a.prefers():
		p.Errorf("to", "A preference has two answers\nOnly to = \"preference\" and to = \"unpaired\" have both. To train on the better ones alone, drop the column rejected, rename chosen to completion with transform \"map\", and use from = \"prompt_completion\".")
	case a.From != "preference" && a.To == "preference":
		p.Errorf("to", "A preference needs two answers\nRows of the form %s have one. Only from = \"preference\" has both.", a.From)
	case a.From == "unpaired" && a.To != "unpaired":
		p.Errorf("to", "Not every answer is a good one\nOnly to = \"unpaired\" says which. To train on the good ones alone, keep those with row.label by transform \"filter\", and use from = \"prompt_completion\".")
	case a.To == "unpaired" && a.From != "preference" && a.From != "unpaired":
		p.Errorf("to", "Whether the answers are good is not known\nRows of the form %s have no label. Only from = \"preference\" and from = \"unpaired\" say it. Otherwise, convert to prompt_completion and add the column label, such as with transform \"map\".", a.From)
	case a.To == "text" && a.Template == "":
		p.Errorf("template", "A text needs a chat template\nGive the model's tokenizer_config.json or chat_template.jinja, or \"chatml\".")
	case a.Template != "" && strings.Contains("alpaca sharegpt messages", a.To):
		p.Errorf("template", "template has no effect with to = %q\nThis form has messages rather than texts for a model.", a.To)
	case a.Template == "" && a.Tools.IsSet():
		p.Errorf("tools", "tools has no effect without template\nWithout a template, the column with the tools is kept like any other.")
	case a.Template == "" && a.Date != "":
		p.Errorf("date", "date has no effect without template\nIt is for templates that write a date.")
	case a.ToolCalls && a.From != "sharegpt":
		p.Errorf("tool_calls", "tool_calls has no effect with from = %q\nCalls in messages are always read.", a.From)
	case a.Repeat && a.To != "preference":
		p.Errorf("repeat_prompt", "repeat_prompt has no effect with to = %q\nIt is for to = \"preference\".", a.To)
	}
}

// prefers reports whether the form to write says which answers are better.
func (a *args) prefers() bool { return a.To == "preference" || a.To == "unpaired" }

// Open loads the template.
func (t transform) Open(_ context.Context, a *args) (err error) {
	if a.Template != "" {
		a.template, err = a.parseTemplate(t.root())
	}
	return err
}

// FlatMap converts the rows. Those that fail are left out.
func (transform) FlatMap(ctx context.Context, a *args, b *plugin.FlatBatch) error {
	read, err := newReader(a, b.Batch)
	if err != nil {
		return err
	}
	write, counts := newWriter(a), make([]int64, b.N)
	defer write.release()
	for i := range b.N {
		if err := ctx.Err(); err != nil {
			return err
		}
		made, err := a.convert(read, i)
		if err != nil {
			b.Fail(i, false, err)
			continue
		}
		counts[i] = int64(len(made))
		for _, values := range made {
			write.append(values)
		}
	}
	b.YieldCounts(counts)
	write.set(b)
	return nil
}

// convert returns the rows to write, each with the values of the columns.
func (a *args) convert(read reader, row int) ([][]any, error) {
	e, err := read(row)
	if err != nil {
		return nil, err
	}
	if err := e.check(); err != nil {
		return nil, err
	}
	if a.To == "unpaired" {
		return a.unpaired(e)
	}
	values, err := a.values(e)
	return [][]any{values}, err
}

// written returns the columns to write.
func (a *args) written() data.Schema {
	messages := messagesType
	if a.calls {
		messages = callingType
	}
	answers := messages
	if a.Template != "" {
		answers = "string"
	}
	switch a.To {
	case "alpaca":
		return data.Schema{{Name: "instruction", Type: "string"}, {Name: "input", Type: "string"}, {Name: "output", Type: "string"}, {Name: "system", Type: "string"}}
	case "sharegpt":
		return data.Schema{{Name: "conversations", Type: turnsType}}
	case "messages":
		return data.Schema{{Name: "messages", Type: messages}}
	case "text":
		return data.Schema{{Name: "text", Type: "string"}}
	case "prompt_completion":
		return data.Schema{{Name: "prompt", Type: answers}, {Name: "completion", Type: answers}}
	case "unpaired":
		return data.Schema{{Name: "prompt", Type: answers}, {Name: "completion", Type: answers}, {Name: "label", Type: "bool"}}
	}
	both := data.Schema{{Name: "chosen", Type: answers}, {Name: "rejected", Type: answers}}
	if a.Repeat {
		return both
	}
	return append(data.Schema{{Name: "prompt", Type: answers}}, both...)
}
