package goplugin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

type lengthArgs struct {
	Input plugin.Dataset `quern:"input,required" doc:"The rows to label."`
	Text  plugin.Column  `quern:"text,required" type:"string" doc:"The text to measure."`
	Limit *int64         `quern:"limit" doc:"A longer text fails."`
	Rules []rule         `quern:"rule,block" doc:"What is added."`
}

type rule struct {
	Name string        `quern:"name,label"`
	When plugin.Column `quern:"when,required" type:"bool" doc:"The rows that it concerns."`
	Add  int64         `quern:"add" default:"1" doc:"What it adds."`
}

// length is a labeler that counts characters.
type length struct{}

func (length) Prepare(_ context.Context, p *plugin.Prepare[lengthArgs]) error {
	if p.Known("limit") && p.Args.Limit != nil && *p.Args.Limit < 0 {
		p.Errorf("limit", "limit must be at least 0\nIt is %d.", *p.Args.Limit)
	}
	for _, r := range p.Args.Rules {
		if key := "rule." + r.Name + ".add"; p.Known(key) && r.Add == 0 {
			p.Warnf(key, "the rule adds nothing")
		}
	}
	p.KeepInput("input")
	p.AddColumn(p.Name(), "int64")
	return nil
}

func (length) Map(_ context.Context, a *lengthArgs, b *plugin.Batch) error {
	texts := b.Strings(a.Text)
	for i := range b.N {
		text, ok := texts.At(i)
		switch {
		case !ok:
			continue
		case text == "crash":
			os.Exit(7)
		case text == "busy":
			b.Fail(i, true, errors.New("it is busy"))
			continue
		case text == "wrong":
			return plugin.ArgumentErrorf("text", "the text is wrong\nChange it.")
		}
		n := int64(utf8.RuneCountInString(text))
		for _, r := range a.Rules {
			if holds, _ := b.Bools(r.When).At(i); holds {
				n += r.Add
			}
		}
		if a.Limit != nil && n > *a.Limit {
			b.Fail(i, false, fmt.Errorf("%d is above the limit", n))
			continue
		}
		b.SetInt(b.Name(), i, n)
	}
	return nil
}

type textArgs struct {
	Input plugin.Dataset `quern:"input,required" doc:"The rows."`
	Text  plugin.Column  `quern:"text,required" type:"string" doc:"A text."`
}

// twins reads a column and an argument of one name.
type twins struct{}

func (twins) Prepare(_ context.Context, p *plugin.Prepare[textArgs]) error {
	p.KeepInput("input")
	p.ReadColumns("input", "text")
	p.AddColumn("of_column", "string")
	p.AddColumn("of_argument", "string")
	return nil
}

func (twins) Map(_ context.Context, a *textArgs, b *plugin.Batch) error {
	column, argument := b.InputColumn("text"), b.Array(a.Text.Key)
	column.Retain()
	argument.Retain()
	b.SetArray("of_column", column)
	b.SetArray("of_argument", argument)
	return nil
}

type copyArgs struct {
	Input  plugin.Dataset           `quern:"input,required" doc:"The rows."`
	Values map[string]plugin.Column `quern:"values,required" doc:"What is copied."`
}

// copier copies row arguments of any type.
type copier struct{}

func (copier) Prepare(_ context.Context, p *plugin.Prepare[copyArgs]) error {
	p.KeepInput("input")
	for _, name := range slices.Sorted(maps.Keys(p.Args.Values)) {
		typ, _ := p.RowArgument("values." + name)
		p.AddColumn(name+"_copy", typ)
		if typ == "string" {
			p.CountValues(name + "_copy")
		}
	}
	return nil
}

func (copier) Map(_ context.Context, a *copyArgs, b *plugin.Batch) error {
	for name, c := range a.Values {
		v := b.Array(c.Key)
		v.Retain()
		b.SetArray(name+"_copy", v)
	}
	return nil
}

type repeatArgs struct {
	Input plugin.Dataset `quern:"input,required" doc:"The rows."`
	Text  plugin.Column  `quern:"text,required" type:"string" doc:"A text."`
	Times int            `quern:"times,required" doc:"How often it is repeated."`
}

// repeat repeats texts, which makes large rows.
type repeat struct{}

func (repeat) Prepare(_ context.Context, p *plugin.Prepare[repeatArgs]) error {
	p.KeepInput("input")
	p.AddColumn("repeated", "string")
	return nil
}

func (repeat) Map(_ context.Context, a *repeatArgs, b *plugin.Batch) error {
	texts := b.Strings(a.Text)
	for i := range b.N {
		if text, ok := texts.At(i); ok {
			b.SetString("repeated", i, strings.Repeat(text, a.Times))
		}
	}
	return nil
}

type askArgs struct {
	Input plugin.Dataset `quern:"input,required" doc:"The rows to label."`
	Text  plugin.Column  `quern:"text,required" type:"string" doc:"What the model is asked."`
	Model plugin.Model   `quern:"model,required" doc:"The model to ask."`
	HTTP  bool           `quern:"http" default:"false" doc:"Returns where the model's HTTP API is."`
}

// ask is a labeler that asks a model.
type ask struct{}

func (ask) Prepare(_ context.Context, p *plugin.Prepare[askArgs]) error {
	p.KeepInput("input")
	p.AddColumn(p.Name(), "string")
	p.AddModelCalls(plugin.ModelCalls{Prompt: "text", Model: "model", PerRow: 1})
	if p.Args.HTTP {
		p.UseOpenAIAPI()
	}
	return nil
}

func (ask) Concurrency() int { return 2 }

func (ask) Map(ctx context.Context, a *askArgs, b *plugin.Batch) error {
	texts := b.Strings(a.Text)
	for i := range b.N {
		text, ok := texts.At(i)
		if !ok {
			continue
		}
		if a.HTTP {
			url, key := b.Host().OpenAIAPI()
			b.SetString(b.Name(), i, url+" "+key)
			continue
		}
		response, err := b.Host().Chat(ctx, a.Model, &llm.Request{Messages: []llm.Message{{Role: llm.User, Content: text}}}, 0)
		var failed *llm.CallError
		switch {
		case llm.IsPending(err):
			b.Fail(i, false, err)
		case errors.As(err, &failed):
			b.Fail(i, failed.Temporary, errors.New(failed.Message))
		case err != nil:
			return err
		default:
			b.SetString(b.Name(), i, response.Text)
		}
	}
	return nil
}

// words produces a row for each word.
type words struct{}

func (words) Prepare(_ context.Context, p *plugin.Prepare[textArgs]) error {
	p.KeepInput("input")
	p.AddColumn("word", "string")
	return nil
}

func (words) FlatMap(_ context.Context, a *textArgs, b *plugin.FlatBatch) error {
	texts := b.Strings(a.Text)
	for i := range b.N {
		text, _ := texts.At(i)
		if text == "wrong" {
			b.Fail(i, false, errors.New("it is wrong"))
			continue
		}
		for _, word := range strings.Fields(text) {
			b.SetString("word", b.Yield(i), word)
		}
	}
	return nil
}
