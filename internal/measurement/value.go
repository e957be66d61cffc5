package measurement

import "github.com/zclconf/go-cty/cty"

// The types of figures as expressions see them.
var (
	FigureType = numbers()
	// MeasuredType is the type of a figure that counts errors.
	MeasuredType = numbers("errors")
	TotalType    = numbers("total")
	LatencyType  = numbers("p50", "p95")
	ContrastType = numbers("p", "p_adjusted", "detectable")
	// UsageTypes are the types of the attributes of a [Usage].
	UsageTypes = map[string]cty.Type{"cost": TotalType, "tokens": TotalType, "latency": LatencyType}
)

// numbers returns the type of a figure with additional numbers.
func numbers(more ...string) cty.Type {
	attrs := map[string]cty.Type{}
	for _, name := range append([]string{"value", "low", "high", "n"}, more...) {
		attrs[name] = cty.Number
	}
	return cty.Object(attrs)
}

// Object returns the figure as a value: of MeasuredType if it counts errors, and
// of FigureType otherwise.
func (f Figure) Object() cty.Value { return f.with(nil) }

// Object returns the contrast as a value.
func (c Contrast) Object() cty.Value {
	return c.with(map[string]*float64{"p": c.P, "p_adjusted": c.PAdjusted, "detectable": c.Detectable})
}

// Attributes returns the values of a usage by attribute.
func (u Usage) Attributes() map[string]cty.Value {
	return map[string]cty.Value{
		"cost":    u.Cost.with(map[string]*float64{"total": u.Cost.Total}),
		"tokens":  u.Tokens.with(map[string]*float64{"total": u.Tokens.Total}),
		"latency": u.Latency.with(map[string]*float64{"p50": u.Latency.P50, "p95": u.Latency.P95}),
	}
}

func (f Figure) with(more map[string]*float64) cty.Value {
	attrs := map[string]cty.Value{"value": Number(f.Value), "low": Number(f.Low), "high": Number(f.High), "n": cty.NumberIntVal(f.N)}
	if f.Errors != nil {
		attrs["errors"] = cty.NumberIntVal(*f.Errors)
	}
	for name, v := range more {
		attrs[name] = Number(v)
	}
	return cty.ObjectVal(attrs)
}

// Number returns a number that may not be known as a value: nil is null.
func Number(v *float64) cty.Value {
	if v == nil {
		return cty.NullVal(cty.Number)
	}
	return cty.NumberFloatVal(*v)
}
