package evaluation

import (
	"context"

	"github.com/quern-dev/quern/plugins/figures"
	"github.com/quern-dev/quern/plugins/subjects"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// Types returns the evaluators of this package.
func Types() []plugin.Type {
	return []plugin.Type{
		plugin.NewRunner(plugin.Info{Kind: plugin.KindEvaluate, Name: "prompt", Doc: doc, BehaviorVersion: 8}, evaluator{}),
	}
}

type args struct {
	Dataset  plugin.Dataset            `quern:"dataset,required" doc:"The rows to evaluate on. No subject should have learned from them, or been written with them in mind."`
	Subjects map[string]plugin.Subject `quern:"subjects,required" type:"string" doc:"The subjects to compare, as a map from names to '{ model = model.x, prompt = prompt.y }', a trained model, or a row expression that gives the answer."`
	Baseline string                    `quern:"baseline" doc:"The subject to compare the others with. Without it, all pairs of subjects are compared; more than 20 subjects need a baseline. p-values are corrected for the comparisons that are made, so choose the baseline before you see the results."`

	Metrics map[string]plugin.LateColumn `quern:"metrics" late:"output=output" doc:"Named row expressions over 'row' and 'output', such as '{ exact = output.text == row.answer }'. A condition gives a share, a number gives a mean."`
	Metric  []metric                     `quern:"metric,block" doc:"A metric with a weight and a threshold."`
	Judges  []judge                      `quern:"judge,block" doc:"A metric that a language model grades, from 0 to 1."`
	Similar []similar                    `quern:"similar,block" doc:"A metric that is the cosine similarity between the embeddings of the answer and of a correct text."`

	Repeats int           `quern:"repeats" default:"1" doc:"How many times to ask each model for each row. Repeats are not new rows: they make the result for a row more certain, but not the sample larger. With a seed, repeats use consecutive seeds."`
	Cluster plugin.Column `quern:"cluster" type:"string" doc:"What groups rows into clusters, such as the document that they come from. Intervals and tests then treat each cluster as one observation."`
	ID      plugin.Column `quern:"id" type:"string" doc:"An ID for the row in the dataset of individual results, in addition to its position."`

	Confidence float64 `quern:"confidence" default:"0.95" doc:"The confidence level of the intervals."`
	Resamples  int     `quern:"resamples" default:"2000" doc:"The number of bootstrap samples of rows that the intervals of means are computed from."`
	Seed       int64   `quern:"seed" default:"0" doc:"The seed for the bootstrap. Equal seeds give equal intervals."`

	subjects []subjects.Subject
	measures []*measure
}

type metric struct {
	Name       string            `quern:"name,label"`
	Value      plugin.LateColumn `quern:"value,required" late:"output=output" doc:"The metric, a row expression over 'row' and 'output'."`
	Weight     *float64          `quern:"weight" doc:"The weight of the metric in 'overall'. The default is 1 for a condition; a number counts only if it has a weight."`
	Threshold  *float64          `quern:"threshold" doc:"The minimum value for an answer to pass."`
	ErrorScore *float64          `quern:"error_score" doc:"The value of a failure: of an answer that failed, or for which the metric could not be computed. For a condition, 0 (false) or 1 (true). By default, a condition is false, and a number is left out of the mean; a warning says for how many answers. An answer that failed never passes, whatever its value."`
}

type similar struct {
	Name      string            `quern:"name,label"`
	Model     plugin.Model      `quern:"model,required" doc:"The model that computes the embeddings."`
	Expected  plugin.Column     `quern:"expected,required,constant" type:"string" doc:"The text that the answer should be similar to."`
	Answer    plugin.LateColumn `quern:"answer" late:"output=output" doc:"The text to compare. The default is 'output.text'."`
	Weight    float64           `quern:"weight" default:"1" doc:"The weight of the metric in 'overall'."`
	Threshold *float64          `quern:"threshold" doc:"The minimum value for an answer to pass."`
}

const doc = `Compares prompts, models, trained models, and columns on the same rows with any number of metrics, and shows how certain the differences are.

Metrics are row expressions over ` + "`row`" + ` and ` + "`output`" + `, which has ` + "`text`, `json`, `tool_calls`, `tokens`, `cost`, `latency`, `finish_reason`, `refused`" + ` and ` + "`logprobs`" + `. A ` + "`judge`" + ` block is a metric that a model grades, ` + "`similar`" + ` one by embeddings. An answer passes when all conditions hold and all thresholds are reached: ` + "`passed`" + ` is the share of such answers, ` + "`overall`" + ` the weighted mean of conditions, grades, and numbers that have a weight.

The values are, for each subject, ` + "`subjects.SUBJECT.METRIC`" + ` with ` + "`{ value, low, high, n, errors }`" + `. In addition to the metrics, each subject has ` + "`passed`, `overall`, `cost`, `tokens`, `latency`" + ` (means of an answer, with their totals or quantiles), ` + "`answers`, `errors`" + ` (failed answers), ` + "`cut_off`" + ` (answers that ended at the token limit) and ` + "`refused`" + `. For every pair of subjects, or every subject and the ` + "`baseline`" + `, both ways, ` + "`differences[\"A - B\"].METRIC`" + ` is ` + "`{ value, low, high, p, p_adjusted, n, detectable }`" + `: the first subject's figure minus the second's on the rows that both have, its paired interval, the p-value of an exact McNemar or permutation test, the p-value corrected for the number of comparisons (Holm), and the smallest true difference that this many rows could show. ` + "`best.METRIC`" + ` is the name of the subject with the highest figure, even if the difference could be chance. Ties go to the first name; it is null if no subject has the figure. Unknown values are null.

An answer that failed counts as wrong: conditions are false and grades 0. It has no number; unless ` + "`error_score`" + ` says what a failure is worth, it is left out of the mean and of differences. The same holds for an answer for which a metric fails. ` + "`errors`" + ` of each metric counts both. An answer whose grade is missing, because the judge failed or its answer could not be read, has not passed, and its grade counts as 0; it is left out of differences. How many answers failed and how many grades are missing is a warning, and the next apply asks again for those that may succeed then. ` + "`max_errors`" + ` says how many answers and grades may fail before the evaluation does; without it, any number. A condition that is null is not about the row and has no part in whether the answer passes, as in ` + "`row.answer == null ? null : output.text == row.answer`" + `. The stage itself is a report; ` + "`rows`" + ` is a dataset of each answer with its request, metrics, tokens and cost.

` + "```hcl" + `
evaluate "prompt" "answers" {
  dataset = transform.parts.test
  subjects = {
    deployed = { model = model.small, prompt = prompt.short }
    new      = { model = model.small, prompt = prompt.long }
  }
  metrics = {
    exact = output.text == row.answer
  }
  judge "polite" {
    model  = model.large
    rubric = "The answer is polite."
  }
}

gate "no_worse" {
  condition     = evaluate.answers.differences["new - deployed"].exact.low > -0.01
  error_message = "The new prompt may be worse by more than a point."
}
` + "```"

// evaluator implements evaluate "prompt".
type evaluator struct{}

// rowsOutput is the name of the dataset of single answers.
const rowsOutput = "rows"

// Prepare finds the subjects and metrics and declares the outputs.
func (evaluator) Prepare(_ context.Context, p *plugin.Prepare[args]) error {
	for _, key := range []string{"subjects", "metrics"} {
		if !p.Known(key) {
			p.Errorf(key, "The %s must be known when planning\nThey depend on a stage that has not been applied yet. Write them out.", key)
			return nil
		}
	}
	a := p.Args
	checkNumbers(p)
	if len(a.Subjects) == 0 {
		p.Errorf("subjects", "There is nothing to evaluate\nName at least one subject, such as subjects = { short = { model = model.x, prompt = prompt.short } }.")
	}
	a.subjects = subjects.Describe(p, a.Subjects)
	if !figures.CheckDesign(p, a.design()) {
		return nil
	}
	a.measures = newMeasures(p)
	if len(a.measures) == 0 {
		p.Errorf("", "There is nothing to measure\nAdd metrics, as in metrics = { exact = output.text == row.answer }, or a judge.")
	}
	a.foresee(p)
	p.AddReport("")
	p.AddDataset(rowsOutput, a.rowsSchema())
	p.SetLineage(rowsOutput, "row") // its number, whatever the dataset contains
	if answers := float64(len(a.subjects) * a.Repeats); p.Known("repeats") {
		p.Select(rowsOutput, plugin.Selection{RowsOf: "dataset", Share: &answers})
	}
	p.SetValueType(a.valueType())
	return nil
}

// design returns which subjects are compared.
func (a *args) design() figures.Design {
	return figures.Design{Subjects: subjects.Names(a.subjects), Baseline: a.Baseline}
}

func checkNumbers(p *plugin.Prepare[args]) {
	a := p.Args
	if p.Known("confidence") && !(a.Confidence > 0 && a.Confidence < 1) {
		p.Errorf("confidence", "The confidence is %g\nIt must be between 0 and 1, such as 0.95.", a.Confidence)
	}
	if p.Known("resamples") && (a.Resamples < 100 || a.Resamples > 1_000_000) {
		p.Errorf("resamples", "%d resamples are out of range\nresamples must be from 100 to 1,000,000.", a.Resamples)
	}
	if p.Known("repeats") && (a.Repeats < 1 || a.Repeats > 1000) {
		p.Errorf("repeats", "%d repeats are out of range\nrepeats must be from 1 to 1,000.", a.Repeats)
	}
}

// Run gets the answers, measures them, and compares the subjects.
func (evaluator) Run(ctx context.Context, r *plugin.Run[args]) error {
	e, err := newRun(ctx, r)
	if err != nil {
		return err
	}
	if err := e.prepareJudges(ctx); err != nil {
		return err
	}
	if err := e.answerAll(ctx); err != nil {
		return err
	}
	if err := e.check(); err != nil {
		return err
	}
	found, err := e.find()
	if err != nil {
		return err
	}
	if found.Notes, err = e.notes(); err != nil {
		return err
	}
	if err := e.report(found); err != nil {
		return err
	}
	r.SetValue(found.value())
	return nil
}

// foresee declares how often subjects and judges are called. Trained models
// cost nothing. Calls of judges about the answers of trained models are counted
// if the judge is given a question.
func (a *args) foresee(p *plugin.Prepare[args]) {
	repeats := float64(max(a.Repeats, 1))
	for _, s := range a.subjects {
		if s.Asked() {
			p.AddModelCalls(plugin.ModelCalls{Prompt: s.Prompt.Key, Model: s.Model.Key, PerRow: repeats, Draws: a.Repeats})
		}
	}
	for i := range a.Judges {
		j := &a.Judges[i]
		for _, s := range a.subjects {
			if s.Name == j.Baseline && j.Baseline != "" {
				continue
			}
			if c, ok := j.calls(&s); ok {
				c.PerRow *= repeats
				p.AddModelCalls(c)
			}
		}
	}
}
