package perplexity

import (
	"fmt"
	"maps"
	"math"
	"strings"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/internal/measurement"
	"github.com/quern-dev/quern/plugins/figures"
	"github.com/quern-dev/quern/plugins/stats"
)

// findings is the result of an evaluation: the stage's value, and the content of
// metrics.json. Unknown members are null.
type findings struct {
	Rows       int64   `json:"rows"`
	Confidence float64 `json:"confidence"`
	measurement.Description
	Subjects    map[string]*subjectFigures `json:"subjects"`
	Differences figures.Differences        `json:"differences"`
	// Notes tell readers what to consider when they interpret the figures.
	Notes []string `json:"notes,omitempty"`
}

type subjectFigures struct {
	Metrics map[string]measurement.Figure `json:"metrics"`
	measurement.Usage
	LogLikelihood float64 `json:"log_likelihood"`
	Tokens        int64   `json:"scored_tokens"`
	Bytes         int64   `json:"scored_bytes"`
	Answers       int64   `json:"answers"`
	Errors        int64   `json:"errors"`
}

// find computes everything from the tables.
func (e *run) find() (*findings, error) {
	f := &findings{
		Rows: e.rows, Confidence: e.Args.Confidence, Subjects: map[string]*subjectFigures{},
		Description: measurement.Description{Order: e.Args.names, Baseline: e.Args.Baseline},
	}
	for _, name := range []string{metricPerplexity, metricBits, metricLog} {
		f.Metrics = append(f.Metrics, measurement.Metric{Name: name, Kind: "number", Rowwise: name != metricLog})
	}
	for i, t := range e.tables {
		one, err := e.subject(t)
		if err != nil {
			return nil, fmt.Errorf("subject %q: %w", e.Args.names[i], err)
		}
		f.Subjects[e.Args.names[i]] = one
		if t.errors > 0 {
			note := figures.Missing(t.errors, e.rows, "row", "rows", fmt.Sprintf("failed for subject %q", e.Args.names[i]))
			f.Notes = append(f.Notes, note)
			if err := e.Warnf("subjects."+e.Args.names[i], "%s\nThey are left out. The first: %s", note, t.failure); err != nil {
				return nil, err
			}
		}
	}
	var err error
	f.Differences, err = figures.Compare(e.Args.design(), compared, func(metric string) string { return metric }, func(first, second int, metric string) (measurement.Contrast, error) {
		return e.contrast(f, first, second, metric)
	})
	return f, err
}

func (e *run) options(rows []int) stats.Options {
	o := figures.Options(e.Args.Confidence, e.Args.Resamples, e.Args.Seed)
	if e.clusters != nil {
		names := make([]string, len(rows))
		for i, row := range rows {
			names[i] = e.clusters[row]
		}
		o.Clusters = stats.Clusters(names)
	}
	return o
}

func (e *run) subject(t *table) (*subjectFigures, error) {
	out := &subjectFigures{Metrics: map[string]measurement.Figure{}, Errors: t.errors, Answers: int64(len(t.likelihood))}
	rows := t.scored()
	for _, row := range rows {
		out.LogLikelihood += t.likelihood[row]
		out.Tokens += int64(t.tokens[row])
		out.Bytes += int64(t.bytes[row])
	}
	log, err := e.ratio(t, rows, t.tokens, 1)
	if err != nil {
		return nil, err
	}
	bits, err := e.ratio(t, rows, t.bytes, math.Ln2)
	if err != nil {
		return nil, err
	}
	out.Metrics[metricLog], out.Metrics[metricBits] = log, bits
	// Their logarithms are the ends of the interval.
	out.Metrics[metricPerplexity] = measurement.Figure{Value: exp(log.Value), Low: exp(log.Low), High: exp(log.High), N: log.N}
	sample := &figures.Sample{Repeats: 1, Clusters: e.clusters, Options: e.options(nil)}
	sample.Options.Clusters = nil
	out.Usage, err = sample.Usage(t.usage.cost, t.usage.tokens, t.usage.latency)
	return out, err
}

func exp(v *float64) *float64 {
	if v == nil {
		return nil
	}
	return figures.Known(math.Exp(*v))
}

