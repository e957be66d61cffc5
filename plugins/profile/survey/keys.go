package survey

import "math"

// The keys of values are in the order of the values, so that a range of keys is
// a range of values.

func intKey(v int64) uint64 { return uint64(v) ^ 1<<63 }

func keyInt(k uint64) int64 { return int64(k ^ 1<<63) }

// floatKey returns the key of a number that is not NaN.
func floatKey(v float64) uint64 {
	if v == 0 {
		v = 0 // -0 equals 0
	}
	b := math.Float64bits(v)
	if b>>63 == 1 {
		return ^b
	}
	return b | 1<<63
}

func keyFloat(k uint64) float64 {
	if k>>63 == 1 {
		return math.Float64frombits(k &^ (1 << 63))
	}
	return math.Float64frombits(^k)
}

// scaleOf returns what the keys of a column of the type mean as numbers: of a
// date, days since 1970; of a timestamp, microseconds.
func scaleOf(typ string) scale {
	if typ == "float64" {
		return keyFloat
	}
	return func(k uint64) float64 { return float64(keyInt(k)) }
}

// mix spreads a key over all 64 bits (the finalizer of MurmurHash3).
func mix(k uint64) uint64 {
	k ^= k >> 33
	k *= 0xff51afd7ed558ccd
	k ^= k >> 33
	k *= 0xc4ceb9fe1a85ec53
	return k ^ k>>33
}
