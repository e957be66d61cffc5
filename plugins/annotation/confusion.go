package annotation

import (
	"cmp"
	"slices"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/plugins/stats"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/verbatim"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// confusionOutput is the output that says which annotator confuses which
// labels. It is a dataset, not a value, because it grows with the votes.
const confusionOutput = "confusion"

var confusionSchema = data.Schema{
	{Name: "annotator", Type: "string"}, {Name: "label", Type: "string"}, {Name: "given", Type: "string"},
	{Name: "votes", Type: "int64"}, {Name: "probability", Type: "float64"},
}

// annotatorsShown is the maximum number of annotators in the value.
const annotatorsShown = 1000

// batchRows is the number of rows that are written at once.
const batchRows = 1 << 16

// cell identifies the votes of an annotator for the label given, on items whose
// label is label. All fields are numbers of names.
type cell struct{ annotator, label, given int }

func byCell(a, b cell) int {
	return cmp.Or(cmp.Compare(a.annotator, b.annotator), cmp.Compare(a.label, b.label), cmp.Compare(a.given, b.given))
}

// cells counts the votes on items that have a label. order lists the cells in
// sorted order.
func (d *decision) cells(b *ballot) (counts map[cell]int64, order []cell) {
	counts = map[cell]int64{}
	for _, v := range b.votes {
		if label := d.choices[v.Item].Label; label != stats.NoLabel {
			counts[cell{v.Annotator, label, v.Label}]++
		}
	}
	for c := range counts {
		order = append(order, c)
	}
	slices.SortFunc(order, byCell)
	return counts, order
}

func writeConfusion(r *plugin.Run[voteArgs], b *ballot, d *decision) error {
	counts, order := d.cells(b)
	all := map[cell]int64{} // votes of an annotator on items of a label
	for c, n := range counts {
		all[cell{annotator: c.annotator, label: c.label}] += n
	}
	builder := array.NewRecordBuilder(memory.DefaultAllocator, confusionSchema.Arrow())
	defer builder.Release()
	for part := range slices.Chunk(order, batchRows) {
		for _, c := range part {
			probability := float64(counts[c]) / float64(all[cell{annotator: c.annotator, label: c.label}])
			if d.model != nil {
				probability = d.model.Confusion(c.annotator, c.label, c.given)
			}
			for i, text := range []string{b.annotators[c.annotator], b.labels[c.label], b.labels[c.given]} {
				builder.Field(i).(*array.StringBuilder).Append(text)
			}
			builder.Field(3).(*array.Int64Builder).Append(counts[c])
			builder.Field(4).(*array.Float64Builder).Append(probability)
		}
		rec := builder.NewRecordBatch()
		err := r.Write(confusionOutput, rec)
		rec.Release()
		if err != nil {
			return err
		}
	}
	return nil
}

// summary returns the part of the value that describes the annotators.
func summary(r *plugin.Run[voteArgs], b *ballot, d *decision) (cty.Value, error) {
	votes, right := make([]int64, len(b.annotators)), make([]int64, len(b.annotators))
	for _, v := range b.votes {
		votes[v.Annotator]++
		if v.Label == d.choices[v.Item].Label {
			right[v.Annotator]++
		}
	}
	shown := make([]int, len(votes))
	for a := range shown {
		shown[a] = a
	}
	if len(shown) > annotatorsShown {
		slices.SortFunc(shown, func(a, z int) int {
			return cmp.Or(cmp.Compare(votes[z], votes[a]), cmp.Compare(b.annotators[a], b.annotators[z]))
		})
		if err := r.Warnf("annotator", "The value lists %d of %d annotators\nThey are the ones with the most votes. The dataset %q lists all of them.", annotatorsShown, len(shown), confusionOutput); err != nil {
			return cty.NilVal, err
		}
		shown = shown[:annotatorsShown]
	}
	out := map[string]cty.Value{}
	for _, a := range shown {
		accuracy := float64(right[a]) / float64(max(1, votes[a]))
		if d.model != nil {
			accuracy = d.model.Accuracy(a)
		}
		out[b.annotators[a]] = cty.ObjectVal(map[string]cty.Value{
			"votes": cty.NumberIntVal(votes[a]), "accuracy": cty.NumberFloatVal(accuracy),
		})
	}
	return verbatim.Map(out), nil
}
