// Package decontaminate provides transform "decontaminate", which finds rows of
// training data that quote items of evaluation sets.
package decontaminate

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"unicode/utf8"

	"github.com/quern-dev/quern/sdk/go/plugin"
)

// Types returns the transforms of this package.
func Types() []plugin.Type {
	return []plugin.Type{
		plugin.NewMapper(plugin.Info{Kind: plugin.KindTransform, Name: "decontaminate", Doc: doc, BehaviorVersion: 1}, decontamination{}),
	}
}

type args struct {
	Input   plugin.Dataset `quern:"input,required" doc:"The training data."`
	Text    plugin.Column  `quern:"text,required" type:"string" doc:"The text of a row in which items are looked for, such as 'row.text' or '\"${row.prompt}\\n${row.answer}\"'."`
	Against []against      `quern:"against,block,required" doc:"An evaluation set, with a unique name."`
	Common  []common       `quern:"common,block,single" doc:"A dataset that shows which text is common, such as the training data itself. Text that many of its rows contain, such as a license or an instruction, is no evidence. All rows are compared again when this dataset changes."`
	Share   float64        `quern:"share" default:"0.5" doc:"The share of the words of a question, and of its answer, that a row must contain. Of one without the other, half as many may be missing: 0.75 with the default."`
	NGram   int            `quern:"ngram" default:"3" doc:"How many words in a row must be equal to count as shared. With fewer, texts that were changed are found, too; with more, such as 13, only long quotes are."`
	Most    int            `quern:"common_items" default:"10" doc:"Shared words that occur in more than this number of items with different questions are common text, and are no evidence."`

	index lazyIndex
}

type against struct {
	Name     string         `quern:"name,label"`
	Dataset  plugin.Dataset `quern:"dataset,required" doc:"The items."`
	Question plugin.Column  `quern:"question,required" type:"string" rows_of:".dataset" doc:"What an item asks."`
	Answer   plugin.Column  `quern:"answer" type:"string" rows_of:".dataset" doc:"The answer to an item. With it, a row counts as a quote only if it contains both; many texts contain a question by chance. Without it, the question is enough, but less of it may be missing."`
	ID       plugin.Column  `quern:"id" type:"string" rows_of:".dataset" doc:"What identifies an item in the results. By default, it is the number of the item's row, starting at 0."`
}

type common struct {
	Dataset plugin.Dataset `quern:"dataset,required" doc:"The rows."`
	Text    plugin.Column  `quern:"text,required" type:"string" rows_of:".dataset" doc:"The text of a row."`
	Rows    int            `quern:"rows" default:"20" doc:"The number of rows of the dataset from which shared words are common text."`
}

const doc = `Finds rows of training data that quote items of evaluation sets.

A row is compared with the question and the answer of each item, by their words: case, punctuation, and spaces do not matter. The columns say what is most similar:

| column | meaning |
| --- | --- |
| ` + "`NAME`" + ` | ` + "`quoted`" + `: the row contains the question and the answer of an item, or the question if the set has no answers. ` + "`question`, `answer`" + `: only one of them. ` + "`common`" + `: only text that many items share, such as an instruction. Null: nothing |
| ` + "`NAME_set`, `NAME_item`" + ` | which item |
| ` + "`NAME_question`, `NAME_answer`" + ` | the shares of their words that the row contains, from 0 to 1 |
| ` + "`NAME_start`, `NAME_end`" + ` | where in the text, in characters |

The stage's values count the verdicts, so that a gate can demand that nothing is quoted: ` + "`counts.NAME[\"quoted\"]`" + `. To remove rows, use a filter. Shared words that are common text do not count as covered or as missing. A question of a few words is evidence only together with its answer.

` + "```hcl" + `
transform "decontaminate" "seen" {
  input = source.train
  text  = row.text

  against "gsm8k" {
    dataset  = source.gsm8k
    question = row.question
    answer   = row.answer
  }
}

transform "filter" "clean" {
  input = transform.seen
  where = row.seen == null || row.seen != "quoted"
}
` + "```"

// decontamination implements transform "decontaminate".
type decontamination struct{}

// Concurrency returns the number of processors: the work is computing.
func (decontamination) Concurrency() int { return runtime.GOMAXPROCS(0) }

// Prepare declares the columns.
func (decontamination) Prepare(_ context.Context, p *plugin.Prepare[args]) error {
	p.KeepInput("input")
	name := p.Name()
	p.AddColumn(name, "string")
	if p.HasColumn(name) {
		p.CountValues(name)
	}
	for _, c := range [][2]string{{"_set", "string"}, {"_item", "string"}, {"_question", "float64"}, {"_answer", "float64"}, {"_start", "int64"}, {"_end", "int64"}} {
		p.AddColumn(name+c[0], c[1])
	}
	if s := p.Args.Share; p.Known("share") && (s <= 0 || s > 1) {
		p.Errorf("share", "share must be above 0 and at most 1\nIt is %v.", s)
	}
	if n := p.Args.NGram; p.Known("ngram") && (n < 2 || n > 50) {
		p.Errorf("ngram", "ngram must be from 2 to 50\nIt is %d.", n)
	}
	if n := p.Args.Most; p.Known("common_items") && n < 1 {
		p.Errorf("common_items", "common_items must be at least 1\nIt is %d.", n)
	}
	for i, c := range p.Args.Common {
		if at := fmt.Sprintf("common.%d.rows", i); p.Known(at) && c.Rows < 2 {
			p.Errorf(at, "rows must be at least 2\nIt is %d.", c.Rows)
		}
	}
	return nil
}

// lazyIndex is built by the first batch, because Open cannot read datasets.
type lazyIndex struct {
	once sync.Once
	*index
	err error
}

// Map compares the rows of a batch with all items.
func (decontamination) Map(ctx context.Context, a *args, b *plugin.Batch) error {
	a.index.once.Do(func() {
		// Other batches continue after the context of this one ends.
		a.index.index, a.index.err = a.read(context.WithoutCancel(ctx), b)
	})
	if a.index.err != nil {
		return a.index.err
	}
	texts, name := b.Strings(a.Text), b.Name()
	for i := range b.N {
		text, ok := texts.At(i)
		if !ok {
			continue
		}
		o := a.index.compare(text, a.Share)
		if o.verdict == "" {
			continue
		}
		b.SetString(name, i, o.verdict)
		start := utf8.RuneCountInString(text[:o.start])
		b.SetInt(name+"_start", i, int64(start))
		b.SetInt(name+"_end", i, int64(start+utf8.RuneCountInString(text[o.start:o.end])))
		if o.item == nil {
			continue
		}
		b.SetString(name+"_set", i, o.item.set)
		b.SetString(name+"_item", i, o.item.id)
		b.SetFloat(name+"_question", i, o.question)
		if o.item.answered {
			b.SetFloat(name+"_answer", i, o.answer)
		}
	}
	return nil
}
