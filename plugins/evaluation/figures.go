package evaluation

import (
	"errors"
	"math"
	"slices"

	"github.com/zclconf/go-cty/cty"
	"gonum.org/v1/gonum/stat"

	"github.com/quern-dev/quern/sdk/go/stats"
)

// figures are what an evaluation comes to: the stage's value, and the content
// of metrics.json. What is not known is null.
type figures struct {
	Rows       int64   `json:"rows"`
	Repeats    int     `json:"repeats"`
	Confidence float64 `json:"confidence"`
	// Metrics in their order, with what is made of all of them last.
	Metrics []described `json:"metrics"`
	// Subjects by name, and in Order.
	Order       []string                       `json:"order"`
	Subjects    map[string]*subjectFigures     `json:"subjects"`
	Differences map[string]map[string]contrast `json:"differences"`
}

// described is what a metric is, for reports.
type described struct {
	Name string `json:"name"`
	// Kind is condition, number, the kind of a judge, or similar.
	Kind      string   `json:"kind"`
	Weight    float64  `json:"weight"`
	Threshold *float64 `json:"threshold"`
	Rubric    string   `json:"rubric,omitempty"`
}

type subjectFigures struct {
	Metrics map[string]figure `json:"metrics"`
	Cost    totalled          `json:"cost"`
	Tokens  totalled          `json:"tokens"`
	Latency latency           `json:"latency"`
	Answers int64             `json:"answers"`
	Errors  int64             `json:"errors"`
}

// figure is a mean or a share with its interval. N is the number of rows.
type figure struct {
	Value *float64 `json:"value"`
	Low   *float64 `json:"low"`
	High  *float64 `json:"high"`
	N     int      `json:"n"`
}

type totalled struct {
	figure
	Total *float64 `json:"total"`
}

type latency struct {
	figure
	P50 *float64 `json:"p50"`
	P95 *float64 `json:"p95"`
}

// contrast is a difference between two subjects.
type contrast struct {
	figure
	P          *float64 `json:"p"`
	PAdjusted  *float64 `json:"p_adjusted"`
	Detectable *float64 `json:"detectable"`
	Test       string   `json:"test,omitempty"`
}

// known is a number that is one.
func known(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}

// figures computes everything from the tables.
func (e *run) figures() (*figures, error) {
	f := &figures{
		Rows: e.rows, Repeats: e.Args.Repeats, Confidence: e.Args.Confidence,
		Subjects: map[string]*subjectFigures{}, Differences: map[string]map[string]contrast{},
	}
	for _, m := range e.Args.measures {
		f.Metrics = append(f.Metrics, m.described())
	}
	f.Metrics = append(f.Metrics, described{Name: "passed", Kind: "condition"}, described{Name: "overall", Kind: "number"})
	for i, t := range e.tables {
		one, err := e.subject(t)
		if err != nil {
			return nil, err
		}
		name := e.Args.subjects[i].name
		f.Order = append(f.Order, name)
		f.Subjects[name] = one
	}
	return f, e.contrasts(f)
}

