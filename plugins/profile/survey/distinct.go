package survey

import "math"

// sampledValues is the maximum number of distinct values that are counted.
const sampledValues = 1 << 15

// distinct estimates how many distinct values there are and how often they
// repeat. It counts the values whose hash begins with Level zero bits, and raises
// the level when there are too many (Wegman's adaptive sampling, Flajolet 1990).
// Unlike HyperLogLog, which has the same error for as many values, it also knows
// how often the values occur, so it can tell a column without repeated values
// from one with 0.5% of them.
//
// The result does not depend on the order of the values.
type distinct struct {
	Counts *counter
	Level  uint
}

func newDistinct() *distinct { return &distinct{Counts: newCounter()} }

// add counts a value by its hash n times. It reports whether the value is known
// to occur more than once.
func (d *distinct) add(hash uint64, n int64) (repeated bool) {
	if hash>>(64-d.Level) != 0 {
		return n > 1
	}
	count := d.Counts.add(hash, n)
	for d.Counts.len > sampledValues {
		d.Level++
		d.Counts.keep(func(h uint64) bool { return h>>(64-d.Level) == 0 })
	}
	return count > 1
}

// estimate returns how many of n values are distinct, and the relative standard
// error of that.
func (d *distinct) estimate(n int64) (value, relative float64) {
	if d.Level == 0 {
		return float64(d.Counts.len), 0
	}
	var sum, squares float64
	for _, s := range d.Counts.slots {
		sum += float64(s.N)
		squares += float64(s.N) * float64(s.N)
	}
	size := float64(d.Counts.len)
	mean := sum / size
	spread := math.Sqrt(max(squares/size-mean*mean, 0)) / mean
	if spread < 1 {
		// Values occur about equally often, so their number follows from n.
		return float64(n) / mean, spread / math.Sqrt(size)
	}
	return size * math.Exp2(float64(d.Level)), 1 / math.Sqrt(size)
}
