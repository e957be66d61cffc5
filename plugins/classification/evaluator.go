package classification

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/internal/measurement"
	"github.com/quern-dev/quern/plugins/figures"
	labels "github.com/quern-dev/quern/plugins/llm"
	"github.com/quern-dev/quern/plugins/prompting"
	"github.com/quern-dev/quern/plugins/stats"
	"github.com/quern-dev/quern/plugins/subjects"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/verbatim"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// Types returns the evaluators of this package.
func Types() []plugin.Type {
	return []plugin.Type{
		plugin.NewRunner(plugin.Info{Kind: plugin.KindEvaluate, Name: "classification", Doc: doc, BehaviorVersion: 9}, evaluator{}),
	}
}

type args struct {
	Dataset  plugin.Dataset            `quern:"dataset,required" doc:"The rows to score on. No subject should have learned from them, or been written with them in mind."`
	Subjects map[string]plugin.Subject `quern:"subjects,required" type:"string" doc:"The subjects to score, as a map from names to one of these: a row expression that gives the label, such as 'row.intent'; a trained model that predicts it, such as 'train.student'; or '{ model = model.x, prompt = prompt.y }', a language model and its prompt."`
	Baseline string                    `quern:"baseline" doc:"The subject to compare the others with. Without it, all pairs of subjects are compared; more than 20 subjects need a baseline. p-values are corrected for the comparisons that are made, so choose the baseline before you see the results."`
	Target   plugin.Column             `quern:"target,required" type:"string" doc:"The correct label. Rows for which it is null are skipped and counted, and no model is called for them."`
	ID       plugin.Column             `quern:"id" type:"string" doc:"An ID for the row in the dataset of individual results, in addition to its position."`
	Cluster  plugin.Column             `quern:"cluster" type:"string" doc:"What groups rows into clusters, such as the document that they come from. Intervals and tests then treat each cluster as one observation."`

	Classes cty.Value `quern:"classes,recorded" doc:"The labels that a language model chooses from: a list, or a map from labels to descriptions, which the model gets. Required if a subject has a prompt."`
	Answer  string    `quern:"answer" default:"\"json\"" oneof:"json,text,prompt" doc:"The form of a language model's answer: 'json' for JSON that follows a schema, or 'text' for text that contains only the label, both requested like label \"llm\" does. With 'prompt', nothing is added to the prompt, and the answer must be the label alone or JSON with the field 'label'."`

	Confidence float64 `quern:"confidence" default:"0.95" doc:"The confidence level of the intervals."`
	Resamples  int     `quern:"resamples" default:"1000" doc:"The number of bootstrap samples of rows that the intervals of costs, tokens, and latencies are computed from."`
	Seed       int64   `quern:"seed" default:"0" doc:"The seed for the bootstrap. Equal seeds give equal intervals."`

	subjects   []subjects.Subject
	classifier *labels.Classifier // set if a subject is a model with a prompt
}