func (m *measure) described() described {
	d := described{Name: m.name, Kind: "number", Weight: m.weight, Threshold: m.threshold}
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

// columns are the values of a subject by the names of metrics.
func (t *table) columns(a *args) map[string][]float64 {
	out := map[string][]float64{"passed": t.passed, "overall": t.overall}
	for m, what := range a.measures {
		out[what.name] = t.metrics[m]
	}
	return out
}

// shares says whether a metric's values are false and true alone.
func (a *args) shares(name string) bool {
	for _, m := range a.measures {
		if m.name == name {
			return m.condition
		}
	}
	return name == "passed"
}

func (e *run) subject(t *table) (*subjectFigures, error) {
	out := &subjectFigures{Metrics: map[string]figure{}, Answers: int64(len(t.passed)), Errors: t.errors}
	for name, values := range t.columns(e.Args) {
		var err error
		if out.Metrics[name], err = e.estimate(values, e.Args.shares(name)); err != nil {
			return nil, err
		}
	}
	var err error
	if out.Cost.figure, err = e.estimate(t.cost, false); err != nil {
		return nil, err
	}
	if out.Tokens.figure, err = e.estimate(t.tokens, false); err != nil {
		return nil, err
	}
	if out.Latency.figure, err = e.estimate(t.latency, false); err != nil {
		return nil, err
	}
	out.Cost.Total, out.Tokens.Total = total(t.cost), total(t.tokens)
	seconds := slices.DeleteFunc(slices.Clone(t.latency), math.IsNaN)
	if slices.Sort(seconds); len(seconds) > 0 {
		out.Latency.P50 = known(stat.Quantile(0.5, stat.Empirical, seconds, nil))
		out.Latency.P95 = known(stat.Quantile(0.95, stat.Empirical, seconds, nil))
	}
	return out, nil
}

// total is the sum of what is known; nil where nothing is.
func total(values []float64) *float64 {
	sum, any := 0.0, false
	for _, v := range values {
		if !math.IsNaN(v) {
			sum += v
			any = true
		}
	}
	if !any {
		return nil
	}
	return &sum
}

// options are those of statistics over some observations. Repeats of a row
// are no new rows, so that the row, or what it belongs to, is the unit.
func (e *run) options(observations []int) stats.Options {
	o := stats.Options{Confidence: e.Args.Confidence, Resamples: e.Args.Resamples, Seed: e.Args.Seed}
	switch {
	case e.clusters != nil:
		names := make([]string, len(observations))
		for i, at := range observations {
			names[i] = e.clusters[at/e.Args.Repeats]
		}
		o.Clusters = stats.Clusters(names)
	case e.Args.Repeats > 1:
		rows := make([]int, len(observations))
		for i, at := range observations {
			rows[i] = at / e.Args.Repeats
		}
		o.Clusters = stats.Clusters(rows)
	}
	return o
}

// rowsOf counts the rows that observations, which are in order, belong to.
func (e *run) rowsOf(observations []int) int {
	n, last := 0, -1
	for _, at := range observations {
		if row := at / e.Args.Repeats; row != last {
			n, last = n+1, row
		}
	}
	return n
}

func (e *run) estimate(values []float64, share bool) (figure, error) {
	var present []float64
	var hits []bool
	var at []int
	for i, v := range values {
		if !math.IsNaN(v) {
			present, hits, at = append(present, v), append(hits, v == 1), append(at, i)
		}
	}
	if len(present) == 0 {
		return figure{}, nil
	}
	var got stats.Estimate
	var err error
	if share {
		got, err = stats.Proportion(hits, e.options(at))
	} else {
		got, err = stats.Mean(present, e.options(at))
	}
	return figure{known(got.Value), known(got.Low), known(got.High), e.rowsOf(at)}, err
}

// contrasts compares each two subjects by each metric. Those by the metrics
// themselves are one family of comparisons, and those by passed and by overall,
// which follow from them, one each.
func (e *run) contrasts(f *figures) error {
	families := map[string]*family{}
	for i := range e.tables {
		for k := range i {
			a, b := e.tables[k].columns(e.Args), e.tables[i].columns(e.Args)
			there, back := e.Args.subjects[k].name+" - "+e.Args.subjects[i].name, e.Args.subjects[i].name+" - "+e.Args.subjects[k].name
			f.Differences[there], f.Differences[back] = map[string]contrast{}, map[string]contrast{}
			for _, name := range e.Args.names() {
				c, err := e.contrast(a[name], b[name])
				if err != nil {
					return err
				}
				f.Differences[there][name] = c
				of := "metrics"
				if name == "passed" || name == "overall" {
					of = name
				}
				if families[of] == nil {
					families[of] = &family{}
				}
				if c.P != nil {
					families[of].add(there, name, *c.P)
				}
			}
		}
	}
	for _, fam := range families {
		fam.correct(f)
	}
	for i := range e.tables {
		for k := range i {
			there, back := e.Args.subjects[k].name+" - "+e.Args.subjects[i].name, e.Args.subjects[i].name+" - "+e.Args.subjects[k].name
			for name, c := range f.Differences[there] {
				f.Differences[back][name] = c.reversed()
			}
		}
	}
	return nil
}

// family is comparisons whose p-values are corrected for their number.
type family struct {
	of []comparison
	p  []float64
}

type comparison struct{ there, metric string }

func (f *family) add(there, metric string, p float64) {
	f.of, f.p = append(f.of, comparison{there, metric}), append(f.p, p)
}

func (f *family) correct(all *figures) {
	for i, p := range stats.Holm(f.p) {
		c := all.Differences[f.of[i].there][f.of[i].metric]
		c.PAdjusted = known(p)
		all.Differences[f.of[i].there][f.of[i].metric] = c
	}
}

func (e *run) contrast(a, b []float64) (contrast, error) {
	var x, y []float64
	var at []int
	for i := range a {
		if !math.IsNaN(a[i]) && !math.IsNaN(b[i]) {
			x, y, at = append(x, a[i]), append(y, b[i]), append(at, i)
		}
	}
	if len(x) == 0 {
		return contrast{}, nil
	}
	got, err := stats.Compare(x, y, e.options(at))
	if errors.Is(err, stats.ErrUndefined) {
		return contrast{}, nil
	}
	return contrast{
		figure: figure{known(got.Value), known(got.Low), known(got.High), e.rowsOf(at)},
		P:      known(got.P), Detectable: known(got.Detectable), Test: string(got.Test),
	}, err
}

// reversed is the difference the other way round.
func (c contrast) reversed() contrast {
	negative := func(v *float64) *float64 {
		if v == nil {
			return nil
		}
		return known(0 - *v)
	}
	c.Value, c.Low, c.High = negative(c.Value), negative(c.High), negative(c.Low)
	return c
}

// ---- as values -------------------------------------------------------------

func ctyNumber(v *float64) cty.Value {
	if v == nil {
		return cty.NullVal(cty.Number)
	}
	return cty.NumberFloatVal(*v)
}

func (f figure) attributes() map[string]cty.Value {
	return map[string]cty.Value{"value": ctyNumber(f.Value), "low": ctyNumber(f.Low), "high": ctyNumber(f.High), "n": cty.NumberIntVal(int64(f.N))}
}

func (f figure) with(more map[string]*float64) cty.Value {
	attrs := f.attributes()
	for name, v := range more {
		attrs[name] = ctyNumber(v)
	}
	return cty.ObjectVal(attrs)
}

func (f *figures) value() cty.Value {
	subjects, differences := map[string]cty.Value{}, map[string]cty.Value{}
	for name, s := range f.Subjects {
		attrs := map[string]cty.Value{
			"cost":    s.Cost.with(map[string]*float64{"total": s.Cost.Total}),
			"tokens":  s.Tokens.with(map[string]*float64{"total": s.Tokens.Total}),
			"latency": s.Latency.with(map[string]*float64{"p50": s.Latency.P50, "p95": s.Latency.P95}),
			"answers": cty.NumberIntVal(s.Answers), "errors": cty.NumberIntVal(s.Errors),
		}
		for metric, v := range s.Metrics {
			attrs[metric] = v.with(nil)
		}
		subjects[name] = cty.ObjectVal(attrs)
	}
	for name, metrics := range f.Differences {
		attrs := map[string]cty.Value{}
		for metric, c := range metrics {
			attrs[metric] = c.with(map[string]*float64{"p": c.P, "p_adjusted": c.PAdjusted, "detectable": c.Detectable})
		}
		differences[name] = cty.ObjectVal(attrs)
	}
	return cty.ObjectVal(map[string]cty.Value{
		"rows": cty.NumberIntVal(f.Rows), "subjects": cty.ObjectVal(subjects), "differences": cty.ObjectVal(differences),
	})
}
