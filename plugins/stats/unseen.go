package stats

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// Values that did not occur among n independent units may still occur in the
// population. A resampling method never draws them, so that its interval is too
// narrow for few units and has no width at all where the values are alike. The
// intervals of this package therefore reach at least as far as unseen values
// could move the figure: the share of the population that they make up is at
// most the upper end of Wilson's interval for 0 of n, z²/(n+z²), the smooth form
// of the "rule of three" (Hanley and Lippman-Hand 1983). Of values that are all
// 1 on a scale from 0 to 1, this is exactly Wilson's interval.

// unseenShare is the greatest share of the population that unseen values make up.
func unseenShare(units, confidence float64) float64 {
	z := normalQuantile(confidence)
	return z * z / (units + z*z)
}

// unseenInterval reaches from the value as far as unseen values between the
// ends of the range could move it.
func unseenInterval(value, units, confidence float64, ends [2]float64) (low, high float64) {
	share := unseenShare(units, confidence)
	return value - share*(value-ends[0]), value + share*(ends[1]-value)
}

// unseenP is the significance at which unseenInterval begins to exclude 0: the
// p-value that agrees with it.
func unseenP(value, units float64, ends [2]float64) float64 {
	reach := value - ends[0]
	if value < 0 {
		value, reach = -value, ends[1]-value
	}
	if share := value / reach; share > 0 && share < 1 {
		return 2 * distuv.UnitNormal.CDF(-math.Sqrt(units*share/(1-share)))
	}
	return 1
}

// scaleOf is the range of unseen values where nothing is known about it but a
// value that all observations have: from 0 to twice this value. Of zeros, no
// scale is known.
func scaleOf(value float64) (ends [2]float64, known bool) {
	return [2]float64{min(0, 2*value), max(0, 2*value)}, value != 0
}

// withUnseen widens an interval to what unseen values could make of the figure.
// alike says that the units do not differ, so that the interval has no width of
// its own.
func (e Estimate) withUnseen(alike bool, o Options) Estimate {
	ends, known := o.Range, o.bounded()
	if alike {
		e.Low, e.High, e.Method = e.Value, e.Value, MethodUnseen
		if !known {
			ends, known = scaleOf(e.Value)
		}
		if !known {
			e.Low, e.High, e.Method = math.Inf(-1), math.Inf(1), MethodNone
		}
	}
	if !known {
		return e
	}
	low, high := unseenInterval(e.Value, float64(e.Units), o.Confidence, ends)
	e.Low, e.High = min(e.Low, low), max(e.High, high)
	if o.bounded() {
		return e.Within(o.Range[0], o.Range[1])
	}
	return e
}
