package fasttext

import (
	"context"
	"runtime"
	"strings"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/quern-dev/quern/internal/fasttext"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

type classifierArgs struct {
	Input     plugin.Dataset `quern:"input,required" doc:"The dataset to label."`
	Text      plugin.Column  `quern:"text,required" type:"string" doc:"The text to classify, such as 'row.text'. Line breaks separate words like spaces. Prepare the text as for training, for example with lower(row.text)."`
	Path      string         `quern:"path,required,operational" doc:"The file of the model, .bin or .ftz. A relative path is relative to the folder of the configuration. Only the file's content affects results."`
	Threshold *float64       `quern:"threshold" doc:"The minimum confidence, from 0 to 1. A text with a lower confidence gets no label. By default, each text gets a label."`
	Scores    []string       `quern:"scores" doc:"Labels whose probability becomes a column of its own, 'NAME_LABEL'."`
	Top       int            `quern:"top" default:"0" doc:"The number of labels to list in 'NAME_top', with their probabilities. By default, there is no such column."`

	model *fasttext.Model
	// scored are the labels in Scores.
	scored []bool
}

const classifierDoc = `Labels texts with a classifier that was trained with fastText, such as one for quality, toxicity, or topics.

The most probable label, without the prefix ` + "`__label__`" + `, is in a column named after the block, and its probability in ` + "`NAME_confidence`" + `. Labels and probabilities are those of fastText itself; the model is read from its file, .bin or .ftz, and runs without fastText. A text that is null or empty, or contains nothing that the model knows, gets no label.

` + "```hcl" + `
label "fasttext" "quality" {
  input  = source.pages
  text   = row.text
  path   = "models/quality.bin"
  scores = ["hq"]
}

transform "filter" "good" {
  input = label.quality
  where = row.quality_hq > 0.1
}
` + "```"

// topType is the type of the column with several labels.
const topType = "list<struct<label:string,probability:float64>>"

// classifier implements label "fasttext".
type classifier struct{ root func() string }

// Prepare checks the model and declares the columns.
func (c classifier) Prepare(_ context.Context, p *plugin.Prepare[classifierArgs]) error {
	p.KeepInput("input")
	p.AddColumn(p.Name(), "string")
	p.AddColumn(p.Name()+"_confidence", "float64")
	for _, label := range p.Args.Scores {
		p.AddColumn(p.Name()+"_"+label, "float64")
	}
	if p.Args.Top > 0 {
		p.AddColumn(p.Name()+"_top", topType)
	}
	if p.Args.Top < 0 {
		p.Errorf("top", "The number of labels is out of range\ntop must be at least 0, not %d.", p.Args.Top)
	}
	if p.Args.Threshold != nil {
		checkShare(p, "threshold", *p.Args.Threshold)
	}
	if !p.Known("path") {
		return nil
	}
	if labels, ok := declareFile(p, c.root(), p.Args.Path); ok && p.Known("scores") {
		checkLabels(p, "scores", p.Args.Scores, labels)
	}
	return nil
}

// Open loads the model.
func (c classifier) Open(_ context.Context, a *classifierArgs) (err error) {
	if a.model, err = load(c.root(), a.Path); err != nil {
		return err
	}
	a.scored = only(a.model.Labels(), a.Scores)
	return nil
}

// Concurrency is the number of processors: Map only computes.
func (classifier) Concurrency() int { return runtime.GOMAXPROCS(0) }

// Map labels the texts.
func (classifier) Map(ctx context.Context, a *classifierArgs, b *plugin.Batch) error {
	texts := b.Strings(a.Text)
	p := a.model.NewPredictor()
	var top *topBuilder
	if a.Top > 0 {
		var err error
		if top, err = newTopBuilder(a.model.Labels()); err != nil {
			return err
		}
		defer top.list.Release()
	}
	for i := range b.N {
		if err := ctx.Err(); err != nil {
			return err
		}
		var found []fasttext.Label
		text, ok := texts.At(i)
		if ok && strings.TrimSpace(text) != "" {
			found = p.Predict(text, max(1, a.Top), nil)
		}
		if top != nil {
			top.add(found)
		}
		if len(found) > 0 {
			a.set(b, i, found[0])
			a.setScores(b, i, p, text)
		}
	}
	if top != nil {
		b.SetArray(b.Name()+"_top", top.list.NewArray())
	}
	return nil
}

// set sets the label of a row and its probability.
func (a *classifierArgs) set(b *plugin.Batch, row int, best fasttext.Label) {
	if a.Threshold == nil || best.Probability >= *a.Threshold {
		b.SetString(b.Name(), row, a.model.Labels()[best.Number])
	}
	b.SetFloat(b.Name()+"_confidence", row, best.Probability)
}

// setScores sets the probabilities of the labels in Scores. Those that fastText
// considers impossible are not predicted.
func (a *classifierArgs) setScores(b *plugin.Batch, row int, p *fasttext.Predictor, text string) {
	if len(a.Scores) == 0 {
		return
	}
	for _, label := range a.Scores {
		b.SetFloat(b.Name()+"_"+label, row, 0)
	}
	for _, l := range p.Predict(text, len(a.Scores), a.scored) {
		b.SetFloat(b.Name()+"_"+a.model.Labels()[l.Number], row, l.Probability)
	}
}

// topBuilder builds the lists of the most probable labels.
type topBuilder struct {
	list          *array.ListBuilder
	names         []string
	labels        *array.StringBuilder
	probabilities *array.Float64Builder
	pairs         *array.StructBuilder
}

func newTopBuilder(names []string) (*topBuilder, error) {
	t, err := data.ArrowType(topType)
	if err != nil {
		return nil, err
	}
	list := array.NewBuilder(memory.DefaultAllocator, t).(*array.ListBuilder)
	pairs := list.ValueBuilder().(*array.StructBuilder)
	return &topBuilder{
		list: list, names: names, pairs: pairs,
		labels: pairs.FieldBuilder(0).(*array.StringBuilder), probabilities: pairs.FieldBuilder(1).(*array.Float64Builder),
	}, nil
}

func (t *topBuilder) add(found []fasttext.Label) {
	if len(found) == 0 {
		t.list.AppendNull()
		return
	}
	t.list.Append(true)
	for _, l := range found {
		t.pairs.Append(true)
		t.labels.Append(t.names[l.Number])
		t.probabilities.Append(l.Probability)
	}
}
