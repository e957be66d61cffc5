package annotation

import (
	"context"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/stats"
)

type voteArgs struct {
	Input plugin.Dataset `quern:"input,required" doc:"The dataset that holds the votes."`
	Votes

	Method        string  `quern:"method" default:"\"majority\"" oneof:"majority,dawid_skene" doc:"How one label is made of several: 'majority', or 'dawid_skene', a model of how often each annotator takes which label for which, learnt from the votes alone."`
	Ties          string  `quern:"ties" default:"\"abstain\"" oneof:"abstain,first" doc:"What becomes of a tie: no label, or the first in alphabetical order."`
	MinConfidence float64 `quern:"min_confidence" default:"0" doc:"Below this confidence there is no label."`
	MinVotes      int     `quern:"min_votes" default:"1" doc:"With fewer votes there is no label."`
	Smoothing     float64 `quern:"smoothing" default:"0" doc:"What is added to each count of an annotator's errors, for annotators with few votes; 1 is Laplace's rule."`
}

const voteDoc = `Makes one label of the labels that several annotators, or labelers, gave: by majority, or by the model of Dawid and Skene.

The label is in a column that has the block's name, beside ` + "`NAME_confidence`" + `, the share of votes or the probability of the label, and ` + "`NAME_votes`" + `. Where votes are columns, the output has the input's rows and columns; where each row is a vote, it has a row for each ` + "`item`" + `.

The values are ` + "`coverage`" + `, and for each annotator ` + "`annotators[\"NAME\"]`" + ` with ` + "`votes`, `accuracy`" + ` (how often it says what the label says, or is probably right) and ` + "`confusion[\"TRUE\"][\"SAID\"]`" + `, the share of what it says of items that have a label.

` + "```hcl" + `
label "vote" "intent" {
  input  = label.small
  votes  = { rules = row.rules, small = row.small, large = row.large }
  method = "dawid_skene"
}
` + "```"

// voter implements label "vote".
type voter struct{}

var annotatorType = cty.Object(map[string]cty.Type{
	"votes": cty.Number, "accuracy": cty.Number, "confusion": cty.Map(cty.Map(cty.Number)),
})

// Prepare declares the label's columns.
func (voter) Prepare(_ context.Context, p *plugin.Prepare[voteArgs]) error {
	if key, text := p.Args.problem(); text != "" && p.Known("votes") {
		p.Errorf(key, "%s", text)
	}
	if p.Known("min_confidence") && !(p.Args.MinConfidence >= 0 && p.Args.MinConfidence <= 1) {
		p.Errorf("min_confidence", "The confidence is %g\nIt is a number from 0 to 1.", p.Args.MinConfidence)
	}
	if p.Args.Smoothing < 0 {
		p.Errorf("smoothing", "The smoothing is %g\nIt is 0 or more.", p.Args.Smoothing)
	}
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
	p.SetValueType(cty.Object(map[string]cty.Type{
		"coverage": cty.Map(cty.Number), "annotators": cty.Map(annotatorType),
	}))
	return nil
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
	d, err := decide(r.Args, b)
	if err != nil {
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
	r.SetValue(cty.ObjectVal(map[string]cty.Value{
		"coverage":   cty.MapVal(map[string]cty.Value{r.Name(): cty.NumberFloatVal(1 - float64(made.Column(0).NullN())/float64(max(1, b.rows)))}),
		"annotators": d.annotators(b),
	}))
	return nil
}

// decision is what the votes come to.
type decision struct {
	choices []stats.Choice
	// confusion[a][k][l] is the share of l in what annotator a says of items
	// that have the label k; accuracy is by annotator.
	confusion [][][]float64
	accuracy  []float64
}

func decide(a *voteArgs, b *ballot) (*decision, error) {
	if a.Method == "dawid_skene" {
		m, err := stats.DawidSkene(b.votes, b.rows, len(b.annotators), len(b.labels), stats.EMOptions{Smoothing: a.Smoothing})
		if err != nil {
			return nil, fmt.Errorf("learn the annotators' errors: %w", err)
		}
		d := &decision{choices: m.Choices, confusion: m.Confusion}
		for i := range b.annotators {
			d.accuracy = append(d.accuracy, m.Accuracy(i))
		}
		return d, nil
	}
	choices, err := stats.MajorityVote(b.votes, b.rows, len(b.labels))
	if err != nil {
		return nil, fmt.Errorf("count the votes: %w", err)
	}
	d := &decision{choices: choices}
	d.count(b)
	return d, nil
}

// count compares each annotator with the labels that were chosen.
func (d *decision) count(b *ballot) {
	said := make([][][]float64, len(b.annotators))
	for a := range said {
		said[a] = make([][]float64, len(b.labels))
		for k := range said[a] {
			said[a][k] = make([]float64, len(b.labels))
		}
	}
	for _, v := range b.votes {
		if label := d.choices[v.Item].Label; label != stats.NoLabel {
			said[v.Annotator][label][v.Label]++
		}
	}
	d.accuracy = make([]float64, len(b.annotators))
	for a := range said {
		right, all := 0.0, 0.0
		for k, row := range said[a] {
			sum := 0.0
			for _, n := range row {
				sum += n
			}
			right, all = right+row[k], all+sum
			for l := range row {
				row[l] /= max(1, sum)
			}
		}
		d.accuracy[a] = right / max(1, all)
	}
	d.confusion = said
}

func (d *decision) annotators(b *ballot) cty.Value {
	votes := make([]int64, len(b.annotators))
	for _, v := range b.votes {
		votes[v.Annotator]++
	}
	out := map[string]cty.Value{}
	for a, name := range b.annotators {
		confusion := map[string]cty.Value{}
		for k, label := range b.labels {
			row := map[string]cty.Value{}
			for l, said := range b.labels {
				row[said] = cty.NumberFloatVal(d.confusion[a][k][l])
			}
			confusion[label] = cty.MapVal(row)
		}
		out[name] = cty.ObjectVal(map[string]cty.Value{
			"votes": cty.NumberIntVal(votes[a]), "accuracy": cty.NumberFloatVal(d.accuracy[a]), "confusion": cty.MapVal(confusion),
		})
	}
	return cty.MapVal(out)
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