const doc = `Scores labels against the correct ones: accuracy, macro and weighted F1, coverage, and precision and recall for each class.

Each headline figure is an object ` + "`{ value, low, high, n }`" + `: the figure, the ends of its confidence interval, and the number of rows behind it. Shares of rows have Wilson score intervals, and F1 figures those of as many rows as they are worth: a class with few rows makes macro F1 uncertain, also if all of them are right. A gate on ` + "`low`" + ` does not pass by luck.

A model with a prompt is asked as label "llm" asks: what the classes are, and how to answer, is added to the prompt, and an answer that names none of them is asked for once more. Where that labeler was asked for the same row by the same prompt and classes, its kept answer serves. With ` + "`answer = \"prompt\"`" + ` the prompt goes out as it is.

A row for which a subject has no label, because it abstained or failed, counts as wrong; ` + "`coverage`" + ` is the share of rows that have one. The next apply asks again where that may help; ` + "`max_errors`" + ` says how many rows may fail before the evaluation does, and without it any number may. A class that is never predicted has precision 0. F1 figures are means over the classes that are right or predicted for at least one row.

The stage's values are ` + "`scored`" + ` (how many rows have a right label), ` + "`skipped`" + ` (how many have none) and, for each subject, ` + "`subjects.NAME.accuracy`" + `, ` + "`macro_f1`" + `, ` + "`weighted_f1`" + `, ` + "`coverage`" + `, ` + "`errors`" + ` (rows on which its model failed), ` + "`cost`, `tokens`, `latency`" + ` (means of an answer, with their totals or quantiles; null where no model was asked) and ` + "`classes[\"LABEL\"]`" + ` with ` + "`precision`" + `, ` + "`recall`" + ` and ` + "`f1`" + `, each with its interval, and ` + "`support`" + `, for the 1,000 classes with the most rows. For every pair of subjects, or every subject and the ` + "`baseline`" + `, both ways, ` + "`differences[\"A - B\"].METRIC`" + ` is ` + "`{ value, low, high, p, p_adjusted, n, detectable }`" + `: the first one's figure less the second one's, its paired interval, the p-value of an exact McNemar test (accuracy and coverage) or of a paired permutation test (F1), that corrected for the number of comparisons (Holm), and the smallest true difference that this many rows would have shown. ` + "`best.METRIC`" + ` is the name of the subject with the highest figure, even if the difference could be chance. Ties go to the first name; it is null if no subject has the figure. The stage itself is a report for people; ` + "`rows`" + ` is a dataset of each row with the labels it got, ` + "`confusion`" + ` one of how often which label was given for which.

` + "```hcl" + `
evaluate "classification" "student" {
  dataset  = transform.parts.test
  subjects = {
    student = train.student
    teacher = row.intent
    new     = { model = model.large, prompt = prompt.intent }
  }
  target  = row.category
  classes = local.intents
}

gate "ship" {
  condition     = evaluate.student.differences["student - teacher"].accuracy.low > -0.01
  error_message = "The student may be worse than its teacher by more than a point."
}
` + "```"

// evaluator implements evaluate "classification".
type evaluator struct{}

var (
	classType = cty.Object(map[string]cty.Type{
		"precision": measurement.FigureType, "recall": measurement.FigureType, "f1": measurement.FigureType, "support": cty.Number,
	})
	confusionSchema = data.Schema{
		{Name: "subject", Type: "string"}, {Name: "target", Type: "string"},
		{Name: "predicted", Type: "string"}, {Name: "rows", Type: "int64"},
	}
)

// The outputs in addition to the report.
const (
	resultsOutput   = "rows"
	confusionOutput = "confusion"
)

// metrics contains the headline figures in display order.
var metrics = []measurement.Metric{
	{Name: accuracy, Kind: "condition", Share: true, Rowwise: true},
	{Name: macroF1, Share: true},
	{Name: weightedF1, Share: true},
	{Name: coverage, Kind: "condition", Share: true, Rowwise: true},
}

// The names of the headline figures.
const (
	accuracy   = "accuracy"
	macroF1    = "macro_f1"
	weightedF1 = "weighted_f1"
	coverage   = "coverage"
)

func metricNames() []string {
	names := make([]string, len(metrics))
	for i, m := range metrics {
		names[i] = m.Name
	}
	return names
}

// Prepare finds the subjects and declares the outputs.
func (evaluator) Prepare(_ context.Context, p *plugin.Prepare[args]) error {
	if !p.Known("subjects") {
		p.Errorf("subjects", "The subjects must be known when planning\nThey depend on a stage that has not been applied yet. Write them out.")
		return nil
	}
	a := p.Args
	if len(a.Subjects) == 0 {
		p.Errorf("subjects", "There is nothing to score\nName at least one subject, such as subjects = { student = train.student }.")
	}
	if p.Known("confidence") && !(a.Confidence > 0 && a.Confidence < 1) {
		p.Errorf("confidence", "The confidence is %g\nIt must be between 0 and 1, such as 0.95.", a.Confidence)
	}
	if p.Known("resamples") && (a.Resamples < 100 || a.Resamples > 1_000_000) {
		p.Errorf("resamples", "%d resamples are out of range\nresamples must be from 100 to 1,000,000.", a.Resamples)
	}
	a.subjects = subjects.Describe(p, a.Subjects)
	if !figures.CheckDesign(p, a.design()) {
		return nil
	}
	if err := a.prepareAsking(p); err != nil {
		return err
	}
	results, err := a.resultsSchema()
	if err != nil {
		return err
	}
	p.AddReport("")
	p.AddDataset(resultsOutput, results)
	p.SetLineage(resultsOutput, "row") // its number, whatever the dataset contains
	p.Select(resultsOutput, plugin.Selection{RowsOf: "dataset", Some: true})
	p.AddDataset(confusionOutput, confusionSchema)
	types := figures.ValueTypes(a.design(), metricNames(), measurement.FigureType, map[string]cty.Type{"errors": cty.Number, "classes": cty.Map(classType)})
	types["scored"], types["skipped"] = cty.Number, cty.Number
	p.SetValueType(cty.Object(types))
	return nil
}

