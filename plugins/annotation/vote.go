package annotation

import (
	"context"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/plugins/figures"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/stats"
)

type voteArgs struct {
	Input plugin.Dataset `quern:"input,required" doc:"The dataset that holds the votes."`
	Votes

	Gold plugin.Column `quern:"gold" type:"string" doc:"The right label, where it is known; null elsewhere. The confidence is fitted to it and compared with it. Where each row is a vote, one row of an item is enough."`

	Method        string  `quern:"method" default:"\"majority\"" oneof:"majority,dawid_skene,mace" doc:"How one label is made of several: 'majority'; 'dawid_skene', a model of how often each annotator takes which label for which; or 'mace', a model of how often each annotator knows the label and how they guess otherwise. The models learn from the votes alone."`
	Ties          string  `quern:"ties" default:"\"abstain\"" oneof:"abstain,first" doc:"What becomes of a tie: no label, or the first in alphabetical order."`
	MinConfidence float64 `quern:"min_confidence" default:"0" doc:"Below this confidence there is no label."`
	MinVotes      int     `quern:"min_votes" default:"1" doc:"With fewer votes there is no label."`
	Calibration   string  `quern:"calibration" default:"\"temperature\"" oneof:"temperature,none" doc:"With a model and gold: 'temperature' makes the confidence as high as the label is often right; 'none' leaves it as the model has it."`
	Smoothing     float64 `quern:"smoothing" default:"5" doc:"With 'dawid_skene', how many votes are added to what each annotator says of each label, spread as the votes of all annotators on that label are, so that an annotator with few votes is taken for an average one. With 0 nothing is added."`
	Tolerance     float64 `quern:"tolerance" default:"1e-7" doc:"With a model, when it has converged: when an iteration changes the probabilities of an item's labels by no more, averaged over all items."`
	MaxIterations int     `quern:"max_iterations" default:"200" doc:"With a model, the maximum number of iterations. If the model has not converged by then, there is a warning."`
	Restarts      int     `quern:"restarts" default:"10" doc:"With 'mace', how many starts are tried, for ten iterations each. The one under which the votes are most likely goes on."`
	Seed          int64   `quern:"seed" default:"0" doc:"With 'mace', decides where the starts are. Equal seeds make equal labels."`
}

