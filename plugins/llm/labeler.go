package llm

import (
	"context"
	"sync"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/plugins/prompting"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// Types are the labelers of this package.
func Types() []plugin.Type {
	return []plugin.Type{
		plugin.Mapper(plugin.Info{Kind: plugin.KindLabel, Name: "llm", Doc: doc, Behaviour: 1}, labeler{}),
	}
}

type args struct {
	Input plugin.Dataset `quern:"input,required" doc:"The dataset whose rows are labelled."`
	Model plugin.Model   `quern:"model,required" doc:"The model that is asked, such as 'model.small'."`

	Prompt plugin.Prompt `quern:"prompt" doc:"What it is asked for each row, such as 'prompt.intent'. What form the answer has, and the guidelines, are added to its system message."`
	Text   plugin.Column `quern:"text" type:"string" doc:"The text that is labelled, in place of a prompt: the whole message of the user."`

	Guidelines string `quern:"guidelines" doc:"How to label, for the model: what the task is, and what to do in doubtful cases."`

	Classes  cty.Value                `quern:"classes" doc:"The labels that there are: a list of them, or a map from each to its description, which the model is told."`
	Multiple bool                     `quern:"multiple" default:"false" doc:"Whether a row may have any number of the classes. The column is then a list."`
	Schema   cty.Value                `quern:"schema" doc:"A JSON schema of type object, of what is extracted from a row. Each of its properties becomes a column NAME_PROPERTY of the type that it has."`
	Range    []float64                `quern:"range" doc:"The lowest and the highest score, as in '[1, 5]': the row gets a number between them."`
	Pairwise map[string]plugin.Column `quern:"pairwise,constant" type:"string" doc:"Two texts to choose between, each under a name, as in '{ old = row.a, new = row.b }'. The model sees both orders. The label is the name of the better one, or 'tie'."`

	Abstain bool   `quern:"abstain" default:"false" doc:"Whether the model may say that it can't tell. The row then has no label, and has not failed. The same goes for a model that declines to answer; of free text, for that alone."`
	Explain bool   `quern:"explain" default:"false" doc:"Whether the model is asked for its reasons, before the label; they are in the column NAME_explanation."`
	Samples int    `quern:"samples" default:"1" doc:"How often each row is asked for. The label is what most answers say, and NAME_confidence their share. A model whose temperature is 0 says the same each time; of one with a seed, each further draw has the next seed."`
	Answer  string `quern:"answer" default:"\"json\"" oneof:"json,text" doc:"The form in which the model answers: JSON by a schema, or text that holds the label alone, for models that are too small for JSON. Extraction takes JSON."`

	name  string
	task  task
	added added
	// pools of the prompt's examples, read at the first batch.
	pool struct {
		once sync.Once
		*prompting.Pool
		err error
	}
}

const doc = `Has a language model label rows: by classes, one or several; by a score; by a schema, to extract fields; by the choice between two texts; or by free text.

What is labelled is given by a prompt or, in short, as ` + "`text`" + `. Of ` + "`classes`" + `, ` + "`schema`" + `, ` + "`range`" + ` and ` + "`pairwise`" + ` at most one is written; without any of them the answer itself is the label. The column has the block's name; a schema makes a column ` + "`NAME_PROPERTY`" + ` for each of its properties. With ` + "`samples`" + ` above 1, and of a pairwise choice, there is ` + "`NAME_confidence`" + ` too: the share of the answers that say what the label says.

Answers are read strictly. One that is no label is asked for once more with what is wrong about it; after that the row has failed, and ` + "`max_errors`" + ` says how many may. Failed rows are in the stage's ` + "`errors`" + ` and are asked for again by the next apply.

Each row is asked for once: a change to a row, to the prompt or to the model asks again for what it changes, and for no more.

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

// A row waits for its model, so what bounds the rows under way is the model's
// own limit, which quern minds; these let many wait. Batches are small, so that
// what came back is kept soon.
const (
	rowsPerBatch = 8
	openBatches  = 1024
)

func (labeler) BatchRows() int   { return rowsPerBatch }
func (labeler) Concurrency() int { return openBatches }

// Prepare finds out what the task is and declares its columns.
func (labeler) Prepare(_ context.Context, p *plugin.Prepare[args]) error {
	a := p.Args
	a.name = p.Name()
	if in := p.Input("model"); in != nil && !in.Can(plugin.CanChat) {
		p.Errorf("model", "This model cannot chat\nIt can: %v. The labeler needs a model that answers messages, such as one of a model block.", in.Capabilities)
	}
	if a.Prompt.Given() == a.Text.Given() {
		p.Errorf("prompt", "What is labelled must be given once\nWrite prompt = prompt.NAME, or text = row.COLUMN.")
	}
	if p.Known("samples") && (a.Samples < 1 || a.Samples > 100) {
		p.Errorf("samples", "%d samples are out of range\nFrom 1 to 100 make sense.", a.Samples)
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

// foresee says how many requests a row takes, and what is added to each.
func (a *args) foresee(p *plugin.Prepare[args]) {
	text := a.added.text
	if a.added.output != nil {
		text += "\n\n" + string(a.added.output.Schema)
	}
	perRow := float64(max(a.Samples, 1))
	if len(a.Pairwise) > 0 {
		perRow *= 2 // each pair in both orders
	}
	key := "prompt"
	if a.Text.Given() {
		key = "text"
	}
	p.Calls(plugin.Calls{Prompt: key, Model: "model", PerRow: perRow, Added: text, LongestAnswer: a.longest(), Draws: a.Samples})
}

// longest is the longest answer that is right; "": it may be of any length.
func (a *args) longest() string {
	c, ok := a.task.(classes)
	if !ok || c.multiple || a.Explain {
		return ""
	}
	return c.longest()
}

// confident says whether there is a column for how many answers agree.
func (a *args) confident(samplesKnown bool) bool {
	return !samplesKnown || a.Samples > 1 || len(a.Pairwise) > 0
}