// design returns which subjects are compared.
func (a *args) design() figures.Design {
	return figures.Design{Subjects: subjects.Names(a.subjects), Baseline: a.Baseline}
}

// prepareAsking determines the classes that language models choose from, and
// declares how many calls are made.
func (a *args) prepareAsking(p *plugin.Prepare[args]) error {
	var asked []subjects.Subject
	for _, s := range a.subjects {
		if s.Asked() {
			asked = append(asked, s)
		}
	}
	switch {
	case len(asked) == 0 || !p.Known("classes") || !p.Known("answer"):
		return nil
	case a.Classes == cty.NilVal || a.Classes.IsNull():
		p.Errorf(asked[0].Key, "The labels that the subject %q chooses from are missing\nA language model needs to know the labels. Set classes = [\"card\", \"rate\"], or a map from each to its description.", asked[0].Name)
		return nil
	}
	var err error
	if a.classifier, err = labels.NewClassifier(a.Classes, a.Answer); err != nil {
		return plugin.ArgumentErrorf("classes", "%w", err)
	}
	for _, s := range asked {
		p.AddModelCalls(plugin.ModelCalls{Prompt: s.Prompt.Key, Model: s.Model.Key, PerRow: 1, Added: a.classifier.Added(), LongestAnswer: a.classifier.Longest()})
	}
	return nil
}

// ask asks a model for a class. If the answer is not a class, ask tries once
// more.
func (a *args) ask(ctx context.Context, host prompting.Asker, s *subjects.Subject, r *llm.Request, draw int) (*llm.Response, error) {
	a.classifier.Instruct(r)
	label := ""
	got, err := prompting.Answer(ctx, host, s.Model, r, draw, func(text string) (err error) {
		label, err = a.classifier.Read(text)
		return err
	})
	if got != nil && err == nil {
		named := *got
		named.Text = label
		got = &named
	}
	return got, err
}

// resultsSchema returns the schema of the single results: position, ID,
// cluster, and correct label, and for each subject its label and further
// columns.
func (a *args) resultsSchema() (data.Schema, error) {
	out := data.Schema{{Name: "row", Type: "int64"}}
	if a.ID.IsSet() {
		out = append(out, data.Column{Name: "id", Type: "string"})
	}
	if a.Cluster.IsSet() {
		out = append(out, data.Column{Name: "cluster", Type: "string"})
	}
	out = append(out, data.Column{Name: "target", Type: "string"})
	for i := range a.subjects {
		for _, c := range about(&a.subjects[i]) {
			if _, _, taken := out.Lookup(c.Name); taken {
				return nil, plugin.ArgumentErrorf("subjects", "The subject %q has the same name as another column of the results\nRename it.", a.subjects[i].Name)
			}
			out = append(out, c)
		}
	}
	return out, nil
}

// about returns the columns about a subject. The label comes first.
func about(s *subjects.Subject) []data.Column {
	columns := []data.Column{{Name: s.Name, Type: "string"}}
	if s.Confidence != "" {
		columns = append(columns, data.Column{Name: s.Name + "_confidence", Type: "float64"})
	}
	if s.Model.IsSet() {
		columns = append(columns, data.Column{Name: s.Name + "_error", Type: "string"})
	}
	if s.Asked() {
		for _, c := range []data.Column{
			{Name: "request", Type: "string"}, {Name: "input_tokens", Type: "int64"}, {Name: "output_tokens", Type: "int64"},
			{Name: "cost", Type: "float64"}, {Name: "latency", Type: "float64"}, {Name: "requests", Type: "string"},
		} {
			columns = append(columns, data.Column{Name: s.Name + "_" + c.Name, Type: c.Type})
		}
	}
	return columns
}

