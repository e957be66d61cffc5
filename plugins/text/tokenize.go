package text

import (
	"context"
	"runtime"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/quern-dev/quern/internal/tokenizer"
	"github.com/quern-dev/quern/internal/tokens"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

type tokenizeArgs struct {
	Input     plugin.Dataset `quern:"input,required" doc:"The dataset that contains the texts."`
	Text      plugin.Column  `quern:"text,required" type:"string" doc:"The text to tokenize, such as 'row.text'."`
	Tokenizer string         `quern:"tokenizer,required" doc:"The path of a model's 'tokenizer.json', or one of OpenAI's encodings, 'o200k_base' or 'cl100k_base'."`
	Special   bool           `quern:"special_tokens" default:"true" doc:"Whether to add the special tokens that the model expects around a text, such as '[CLS]' or '<s>'."`
	IDs       bool           `quern:"ids" default:"true" doc:"Whether to add the IDs of the tokens. Without them, only the number is added."`
	Offsets   bool           `quern:"offsets" default:"false" doc:"Whether to add where each token begins and ends in the text, in bytes."`
	Mask      bool           `quern:"mask" default:"false" doc:"Whether to add which tokens come from the text, rather than being special tokens around it."`

	name  string
	count *tokens.Counter
}

const tokenizeDoc = `Turns texts into the tokens of a model.

The IDs are in a column named after the block, a list, and their number is in ` + "`NAME_count`" + `. With ` + "`offsets`" + `, the lists ` + "`NAME_start`" + ` and ` + "`NAME_end`" + ` contain the bytes of the text at which each token begins and ends. They are those of whole characters, so tokens that share a character overlap. With ` + "`mask`" + `, the list ` + "`NAME_mask`" + ` is false for the special tokens around the text. A null text has no tokens: its columns are null.

A ` + "`tokenizer.json`" + ` is the file that comes with a model on Hugging Face. The tokens are those of its tokenizer; quern ignores only its truncation and padding. The content of the file is part of the definition, so another tokenizer computes the tokens again.

` + "```hcl" + `
transform "tokenize" "tokens" {
  input     = source.documents
  text      = row.text
  tokenizer = "tokenizer.json"
}
` + "```"

// tokenize implements transform "tokenize".
type tokenize struct{ root func() string }

// Prepare declares the columns.
func (t tokenize) Prepare(_ context.Context, p *plugin.Prepare[tokenizeArgs]) error {
	a := p.Args
	a.name = p.Name()
	p.KeepInput("input")
	declareTokenizer(p, a.Tokenizer, t.root())
	if a.IDs || !p.Known("ids") {
		p.AddColumn(a.name, "list<int64>")
	}
	p.AddColumn(a.name+"_count", "int64")
	if a.Offsets {
		p.AddColumn(a.name+"_start", "list<int64>")
		p.AddColumn(a.name+"_end", "list<int64>")
	}
	if a.Mask {
		p.AddColumn(a.name+"_mask", "list<bool>")
	}
	return nil
}

// Open loads the tokenizer.
func (t tokenize) Open(_ context.Context, a *tokenizeArgs) (err error) {
	a.count, err = openTokenizer(a.Tokenizer, t.root())
	return err
}

// Concurrency is the number of processors: Map only computes.
func (tokenize) Concurrency() int { return runtime.GOMAXPROCS(0) }

// Map tokenizes the texts.
func (tokenize) Map(ctx context.Context, a *tokenizeArgs, b *plugin.Batch) error {
	out := newTokenLists(a)
	defer out.release()
	texts := b.Strings(a.Text)
	for i := range b.N {
		if err := ctx.Err(); err != nil {
			return err
		}
		text, ok := texts.At(i)
		if !ok {
			out.appendNull()
			continue
		}
		e, err := a.count.Encode(text, tokenizer.Options{Special: a.Special, Offsets: a.Offsets})
		if err != nil {
			b.Fail(i, false, err)
			out.appendNull()
			continue
		}
		b.SetInt(a.name+"_count", i, int64(len(e.IDs)))
		out.append(e)
	}
	out.set(a.name, b)
	return nil
}

// tokenLists builds the columns of lists. Those that are not wanted are nil.
type tokenLists struct {
	ids, starts, ends, mask *array.ListBuilder
}

func newTokenLists(a *tokenizeArgs) *tokenLists {
	list := func(wanted bool, element arrow.DataType) *array.ListBuilder {
		if !wanted {
			return nil
		}
		return array.NewListBuilder(memory.DefaultAllocator, element)
	}
	int64s, bools := arrow.PrimitiveTypes.Int64, arrow.FixedWidthTypes.Boolean
	return &tokenLists{list(a.IDs, int64s), list(a.Offsets, int64s), list(a.Offsets, int64s), list(a.Mask, bools)}
}

func (l *tokenLists) all() map[string]*array.ListBuilder {
	return map[string]*array.ListBuilder{"": l.ids, "_start": l.starts, "_end": l.ends, "_mask": l.mask}
}

func (l *tokenLists) release() {
	for _, b := range l.all() {
		if b != nil {
			b.Release()
		}
	}
}

func (l *tokenLists) appendNull() {
	for _, b := range l.all() {
		if b != nil {
			b.AppendNull()
		}
	}
}

func (l *tokenLists) append(e *tokenizer.Encoding) {
	appendInts(l.ids, len(e.IDs), func(i int) int64 { return int64(e.IDs[i]) })
	appendInts(l.starts, len(e.Offsets), func(i int) int64 { return int64(e.Offsets[i].Start) })
	appendInts(l.ends, len(e.Offsets), func(i int) int64 { return int64(e.Offsets[i].End) })
	if l.mask == nil {
		return
	}
	l.mask.Append(true)
	for i := range e.IDs {
		l.mask.ValueBuilder().(*array.BooleanBuilder).Append(i >= e.Before && i < len(e.IDs)-e.After)
	}
}

func appendInts(b *array.ListBuilder, n int, at func(int) int64) {
	if b == nil {
		return
	}
	b.Append(true)
	values := b.ValueBuilder().(*array.Int64Builder)
	values.Reserve(n)
	for i := range n {
		values.UnsafeAppend(at(i))
	}
}

func (l *tokenLists) set(name string, b *plugin.Batch) {
	for suffix, list := range l.all() {
		if list != nil {
			b.SetArray(name+suffix, list.NewArray())
		}
	}
}
