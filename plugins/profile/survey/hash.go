package survey

import (
	"fmt"
	"math"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/zeebo/xxh3"
)

// What nulls, NaN, and the ends of lists are hashed as.
const (
	nullHash = 0x6e756c6c6e756c6c
	nanHash  = 0x6e616e6e616e6e61
	listHash = 0x6c6973746c697374
)

// hashes returns a hash for each value of an array that depends only on the value.
// Equal values have equal hashes, also within lists and structs. It uses the memory of
// out, if that is large enough.
func hashes(a arrow.Array, out []uint64) ([]uint64, error) {
	out = slices.Grow(out[:0], a.Len())[:a.Len()]
	each := func(hash func(i int) uint64) ([]uint64, error) {
		for i := range out {
			if out[i] = nullHash; a.IsValid(i) {
				out[i] = hash(i)
			}
		}
		return out, nil
	}
	switch a := a.(type) {
	case *array.String:
		return each(func(i int) uint64 { return xxh3.HashString(a.Value(i)) })
	case *array.Binary:
		return each(func(i int) uint64 { return xxh3.Hash(a.Value(i)) })
	case *array.List:
		return hashLists(a, out)
	case *array.Struct:
		return hashStructs(a, out)
	}
	keys, ok := keysOf(a)
	if !ok {
		return nil, fmt.Errorf("values of type %s cannot be profiled", a.DataType())
	}
	return each(func(i int) uint64 {
		if k, ok := keys(i); ok {
			return mix(k)
		}
		return nanHash
	})
}

func hashLists(a *array.List, out []uint64) ([]uint64, error) {
	items, err := hashes(a.ListValues(), nil)
	if err != nil {
		return nil, err
	}
	for i := range out {
		if out[i] = nullHash; a.IsNull(i) {
			continue
		}
		from, until := a.ValueOffsets(i)
		h := uint64(listHash)
		for _, item := range items[from:until] {
			h = join(h, item)
		}
		out[i] = join(h, uint64(until-from))
	}
	return out, nil
}

func hashStructs(a *array.Struct, out []uint64) ([]uint64, error) {
	clear(out)
	for f := range a.NumField() {
		fields, err := hashes(a.Field(f), nil)
		if err != nil {
			return nil, err
		}
		for i := range out {
			out[i] = join(out[i], fields[i])
		}
	}
	for i := range out {
		if a.IsNull(i) {
			out[i] = nullHash
		}
	}
	return out, nil
}

// join returns the hash of a sequence that another hash is appended to.
func join(sequence, next uint64) uint64 { return mix(sequence*0x9e3779b97f4a7c15 + next) }

// keysOf returns the keys of values that have an order; ok is false for NaN.
func keysOf(a arrow.Array) (key func(i int) (k uint64, ok bool), ok bool) {
	switch a := a.(type) {
	case *array.Int64:
		return func(i int) (uint64, bool) { return intKey(a.Value(i)), true }, true
	case *array.Float64:
		return func(i int) (uint64, bool) { return floatKey(a.Value(i)), !math.IsNaN(a.Value(i)) }, true
	case *array.Boolean:
		return func(i int) (uint64, bool) {
			if a.Value(i) {
				return intKey(1), true
			}
			return intKey(0), true
		}, true
	case *array.Date32:
		return func(i int) (uint64, bool) { return intKey(int64(a.Value(i))), true }, true
	case *array.Timestamp:
		return func(i int) (uint64, bool) { return intKey(int64(a.Value(i))), true }, true
	}
	return nil, false
}
