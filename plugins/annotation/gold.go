package annotation

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/quern-dev/quern/plugins/figures"
	"github.com/quern-dev/quern/plugins/stats"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

const (
	// leastGold is the minimum number of gold labels from which a temperature
	// is fitted.
	leastGold = 50
	// goldFolds is the number of parts into which items with a gold label are
	// split, so that a temperature is evaluated on items that it was not fitted
	// to.
	goldFolds = 5
	// maxScores limits the scores that are held in memory to fit a temperature:
	// 64 MiB.
	maxScores = 16 << 20
	// notVoted is the number of a gold label that no annotator gave.
	notVoted = -2
)

// readGold returns the gold label of each item, or stats.NoLabel if it is
// unknown.
func (a *voteArgs) readGold(ctx context.Context, in *plugin.DatasetInput, b *ballot) ([]int, error) {
	gold := slices.Repeat([]int{stats.NoLabel}, b.rows)
	columns, items := []string{a.Gold.Key}, map[string]int{}
	if a.long() {
		columns = append(columns, a.Item.Key)
		for i, name := range b.items {
			items[name] = i
		}
	}
	row := 0
	for rec, err := range in.Batches(ctx, data.Arguments.Refs(columns...)) {
		if err != nil {
			return nil, err
		}
		label, item := rec.Column(0).(*array.String), rec.Column(int(rec.NumCols())-1).(*array.String)
		for i := range int(rec.NumRows()) {
			at, known := row+i, true
			if a.long() {
				at, known = items[item.Value(i)]
			}
			if !known || label.IsNull(i) || item.IsNull(i) {
				continue
			}
			number, voted := slices.BinarySearch(b.labels, label.Value(i))
			if !voted {
				number = notVoted
			}
			if gold[at] != stats.NoLabel && gold[at] != number {
				return nil, plugin.ArgumentErrorf("gold", "The item %q has two different gold labels\nThe second one is %q. Give each item one gold label.", item.Value(i), label.Value(i))
			}
			gold[at] = number
		}
		row += int(rec.NumRows())
	}
	return gold, nil
}

// compare compares the confidences with the known gold labels, and calibrates
// the confidences of a model. It returns nil if the user did not request a
// comparison.
func compare(ctx context.Context, r *plugin.Run[voteArgs], in *plugin.DatasetInput, b *ballot, d *decision) (*figures.Calibration, error) {
	if !r.Args.Gold.IsSet() {
		return nil, nil
	}
	gold, err := r.Args.readGold(ctx, in, b)
	if err != nil {
		return nil, err
	}
	known := d.known(gold, len(b.labels))
	c := &figures.Calibration{}
	for _, k := range known {
		c.Before.Add(d.choices[k.item].Confidence, d.choices[k.item].Label == k.gold)
	}
	switch {
	case len(known) == 0:
		return c, r.Warnf("gold", "No item with votes has a gold label\nThe confidence cannot be compared with anything.")
	case d.model == nil || r.Args.Calibration == "none" || len(b.labels) < 2:
		return c, nil
	case len(known) < leastGold:
		return c, r.Warnf("gold", "The confidence is not calibrated\nCalibration needs at least %d items with a gold label, but there are %d. Add gold labels, or set calibration = \"none\".", leastGold, len(known))
	}
	return c, d.calibrate(known, c)
}

// example is an item whose gold label is known, with the logarithms of the
// probabilities of all labels.
type example struct {
	item, gold int
	scores     []float32
}

// known returns the items that have votes and a known gold label, or as many of
// them as fit into memory. Their order depends only on their content.
func (d *decision) known(gold []int, labels int) []example {
	var out []example
	for item, label := range gold {
		if label != stats.NoLabel && d.choices[item].Label != stats.NoLabel {
			out = append(out, example{item: item, gold: label})
		}
	}
	if d.model == nil {
		return out
	}
	if step := (len(out)*labels + maxScores - 1) / maxScores; step > 1 {
		for i := range len(out) / step {
			out[i] = out[i*step]
		}
		out = out[:len(out)/step]
	}
	for i := range out {
		out[i].scores = d.scores(out[i].item)
	}
	slices.SortStableFunc(out, func(a, b example) int {
		return cmp.Or(slices.Compare(a.scores, b.scores), cmp.Compare(a.gold, b.gold))
	})
	return out
}

// scores returns the logarithms of the probabilities of an item's labels.
func (d *decision) scores(item int) []float32 {
	var out []float32
	for _, p := range d.model.Posterior(item) {
		out = append(out, float32(math.Log(max(p, math.SmallestNonzeroFloat64))))
	}
	return out
}

// calibrate fits a temperature to examples, and replaces the confidences of all
// items with the calibrated ones.
func (d *decision) calibrate(known []example, c *figures.Calibration) error {
	for fold := range goldFolds {
		temperature, err := fit(known, func(i int) bool { return i%goldFolds != fold })
		if err != nil {
			return err
		}
		for i := fold; i < len(known); i += goldFolds {
			label := d.choices[known[i].item].Label
			c.After.Add(confidence(known[i].scores, label, temperature), label == known[i].gold)
		}
	}
	temperature, err := fit(known, func(int) bool { return true })
	if err != nil {
		return err
	}
	if c.After.Brier() > c.Before.Brier() {
		temperature, c.After = 1, c.Before
	}
	c.Temperature = &temperature
	for item := range d.choices {
		if choice := &d.choices[item]; choice.Label != stats.NoLabel && temperature != 1 {
			choice.Confidence = confidence(d.scores(item), choice.Label, temperature)
		}
	}
	return nil
}

// fit returns the temperature for the examples that wanted selects. It ignores
// examples whose gold label was never voted for, because the model gives that
// label no probability.
func fit(known []example, wanted func(i int) bool) (float64, error) {
	var scores [][]float32
	var right []int
	for i, k := range known {
		if wanted(i) && k.gold >= 0 {
			scores, right = append(scores, k.scores), append(right, k.gold)
		}
	}
	if len(scores) == 0 {
		return 1, nil
	}
	temperature, err := stats.FitTemperature(scores, right)
	if err != nil {
		return 0, fmt.Errorf("calibrate the confidence: %w", err)
	}
	return temperature, nil
}

// confidence returns the probability of a label at a temperature.
func confidence(scores []float32, label int, temperature float64) float64 {
	var sum float64
	for _, s := range scores {
		sum += math.Exp(float64(s-scores[label]) / temperature)
	}
	return 1 / sum
}