// A stage's value must be small. It lists at most classesShown classes of each
// subject and classesInAll classes of all subjects, and none whose name is
// longer than longestClass bytes.
const (
	classesShown = 1000
	classesInAll = 8000
	longestClass = 256
)

// Run scores the subjects.
func (evaluator) Run(ctx context.Context, r *plugin.Run[args]) error {
	scored, err := score(ctx, r)
	if err != nil {
		return err
	}
	found, err := scored.find(r)
	if err != nil {
		return err
	}
	if found.Notes, err = scored.notes(r); err != nil {
		return err
	}
	if err := writeConfusion(r, scored); err != nil {
		return err
	}
	if err := writeReport(r, scored, found); err != nil {
		return err
	}
	if err := found.leavesOut(r); err != nil {
		return err
	}
	r.SetValue(found.value())
	return nil
}

// findings is the result of an evaluation: the stage's value, and the content
// of metrics.json.
type findings struct {
	Scored     int64   `json:"scored"`
	Skipped    int64   `json:"skipped"`
	Confidence float64 `json:"confidence"`
	measurement.Description
	Subjects    map[string]*subjectFindings `json:"subjects"`
	Differences figures.Differences         `json:"differences"`
	// Notes tell readers what to consider when they interpret the figures.
	Notes []string `json:"notes,omitempty"`
}

// notes warns about answers that failed.
func (s *scored) notes(r *plugin.Run[args]) (notes []string, err error) {
	for i, subject := range r.Args.subjects {
		if s.errors[i] == 0 {
			continue
		}
		note := figures.Missing(s.errors[i], s.rows, "answer", "answers", fmt.Sprintf("of subject %q failed", subject.Name))
		notes = append(notes, note)
		if err := r.Warnf(subject.Key, "%s\nThey count as wrong. The first: %s", note, s.failures[i]); err != nil {
			return nil, err
		}
	}
	return notes, nil
}

type subjectFindings struct {
	Accuracy   measurement.Figure `json:"accuracy"`
	MacroF1    measurement.Figure `json:"macro_f1"`
	WeightedF1 measurement.Figure `json:"weighted_f1"`
	Coverage   measurement.Figure `json:"coverage"`
	measurement.Usage
	Errors  int64                        `json:"errors"`
	Classes map[string]measurement.Class `json:"classes"`
}

// find computes the figures.
func (s *scored) find(r *plugin.Run[args]) (*findings, error) {
	a := r.Args
	f := &findings{
		Scored: s.rows, Skipped: s.skipped, Confidence: a.Confidence,
		Description: measurement.Description{Metrics: metrics, Order: subjects.Names(a.subjects), Baseline: a.Baseline},
		Subjects:    map[string]*subjectFindings{},
	}
	s.numbered.sort()
	o := s.options(figures.Options(a.Confidence, a.Resamples, a.Seed))
	sample := &figures.Sample{Repeats: 1, Clusters: s.clusters, Options: figures.Options(a.Confidence, a.Resamples, a.Seed)}
	for i, subject := range a.subjects {
		r.Progress(int64(i), int64(len(a.subjects)), "subjects", subject.Name)
		scores, err := s.numbered.scores(i, o)
		if err != nil {
			return nil, plugin.ArgumentErrorf("dataset", "%w\nThe dataset has %d rows, %d of them without a correct label.", err, s.rows+s.skipped, s.skipped)
		}
		if s.errors[i] == s.rows {
			return nil, plugin.ArgumentErrorf("subjects."+subject.Name, "The subject %q answered none of the rows\n%s", subject.Name, s.failures[i])
		}
		rows := int(s.rows)
		one := &subjectFindings{
			Accuracy: figures.Of(scores.Accuracy, rows), MacroF1: figures.Of(scores.MacroF1, rows),
			WeightedF1: figures.Of(scores.WeightedF1, rows), Coverage: figures.Of(scores.Coverage, rows),
			Errors: s.errors[i], Classes: scores.Classes,
		}
		if one.Usage, err = sample.Usage(s.cost[i], s.tokens[i], s.latency[i]); err != nil {
			return nil, err
		}
		f.Subjects[subject.Name] = one
	}
	var err error
	f.Differences, err = s.differences(a.design(), sample, o)
	return f, err
}

// options returns the options for statistics over the scored rows.
func (s *scored) options(o stats.Options) stats.Options {
	if s.clusters != nil {
		o.Clusters = stats.Clusters(s.clusters)
	}
	return o
}

