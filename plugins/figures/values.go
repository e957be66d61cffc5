package figures

import (
	"maps"
	"math"

	"github.com/zclconf/go-cty/cty"
)

// The types of figures as expressions see them.
var (
	FigureType   = numbers()
	MeasuredType = numbers("errors")
	TotalType    = numbers("total")
	LatencyType  = numbers("p50", "p95")
	ContrastType = numbers("p", "p_adjusted", "detectable")
	// UsageTypes are those of what an answer took, by attribute.
	UsageTypes = map[string]cty.Type{"cost": TotalType, "tokens": TotalType, "latency": LatencyType}
)

// numbers is the type of a figure with further numbers.
func numbers(more ...string) cty.Type {
	attrs := map[string]cty.Type{}
	for _, name := range append([]string{"value", "low", "high", "n"}, more...) {
		attrs[name] = cty.Number
	}
	return cty.Object(attrs)
}

// Object is the value of a figure.
func (f Figure) Object() cty.Value { return f.with(nil) }

// Object is the value of a metric's figure.
func (m Measured) Object() cty.Value {
	errors := float64(m.Errors)
	return m.with(map[string]*float64{"errors": &errors})
}

func (f Figure) with(more map[string]*float64) cty.Value {
	attrs := map[string]cty.Value{"value": number(f.Value), "low": number(f.Low), "high": number(f.High), "n": cty.NumberIntVal(int64(f.N))}
	for name, v := range more {
		attrs[name] = number(v)
	}
	return cty.ObjectVal(attrs)
}

func number(v *float64) cty.Value {
	if v == nil {
		return cty.NullVal(cty.Number)
	}
	return cty.NumberFloatVal(*v)
}

// Attributes are the values of what the answers took.
func (u Usage) Attributes() map[string]cty.Value {
	return map[string]cty.Value{
		"cost":    u.Cost.with(map[string]*float64{"total": u.Cost.Total}),
		"tokens":  u.Tokens.with(map[string]*float64{"total": u.Tokens.Total}),
		"latency": u.Latency.with(map[string]*float64{"p50": u.Latency.P50, "p95": u.Latency.P95}),
	}
}

// Object is the value of all differences.
func (d Differences) Object() cty.Value {
	pairs := map[string]cty.Value{}
	for pair, metrics := range d {
		attrs := map[string]cty.Value{}
		for name, c := range metrics {
			attrs[name] = c.with(map[string]*float64{"p": c.P, "p_adjusted": c.PAdjusted, "detectable": c.Detectable})
		}
		pairs[pair] = cty.ObjectVal(attrs)
	}
	return cty.ObjectVal(pairs)
}

// Best is the value of best: by metric the subject with the highest figure, the
// first in order of those that have the same. It is null where none has a figure.
func Best(order, metrics []string, figure func(subject, metric string) Figure) cty.Value {
	attrs := map[string]cty.Value{}
	for _, metric := range metrics {
		best, highest := cty.NullVal(cty.String), math.Inf(-1)
		for _, subject := range order {
			if v := figure(subject, metric).Value; v != nil && *v > highest {
				best, highest = cty.StringVal(subject), *v
			}
		}
		attrs[metric] = best
	}
	return cty.ObjectVal(attrs)
}

// ValueTypes are the types of the attributes subjects, differences, and best:
// each subject has a figure of each metric, what its answers took, and more.
func ValueTypes(design Design, metrics []string, figure cty.Type, more map[string]cty.Type) map[string]cty.Type {
	figures, contrasts, best := maps.Clone(more), map[string]cty.Type{}, map[string]cty.Type{}
	maps.Copy(figures, UsageTypes)
	for _, name := range metrics {
		figures[name], contrasts[name], best[name] = figure, ContrastType, cty.String
	}
	all, differences := map[string]cty.Type{}, map[string]cty.Type{}
	for _, name := range design.Subjects {
		all[name] = cty.Object(figures)
	}
	for first, second := range design.pairs() {
		differences[design.name(first, second)] = cty.Object(contrasts)
		differences[design.name(second, first)] = cty.Object(contrasts)
	}
	return map[string]cty.Type{"subjects": cty.Object(all), "differences": cty.Object(differences), "best": cty.Object(best)}
}
