package annotation

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/plugins/figures"
	"github.com/quern-dev/quern/plugins/stats"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

type voteArgs struct {
	Input plugin.Dataset `quern:"input,required" doc:"The dataset that contains the votes."`
	Votes

	Gold plugin.Column `quern:"gold" type:"string" doc:"The correct label if it is known, and null otherwise. The confidence is calibrated on it and compared with it. If each row is a vote, one row for each item is enough."`

	Method        string  `quern:"method" default:"\"majority\"" oneof:"majority,dawid_skene,mace" doc:"How votes are combined into one label: 'majority'; 'dawid_skene', which models how often each annotator confuses which labels; or 'mace', which models how often each annotator knows the label and how they guess otherwise. The models learn from the votes alone."`
	Ties          string  `quern:"ties" default:"\"abstain\"" oneof:"abstain,first" doc:"What a tie gives: no label ('abstain'), or the first label in alphabetical order ('first')."`
	MinConfidence float64 `quern:"min_confidence" default:"0" doc:"Items with a lower confidence get no label."`
	MinVotes      int     `quern:"min_votes" default:"1" doc:"Items with fewer votes get no label."`
	Calibration   string  `quern:"calibration" default:"\"temperature\"" oneof:"temperature,none" doc:"With a model and gold labels: 'temperature' calibrates the confidence, so that it says how often the label is correct; 'none' keeps the probability that the model gives."`
	Smoothing     float64 `quern:"smoothing" default:"5" doc:"With 'dawid_skene', the number of pseudo-votes added for each annotator and label. They are distributed like the votes of all annotators on that label, so an annotator with few votes is treated as average. 0 adds none."`
	Tolerance     float64 `quern:"tolerance" default:"1e-7" doc:"With a model, the convergence threshold: fitting stops when an iteration changes the probabilities of an item's labels by no more than this, averaged over all items."`
	MaxIterations int     `quern:"max_iterations" default:"200" doc:"With a model, the maximum number of iterations. If the model has not converged by then, quern warns."`
	Restarts      int     `quern:"restarts" default:"10" doc:"With 'mace', the number of random starts, which run for ten iterations each. The one with the highest likelihood continues."`
	Seed          int64   `quern:"seed" default:"0" doc:"With 'mace', the seed for the random starts. Equal seeds give equal labels."`
}

const voteDoc = `Combines the labels of several annotators or labelers into one: by majority, by the model of Dawid and Skene (1979), or by MACE (Hovy et al. 2013).

The label is in a column named after the block. ` + "`NAME_confidence`" + ` is the share of votes or the probability of the label, and ` + "`NAME_votes`" + ` the number of votes. If votes are columns, the output has the input's rows and columns; if each row is a vote, it has one row for each ` + "`item`" + `.

The dataset ` + "`confusion`" + ` shows which labels each annotator confuses. It has a row for each combination that occurs: ` + "`annotator`" + `; ` + "`label`" + `, the label that was chosen; ` + "`given`" + `, the label that the annotator gave; ` + "`votes`" + `, how many times; and ` + "`probability`" + `, how likely the annotator is to give it to items with that label. With ` + "`majority`" + `, the probability is the share of the annotator's votes on these items; otherwise it comes from the model.

Without ` + "`gold`" + `, the confidence is what the model believes, not how often it is correct. Both models assume that annotators err independently. If annotators find the same items hard, the models are far too confident: on two crowdsourced datasets, labels with a mean confidence of 0.95 to 0.99 were correct in 70 to 79% of cases. Nothing in the votes shows this, so give ` + "`gold`" + ` for a few hundred items before you rely on ` + "`min_confidence`" + `.

With ` + "`gold`" + `, the probabilities of a model are calibrated by temperature scaling (Guo et al. 2017): one number, the temperature, is chosen to make the correct labels as likely as possible. It changes the confidence of all items, but no label. Calibration needs at least 50 items with gold labels, and a temperature that does not lower the Brier score is not used.

The values are ` + "`coverage`" + ` and, for each of the 1,000 annotators with the most votes, ` + "`annotators[\"NAME\"]`" + ` with ` + "`votes` and `accuracy`" + ` (the share of the annotator's votes that agree with the label, or the probability that the annotator is correct). With ` + "`gold`" + `, ` + "`calibration`" + ` compares the confidence with how often the label is correct: the number of items ` + "`n`" + `, their ` + "`accuracy`" + `, the ` + "`temperature`" + `, and, ` + "`before`" + ` and ` + "`after`" + ` calibration, the mean ` + "`confidence`" + `, the expected calibration error ` + "`ece`" + ` (15 bins of equal width), the Brier score ` + "`brier`" + `, and the ` + "`bins`" + ` of the reliability diagram. The figures ` + "`after`" + ` calibration are cross-fitted: the temperature for an item comes from the four fifths of the items that do not include it.

Dawid and Skene's model needs memory in proportion to items times labels. For many thousands of distinct labels, use ` + "`mace`" + ` or ` + "`majority`" + `, which need memory in proportion to the votes.

` + "```hcl" + `
label "vote" "intent" {
  input  = label.small
  votes  = { rules = row.rules, small = row.small, large = row.large }
  method = "dawid_skene"
  gold   = row.reviewed
}
` + "```"

