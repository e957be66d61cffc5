package annotation

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/internal/measurement"
	"github.com/quern-dev/quern/plugins/figures"
	"github.com/quern-dev/quern/plugins/stats"
	"github.com/quern-dev/quern/sdk/go/host/verbatim"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

type agreementArgs struct {
	Dataset plugin.Dataset `quern:"dataset,required" doc:"The dataset that contains the votes."`
	Votes

	Level   string   `quern:"level" default:"\"nominal\"" oneof:"nominal,ordinal,interval" doc:"How much a disagreement counts: with 'nominal', all count the same; with 'ordinal', by how many labels lie between; with 'interval', by the difference between the numbers."`
	Order   []string `quern:"order" doc:"The labels from the lowest to the highest, as in '[\"low\", \"medium\", \"high\"]'. Required by level 'ordinal' and by weights unless all labels are numbers."`
	Weights string   `quern:"weights" default:"\"none\"" oneof:"none,linear,quadratic" doc:"How Cohen's kappa weighs disagreements between ordered labels."`

	Confidence float64 `quern:"confidence" default:"0.95" doc:"The confidence level of the intervals."`
	Resamples  int     `quern:"resamples" default:"2000" doc:"The number of bootstrap samples of items that the intervals are computed from."`
	Seed       int64   `quern:"seed" default:"0" doc:"The seed for the bootstrap. Equal seeds give equal intervals."`
}

const agreementDoc = `Measures how well annotators agree beyond chance: Cohen's kappa for each pair, Fleiss' kappa, and Krippendorff's alpha.

Each is an object ` + "`{ value, low, high, n }`" + `: the figure, its bootstrap interval over items, and the number of items. ` + "`alpha`" + ` allows missing votes. ` + "`fleiss`" + ` is null unless all items have the same number of votes. ` + "`cohen[\"A - B\"]`" + `, with the names in alphabetical order, is computed from the items that both annotators labeled; it is left out if there are more than 20 annotators. A figure is null if it is not defined, for example because only one label occurs or there are no votes.

Labels are compared as strings. With level ` + "`ordinal` or `interval`" + `, or with weights, labels that are numbers are compared as numbers: 1 and 1.0 are the same label in all figures.

` + "```hcl" + `
evaluate "agreement" "people" {
  dataset   = source.votes
  item      = row.item
  annotator = row.annotator
  label     = row.label
}

gate "clear_guidelines" {
  condition     = evaluate.people.alpha.low > 0.667
  error_message = "The annotators do not agree well enough to learn from."
}
` + "```"

// agreement implements evaluate "agreement".
type agreement struct{}

// mostPairedAnnotators is the maximum number of annotators for whose pairs
// Cohen's kappa is computed.
const mostPairedAnnotators = 20

// Prepare declares the figures.
func (agreement) Prepare(_ context.Context, p *plugin.Prepare[agreementArgs]) error {
	a := p.Args
	if key, text := a.problem(); text != "" && p.Known("votes") {
		p.Errorf(key, "%s", text)
	}
	if p.Known("confidence") && !(a.Confidence > 0 && a.Confidence < 1) {
		p.Errorf("confidence", "The confidence level %g is out of range\nIt must be between 0 and 1, such as 0.95.", a.Confidence)
	}
	if p.Known("resamples") && (a.Resamples < 100 || a.Resamples > 1_000_000) {
		p.Errorf("resamples", "The number of resamples, %d, is out of range\nIt must be from 100 to 1,000,000.", a.Resamples)
	}
	a.checkOrder(p)
	p.AddReport("")
	p.SetValueType(cty.Object(map[string]cty.Type{
		"items": cty.Number, "votes": cty.Number, "annotators": cty.Number,
		"alpha": measurement.FigureType, "fleiss": measurement.FigureType, "cohen": cty.Map(measurement.FigureType),
	}))
	return nil
}

// checkOrder reports an order that has no effect or contains a label twice.
func (a *agreementArgs) checkOrder(p *plugin.Prepare[agreementArgs]) {
	if len(a.Order) == 0 || !p.Known("order") {
		return
	}
	for i, l := range a.Order {
		if slices.Contains(a.Order[:i], l) {
			p.Errorf("order", "The order lists the label %q twice\nList each label once, from the lowest to the highest.", l)
			return
		}
	}
	if !p.Known("level") || !p.Known("weights") {
		return
	}
	if a.Level == "interval" {
		p.Errorf("order", "Level \"interval\" does not use an order\nIts labels are numbers, which are already ordered. Remove order, or set level = \"ordinal\".")
	} else if !a.ordered() {
		p.Errorf("order", "The order of labels has no effect here\nSet level = \"ordinal\" or weights, or remove order.")
	}
}

