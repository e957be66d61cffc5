package evaluation

import (
	"maps"
	"math"
	"slices"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/internal/measurement"
	"github.com/quern-dev/quern/plugins/figures"
	"github.com/quern-dev/quern/plugins/subjects"
)

// findings is the result of an evaluation: the stage's value, and the content
// of metrics.json. Unknown members are null.
type findings struct {
	Rows       int64   `json:"rows"`
	Repeats    int     `json:"repeats"`
	Confidence float64 `json:"confidence"`
	// The metrics that are computed from all others come last.
	measurement.Description
	Subjects    map[string]*subjectFigures `json:"subjects"`
	Differences figures.Differences        `json:"differences"`
	// Notes tell readers what to consider when they interpret the figures.
	Notes []string `json:"notes,omitempty"`
}

type subjectFigures struct {
	Metrics map[string]measurement.Figure `json:"metrics"`
	measurement.Usage
	Answers int64 `json:"answers"`
	Errors  int64 `json:"errors"`
	CutOff  int64 `json:"cut_off"`
	Refused int64 `json:"refused"`
}

// find computes everything from the tables.
func (e *run) find() (*findings, error) {
	f := &findings{
		Rows: e.rows, Repeats: e.Args.Repeats, Confidence: e.Args.Confidence,
		Description: measurement.Description{Order: subjects.Names(e.Args.subjects), Baseline: e.Args.Baseline},
		Subjects:    map[string]*subjectFigures{},
	}
	for _, m := range e.Args.measures {
		f.Metrics = append(f.Metrics, m.described())
	}
	f.Metrics = append(f.Metrics,
		measurement.Metric{Name: "passed", Kind: "condition", Share: true, Rowwise: true}, measurement.Metric{Name: "overall", Kind: "number", Rowwise: true})
	sample := e.sample()
	for i, t := range e.tables {
		one, err := e.subject(sample, t)
		if err != nil {
			return nil, err
		}
		f.Subjects[f.Order[i]] = one
	}
	var err error
	f.Differences, err = e.differences(sample)
	return f, err
}

func (e *run) sample() *figures.Sample {
	return &figures.Sample{
		Repeats: e.Args.Repeats, Clusters: e.clusters,
		Options: figures.Options(e.Args.Confidence, e.Args.Resamples, e.Args.Seed),
	}
}

// described returns the description of a metric for reports.
func (m *measure) described() measurement.Metric {
	d := measurement.Metric{Name: m.name, Kind: "number", Threshold: m.threshold, Share: m.condition, Rowwise: true}
	if m.counts() {
		d.Weight = m.weight
	}
	switch {
	case m.judge != nil:
		d.Kind, d.Rubric = m.judge.Kind, m.judge.Rubric
	case m.similar != nil:
		d.Kind = "similar"
	case m.condition:
		d.Kind = "condition"
	}
	return d
}

// columns returns the values of a subject by the names of metrics. A missing
// grade counts as 0.
func (t *table) columns(a *args) map[string][]float64 {
	out := map[string][]float64{"passed": t.passed, "overall": t.overall}
	for m, what := range a.measures {
		out[what.name] = replaced(t.metrics[m], t.ungraded[m], 0)
	}
	return out
}

// failed counts the answers that have no value of their own, by the names of
// metrics.
func (t *table) failed(a *args) map[string]int64 {
	out := map[string]int64{"passed": t.anyErrors, "overall": t.anyErrors}
	for m, what := range a.measures {
		out[what.name] = t.metricErrors[m]
	}
	return out
}

// compared returns the values of a subject that are compared with those of
// other subjects. Missing grades are left out, because a gap on either side
// must not look like a difference.
func (t *table) compared(a *args) map[string][]float64 {
	out := map[string][]float64{
		"passed": replaced(t.passed, t.anyUngraded, math.NaN()), "overall": replaced(t.overall, t.anyUngraded, math.NaN()),
	}
	for m, what := range a.measures {
		out[what.name] = t.metrics[m]
	}
	return out
}

// replaced returns values in which the marked ones are replaced.
func replaced(values []float64, where []bool, by float64) []float64 {
	if !slices.Contains(where, true) {
		return values
	}
	out := slices.Clone(values)
	for i, yes := range where {
		if yes {
			out[i] = by
		}
	}
	return out
}

// scales returns the scale of each metric. A row expression is treated as a
// grade if all its values are between 0 and 1.
func (e *run) scales() map[string]figures.Scale {
	overall, out := [][]float64{}, map[string]figures.Scale{"passed": {Share: true}}
	for _, t := range e.tables {
		overall = append(overall, t.overall)
	}
	out["overall"] = figures.Within(0, 1, overall...)
	for m, what := range e.Args.measures {
		var values [][]float64
		for _, t := range e.tables {
			values = append(values, t.metrics[m])
		}
		switch {
		case what.condition:
			out[what.name] = figures.Scale{Share: true}
		case what.similar != nil:
			out[what.name] = figures.Within(-1, 1, values...)
		default:
			out[what.name] = figures.Within(0, 1, values...)
		}
	}
	return out
}

func (e *run) subject(sample *figures.Sample, t *table) (*subjectFigures, error) {
	out := &subjectFigures{Metrics: map[string]measurement.Figure{}, Answers: int64(len(t.passed)), Errors: t.errors, CutOff: t.cutOff, Refused: t.refused}
	scales := e.scales()
	failed := t.failed(e.Args)
	for name, values := range t.columns(e.Args) {
		f, err := sample.Estimate(values, scales[name])
		if err != nil {
			return nil, err
		}
		count := failed[name]
		f.Errors = &count
		out.Metrics[name] = f
	}
	var err error
	out.Usage, err = sample.Usage(t.cost, t.tokens, t.latency)
	return out, err
}

// differences compares subjects by each metric. The comparisons by the metrics
// themselves are one family. Those by passed and by overall, which follow from
// the metrics, are a separate family each.
func (e *run) differences(sample *figures.Sample) (figures.Differences, error) {
	columns := make([]map[string][]float64, len(e.tables))
	for i, t := range e.tables {
		columns[i] = t.compared(e.Args)
	}
	scales := e.scales()
	family := func(metric string) string {
		if metric == "passed" || metric == "overall" {
			return metric
		}
		return "metrics"
	}
	return figures.Compare(e.Args.design(), e.Args.names(), family, func(first, second int, metric string) (measurement.Contrast, error) {
		return sample.Contrast(columns[first][metric], columns[second][metric], scales[metric])
	})
}

func (f *findings) metricNames() []string {
	names := make([]string, len(f.Metrics))
	for i, m := range f.Metrics {
		names[i] = m.Name
	}
	return names
}

func (f *findings) value() cty.Value {
	all := map[string]cty.Value{}
	for name, s := range f.Subjects {
		attrs := map[string]cty.Value{
			"answers": cty.NumberIntVal(s.Answers), "errors": cty.NumberIntVal(s.Errors),
			"cut_off": cty.NumberIntVal(s.CutOff), "refused": cty.NumberIntVal(s.Refused),
		}
		maps.Copy(attrs, s.Attributes())
		for metric, v := range s.Metrics {
			attrs[metric] = v.Object()
		}
		all[name] = cty.ObjectVal(attrs)
	}
	return cty.ObjectVal(map[string]cty.Value{
		"rows": cty.NumberIntVal(f.Rows), "subjects": cty.ObjectVal(all), "differences": f.Differences.Object(),
		"best": figures.Best(f.Order, f.metricNames(), func(subject, metric string) measurement.Figure { return f.Subjects[subject].Metrics[metric] }),
	})
}
