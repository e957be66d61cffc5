package text

import (
	"context"

	"github.com/quern-dev/quern/internal/tokens"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

type chunkArgs struct {
	Input     plugin.Dataset `quern:"input,required" doc:"The dataset that contains the texts."`
	Text      plugin.Column  `quern:"text,required" type:"string" doc:"The text to split, such as 'row.text'."`
	Size      int            `quern:"size,required" doc:"The maximum length of a chunk, in units."`
	Overlap   int            `quern:"overlap" default:"0" doc:"The maximum length of the end of a chunk that the next one repeats, in units. It must be less than 'size'."`
	Unit      string         `quern:"unit" default:"\"characters\"" oneof:"characters,tokens" doc:"The unit of 'size' and 'overlap': characters, as 'length' counts them, or tokens of a language model."`
	Tokenizer string         `quern:"tokenizer" default:"\"o200k_base\"" doc:"What defines the tokens, if the unit is tokens: 'o200k_base', 'cl100k_base', or the path of a 'tokenizer.json'."`

	count *tokens.Counter
}

const chunkDoc = `Splits texts into chunks of limited size.

A chunk ends at the end of a paragraph or, failing that, of a sentence or line, if that fills at least half of it; otherwise after a word. A word is split only if it is too long for a chunk. A character is never split: one that takes more tokens than 'size' is a chunk by itself. Without 'overlap', joining the chunks of a text gives the text, byte for byte. An empty or null text gives no chunks.

Each chunk repeats the columns of the input, followed by 'chunk' and 'chunk_index', its position starting at 0. If 'text' is a column, such as 'row.text', that column is left out. Only rows that are new or changed are split again.

` + "```hcl" + `
transform "chunk" "passages" {
  input   = source.documents
  text    = row.text
  size    = 1000
  overlap = 100
}
` + "```"

// chunker implements transform "chunk".
type chunker struct{ root func() string }

// Prepare declares the columns.
func (c chunker) Prepare(_ context.Context, p *plugin.Prepare[chunkArgs]) error {
	p.KeepInput("input")
	if _, column := p.RowArgument("text"); column != "" {
		p.DropColumn(column)
	}
	p.AddColumn("chunk", "string")
	p.AddColumn("chunk_index", "int64")
	if p.Args.Unit == "tokens" {
		declareTokenizer(p, p.Args.Tokenizer, c.root())
	}
	if p.Known("size") && p.Args.Size < 1 {
		p.Errorf("size", "The size is out of range\nsize must be at least 1, not %d.", p.Args.Size)
		return nil
	}
	if p.Known("size") && p.Known("overlap") && (p.Args.Overlap < 0 || p.Args.Overlap >= p.Args.Size) {
		p.Errorf("overlap", "The overlap is out of range\noverlap must be at least 0 and less than size, which is %d; it is %d.", p.Args.Size, p.Args.Overlap)
	}
	return nil
}

// Open loads the tokenizer.
func (c chunker) Open(_ context.Context, a *chunkArgs) (err error) {
	if a.Unit == "tokens" {
		a.count, err = openTokenizer(a.Tokenizer, c.root())
	}
	return err
}

// FlatMap cuts the texts.
func (chunker) FlatMap(ctx context.Context, a *chunkArgs, b *plugin.FlatBatch) error {
	texts := b.Strings(a.Text)
	for i := range b.N {
		if err := ctx.Err(); err != nil {
			return err
		}
		text, _ := texts.At(i)
		for k, chunk := range cutText(text, a.Size, a.Overlap, a.count) {
			out := b.Yield(i)
			b.SetString("chunk", out, chunk)
			b.SetInt("chunk_index", out, int64(k))
		}
	}
	return nil
}
