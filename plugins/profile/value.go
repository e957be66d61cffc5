package profile

import (
	"fmt"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/internal/measurement"
	"github.com/quern-dev/quern/plugins/profile/survey"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/verbatim"
)

// mostListed is the number of associations in the value. The report has all.
const mostListed = 50

var (
	topType         = cty.Object(map[string]cty.Type{"value": cty.String, "count": cty.Number, "share": cty.Number})
	noteType        = cty.Object(map[string]cty.Type{"column": cty.String, "kind": cty.String, "text": cty.String})
	associationType = cty.Object(map[string]cty.Type{
		"a": cty.String, "b": cty.String, "method": cty.String, "value": cty.Number, "low": cty.Number, "high": cty.Number, "n": cty.Number,
	})
	tokensType  = cty.Object(map[string]cty.Type{"mean": measurement.FigureType, "total": measurement.FigureType})
	lengthsType = cty.Object(attributeTypes(lengthAttributes(nil)))
)

// valueType returns the type of the stage's value for a dataset's columns.
func valueType(columns data.Schema, baseline bool) cty.Type {
	// A profile without rows has the types of any other one.
	p := &measurement.Profile{Columns: make([]measurement.ProfileColumn, len(columns))}
	for i, c := range columns {
		p.Columns[i] = measurement.ProfileColumn{Name: c.Name, Type: c.Type}
		if c.Type == "string" {
			p.Columns[i].Texts = &measurement.Texts{}
		}
	}
	if baseline {
		p.Drift = &measurement.Drift{}
	}
	return value(p).Type()
}

func attributeTypes(attrs map[string]cty.Value) map[string]cty.Type {
	out := make(map[string]cty.Type, len(attrs))
	for name, v := range attrs {
		out[name] = v.Type()
	}
	return out
}

// value returns what expressions see.
func value(p *measurement.Profile) cty.Value {
	columns := map[string]cty.Value{}
	cells := int64(0)
	for i := range p.Columns {
		c := &p.Columns[i]
		columns[c.Name] = cty.ObjectVal(columnAttributes(c))
		cells += c.Nulls + c.Values
	}
	attrs := map[string]cty.Value{
		"rows": cty.NumberIntVal(p.Rows), "duplicate_rows": cty.NumberIntVal(p.DuplicateRows),
		"duplicate_share": cty.NumberFloatVal(shareOf(p.DuplicateRows, p.Rows)), "null_share": cty.NumberFloatVal(shareOf(p.NullCells, cells)),
		"columns":      cty.ObjectVal(verbatim.Distinct(columns)),
		"associations": list(associationType, p.Associations[:min(len(p.Associations), mostListed)], association),
		"warnings":     list(noteType, p.Warnings, note),
	}
	if p.Drift != nil {
		attrs["drift"] = driftValue(p)
	}
	return cty.ObjectVal(attrs)
}

func list[T any](typ cty.Type, all []T, one func(T) cty.Value) cty.Value {
	if len(all) == 0 {
		return cty.ListValEmpty(typ)
	}
	out := make([]cty.Value, len(all))
	for i, v := range all {
		out[i] = one(v)
	}
	return cty.ListVal(out)
}

func association(a measurement.Association) cty.Value {
	return cty.ObjectVal(map[string]cty.Value{
		"a": cty.StringVal(a.A), "b": cty.StringVal(a.B), "method": cty.StringVal(a.Method),
		"value": measurement.Number(a.Value), "low": measurement.Number(a.Low), "high": measurement.Number(a.High), "n": cty.NumberIntVal(a.N),
	})
}

func note(n measurement.ProfileNote) cty.Value {
	column := cty.NullVal(cty.String)
	if n.Column != "" {
		column = cty.StringVal(n.Column)
	}
	return cty.ObjectVal(map[string]cty.Value{"column": column, "kind": cty.StringVal(n.Kind), "text": cty.StringVal(n.Text)})
}

func columnAttributes(c *measurement.ProfileColumn) map[string]cty.Value {
	balance := measurement.Balance{}
	figure := func(float64) cty.Value { return cty.NullVal(cty.Number) }
	if c.Balance != nil {
		balance, figure = *c.Balance, cty.NumberFloatVal
	}
	attrs := map[string]cty.Value{
		"type": cty.StringVal(c.Type), "nulls": cty.NumberIntVal(c.Nulls), "null_share": cty.NumberFloatVal(shareOf(c.Nulls, c.Nulls+c.Values)),
		"distinct": cty.NumberIntVal(c.Distinct.Value), "distinct_exact": cty.BoolVal(c.Distinct.Exact()), "duplicates": cty.NumberIntVal(c.Duplicates.Value),
		"constant": cty.BoolVal(c.Constant), "unique": cty.BoolVal(c.Unique), "identifier": cty.BoolVal(c.Identifier),
		"entropy": figure(balance.Entropy), "evenness": figure(balance.Evenness), "majority": figure(balance.Majority), "imbalance": figure(balance.Imbalance),
		"top": list(topType, c.Top, func(t measurement.TopValue) cty.Value {
			return cty.ObjectVal(map[string]cty.Value{"value": cty.StringVal(t.Value), "count": cty.NumberIntVal(t.Count), "share": cty.NumberFloatVal(shareOf(t.Count, c.Values))})
		}),
	}
	switch c.Type {
	case "int64", "float64":
		numberAttributes(attrs, c.Numbers)
	case "date", "timestamp":
		timeAttributes(attrs, c)
	case "string":
		textAttributes(attrs, c.Texts)
	case "bool":
	default:
		attrs["items"] = cty.NullVal(lengthsType)
		if c.Items != nil {
			attrs["items"] = cty.ObjectVal(lengthAttributes(c.Items))
		}
	}
	return attrs
}

