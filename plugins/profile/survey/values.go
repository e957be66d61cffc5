package survey

import (
	"math"

	"github.com/quern-dev/quern/internal/measurement"
)

// values counts the distinct values of a column. All counts are exact up to
// frequentValues distinct values.
type values struct {
	N        int64
	Frequent frequent
	// Distinct is nil while all distinct values are in Frequent.
	Distinct *distinct

	// dir is a folder for temporary files.
	dir string
	// hash returns the hash of a value by its id.
	hash func(id uint64) uint64
	// unique counts repetitions exactly. It is nil before Distinct is set, and as
	// soon as a value is known to repeat: then Distinct estimates how many do.
	unique *repeats
}

// add counts sorted values, which are identified by their ids. It returns those that
// are now among the frequent ones and were not before.
func (v *values) add(runs []cell, room *workroom) (fresh []uint64, err error) {
	for _, r := range runs {
		v.N += r.N
	}
	merged := merge(room.merged[:0], v.Frequent.Cells, runs, 0)
	room.merged = merged
	fits := len(merged) <= frequentValues
	switch {
	case v.Distinct == nil && !fits:
		// There are too many to know each.
		v.Distinct, v.unique = newDistinct(), newRepeats(v.dir)
		err = v.count(merged, room)
	case v.Distinct != nil:
		err = v.count(runs, room)
	}
	return v.Frequent.replace(merged, nil), err
}

func (v *values) count(runs []cell, room *workroom) error {
	repeated := false
	hashes := room.keys[:0]
	for _, r := range runs {
		h := v.hash(r.Key)
		repeated = v.Distinct.add(h, r.N) || repeated
		hashes = append(hashes, h)
	}
	room.keys = hashes
	switch {
	case v.unique == nil:
		return nil
	case repeated:
		v.unique.close()
		v.unique = nil
		return nil
	}
	return v.unique.add(hashes)
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
	case v.Distinct == nil:
		known := int64(len(v.Frequent.Cells))
		return measurement.Exact(known), measurement.Exact(v.N - known), nil
	case v.unique != nil:
		repeated, err := v.unique.count()
		return measurement.Exact(v.N - repeated), measurement.Exact(repeated), err
	}
	value, relative := v.Distinct.estimate(v.N)
	// At least one value repeats, and those in the sample are known.
	least, most := int64(v.Distinct.Counts.len), v.N-1
	at := func(x float64) int64 { return min(max(int64(math.Round(x)), least), most) }
	distinct = measurement.Estimated{Value: at(value), Low: at(value * (1 - z*relative)), High: at(value * (1 + z*relative))}
	if distinct.Exact() && distinct.Value < most {
		distinct.High++ // a sampled figure must not look exact
	}
	duplicates = measurement.Estimated{Value: v.N - distinct.Value, Low: v.N - distinct.High, High: v.N - distinct.Low}
	return distinct, duplicates, nil
}