// voter implements label "vote".
type voter struct{}

var annotatorType = cty.Object(map[string]cty.Type{
	"votes": cty.Number, "accuracy": cty.Number,
})

// Prepare declares the columns of the label.
func (voter) Prepare(_ context.Context, p *plugin.Prepare[voteArgs]) error {
	if key, text := p.Args.problem(); text != "" && p.Known("votes") {
		p.Errorf(key, "%s", text)
	}
	if p.Known("min_confidence") && !(p.Args.MinConfidence >= 0 && p.Args.MinConfidence <= 1) {
		p.Errorf("min_confidence", "The minimum confidence %g is out of range\nmin_confidence must be from 0 to 1.", p.Args.MinConfidence)
	}
	prepareModel(p)
	if err := p.Args.declareLabels(p); err != nil {
		return err
	}
	p.AddDataset(confusionOutput, confusionSchema)
	p.SetValueType(cty.Object(map[string]cty.Type{
		"coverage": cty.Map(cty.Number), "annotators": cty.Map(annotatorType), "calibration": figures.CalibrationType,
	}))
	return nil
}

// declareLabels declares the rows with the label: those of the input, or one for each
// item.
func (a *voteArgs) declareLabels(p *plugin.Prepare[voteArgs]) error {
	made := labelColumns(p.Name())
	if in := p.Input("input"); in != nil && !a.long() {
		for _, c := range made {
			if _, _, taken := in.Schema.Lookup(c.Name); taken {
				return plugin.ArgumentErrorf("", "The dataset already has a column named %q\nThe new column is named after the block: rename the block, or rename the input's column with transform \"map\".", c.Name)
			}
		}
		p.KeepInput("input")
		for _, c := range made {
			p.AddColumn(c.Name, c.Type)
		}
	} else {
		item := data.Column{Name: "item", Type: "string"}
		if slices.ContainsFunc(made, func(c data.Column) bool { return c.Name == item.Name }) {
			return plugin.ArgumentErrorf("", "Two columns would be named %q\nOne of them is named after the block: rename the block.", item.Name)
		}
		p.AddDataset("", append(data.Schema{item}, made...))
		if a.long() {
			p.SetLineage("", item.Name, plugin.LineageSource{Argument: a.Item.Key, Unchanged: true})
			p.SetRowsLineage("", plugin.LineageSource{Argument: a.Item.Key})
			p.Select("", plugin.Selection{RowsOf: "input", Some: true})
		}
	}
	for _, c := range made {
		p.SetLineage("", c.Name, a.sources()...)
	}
	return nil
}

// sources are what a label comes from: all votes, because models learn from all of
// them, and the correct labels, which calibrate the confidence.
func (a *voteArgs) sources() []plugin.LineageSource {
	var all []plugin.LineageSource
	for _, name := range slices.Sorted(maps.Keys(a.Columns)) {
		all = append(all, plugin.LineageSource{Argument: a.Columns[name].Key})
	}
	for _, c := range []plugin.Column{a.Item, a.Annotator, a.Label, a.Gold} {
		if c.IsSet() {
			all = append(all, plugin.LineageSource{Argument: c.Key})
		}
	}
	return all
}

// prepareModel checks the arguments of the model.
func prepareModel(p *plugin.Prepare[voteArgs]) {
	if p.Known("smoothing") && !(p.Args.Smoothing >= 0) {
		p.Errorf("smoothing", "The smoothing %g is out of range\nsmoothing must be 0 or more.", p.Args.Smoothing)
	}
	if p.Known("tolerance") && !(p.Args.Tolerance > 0) {
		p.Errorf("tolerance", "The tolerance %g is out of range\ntolerance must be greater than 0, such as 1e-7.", p.Args.Tolerance)
	}
	if p.Known("max_iterations") && p.Args.MaxIterations < 1 {
		p.Errorf("max_iterations", "The maximum number of iterations, %d, is out of range\nmax_iterations must be at least 1.", p.Args.MaxIterations)
	}
	if p.Known("restarts") && p.Args.Restarts < 1 {
		p.Errorf("restarts", "The number of random starts, %d, is out of range\nrestarts must be at least 1.", p.Args.Restarts)
	}
}

func labelColumns(name string) data.Schema {
	return data.Schema{{Name: name, Type: "string"}, {Name: name + "_confidence", Type: "float64"}, {Name: name + "_votes", Type: "int64"}}
}

