package classification

import (
	"context"
	"maps"
	"slices"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/stats"
)

// Types are the evaluators of this package.
func Types() []plugin.Type {
	return []plugin.Type{
		plugin.Runner(plugin.Info{Kind: plugin.KindEvaluate, Name: "classification", Doc: doc, Behaviour: 2}, evaluator{}),
	}
}

type args struct {
	Dataset  plugin.Dataset                  `quern:"dataset,required" doc:"The rows to score on. They should be rows that no subject has learnt from."`
	Subjects map[string]plugin.ColumnOrModel `quern:"subjects,required" type:"string" doc:"What is scored, each under a name: a row expression that gives the label, as in 'row.intent', or a model that predicts it, as in 'train.student'."`
	Target   plugin.Column                   `quern:"target,required" type:"string" doc:"The label that is right. Rows where it is null are left out and counted."`
	ID       plugin.Column                   `quern:"id" type:"string" doc:"What to call a row in the dataset of single results, beside its place."`

	Confidence float64 `quern:"confidence" default:"0.95" doc:"How sure intervals are to hold the true figure."`
	Resamples  int     `quern:"resamples" default:"1000" doc:"How often rows are drawn anew to find the intervals of F1 figures."`
	Seed       int64   `quern:"seed" default:"0" doc:"Decides the drawing. Equal seeds make equal intervals."`

	subjects []subject
}

const doc = `Scores labels against the right ones: accuracy, macro and weighted F1, coverage, and precision and recall of each class.

Each headline figure is an object ` + "`{ value, low, high, n }`" + `: the figure, the ends of its confidence interval, and the number of rows behind it. Accuracy and coverage have Wilson score intervals, F1 figures those of a bootstrap. A gate that demands ` + "`low`" + ` of something does not fall for luck.

A row for which a subject has no label, because it abstained or failed, counts as wrong; ` + "`coverage`" + ` is the share of rows that have one. A class that is never predicted has precision 0. F1 figures are means over the classes that are right or predicted for at least one row.

The stage's values are ` + "`scored`" + ` (how many rows have a right label), ` + "`skipped`" + ` (how many have none) and, for each subject, ` + "`subjects.NAME.accuracy`" + `, ` + "`macro_f1`" + `, ` + "`weighted_f1`" + `, ` + "`coverage`" + `, ` + "`errors`" + ` (rows on which its model failed) and ` + "`classes[\"LABEL\"]`" + ` with ` + "`precision`" + `, ` + "`recall`" + `, ` + "`f1`" + ` and ` + "`support`" + `. The stage itself is a report for people; ` + "`rows`" + ` is a dataset of each row with the labels it got, ` + "`confusion`" + ` one of how often which label was given for which.

` + "```hcl" + `
evaluate "classification" "student" {
  dataset  = transform.parts.test
  subjects = { student = train.student, teacher = row.intent }
  target   = row.category
}

gate "ship" {
  condition     = evaluate.student.subjects.student.accuracy.low > 0.85
  error_message = "The student's accuracy is not surely above 85 %."
}
` + "```"

// evaluator implements evaluate "classification".
type evaluator struct{}

// subject is what is scored, as it is found in Prepare.
type subject struct {
	name string
	arg  plugin.ColumnOrModel
	// Of a model: the names of its inputs and outputs.
	inputs            []string
	label, confidence string
}

var (
	intervalType = cty.Object(map[string]cty.Type{
		"value": cty.Number, "low": cty.Number, "high": cty.Number, "n": cty.Number,
	})
	classType = cty.Object(map[string]cty.Type{
		"precision": cty.Number, "recall": cty.Number, "f1": cty.Number, "support": cty.Number,
	})
	subjectType = cty.Object(map[string]cty.Type{
		"accuracy": intervalType, "macro_f1": intervalType, "weighted_f1": intervalType, "coverage": intervalType,
		"errors": cty.Number, "classes": cty.Map(classType),
	})
	confusionSchema = data.Schema{
		{Name: "subject", Type: "string"}, {Name: "target", Type: "string"},
		{Name: "predicted", Type: "string"}, {Name: "rows", Type: "int64"},
	}
)

// The outputs beside the report.
const (
	resultsOutput   = "rows"
	confusionOutput = "confusion"
)

// Prepare finds the subjects and declares what is made of them.
func (evaluator) Prepare(_ context.Context, p *plugin.Prepare[args]) error {
	if !p.Known("subjects") {
		p.Errorf("subjects", "The subjects are not known before something else is applied\nWrite them out.")
		return nil
	}
	a := p.Args
	if len(a.Subjects) == 0 {
		p.Errorf("subjects", "There is nothing to score\nName at least one subject, such as subjects = { student = train.student }.")
	}
	if p.Known("confidence") && !(a.Confidence > 0 && a.Confidence < 1) {
		p.Errorf("confidence", "The confidence is %g\nIt is a number between 0 and 1, such as 0.95.", a.Confidence)
	}
	if p.Known("resamples") && (a.Resamples < 100 || a.Resamples > 1_000_000) {
		p.Errorf("resamples", "%d resamples are out of range\nFrom 100 to 1,000,000 make sense.", a.Resamples)
	}
	types := map[string]cty.Type{}
	for _, name := range slices.Sorted(maps.Keys(a.Subjects)) {
		s, err := describe(p, name, a.Subjects[name])
		if err != nil {
			return err
		}
		a.subjects = append(a.subjects, s)
		types[name] = subjectType
	}
	results, err := a.resultsSchema()
	if err != nil {
		return err
	}
	p.AddReport("")
	p.AddDataset(resultsOutput, results)
	p.AddDataset(confusionOutput, confusionSchema)
	p.SetValueType(cty.Object(map[string]cty.Type{
		"scored": cty.Number, "skipped": cty.Number, "subjects": cty.Object(types),
	}))
	return nil
}