// quantileNames are the names of quantiles in expressions.
var quantileNames = []struct {
	share float64
	name  string
	// ofLengths is set for those that lengths have, too.
	ofLengths bool
}{
	{0, "min", true}, {0.01, "p1", false}, {0.05, "p5", true}, {0.25, "p25", true}, {0.5, "p50", true}, {0.75, "p75", true}, {0.95, "p95", true},
	{0.99, "p99", true}, {1, "max", true},
}

func numberAttributes(attrs map[string]cty.Value, n *measurement.Numbers) {
	if n == nil {
		n = &measurement.Numbers{}
	}
	attrs["nan"], attrs["infinite"] = cty.NumberIntVal(n.NaN), cty.NumberIntVal(n.Infinite)
	attrs["zeros"], attrs["negatives"] = cty.NumberIntVal(n.Zeros), cty.NumberIntVal(n.Negatives)
	attrs["mean"], attrs["std"] = measurement.Number(n.Mean), measurement.Number(n.Std)
	attrs["outliers"] = cty.NullVal(cty.Number)
	if n.Outliers != nil {
		attrs["outliers"] = cty.NumberIntVal(*n.Outliers)
	}
	for _, q := range quantileNames {
		attrs[q.name] = measurement.Number(n.Quantile(q.share))
	}
}

func timeAttributes(attrs map[string]cty.Value, c *measurement.ProfileColumn) {
	for _, q := range quantileNames {
		if q.share != 0 && q.share != 0.5 && q.share != 1 {
			continue
		}
		attrs[q.name] = cty.NullVal(cty.String)
		if c.Numbers == nil {
			continue
		}
		if v := c.Numbers.Quantile(q.share); v != nil {
			attrs[q.name] = cty.StringVal(survey.TimeText(c.Type, *v))
		}
	}
}

func textAttributes(attrs map[string]cty.Value, t *measurement.Texts) {
	attrs["empty"], attrs["blank"], attrs["invalid_utf8"] = cty.NumberIntVal(t.Empty), cty.NumberIntVal(t.Blank), cty.NumberIntVal(t.Invalid)
	attrs["bytes"] = cty.NumberIntVal(t.Bytes)
	attrs["characters"], attrs["words"] = cty.ObjectVal(lengthAttributes(&t.Characters)), cty.ObjectVal(lengthAttributes(&t.Words))
	attrs["languages"], attrs["pii"] = shares(t.Languages), shares(t.PII)
	attrs["tokens"] = cty.NullVal(tokensType)
	if t.Tokens != nil {
		attrs["tokens"] = cty.ObjectVal(map[string]cty.Value{"mean": t.Tokens.Mean.Object(), "total": t.Tokens.Total.Object()})
	}
}

func shares(all []measurement.Share) cty.Value {
	if len(all) == 0 {
		return cty.MapValEmpty(measurement.FigureType)
	}
	out := map[string]cty.Value{}
	for _, s := range all {
		out[s.Name] = s.Object()
	}
	return cty.MapVal(out)
}

func lengthAttributes(l *measurement.Lengths) map[string]cty.Value {
	if l == nil {
		l = &measurement.Lengths{}
	}
	attrs := map[string]cty.Value{"total": cty.NumberIntVal(l.Total), "mean": measurement.Number(l.Mean)}
	for _, q := range quantileNames {
		if q.ofLengths {
			attrs[q.name] = measurement.Number(l.Quantile(q.share))
		}
	}
	return attrs
}

var driftColumnType = cty.Object(map[string]cty.Type{
	"of": cty.String, "psi": measurement.FigureType, "distance": measurement.FigureType, "nulls": measurement.FigureType,
	"p": cty.Number, "p_adjusted": cty.Number, "test": cty.String,
})

func driftValue(p *measurement.Profile) cty.Value {
	columns := map[string]cty.Value{}
	for i := range p.Columns {
		columns[p.Columns[i].Name] = cty.NullVal(driftColumnType)
	}
	for _, c := range p.Drift.Columns {
		columns[c.Name] = cty.ObjectVal(map[string]cty.Value{
			"of": cty.StringVal(c.Of), "psi": c.PSI.Object(), "distance": c.Distance.Object(), "nulls": c.Nulls.Object(),
			"p": measurement.Number(c.P), "p_adjusted": measurement.Number(c.PAdjusted), "test": cty.StringVal(c.Test),
		})
	}
	names := func(all []string) cty.Value { return list(cty.String, all, cty.StringVal) }
	return cty.ObjectVal(map[string]cty.Value{
		"baseline_rows": cty.NumberIntVal(p.Drift.BaselineRows), "columns": cty.ObjectVal(verbatim.Distinct(columns)),
		"added": names(p.Drift.Added), "removed": names(p.Drift.Removed), "retyped": names(p.Drift.Retyped), "drifted": names(p.Drift.Drifted),
		"largest_psi": measurement.Number(p.Drift.Largest),
	})
}

// numberText formats a number for people: 12, 0.5, 1.235e+10.
func numberText(v *float64) string {
	if v == nil {
		return "–"
	}
	return fmt.Sprintf("%.5g", *v)
}

func shareOf(n, all int64) float64 {
	if all == 0 {
		return 0
	}
	return float64(n) / float64(all)
}
