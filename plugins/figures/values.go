package figures

import (
	"maps"
	"math"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/internal/measurement"
)

// Object returns the value of all differences.
func (d Differences) Object() cty.Value {
	pairs := map[string]cty.Value{}
	for pair, metrics := range d {
		attrs := map[string]cty.Value{}
		for name, c := range metrics {
			attrs[name] = c.Object()
		}
		pairs[pair] = cty.ObjectVal(attrs)
	}
	return cty.ObjectVal(pairs)
}

// Best returns the value of best: for each metric, the subject with the highest
// figure. If several subjects have the same figure, the first in order wins. It
// is null if no subject has a figure.
func Best(order, metrics []string, figure func(subject, metric string) measurement.Figure) cty.Value {
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

// ValueTypes returns the types of the attributes subjects, differences, and
// best. Each subject has a figure for each metric, its usage, and the
// attributes in more.
func ValueTypes(design Design, metrics []string, figure cty.Type, more map[string]cty.Type) map[string]cty.Type {
	figures, contrasts, best := maps.Clone(more), map[string]cty.Type{}, map[string]cty.Type{}
	maps.Copy(figures, measurement.UsageTypes)
	for _, name := range metrics {
		figures[name], contrasts[name], best[name] = figure, measurement.ContrastType, cty.String
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