// describe finds which of a model's outputs is the label.
func describe(p *plugin.Prepare[args], name string, arg plugin.ColumnOrModel) (subject, error) {
	s := subject{name: name, arg: arg}
	if !arg.IsModel {
		return s, nil
	}
	in := p.Input(arg.Key)
	if in == nil {
		return s, nil
	}
	s.inputs = in.Signature.Inputs.Names()
	var texts []string
	for _, c := range in.Signature.Outputs {
		if c.Type == "string" {
			texts = append(texts, c.Name)
		}
	}
	switch {
	case slices.Contains(texts, "label"):
		s.label = "label"
	case len(texts) == 1:
		s.label = texts[0]
	default:
		return s, plugin.ArgumentErrorf(arg.Key, "The model (%s) predicts no label\nIts outputs are %v; one named label, of type string, is needed.", in.Format, in.Signature.Outputs.Names())
	}
	if c, _, ok := in.Signature.Outputs.Lookup("confidence"); ok && c.Type == "float64" {
		s.confidence = c.Name
	}
	return s, nil
}

// resultsSchema is that of the single results: place, id, right label, and
// each subject's label and, where it has one, confidence.
func (a *args) resultsSchema() (data.Schema, error) {
	out := data.Schema{{Name: "row", Type: "int64"}}
	if a.ID.Given() {
		out = append(out, data.Column{Name: "id", Type: "string"})
	}
	out = append(out, data.Column{Name: "target", Type: "string"})
	for _, s := range a.subjects {
		columns := []data.Column{{Name: s.name, Type: "string"}}
		if s.confidence != "" {
			columns = append(columns, data.Column{Name: s.name + "_confidence", Type: "float64"})
		}
		for _, c := range columns {
			if _, _, taken := out.Lookup(c.Name); taken {
				return nil, plugin.ArgumentErrorf("subjects", "The subject %q can't be told from another column of the results\nGive it another name.", s.name)
			}
			out = append(out, c)
		}
	}
	return out, nil
}

// Run scores the subjects.
func (evaluator) Run(ctx context.Context, r *plugin.Run[args]) error {
	scored, err := score(ctx, r)
	if err != nil {
		return err
	}
	scores := map[string]*Scores{}
	values := map[string]cty.Value{}
	o := stats.Options{Confidence: r.Args.Confidence, Resamples: r.Args.Resamples, Seed: r.Args.Seed}
	for i, s := range r.Args.subjects {
		r.Progress(int64(i), int64(len(r.Args.subjects)), "subjects", s.name)
		figures, err := scored.tallies[i].Scores(o)
		if err != nil {
			return plugin.ArgumentErrorf("dataset", "%w\nThe dataset has %d rows, of which %d have no right label.", err, scored.rows+scored.skipped, scored.skipped)
		}
		scores[s.name] = figures
		values[s.name] = figures.value(scored.errors[i])
	}
	if err := writeConfusion(r, scored); err != nil {
		return err
	}
	if err := writeReport(r, scored, scores); err != nil {
		return err
	}
	r.SetValue(cty.ObjectVal(map[string]cty.Value{
		"scored": cty.NumberIntVal(scored.rows), "skipped": cty.NumberIntVal(scored.skipped),
		"subjects": cty.ObjectVal(values),
	}))
	return nil
}

func intervalValue(e stats.Estimate) cty.Value {
	return cty.ObjectVal(map[string]cty.Value{
		"value": cty.NumberFloatVal(e.Value), "low": cty.NumberFloatVal(e.Low),
		"high": cty.NumberFloatVal(e.High), "n": cty.NumberIntVal(int64(e.N)),
	})
}

func (s *Scores) value(errors int64) cty.Value {
	classes := map[string]cty.Value{}
	for label, c := range s.Classes {
		classes[label] = cty.ObjectVal(map[string]cty.Value{
			"precision": cty.NumberFloatVal(c.Precision), "recall": cty.NumberFloatVal(c.Recall),
			"f1": cty.NumberFloatVal(c.F1), "support": cty.NumberIntVal(c.Support),
		})
	}
	return cty.ObjectVal(map[string]cty.Value{
		"accuracy": intervalValue(s.Accuracy), "macro_f1": intervalValue(s.MacroF1),
		"weighted_f1": intervalValue(s.WeightedF1), "coverage": intervalValue(s.Coverage),
		"errors": cty.NumberIntVal(errors), "classes": cty.MapVal(classes),
	})
}
