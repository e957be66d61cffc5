package profile

import (
	"math"

	"github.com/quern-dev/quern/internal/measurement"
)

// values counts the distinct values of a column. All counts are exact up to
// frequentValues distinct values.
type values struct {
	// dir is a folder for temporary files.
	dir string
	// hash returns the hash of a value by its id.
	hash func(id uint64) uint64
	n    int64

	frequent *frequent
	// distinct is nil while all distinct values are in frequent.
	distinct *distinct
	// unique counts repetitions exactly. It is nil as soon as a value is known
	// to repeat: then distinct estimates how many do.
	unique *repeats
}

func newValues(dir string, hash func(id uint64) uint64) *values {
	return &values{dir: dir, hash: hash, frequent: newFrequent()}
}

// add counts a value n times. id identifies it, and text is what people see.
func (v *values) add(id uint64, n int64, text string) error {
	v.n += n
	if v.distinct == nil {
		if !v.frequent.full() || v.frequent.has(id) {
			v.frequent.add(id, n, text)
			return nil
		}
		if err := v.estimate(); err != nil {
			return err
		}
	}
	v.frequent.add(id, n, text)
	return v.count(v.hash(id), n)
}

// estimate starts to estimate the number of distinct values, because there are
// too many to know each.
func (v *values) estimate() error {
	v.distinct, v.unique = newDistinct(), newRepeats(v.dir)
	for _, known := range v.frequent.values {
		if err := v.count(v.hash(known.id), known.n); err != nil {
			return err
		}
	}
	return nil
}

func (v *values) count(hash uint64, n int64) error {
	repeated := v.distinct.add(hash, n)
	switch {
	case v.unique == nil:
		return nil
	case repeated || n > 1:
		v.unique.close()
		v.unique = nil
		return nil
	}
	return v.unique.add(hash)
}

// close removes temporary files.
func (v *values) close() {
	if v.unique != nil {
		v.unique.close()
	}
}

// counted returns the number of distinct values and of those that equal an earlier
// one. z is the quantile of the normal distribution for intervals.
func (v *values) counted(z float64) (distinct, duplicates measurement.Estimated, err error) {
	switch {
	case v.distinct == nil:
		known := int64(len(v.frequent.values))
		return measurement.Exact(known), measurement.Exact(v.n - known), nil
	case v.unique != nil:
		repeated, err := v.unique.count()
		return measurement.Exact(v.n - repeated), measurement.Exact(repeated), err
	}
	value, relative := v.distinct.estimate(v.n)
	// At least one value repeats, and those in the sample are known.
	least, most := int64(v.distinct.counts.len), v.n-1
	at := func(x float64) int64 { return min(max(int64(math.Round(x)), least), most) }
	distinct = measurement.Estimated{Value: at(value), Low: at(value * (1 - z*relative)), High: at(value * (1 + z*relative))}
	if distinct.Exact() && distinct.Value < most {
		distinct.High++ // a sampled figure must not look exact
	}
	duplicates = measurement.Estimated{Value: v.n - distinct.Value, Low: v.n - distinct.High, High: v.n - distinct.Low}
	return distinct, duplicates, nil
}
