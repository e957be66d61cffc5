package figures

import (
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/internal/measurement"
	"github.com/quern-dev/quern/plugins/stats"
)

// Calibration compares confidences with known labels, before and after a
// temperature was fitted to them.
type Calibration struct {
	// Temperature is nil if none was fitted. After is then unknown.
	Temperature   *float64
	Before, After stats.Reliability
}

var (
	binType         = cty.Object(map[string]cty.Type{"low": cty.Number, "high": cty.Number, "n": cty.Number, "confidence": cty.Number, "accuracy": cty.Number})
	reliabilityType = cty.Object(map[string]cty.Type{"confidence": cty.Number, "ece": cty.Number, "brier": cty.Number, "bins": cty.List(binType)})
)

// CalibrationType is the type of a calibration in expressions.
var CalibrationType = cty.Object(map[string]cty.Type{
	"n": cty.Number, "accuracy": cty.Number, "temperature": cty.Number, "before": reliabilityType, "after": reliabilityType,
})

// Object returns the value of a calibration. It is null if c is nil or has no
// labels.
func (c *Calibration) Object() cty.Value {
	if c == nil || c.Before.N() == 0 {
		return cty.NullVal(CalibrationType)
	}
	return cty.ObjectVal(map[string]cty.Value{
		"n": cty.NumberIntVal(c.Before.N()), "accuracy": cty.NumberFloatVal(c.Before.Accuracy()),
		"temperature": measurement.Number(c.Temperature), "before": reliability(&c.Before), "after": reliability(&c.After),
	})
}

func reliability(r *stats.Reliability) cty.Value {
	if r.N() == 0 {
		return cty.NullVal(reliabilityType)
	}
	var bins []cty.Value
	for _, b := range r.Bins() {
		bins = append(bins, cty.ObjectVal(map[string]cty.Value{
			"low": cty.NumberFloatVal(b.Low), "high": cty.NumberFloatVal(b.High), "n": cty.NumberIntVal(b.N),
			"confidence": cty.NumberFloatVal(b.Confidence), "accuracy": cty.NumberFloatVal(b.Accuracy),
		}))
	}
	return cty.ObjectVal(map[string]cty.Value{
		"confidence": cty.NumberFloatVal(r.Confidence()), "ece": cty.NumberFloatVal(r.ECE()), "brier": cty.NumberFloatVal(r.Brier()),
		"bins": cty.ListVal(bins),
	})
}
