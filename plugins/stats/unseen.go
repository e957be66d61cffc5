package stats

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// Values that did not occur among n independent units may still exist in the
// population. A resampling method never draws them, so its interval is too
// narrow with few units, and has no width at all if the values are equal. The
// intervals of this package therefore extend at least as far as unseen values
// could move the figure. The share of the population that these make up is at
// most the upper end of Wilson's interval for 0 of n, z²/(n+z²), the smooth
// form of the "rule of three" (Hanley and Lippman-Hand 1983). If all values are
// 1 on a scale from 0 to 1, this is exactly Wilson's interval.

// unseenShare returns the greatest possible share of unseen values in the
// population.
func unseenShare(units, confidence float64) float64 {
	z := normalQuantile(confidence)
	return z * z / (units + z*z)
}

// unseenInterval extends from the value as far as unseen values between the
// ends of the range could move it.
func unseenInterval(value, units, confidence float64, ends [2]float64) (low, high float64) {
	share := unseenShare(units, confidence)
	return value - share*(value-ends[0]), value + share*(ends[1]-value)
}

// unseenP returns the significance level at which unseenInterval begins to
// exclude 0, which is the p-value that agrees with it.
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

// scaleOf returns the range of unseen values if only a value that all
// observations have is known: from 0 to twice this value. If the value is zero,
// no scale is known.
func scaleOf(value float64) (ends [2]float64, known bool) {
	return [2]float64{min(0, 2*value), max(0, 2*value)}, value != 0
}

// withUnseen widens an interval by what unseen values could change. alike says
// that the units do not differ, so that the interval itself has no width.
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