// ordered reports whether the figures depend on the order of the labels.
func (a *agreementArgs) ordered() bool { return a.Level != "nominal" || a.Weights != "none" }

// agreements contains all figures.
type agreements struct {
	Items      int                           `json:"items"`
	Votes      int                           `json:"votes"`
	Annotators int                           `json:"annotators"`
	Alpha      measurement.Figure            `json:"alpha"`
	Fleiss     measurement.Figure            `json:"fleiss"`
	Cohen      map[string]measurement.Figure `json:"cohen"`
}

// Run computes the figures.
func (agreement) Run(ctx context.Context, r *plugin.Run[agreementArgs]) error {
	b, err := r.Args.read(ctx, r.Dataset(r.Args.Dataset), r.Args.Order)
	if err != nil {
		return err
	}
	if len(b.votes) == 0 {
		if err := r.Warnf("dataset", "There are no votes\nNo row of the dataset has a label, so all figures are null."); err != nil {
			return err
		}
	}
	found, err := r.Args.measure(b)
	if err != nil {
		return err
	}
	if err := found.report(r); err != nil {
		return err
	}
	r.SetValue(found.value())
	return nil
}

func (a *agreementArgs) measure(b *ballot) (*agreements, error) {
	values, err := a.scale(b)
	if err != nil {
		return nil, err
	}
	o := stats.Options{Confidence: a.Confidence, Resamples: a.Resamples, Seed: a.Seed}
	out := &agreements{Items: b.rows, Votes: len(b.votes), Annotators: len(b.annotators), Cohen: map[string]measurement.Figure{}}
	items := make([][]float64, b.rows)
	for _, v := range b.votes {
		items[v.Item] = append(items[v.Item], values[v.Label])
	}
	level := map[string]stats.Level{"ordinal": stats.Ordinal, "interval": stats.Interval}[a.Level]
	if out.Alpha, err = defined(stats.KrippendorffAlpha(items, level, o)); err != nil {
		return nil, fmt.Errorf("Krippendorff's alpha: %w", err)
	}
	if even(items) {
		counts, err := stats.CountVotes(b.votes, b.rows, len(values))
		if err != nil {
			return nil, err
		}
		if out.Fleiss, err = defined(stats.FleissKappa(counts, o)); err != nil {
			return nil, fmt.Errorf("Fleiss' kappa: %w", err)
		}
	}
	return out, a.pairs(b, o, out)
}

// scale returns a number for each label: the number that its text is, or its
// position in the order. Labels that are the same number become one.
func (a *agreementArgs) scale(b *ballot) ([]float64, error) {
	if !a.ordered() || len(a.Order) > 0 {
		places := make([]float64, len(b.labels))
		for i := range places {
			places[i] = float64(i)
		}
		return places, nil
	}
	values := make([]float64, len(b.labels))
	for i, l := range b.labels {
		v, err := strconv.ParseFloat(strings.TrimSpace(l), 64)
		if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, a.notANumber(b, l)
		}
		values[i] = v
	}
	sorted := slices.Compact(slices.Sorted(slices.Values(values)))
	b.renumber(func(label int) int {
		at, _ := slices.BinarySearch(sorted, values[label])
		return at
	})
	return sorted, nil
}

// notANumber returns the error for a label that is not a number and whose
// position is not given.
func (a *agreementArgs) notANumber(b *ballot, label string) error {
	if a.Level == "interval" {
		return plugin.ArgumentErrorf("level", "The label %q is not a number\nLevel \"interval\" needs labels that are numbers. For labels that are only ordered, set level = \"ordinal\" and order.", label)
	}
	argument, what := "level", `level = "ordinal"`
	if a.Level != "ordinal" {
		argument, what = "weights", fmt.Sprintf("weights = %q", a.Weights)
	}
	found := b.labels[:min(len(b.labels), 10)]
	more := ""
	if n := len(b.labels) - len(found); n > 0 {
		more = fmt.Sprintf(" and %d more", n)
	}
	return plugin.ArgumentErrorf(argument, "The order of the labels is unknown\n"+
		"%s needs it, and the label %q is not a number. List the labels from the lowest to the highest, such as order = [\"low\", \"medium\", \"high\"]. The labels are %s%s.",
		what, label, quoted(found), more)
}