// differences compares subjects. All four metrics are computed from the same
// labels, so each metric is a separate family of comparisons.
func (s *scored) differences(design figures.Design, sample *figures.Sample, o stats.Options) (figures.Differences, error) {
	of := make([]*margins, len(design.Subjects))
	for i := range of {
		of[i] = s.numbered.margins(i)
	}
	f1 := func(subject int, metric string) stats.Composite {
		shares := of[subject].equally
		if metric == weightedF1 {
			shares = of[subject].bySupport
		}
		return s.numbered.composite(subject, of[subject], shares())
	}
	family := func(metric string) string { return metric }
	return figures.Compare(design, metricNames(), family, func(first, second int, metric string) (measurement.Contrast, error) {
		switch metric {
		case accuracy:
			return sample.Contrast(s.numbered.right(first), s.numbered.right(second), figures.Scale{Share: true})
		case coverage:
			return sample.Contrast(s.numbered.covered(first), s.numbered.covered(second), figures.Scale{Share: true})
		}
		c, err := stats.CompareComposites(f1(first, metric), f1(second, metric), o)
		if err != nil {
			return measurement.Contrast{}, err
		}
		out := figures.ContrastOf(c, int(s.rows))
		if c.Detectable > 1 {
			out.Detectable = nil // no difference could be significant with so many rows
		}
		return out, nil
	})
}

// mapOf is a map of values, which may be empty.
func (s *subjectFindings) figure(metric string) measurement.Figure {
	switch metric {
	case macroF1:
		return s.MacroF1
	case weightedF1:
		return s.WeightedF1
	case coverage:
		return s.Coverage
	}
	return s.Accuracy
}

func mapOf(values map[string]cty.Value, of cty.Type) cty.Value {
	if len(values) == 0 {
		return cty.MapValEmpty(of)
	}
	return verbatim.Map(values)
}

// shown returns the classes that the value lists: those with the most rows.
func (f *findings) shown(classes map[string]measurement.Class) []string {
	all := slices.SortedFunc(maps.Keys(classes), func(a, b string) int {
		return cmp.Or(cmp.Compare(classes[b].Support, classes[a].Support), cmp.Compare(a, b))
	})
	all = slices.DeleteFunc(all, func(label string) bool { return len(label) > longestClass })
	return all[:min(len(all), classesShown, classesInAll/len(f.Subjects))]
}

// leavesOut warns about classes that the value does not list.
func (f *findings) leavesOut(r *plugin.Run[args]) error {
	for _, subject := range r.Args.subjects {
		classes := f.Subjects[subject.Name].Classes
		if n := len(f.shown(classes)); n < len(classes) {
			return r.Warnf("target", "The value lists %d of %d classes\nThese are the classes with the most rows whose names have at most %d bytes. The report lists all of them. If the target is not a label, choose another column.", n, len(classes), longestClass)
		}
	}
	return nil
}

func (f *findings) value() cty.Value {
	all := map[string]cty.Value{}
	for name, s := range f.Subjects {
		classes := map[string]cty.Value{}
		for _, label := range f.shown(s.Classes) {
			c := s.Classes[label]
			classes[label] = cty.ObjectVal(map[string]cty.Value{
				"precision": c.Precision.Object(), "recall": c.Recall.Object(),
				"f1": c.F1.Object(), "support": cty.NumberIntVal(c.Support),
			})
		}
		attrs := map[string]cty.Value{
			accuracy: s.Accuracy.Object(), macroF1: s.MacroF1.Object(), weightedF1: s.WeightedF1.Object(), coverage: s.Coverage.Object(),
			"errors": cty.NumberIntVal(s.Errors), "classes": mapOf(classes, classType),
		}
		maps.Copy(attrs, s.Attributes())
		all[name] = cty.ObjectVal(attrs)
	}
	return cty.ObjectVal(map[string]cty.Value{
		"scored": cty.NumberIntVal(f.Scored), "skipped": cty.NumberIntVal(f.Skipped),
		"subjects": cty.ObjectVal(all), "differences": f.Differences.Object(),
		"best": figures.Best(f.Order, metricNames(), func(subject, metric string) measurement.Figure { return f.Subjects[subject].figure(metric) }),
	})
}