// Run counts the votes.
func (voter) Run(ctx context.Context, r *plugin.Run[voteArgs]) error {
	in := r.Dataset(r.Args.Input)
	b, err := r.Args.read(ctx, in, nil)
	if err != nil {
		return err
	}
	if len(b.votes) == 0 {
		return plugin.ArgumentErrorf("votes", "There are no votes\nAll votes are null, so no item gets a label.")
	}
	b.sortAnnotators()
	d, err := decide(ctx, r, b)
	if err != nil {
		return err
	}
	c, err := compare(ctx, r, in, b, d)
	if err != nil {
		return err
	}
	if err := writeConfusion(r, b, d); err != nil {
		return err
	}
	made := d.columns(r.Name(), r.Args, b)
	defer made.Release()
	if r.Args.long() {
		err = writeItems(r, b, made)
	} else {
		err = r.Write("", made)
	}
	if err != nil {
		return err
	}
	annotators, err := summary(r, b, d)
	if err != nil {
		return err
	}
	r.SetValue(cty.ObjectVal(map[string]cty.Value{
		"coverage":   cty.MapVal(map[string]cty.Value{r.Name(): cty.NumberFloatVal(1 - float64(made.Column(0).NullN())/float64(max(1, b.rows)))}),
		"annotators": annotators, "calibration": c.Object(),
	}))
	return nil
}

// decision is the result of counting the votes.
type decision struct {
	choices []stats.Choice
	// model is the model of the annotators, or nil if the votes are only
	// counted.
	model *stats.LabelModel
}

func decide(ctx context.Context, r *plugin.Run[voteArgs], b *ballot) (*decision, error) {
	switch r.Args.Method {
	case "dawid_skene":
		return learn(ctx, r, b, stats.DawidSkene, r.Args.MaxIterations)
	case "mace":
		return learn(ctx, r, b, stats.MACE, (r.Args.Restarts-1)*stats.RestartIterations+r.Args.MaxIterations)
	}
	choices, err := stats.MajorityVote(b.votes, b.rows, len(b.labels))
	if err != nil {
		return nil, fmt.Errorf("count the votes: %w", err)
	}
	return &decision{choices: choices}, nil
}

// learner is a model of annotators.
type learner func(votes []stats.Vote, items, annotators, labels int, o stats.EMOptions) (*stats.LabelModel, error)

// learn fits a model of the annotators, with a limited number of iterations.
func learn(ctx context.Context, r *plugin.Run[voteArgs], b *ballot, model learner, most int) (*decision, error) {
	m, err := model(b.votes, b.rows, len(b.annotators), len(b.labels), stats.EMOptions{
		Iterations: r.Args.MaxIterations, Tolerance: r.Args.Tolerance, Smoothing: r.Args.Smoothing,
		Restarts: r.Args.Restarts, Seed: uint64(r.Args.Seed),
		Progress: func(iteration int) error {
			r.Progress(int64(iteration), int64(most), "iterations", "")
			return ctx.Err()
		},
	})
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, plugin.ArgumentErrorf("method", "%w\nUse method = \"majority\" or \"mace\".", err)
	}
	if !m.Converged {
		err = r.Warnf("max_iterations", "The model did not converge in %d iterations\nIts labels may still change. Raise max_iterations or tolerance.", m.Iterations)
	}
	return &decision{choices: m.Choices, model: m}, err
}

// columns returns the label's columns for all items. The caller releases them.
func (d *decision) columns(name string, a *voteArgs, b *ballot) arrow.RecordBatch {
	builder := array.NewRecordBuilder(memory.DefaultAllocator, labelColumns(name).Arrow())
	defer builder.Release()
	label, confidence := builder.Field(0).(*array.StringBuilder), builder.Field(1).(*array.Float64Builder)
	votes := builder.Field(2).(*array.Int64Builder)
	for _, c := range d.choices {
		votes.Append(int64(c.Votes))
		if c.Votes == 0 || c.Label == stats.NoLabel {
			label.AppendNull()
			confidence.AppendNull()
			continue
		}
		confidence.Append(c.Confidence)
		if c.Votes < a.MinVotes || c.Confidence < a.MinConfidence || c.Tied && a.Ties == "abstain" {
			label.AppendNull()
			continue
		}
		label.Append(b.labels[c.Label])
	}
	return builder.NewRecordBatch()
}

// writeItems writes one row for each item.
func writeItems(r *plugin.Run[voteArgs], b *ballot, made arrow.RecordBatch) error {
	items := array.NewStringBuilder(memory.DefaultAllocator)
	defer items.Release()
	items.AppendValues(b.items, nil)
	column := items.NewArray()
	defer column.Release()
	schema := append(data.Schema{{Name: "item", Type: "string"}}, labelColumns(r.Name())...)
	rec := array.NewRecordBatch(schema.Arrow(), append([]arrow.Array{column}, made.Columns()...), made.NumRows())
	defer rec.Release()
	return r.Write("", rec)
}