func quoted(labels []string) string {
	out := make([]string, len(labels))
	for i, l := range labels {
		out[i] = strconv.Quote(l)
	}
	return strings.Join(out, ", ")
}

// even reports whether all items have the same number of votes, which must be
// at least two.
func even(items [][]float64) bool {
	for _, votes := range items {
		if len(votes) < 2 || len(votes) != len(items[0]) {
			return false
		}
	}
	return len(items) > 0
}

// pairs computes Cohen's kappa for each pair of annotators. If an annotator
// labeled an item more than once, the first label counts.
func (a *agreementArgs) pairs(b *ballot, o stats.Options, out *agreements) error {
	if len(b.annotators) > mostPairedAnnotators {
		return nil
	}
	labels := make([][]int, len(b.annotators))
	for i := range labels {
		labels[i] = slices.Repeat([]int{stats.NoLabel}, b.rows)
	}
	for _, v := range b.votes {
		if labels[v.Annotator][v.Item] == stats.NoLabel {
			labels[v.Annotator][v.Item] = v.Label
		}
	}
	weights := map[string]stats.Weights{"linear": stats.Linear, "quadratic": stats.Quadratic}[a.Weights]
	for i, first := range b.annotators {
		for k, second := range b.annotators {
			if first >= second {
				continue
			}
			f, err := defined(stats.CohenKappa(labels[i], labels[k], weights, o))
			if err != nil {
				return fmt.Errorf("Cohen's kappa of %s and %s: %w", first, second, err)
			}
			out.Cohen[first+" - "+second] = f
		}
	}
	return nil
}

// defined converts an estimate to a figure. The figure is null if the estimate
// is undefined.
func defined(e stats.Estimate, err error) (measurement.Figure, error) {
	if errors.Is(err, stats.ErrUndefined) || errors.Is(err, stats.ErrNoObservations) {
		return measurement.Figure{}, nil
	}
	return figures.Of(e, e.N), err
}

func (a *agreements) value() cty.Value {
	cohen := cty.MapValEmpty(measurement.FigureType)
	if len(a.Cohen) > 0 {
		pairs := map[string]cty.Value{}
		for name, f := range a.Cohen {
			pairs[name] = f.Object()
		}
		cohen = verbatim.Map(pairs)
	}
	return cty.ObjectVal(map[string]cty.Value{
		"items": cty.NumberIntVal(int64(a.Items)), "votes": cty.NumberIntVal(int64(a.Votes)), "annotators": cty.NumberIntVal(int64(a.Annotators)),
		"alpha": a.Alpha.Object(), "fleiss": a.Fleiss.Object(), "cohen": cohen,
	})
}

// text formats a figure with its interval.
func text(f measurement.Figure) string {
	if f.Value == nil {
		return "not defined"
	}
	if f.Low == nil || f.High == nil {
		return fmt.Sprintf("%.4f", *f.Value)
	}
	return fmt.Sprintf("%.4f [%.4f, %.4f]", *f.Value, *f.Low, *f.High)
}

// report writes the figures as JSON for programs and as a page for people.
func (a *agreements) report(r *plugin.Run[agreementArgs]) error {
	dir, err := r.Folder("")
	if err != nil {
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n%d annotators gave %d labels to %d items. Brackets show %g%% confidence intervals.\n\n", r.Name(), a.Annotators, a.Votes, a.Items, 100*r.Args.Confidence)
	fmt.Fprintf(&b, "| measure | agreement | items |\n| --- | --- | --- |\n| Krippendorff's alpha (%s) | %s | %d |\n| Fleiss' kappa | %s | %d |\n", r.Args.Level, text(a.Alpha), a.Alpha.N, text(a.Fleiss), a.Fleiss.N)
	for _, pair := range slices.Sorted(maps.Keys(a.Cohen)) {
		fmt.Fprintf(&b, "| Cohen's kappa, %s | %s | %d |\n", figures.Cell(pair), text(a.Cohen[pair]), a.Cohen[pair].N)
	}
	return figures.WriteReport(dir, a, b.String())
}
