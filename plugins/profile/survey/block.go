package survey

import (
	"slices"
	"sync"

	"github.com/quern-dev/quern/plugins/profile/drift"
)

// cell counts values that have a key.
type cell = drift.Cell

// blockValues is the number of values that are sorted together.
const blockValues = 1 << 15

// block collects values until there are enough to sort. Which values are in a
// block depends only on their sequence, so that does everything made of it.
type block struct{ Keys []uint64 }

// add adds a value, and reports whether the block is full: then the caller must
// empty it.
func (b *block) add(key uint64) (full bool) {
	b.Keys = append(b.Keys, key)
	return len(b.Keys) == blockValues
}

// runs sorts the values and returns each distinct one with its count.
func (b *block) runs(room *workroom) []cell {
	sortKeys(b.Keys, &room.keys)
	runs := room.runs[:0]
	for _, k := range b.Keys {
		if last := len(runs) - 1; last >= 0 && runs[last].Key == k {
			runs[last].N++
			continue
		}
		runs = append(runs, cell{Key: k, N: 1})
	}
	room.runs = runs
	return runs
}

// workroom is memory for the work on a block.
type workroom struct {
	keys, sequence []uint64
	runs, merged   []cell
}

var workrooms = sync.Pool{New: func() any { return new(workroom) }}

// merge appends two sorted lists of cells to another one, and adds the counts of
// equal keys. The keys of b lose their lowest bits.
func merge(out, a, b []cell, bits uint) []cell {
	i := 0
	for j := 0; j < len(b); {
		next := cell{Key: b[j].Key >> bits}
		for ; j < len(b) && b[j].Key>>bits == next.Key; j++ {
			next.N += b[j].N
		}
		for i < len(a) && a[i].Key < next.Key {
			out = append(out, a[i])
			i++
		}
		if i < len(a) && a[i].Key == next.Key {
			next.N += a[i].N
			i++
		}
		out = append(out, next)
	}
	return append(out, a[i:]...)
}

const (
	digitBits = 11
	digits    = (64 + digitBits - 1) / digitBits
	// fewKeys is the number of keys below which it does not pay to count digits.
	fewKeys = 1 << 9
)

// sortKeys sorts keys by their digits, from the lowest to the highest, and leaves
// out digits that are the same in all keys. other is memory for as many keys.
func sortKeys(keys []uint64, other *[]uint64) {
	if len(keys) < fewKeys {
		slices.Sort(keys)
		return
	}
	var counts [digits][1 << digitBits]uint32
	for _, k := range keys {
		for d := range digits {
			counts[d][k>>(d*digitBits)&(1<<digitBits-1)]++
		}
	}
	*other = slices.Grow((*other)[:0], len(keys))[:len(keys)]
	from, to := keys, *other
	for d := range digits {
		places := &counts[d]
		shift := d * digitBits
		if int(places[keys[0]>>shift&(1<<digitBits-1)]) == len(keys) {
			continue
		}
		var before uint32
		for i, n := range places {
			places[i], before = before, before+n
		}
		for _, k := range from {
			at := &places[k>>shift&(1<<digitBits-1)]
			to[*at] = k
			*at++
		}
		from, to = to, from
	}
	if &from[0] != &keys[0] {
		copy(keys, from)
	}
}
