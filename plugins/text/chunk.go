package text

import (
	"context"
	"runtime"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/quern-dev/quern/internal/spacy"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

type chunkArgs struct {
	Input     plugin.Dataset `quern:"input,required" doc:"The dataset that contains the texts."`
	Text      plugin.Column  `quern:"text,required" type:"string" doc:"The text to split, such as 'row.text'."`
	By        string         `quern:"by" default:"\"text\"" oneof:"text,sentence,markdown,code" doc:"What the texts are, or what to keep whole: prose ('text'), sentences ('sentence'), the sections of Markdown ('markdown'), or the lines and blocks of source code ('code')."`
	Size      *int           `quern:"size" doc:"The maximum length of a chunk, in units. It is required with by = \"text\". Otherwise, without it, each sentence, section, or block is a chunk."`
	Overlap   int            `quern:"overlap" default:"0" doc:"The maximum length of the end of a chunk that the next one repeats, in units. It must be less than 'size'."`
	Unit      string         `quern:"unit" default:"\"characters\"" oneof:"characters,tokens" doc:"The unit of 'size' and 'overlap': characters, as 'length' counts them, or tokens of a language model."`
	Tokenizer string         `quern:"tokenizer" default:"\"o200k_base\"" doc:"What defines the tokens, if the unit is tokens: 'o200k_base', 'cl100k_base', or the path of a 'tokenizer.json'."`
	Words     string         `quern:"words" default:"\"en\"" oneof:"en,xx" doc:"With by = \"sentence\", how texts are divided into words, which decides whether a period ends a sentence: as spaCy does for English (en), or for languages without rules of their own (xx)."`
	Offsets   bool           `quern:"offsets" default:"false" doc:"Whether to add where each chunk begins and ends in its text, in bytes of UTF-8."`

	limit limit
	// sentences are tokenizers of earlier batches, which know many words.
	sentences sync.Pool
}

const chunkDoc = `Splits texts into chunks of limited size.

A chunk ends at the end of a paragraph or, failing that, of a sentence or line, if that fills at least half of it; otherwise after a word. A word is split only if it is too long for a chunk. A character is never split: one that takes more tokens than 'size' is a chunk by itself. Without 'overlap', joining the chunks of a text gives the text, byte for byte. An empty or null text gives no chunks.

'by' changes where chunks end:

- 'sentence': after as many whole sentences as fit. Only a sentence that is too long for a chunk is split, after a word. Sentences end where spaCy's sentencizer ends them, at empty lines, and after the stops of scripts without spaces. An overlap consists of whole sentences.
- 'markdown': a chunk never has text of two sections. A heading without text of its own belongs to the section of the deeper heading after it. A section that is too long is split between its blocks or, failing that, within them, once a quarter of the chunk is full; code is split between lines. The list 'chunk_headings' contains the headings above the text, from the outermost to its own, as they are written. Metadata between lines of '---' at the beginning is a section without headings.
- 'code': only between lines, even if a line is then longer than 'size'. Once a quarter of the chunk is full, it ends before the line with the least indentation; of several, before one that follows an empty line; of those, before the last one. A line that closes a bracket or continues a statement, such as 'else', counts as indented slightly more. Empty lines belong to the lines before them. A block, which is a chunk if there is no 'size', begins at a line without indentation after an empty line.

Each chunk repeats the columns of the input, followed by 'chunk' and 'chunk_index', its position starting at 0. With 'offsets', 'chunk_start' and 'chunk_end' are the bytes of the text at which it begins and ends. If 'text' is a column, such as 'row.text', that column is left out. Only rows that are new or changed are split again.

` + "```hcl" + `
transform "chunk" "passages" {
  input   = source.documents
  text    = row.text
  by      = "markdown"
  size    = 1000
  overlap = 100
}
` + "```"

// chunker implements transform "chunk".
type chunker struct{ root func() string }

// Prepare declares the columns.
func (c chunker) Prepare(_ context.Context, p *plugin.Prepare[chunkArgs]) error {
	a := p.Args
	p.KeepInput("input")
	if _, column := p.RowArgument("text"); column != "" {
		p.DropColumn(column)
	}
	p.AddColumn("chunk", "string")
	p.AddColumn("chunk_index", "int64")
	if a.By == "markdown" {
		p.AddColumn("chunk_headings", "list<string>")
	}
	if a.Offsets {
		p.AddColumn("chunk_start", "int64")
		p.AddColumn("chunk_end", "int64")
	}
	if a.Unit == "tokens" {
		declareTokenizer(p, a.Tokenizer, c.root())
	}
	if p.Known("size") && p.Known("overlap") && p.Known("by") {
		checkSize(p)
	}
	return nil
}

func checkSize(p *plugin.Prepare[chunkArgs]) {
	a := p.Args
	switch {
	case a.Size == nil && a.By == "text":
		p.Errorf("size", "size is missing\nGive the maximum length of a chunk, such as size = 1000. Only with by = \"sentence\", \"markdown\", or \"code\", chunks can have any length.")
	case a.Size == nil && a.Overlap != 0:
		p.Errorf("overlap", "overlap has no effect without size\nWithout size, each sentence, section, or block is a chunk, and chunks do not overlap.")
	case a.Size != nil && *a.Size < 1:
		p.Errorf("size", "The size is out of range\nsize must be at least 1, not %d.", *a.Size)
	case a.Size != nil && (a.Overlap < 0 || a.Overlap >= *a.Size):
		p.Errorf("overlap", "The overlap is out of range\noverlap must be at least 0 and less than size, which is %d; it is %d.", *a.Size, a.Overlap)
	}
}

// Open loads the tokenizer.
func (c chunker) Open(_ context.Context, a *chunkArgs) (err error) {
	if a.Size != nil {
		a.limit = limit{size: *a.Size, overlap: a.Overlap}
	}
	if a.Unit == "tokens" {
		a.limit.count, err = openTokenizer(a.Tokenizer, c.root())
	}
	return err
}

// Concurrency is the number of processors: FlatMap only computes.
func (chunker) Concurrency() int { return runtime.GOMAXPROCS(0) }

// FlatMap cuts the texts.
func (chunker) FlatMap(ctx context.Context, a *chunkArgs, b *plugin.FlatBatch) error {
	texts := b.Strings(a.Text)
	split, done := a.splitter()
	defer done()
	headings := array.NewListBuilder(memory.DefaultAllocator, arrow.BinaryTypes.String)
	defer headings.Release()
	for i := range b.N {
		if err := ctx.Err(); err != nil {
			return err
		}
		text, _ := texts.At(i)
		for k, chunk := range split(text) {
			out := b.Yield(i)
			b.SetString("chunk", out, text[chunk.start:chunk.end])
			b.SetInt("chunk_index", out, int64(k))
			if a.Offsets {
				b.SetInt("chunk_start", out, int64(chunk.start))
				b.SetInt("chunk_end", out, int64(chunk.end))
			}
			headings.Append(true)
			headings.ValueBuilder().(*array.StringBuilder).AppendStringValues(chunk.headings, nil)
		}
	}
	if a.By == "markdown" {
		b.SetArray("chunk_headings", headings.NewArray())
	}
	return nil
}

// chunk is a part of a text, in bytes.
type chunk struct {
	start, end int
	headings   []string
}

// splitter returns the function that splits a text, and one to call when it is no
// longer needed.
func (a *chunkArgs) splitter() (split func(text string) []chunk, done func()) {
	switch a.By {
	case "sentence":
		t, ok := a.sentences.Get().(*spacy.Tokenizer)
		if !ok {
			t = newWords(a.Words)
		}
		return func(text string) []chunk { return a.limit.sentences(text, t) }, func() { a.sentences.Put(t) }
	case "markdown":
		return a.limit.markdown, func() {}
	case "code":
		return a.limit.code, func() {}
	}
	return a.limit.prose, func() {}
}

func newWords(language string) *spacy.Tokenizer {
	if language == "en" {
		return spacy.English()
	}
	return spacy.Multilingual()
}