const voteDoc = `Makes one label of the labels that several annotators, or labelers, gave: by majority, by the model of Dawid and Skene (1979), or by MACE (Hovy et al. 2013).

The label is in a column that has the block's name, beside ` + "`NAME_confidence`" + `, the share of votes or the probability of the label, and ` + "`NAME_votes`" + `. Where votes are columns, the output has the input's rows and columns; where each row is a vote, it has a row for each ` + "`item`" + `.

The dataset ` + "`confusion`" + ` says who takes which label for which. It has a row for each combination that occurs: ` + "`annotator`" + `; ` + "`label`" + `, the label that was chosen; ` + "`given`" + `, the label that the annotator gave; ` + "`votes`" + `, how often; and ` + "`probability`" + `, how often the annotator gives it to items that have the label. By majority that is the share of the annotator's votes on these items; otherwise it comes from the model.

Without ` + "`gold`" + `, the confidence of a model is what the model believes, and not how often it is right. Both models take annotators to err independently; annotators who find the same items hard make them far too sure. On two sets of votes by crowds, labels with a mean confidence of 0.95 to 0.99 were right in 70 to 79 % of cases. Nothing in the votes shows this. So give ` + "`gold`" + ` for some hundred items before you rely on ` + "`min_confidence`" + `.

With ` + "`gold`" + `, the probabilities of a model are calibrated by one number, the temperature (Guo et al. 2017), that makes the right labels the most likely. It changes the confidence of all items, and no label. It takes at least 50 items with gold; a temperature that does not lower the Brier score is not used.

The values are ` + "`coverage`" + `, and for each annotator ` + "`annotators[\"NAME\"]`" + ` with ` + "`votes` and `accuracy`" + ` (how often it says what the label says, or is probably right). They list the 1,000 annotators with the most votes. With ` + "`gold`" + `, ` + "`calibration`" + ` compares the confidence with how often the label is right: ` + "`n`" + ` items, their ` + "`accuracy`" + `, the ` + "`temperature`" + `, and, ` + "`before`" + ` and ` + "`after`" + ` it, the mean ` + "`confidence`" + `, the expected calibration error ` + "`ece`" + ` (15 bins of equal width), the Brier score ` + "`brier`" + `, and the ` + "`bins`" + ` of the reliability diagram. What is ` + "`after`" + ` is cross-fitted: the temperature for an item comes from four fifths of the items, which it is not one of.

The memory of Dawid and Skene's model grows with the items times the labels. For many thousands of different labels, use ` + "`mace`" + ` or ` + "`majority`" + `, whose memory grows with the votes.

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

// Prepare declares the label's columns.
func (voter) Prepare(_ context.Context, p *plugin.Prepare[voteArgs]) error {
	if key, text := p.Args.problem(); text != "" && p.Known("votes") {
		p.Errorf(key, "%s", text)
	}
	if p.Known("min_confidence") && !(p.Args.MinConfidence >= 0 && p.Args.MinConfidence <= 1) {
		p.Errorf("min_confidence", "The confidence is %g\nIt is a number from 0 to 1.", p.Args.MinConfidence)
	}
	prepareModel(p)
	var kept data.Schema
	if in := p.Input("input"); in != nil && !p.Args.long() {
		kept = in.Schema
		p.ReadAll("input")
	} else {
		kept = data.Schema{{Name: "item", Type: "string"}}
	}
	made := labelColumns(p.Name())
	for _, c := range made {
		if _, _, taken := kept.Lookup(c.Name); taken {
			return plugin.ArgumentErrorf("", "The column %q is there already\nGive the block another name.", c.Name)
		}
	}
	p.AddDataset("", append(append(data.Schema{}, kept...), made...))
	p.AddDataset(confusionOutput, confusionSchema)
	p.SetValueType(cty.Object(map[string]cty.Type{
		"coverage": cty.Map(cty.Number), "annotators": cty.Map(annotatorType), "calibration": figures.CalibrationType,
	}))
	return nil
}

// prepareModel checks the arguments of the model.
func prepareModel(p *plugin.Prepare[voteArgs]) {
	if p.Known("smoothing") && !(p.Args.Smoothing >= 0) {
		p.Errorf("smoothing", "The smoothing is %g\nWrite 0 or more.", p.Args.Smoothing)
	}
	if p.Known("tolerance") && !(p.Args.Tolerance > 0) {
		p.Errorf("tolerance", "The tolerance is %g\nWrite a number above 0, such as 1e-7.", p.Args.Tolerance)
	}
	if p.Known("max_iterations") && p.Args.MaxIterations < 1 {
		p.Errorf("max_iterations", "The maximum number of iterations is %d\nWrite 1 or more.", p.Args.MaxIterations)
	}
	if p.Known("restarts") && p.Args.Restarts < 1 {
		p.Errorf("restarts", "The number of starts is %d\nWrite 1 or more.", p.Args.Restarts)
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
		return plugin.ArgumentErrorf("votes", "There are no votes\nAll are null.")
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
	made := d.columns(r.Args, b)
	defer made.Release()
	if r.Args.long() {
		err = writeItems(r, b, made)
	} else {
		err = writeRows(ctx, r, in, made)
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

// decision is what the votes come to.
type decision struct {
	choices []stats.Choice
	// model is what was learned of annotators; nil: nothing was.
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

// learn makes a model of annotators, in so many iterations at most.
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
		err = r.Warnf("max_iterations", "The model did not converge in %d iterations\nIts labels may still change. Raise max_iterations, or allow a larger tolerance.", m.Iterations)
	}
	return &decision{choices: m.Choices, model: m}, err
}

// columns are the label's columns over all items; the caller releases them.
func (d *decision) columns(a *voteArgs, b *ballot) arrow.RecordBatch {
	builder := array.NewRecordBuilder(memory.DefaultAllocator, labelColumns("label").Arrow())
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

// writeItems writes a row for each item.
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

// writeRows writes the input's rows with their labels.
func writeRows(ctx context.Context, r *plugin.Run[voteArgs], in *plugin.DatasetInput, made arrow.RecordBatch) error {
	schema := slices.Concat(in.Schema, labelColumns(r.Name())).Arrow()
	first := int64(0)
	for rec, err := range in.Batches(ctx, data.Columns.Refs(in.Schema.Names()...)) {
		if err != nil {
			return err
		}
		part := made.NewSlice(first, first+rec.NumRows())
		first += rec.NumRows()
		out := array.NewRecordBatch(schema, append(append([]arrow.Array{}, rec.Columns()...), part.Columns()...), rec.NumRows())
		err := r.Write("", out)
		out.Release()
		part.Release()
		if err != nil {
			return err
		}
	}
	return nil
}
