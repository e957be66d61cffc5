// Package perplexity contains evaluate "perplexity": how well language models
// predict texts, or answers to prompts.
package perplexity

import (
	"context"
	"maps"
	"slices"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/internal/measurement"
	"github.com/quern-dev/quern/plugins/figures"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// Types returns the evaluator of this package.
func Types() []plugin.Type {
	return []plugin.Type{
		plugin.NewRunner(plugin.Info{Kind: plugin.KindEvaluate, Name: "perplexity", Doc: doc, BehaviorVersion: 1}, evaluator{}),
	}
}

type args struct {
	Dataset  plugin.Dataset          `quern:"dataset,required" doc:"The rows to evaluate on. No subject should have been trained on them."`
	Subjects map[string]plugin.Model `quern:"subjects,required" doc:"The models to compare, by name. They must be able to return the log-probabilities of the tokens of a text."`
	Baseline string                  `quern:"baseline" doc:"The subject to compare the others with. Without it, all pairs of subjects are compared; more than 20 subjects need a baseline."`

	Text   plugin.Column `quern:"text" type:"string" doc:"The text to predict, as it is, without a chat template. With target, its context."`
	Prompt plugin.Prompt `quern:"prompt" doc:"The messages before the target, in place of text. Models must be able to chat."`
	Target plugin.Column `quern:"target" type:"string" doc:"The text to predict after text or prompt: only its tokens count. After prompt, it is the assistant's answer, and the token that ends it counts, too."`

	Cluster plugin.Column `quern:"cluster" type:"string" doc:"What groups rows into clusters, such as the document that they come from. Intervals and tests then treat each cluster as one observation."`
	ID      plugin.Column `quern:"id" type:"string" doc:"An ID for the row in the dataset of individual results, in addition to its position."`

	Confidence float64 `quern:"confidence" default:"0.95" doc:"The confidence level of the intervals."`
	Resamples  int     `quern:"resamples" default:"2000" doc:"The number of bootstrap samples of rows that the intervals are computed from."`
	Seed       int64   `quern:"seed" default:"0" doc:"The seed for the bootstrap. Equal seeds give equal intervals."`

	names []string // of the subjects
}

const doc = `Measures how well language models predict texts or answers, and compares them on the same rows.

A model gives each token of a text a probability, given the tokens before it. The log-likelihood of a text is the sum of the logarithms. ` + "`perplexity`" + ` is e to the mean negative log-likelihood of a token, over all tokens of all rows; lower is better. It counts tokens, so **perplexities of models with different tokenizers cannot be compared**. ` + "`bits_per_byte`" + ` is the same log-likelihood for each byte of the text in UTF-8, in bits, and can be compared across tokenizers. A token has no probability if nothing comes before it: unless a model begins each text with a token of its own, the first token of a text is left out, with its bytes.

With ` + "`text`" + ` alone, all tokens count. With ` + "`target`" + `, only the target's tokens count, after ` + "`text`" + ` or, in a chat, after ` + "`prompt`" + `. A token that begins in the context and ends in the target does not count.

The values are, for each subject, ` + "`subjects.SUBJECT.METRIC`" + ` with ` + "`{ value, low, high, n }`" + ` for ` + "`perplexity`, `log_perplexity`" + ` (its natural logarithm), and ` + "`bits_per_byte`" + `; in addition, ` + "`log_likelihood`, `scored_tokens`, `scored_bytes`" + `, ` + "`errors`" + ` (rows whose request failed), and ` + "`cost`, `tokens`, `latency`" + `. Intervals treat figures as ratios of sums over rows or clusters. For every pair of subjects, or every subject and the ` + "`baseline`" + `, both ways, ` + "`differences[\"A - B\"].METRIC`" + ` is ` + "`{ value, low, high, p, p_adjusted, n, detectable }`" + ` for ` + "`bits_per_byte` and `log_perplexity`" + `: the first subject's figure minus the second's on the rows that both have, so a negative one means that the first is better, with its paired interval and the p-value of a permutation test. The difference of ` + "`log_perplexity`" + ` is null if the subjects divide the texts into different numbers of tokens, and that of ` + "`bits_per_byte`" + ` if one of them leaves out first tokens that the other has. ` + "`best.METRIC`" + ` is the name of the subject with the lowest figure, even if the difference could be chance. Unknown values are null.

The stage itself is a report; ` + "`rows`" + ` is a dataset of each row and subject with its tokens, bytes, and log-likelihood. Rows without a text are left out.

` + "```hcl" + `
evaluate "perplexity" "held_out" {
  dataset = transform.parts.test
  subjects = {
    base  = model.base
    tuned = train.sft
  }
  prompt = prompt.question
  target = row.answer
}

gate "learned" {
  condition     = evaluate.held_out.differences["tuned - base"].bits_per_byte.high < 0
  error_message = "The tuned model does not predict the answers better."
}
` + "```"

// evaluator implements evaluate "perplexity".
type evaluator struct{}

// rowsOutput is the name of the dataset of single rows.
const rowsOutput = "rows"

// Metrics, in the order of reports.
const (
	metricPerplexity = "perplexity"
	metricLog        = "log_perplexity"
	metricBits       = "bits_per_byte"
)

// compared are the metrics that subjects are compared by.
var compared = []string{metricBits, metricLog}

// Prepare checks what is measured and declares the outputs.
func (evaluator) Prepare(_ context.Context, p *plugin.Prepare[args]) error {
	a := p.Args
	if !p.Known("subjects") {
		p.Errorf("subjects", "The subjects must be known when planning\nThey depend on a stage that has not been applied yet. Write them out.")
		return nil
	}
	a.names = slices.Sorted(maps.Keys(a.Subjects))
	if len(a.names) == 0 {
		p.Errorf("subjects", "There is nothing to evaluate\nName at least one model, such as subjects = { base = model.base }.")
	}
	a.checkTexts(p)
	a.checkModels(p)
	if p.Known("confidence") && !(a.Confidence > 0 && a.Confidence < 1) {
		p.Errorf("confidence", "The confidence is %g\nIt must be between 0 and 1, such as 0.95.", a.Confidence)
	}
	if p.Known("resamples") && (a.Resamples < 100 || a.Resamples > 1_000_000) {
		p.Errorf("resamples", "%d resamples are out of range\nresamples must be from 100 to 1,000,000.", a.Resamples)
	}
	if !figures.CheckDesign(p, a.design()) {
		return nil
	}
	for _, name := range a.names {
		p.AddModelCalls(plugin.ModelCalls{Prompt: a.asked(), Model: a.Subjects[name].Key, PerRow: 1, OutputTokens: new(int64)})
	}
	p.AddReport("")
	p.AddDataset(rowsOutput, a.rowsSchema())
	p.SetLineage(rowsOutput, "row") // its number, whatever the dataset contains
	each := float64(len(a.names))
	p.Select(rowsOutput, plugin.Selection{RowsOf: "dataset", Share: &each})
	p.SetValueType(a.valueType())
	return nil
}

func (a *args) checkTexts(p *plugin.Prepare[args]) {
	switch {
	case a.Text.IsSet() && a.Prompt.IsSet():
		p.Errorf("prompt", "text and prompt cannot be combined\nUse text for a text without a chat template, and prompt for messages.")
	case a.Prompt.IsSet() && !a.Target.IsSet():
		p.Errorf("prompt", "There is no target after the prompt\nSet target to the answer whose tokens count, such as target = row.answer.")
	case !a.Text.IsSet() && !a.Prompt.IsSet():
		p.Errorf("", "There is nothing to predict\nSet text = row.NAME, or prompt = prompt.NAME and target = row.NAME.")
	}
}

// checkModels refuses subjects that cannot do what is asked of them.
func (a *args) checkModels(p *plugin.Prepare[args]) {
	for _, name := range a.names {
		key := a.Subjects[name].Key
		in := p.Input(key)
		switch {
		case in == nil:
		case !in.Can(plugin.CanScore):
			p.Errorf(key, "This model cannot score texts\nIt can: %v. Perplexity needs the log-probabilities of given tokens, which models of the plugin hf return, and endpoints such as vLLM's, whose model \"openai\" blocks say so: capabilities = [\"score\"].", in.Capabilities)
		case a.Prompt.IsSet() && !in.Can(plugin.CanChat):
			p.Errorf(key, "This model cannot chat\nIt can: %v. Use text in place of prompt.", in.Capabilities)
		}
	}
}

// asked returns the key of the argument with the beginning of the requests.
func (a *args) asked() string {
	if a.Prompt.IsSet() {
		return a.Prompt.Key
	}
	return a.Text.Key
}

// design returns which subjects are compared.
func (a *args) design() figures.Design {
	return figures.Design{Subjects: a.names, Baseline: a.Baseline}
}

func (a *args) rowsSchema() data.Schema {
	out := data.Schema{{Name: "row", Type: "int64"}}
	if a.ID.IsSet() {
		out = append(out, data.Column{Name: "id", Type: "string"})
	}
	if a.Cluster.IsSet() {
		out = append(out, data.Column{Name: "cluster", Type: "string"})
	}
	return append(out, data.Schema{
		{Name: "subject", Type: "string"}, {Name: "request", Type: "string"}, {Name: "error", Type: "string"},
		{Name: "scored_tokens", Type: "int64"}, {Name: "scored_bytes", Type: "int64"}, {Name: "log_likelihood", Type: "float64"},
		{Name: metricPerplexity, Type: "float64"}, {Name: metricBits, Type: "float64"},
		{Name: "cost", Type: "float64"}, {Name: "input_tokens", Type: "int64"}, {Name: "latency", Type: "float64"},
	}...)
}

func (a *args) valueType() cty.Type {
	types := figures.ValueTypes(a.design(), compared, measurement.FigureType, map[string]cty.Type{
		metricPerplexity: measurement.FigureType, "log_likelihood": cty.Number, "scored_tokens": cty.Number, "scored_bytes": cty.Number, "errors": cty.Number,
	})
	types["rows"] = cty.Number
	return cty.Object(types)
}

// Run scores the rows, and compares the subjects.
func (evaluator) Run(ctx context.Context, r *plugin.Run[args]) error {
	e, err := newRun(ctx, r)
	if err != nil {
		return err
	}
	if err := e.scoreAll(ctx); err != nil {
		return err
	}
	found, err := e.find()
	if err != nil {
		return err
	}
	dir, err := r.Folder("")
	if err != nil {
		return err
	}
	if err := figures.WriteReport(dir, found, found.page(r.Name())); err != nil {
		return err
	}
	r.SetValue(found.value())
	return nil
}
