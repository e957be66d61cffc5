package llm

import (
	"context"
	"sync"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/plugins/prompting"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// Types returns the types of this package.
func Types() []plugin.Type {
	return []plugin.Type{
		plugin.NewMapper(plugin.Info{Kind: plugin.KindLabel, Name: "llm", Doc: doc, BehaviorVersion: 1}, labeler{}),
		plugin.NewFlatMapper(plugin.Info{Kind: plugin.KindTransform, Name: "augment", Doc: augmentDoc, BehaviorVersion: 1}, augment{}),
		plugin.NewMapper(plugin.Info{Kind: plugin.KindTransform, Name: "embed", Doc: embedDoc, BehaviorVersion: 1}, embed{}),
	}
}

type args struct {
	Input plugin.Dataset `quern:"input,required" doc:"The dataset to label."`
	Model plugin.Model   `quern:"model,required" doc:"The language model to use, such as 'model.small'."`

	Prompt plugin.Prompt `quern:"prompt" doc:"The prompt to send for each row, such as 'prompt.intent'. The guidelines and the required form of the answer are added to its system message."`
	Text   plugin.Column `quern:"text" type:"string" doc:"The text to label, instead of a prompt. It is sent as the user message."`

	Guidelines string `quern:"guidelines" doc:"Instructions for the model: what the task is, and how to decide doubtful cases."`

	Classes  cty.Value                `quern:"classes" doc:"The labels to choose from: a list, or a map from labels to descriptions, which the model gets."`
	Multiple bool                     `quern:"multiple" default:"false" doc:"Whether a row can have any number of classes. The column is then a list."`
	Schema   cty.Value                `quern:"schema" doc:"A JSON schema of type object that describes the fields to extract from a row. Each property becomes a column NAME_PROPERTY with the property's type."`
	Range    []float64                `quern:"range" doc:"The lowest and the highest score, such as '[1, 5]'. The label is a number in this range."`
	Pairwise map[string]plugin.Column `quern:"pairwise,constant" type:"string" doc:"Two named texts to choose between, such as '{ old = row.a, new = row.b }'. The model is asked with both orders. The label is the name of the better text, or 'tie'."`

	Abstain bool   `quern:"abstain" default:"false" doc:"Whether the model may answer that it can't tell. The row then has no label and does not fail. The same is true if the model refuses to answer. With free text, only refusals count."`
	Explain bool   `quern:"explain" default:"false" doc:"Whether to ask the model for its reasons before the label. They are in the column NAME_explanation."`
	Samples int    `quern:"samples" default:"1" doc:"The number of answers to request for each row. The label is the most frequent answer, or the median for scores, and NAME_confidence is the share of answers that agree with it. With temperature 0, a model gives the same answer each time. With a seed, repeated samples use consecutive seeds."`
	Answer  string `quern:"answer" default:"\"json\"" oneof:"json,text" doc:"The form of the answer: 'json' for JSON that follows a schema, or 'text' for text that contains only the label, for models that are too small for JSON. Extraction requires 'json'."`

	name  string
	task  task
	added added
	// The pools of the prompt's examples, which are read with the first batch.
	pool struct {
		once sync.Once
		*prompting.Pool
		err error
	}
}

const doc = `Labels rows with a language model: with one or several classes, a score, fields extracted by a JSON schema, a choice between two texts, or free text.

Give what to label as a ` + "`prompt`" + ` or, in short, as ` + "`text`" + `. Set at most one of ` + "`classes`" + `, ` + "`schema`" + `, ` + "`range`" + `, and ` + "`pairwise`" + `; without any of them, the answer itself is the label. The label is in a column named after the block; a schema gives a column ` + "`NAME_PROPERTY`" + ` for each of its properties. If ` + "`samples`" + ` is greater than 1, and for a pairwise choice, ` + "`NAME_confidence`" + ` is the share of answers that agree with the label.

Answers are read strictly. If an answer is not a valid label, the model is told what is wrong and asked once more. If the second answer is not valid either, the row fails; ` + "`max_errors`" + ` sets how many rows may fail. Failed rows are listed in the stage's ` + "`errors`" + `, and the next apply tries them again.

Each row is labeled once. After a change to a row, the prompt, or the model, only the affected rows are labeled again.

` + "```hcl" + `
label "llm" "intent" {
  input   = source.tickets
  model   = model.small
  text    = row.text
  classes = {
    card = "about a card that is lost, late or blocked"
    rate = "about exchange rates and fees"
  }
  abstain    = true
  samples    = 5
  max_errors = 10
}
` + "```"

// labeler implements label "llm".
type labeler struct{}

// A row waits for its model, so the limit on concurrent rows is the model's own
// limit, which quern enforces. These values allow many rows to wait. Batches
// are small, so that answers are saved early.
const (
	rowsPerBatch = 8
	openBatches  = 1024
)

func (labeler) BatchRows() int   { return rowsPerBatch }
func (labeler) Concurrency() int { return openBatches }

// Prepare determines the task and declares its columns.
func (labeler) Prepare(_ context.Context, p *plugin.Prepare[args]) error {
	a := p.Args
	a.name = p.Name()
	if in := p.Input("model"); in != nil && !in.Can(plugin.CanChat) {
		p.Errorf("model", "This model cannot chat\nIt can: %v. This labeler needs a model that answers messages, such as one from a model block.", in.Capabilities)
	}
	if a.Prompt.IsSet() == a.Text.IsSet() {
		p.Errorf("prompt", "Give either prompt or text\nWrite prompt = prompt.NAME or text = row.COLUMN.")
	}
	if p.Known("samples") && (a.Samples < 1 || a.Samples > 100) {
		p.Errorf("samples", "The number of samples, %d, is out of range\nsamples must be from 1 to 100.", a.Samples)
	}
	var err error
	if a.task, err = newTask(p); err != nil {
		return err
	}
	a.added = a.makeAdded()
	p.KeepInput("input")
	for _, c := range a.task.columns(a.name) {
		p.AddColumn(c.Name, c.Type)
	}
	if a.confident(p.Known("samples")) {
		p.AddColumn(a.name+"_confidence", "float64")
	}
	if a.Explain {
		p.AddColumn(a.name+"_explanation", "string")
	}
	a.foresee(p)
	return nil
}

// foresee declares how many requests a row takes, and what is added to each.
func (a *args) foresee(p *plugin.Prepare[args]) {
	text := a.added.text
	if a.added.output != nil {
		text += "\n\n" + string(a.added.output.Schema)
	}
	perRow := float64(max(a.Samples, 1))
	if len(a.Pairwise) > 0 {
		perRow *= 2 // each pair is judged in both orders
	}
	key := "prompt"
	if a.Text.IsSet() {
		key = "text"
	}
	p.AddModelCalls(plugin.ModelCalls{Prompt: key, Model: "model", PerRow: perRow, Added: text, LongestAnswer: a.longest(), Draws: a.Samples})
}

// longest returns the longest valid answer, or "" if answers can have any
// length.
func (a *args) longest() string {
	c, ok := a.task.(classes)
	if !ok || c.multiple || a.Explain {
		return ""
	}
	return c.longest()
}

// confident reports whether there is a column with the share of answers that
// agree.
func (a *args) confident(samplesKnown bool) bool {
	return !samplesKnown || a.Samples > 1 || len(a.Pairwise) > 0
}
