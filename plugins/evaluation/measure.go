package evaluation

import (
	"maps"
	"slices"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/internal/measurement"
	"github.com/quern-dev/quern/plugins/figures"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// measure is a metric of any kind.
type measure struct {
	name string
	// key is the key of the argument, for messages.
	key string
	// Exactly one of expression, judge, and similar is set.
	expression plugin.LateColumn
	judge      *judge
	similar    *similar

	weight    float64
	threshold *float64
	// condition is set if values are true or false, as soon as that is known.
	condition bool
	// weighted is set if the metric is a number but counts in the overall
	// figure.
	weighted bool
	// errorScore is the value of a failure. If it is nil, a failure is 0
	// (false) for conditions, and has no value for numbers.
	errorScore *float64

	// failure is the reason why the first missing value is missing. values
	// counts the values that are not missing.
	failure string
	values  int
}

// graded reports whether the metric is a grade between 0 and 1.
func (m *measure) graded() bool { return m.judge != nil || m.similar != nil }

// counts reports whether the metric is part of the overall figure. A number,
// such as a length or seconds, is part of it only if it was given a weight.
func (m *measure) counts() bool { return m.condition || m.graded() || m.weighted }

// decides reports whether an answer can fail to pass because of the metric.
func (m *measure) decides() bool { return m.condition || m.threshold != nil }

// passes reports whether a value passes. A missing value does not.
func (m *measure) passes(v float64) bool {
	if m.threshold != nil {
		return v >= *m.threshold
	}
	return v == 1
}

// newMeasures returns the metrics sorted by name.
func newMeasures(p *plugin.Prepare[args]) []*measure {
	a := p.Args
	var all []*measure
	for _, name := range slices.Sorted(maps.Keys(a.Metrics)) {
		all = append(all, &measure{name: name, key: "metrics." + name, expression: a.Metrics[name], weight: 1})
	}
	for _, b := range a.Metric {
		m := &measure{name: b.Name, key: "metric." + b.Name, expression: b.Value, weight: 1, threshold: b.Threshold}
		m.errorScore = b.ErrorScore
		if b.Weight != nil {
			m.weight, m.weighted = *b.Weight, true
		}
		all = append(all, m)
	}
	for i := range a.Judges {
		j := &a.Judges[i]
		j.check(p)
		all = append(all, &measure{name: j.Name, key: "judge." + j.Name, judge: j, weight: j.Weight, threshold: j.Threshold, condition: j.decides()})
	}
	for i := range a.Similar {
		s := &a.Similar[i]
		if in := p.Input(s.Model.Key); in != nil && !in.Can(plugin.CanEmbed) {
			p.Errorf(s.Model.Key, "This model cannot compute embeddings\nIt can: %v.", in.Capabilities)
		}
		all = append(all, &measure{name: s.Name, key: "similar." + s.Name, similar: s, weight: s.Weight, threshold: s.Threshold})
	}
	checkMeasures(p, all)
	return all
}

func checkMeasures(p *plugin.Prepare[args], all []*measure) {
	taken := map[string]bool{}
	for _, name := range reserved {
		taken[name] = true
	}
	for _, m := range all {
		if taken[m.name] {
			p.Errorf(m.key, "The name %q is taken\nRename the metric. These names are reserved: %v.", m.name, reserved)
		}
		taken[m.name] = true
		if m.judge != nil {
			taken[m.name+"_explanation"] = true
		}
		if m.weight < 0 {
			p.Errorf(m.key, "The weight is %g\nIt must be 0 or more.", m.weight)
		}
		if m.expression.Key == "" {
			continue
		}
		typ, _ := p.RowArgument(m.expression.Key)
		switch typ {
		case "", "bool", "int64", "float64":
			m.condition = typ == "bool"
		default:
			p.Errorf(m.expression.Key, "A metric must be a condition or a number\nThis is %s. Compare it with something, as in output.text == row.answer.", typ)
		}
		m.checkErrorScore(p)
	}
}

// checkErrorScore refuses an error score that the metric cannot have, or that
// would let a failure pass.
func (m *measure) checkErrorScore(p *plugin.Prepare[args]) {
	key := m.key + ".error_score"
	switch {
	case m.errorScore == nil || !p.Known(key):
	case m.condition && *m.errorScore != 0 && *m.errorScore != 1:
		p.Errorf(key, "The error score of a condition is %g\nIt must be 0 (false) or 1 (true).", *m.errorScore)
	case m.threshold != nil && *m.errorScore >= *m.threshold:
		p.Errorf(key, "The error score is %g, but answers pass at %g\nA failure must not pass. Set error_score below the threshold.", *m.errorScore, *m.threshold)
	}
}

// reserved contains the names of columns and values in addition to the metrics.
var reserved = []string{
	"row", "id", "cluster", "subject", "draw", "given", "request", "text", "tool_calls", "finish_reason", "refused", "error", "cost", "input_tokens",
	"output_tokens", "latency", "passed", "overall", "tokens", "answers", "errors", "cut_off",
}

// rowsSchema returns the schema of the single answers.
func (a *args) rowsSchema() data.Schema {
	out := data.Schema{{Name: "row", Type: "int64"}}
	if a.ID.IsSet() {
		out = append(out, data.Column{Name: "id", Type: "string"})
	}
	if a.Cluster.IsSet() {
		out = append(out, data.Column{Name: "cluster", Type: "string"})
	}
	out = append(out, data.Schema{
		{Name: "subject", Type: "string"}, {Name: "draw", Type: "int64"},
		// JSON: the columns that metrics read, and the request.
		{Name: "given", Type: "string"}, {Name: "request", Type: "string"},
		{Name: "text", Type: "string"}, {Name: "tool_calls", Type: "string"},
		{Name: "finish_reason", Type: "string"}, {Name: "refused", Type: "bool"}, {Name: "error", Type: "string"},
		{Name: "cost", Type: "float64"}, {Name: "input_tokens", Type: "int64"}, {Name: "output_tokens", Type: "int64"}, {Name: "latency", Type: "float64"},
		{Name: "requests", Type: "string"},
		{Name: "passed", Type: "bool"}, {Name: "overall", Type: "float64"},
	}...)
	for _, m := range a.measures {
		if _, _, taken := out.Lookup(m.name); taken {
			continue // checkMeasures reports it
		}
		out = append(out, data.Column{Name: m.name, Type: "float64"})
		if m.judge != nil {
			out = append(out, data.Column{Name: m.name + "_explanation", Type: "string"})
		}
	}
	return out
}

// names returns the names of the metrics and of the figures that combine them.
func (a *args) names() []string {
	var names []string
	for _, m := range a.measures {
		names = append(names, m.name)
	}
	return append(names, "passed", "overall")
}

func (a *args) valueType() cty.Type {
	types := figures.ValueTypes(a.design(), a.names(), measurement.MeasuredType, map[string]cty.Type{
		"answers": cty.Number, "errors": cty.Number, "cut_off": cty.Number, "refused": cty.Number,
	})
	types["rows"] = cty.Number
	return cty.Object(types)
}