// ratio estimates the negative log-likelihood in a unit, by a size. Rows without a
// size are left out.
func (e *run) ratio(t *table, rows, sizes []int, unit float64) (measurement.Figure, error) {
	values, by, kept := ratioOf(t, rows, sizes, unit)
	if len(kept) == 0 {
		return measurement.Figure{}, nil
	}
	got, err := stats.Ratio(values, by, e.options(kept))
	return figures.Of(got, len(kept)), err
}

func ratioOf(t *table, rows, sizes []int, unit float64) (values []float64, by, kept []int) {
	for _, row := range rows {
		if sizes[row] > 0 {
			values, by, kept = append(values, -t.likelihood[row]/unit), append(by, sizes[row]), append(kept, row)
		}
	}
	return values, by, kept
}

// contrast compares two subjects, if they divide the rows that both have alike.
func (e *run) contrast(f *findings, first, second int, metric string) (measurement.Contrast, error) {
	a, b := e.tables[first], e.tables[second]
	sizes, others, unit := a.tokens, b.tokens, 1.0
	if metric == metricBits {
		sizes, others, unit = a.bytes, b.bytes, math.Ln2
	}
	var both []int
	for _, row := range a.scored() {
		if math.IsNaN(b.likelihood[row]) {
			continue
		}
		if sizes[row] != others[row] {
			f.Notes = append(f.Notes, e.incomparable(first, second, metric))
			return measurement.Contrast{}, nil
		}
		both = append(both, row)
	}
	x, by, kept := ratioOf(a, both, sizes, unit)
	y, _, _ := ratioOf(b, both, sizes, unit)
	if len(kept) == 0 {
		return measurement.Contrast{}, nil
	}
	got, err := stats.CompareRatios(x, y, by, e.options(kept))
	return figures.ContrastOf(got, len(kept)), err
}

// incomparable says why two subjects are not compared by a metric.
func (e *run) incomparable(first, second int, metric string) string {
	why := "they divide the texts into different tokens; compare bits_per_byte"
	if metric == metricBits {
		why = "one of them leaves out first tokens, because its model does not begin a text with a token of its own"
	}
	return fmt.Sprintf("The %s of %q and %q cannot be compared: %s", metric, e.Args.names[first], e.Args.names[second], why)
}

// page returns the report for people, in Markdown.
func (f *findings) page(name string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n%d rows. Brackets hold %g %% confidence intervals; lower figures are better. Perplexity counts tokens: compare it only between models with the same tokenizer, and others by bits per byte.\n\n", name, f.Rows, 100*f.Confidence)
	b.WriteString("| subject | perplexity | bits per byte | tokens | bytes | errors | cost |\n| --- | --- | --- | --- | --- | --- | --- |\n")
	for _, name := range f.Order {
		s := f.Subjects[name]
		fmt.Fprintf(&b, "| %s | %s | %s | %d | %d | %d | %s |\n", figures.Cell(name), s.Metrics[metricPerplexity], s.Metrics[metricBits], s.Tokens, s.Bytes, s.Errors, measurement.Text(s.Cost.Total))
	}
	for _, note := range f.Notes {
		fmt.Fprintf(&b, "\n- %s.", note)
	}
	if len(f.Notes) > 0 {
		b.WriteString("\n")
	}
	f.Differences.Page(&b, figures.Design{Subjects: f.Order, Baseline: f.Baseline}, compared)
	return b.String()
}

func (f *findings) value() cty.Value {
	all := map[string]cty.Value{}
	for name, s := range f.Subjects {
		attrs := map[string]cty.Value{
			"log_likelihood": cty.NumberFloatVal(s.LogLikelihood), "scored_tokens": cty.NumberIntVal(s.Tokens),
			"scored_bytes": cty.NumberIntVal(s.Bytes), "errors": cty.NumberIntVal(s.Errors),
		}
		maps.Copy(attrs, s.Attributes())
		for metric, v := range s.Metrics {
			attrs[metric] = v.Object()
		}
		all[name] = cty.ObjectVal(attrs)
	}
	return cty.ObjectVal(map[string]cty.Value{
		"rows": cty.NumberIntVal(f.Rows), "subjects": cty.ObjectVal(all), "differences": f.Differences.Object(),
		"best": figures.Best(f.Order, compared, func(subject, metric string) measurement.Figure {
			figure := f.Subjects[subject].Metrics[metric]
			if figure.Value != nil {
				figure.Value = figures.Known(-*figure.Value) // the lowest is the best
			}
			return figure
		}),
	})
}
