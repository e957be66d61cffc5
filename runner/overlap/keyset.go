// Package overlap counts the rows that two streams have in common, in bounded
// memory.
package overlap

import (
	"encoding/binary"
	"maps"
	"math"
)

// keySet has keys of rows and how many rows have each, of a range of keys: the
// first that fit. What does not fit has its turn in a later pass. Keys are
// hashes, so that a range has as many of them as another of its width.
type keySet struct {
	most      int    // different keys at a time
	low, high uint64 // the range of the keys' first 8 bytes, both included
	rows      map[[16]byte]int64
}

// mostKeys bounds the memory of a set to about 64 MiB.
const mostKeys = 1 << 20

func newKeySet(most int) *keySet {
	return &keySet{most: most, high: math.MaxUint64, rows: map[[16]byte]int64{}}
}

func prefix(key [16]byte) uint64 { return binary.BigEndian.Uint64(key[:]) }

// add notes a row, unless another pass is to have it.
func (s *keySet) add(key [16]byte) {
	if p := prefix(key); p < s.low || p > s.high {
		return
	}
	s.rows[key]++
	for len(s.rows) > s.most && s.low < s.high {
		s.high = s.low + (s.high-s.low)/2
		maps.DeleteFunc(s.rows, func(k [16]byte, _ int64) bool { return prefix(k) > s.high })
	}
}

// take removes a key and returns how many rows had it.
func (s *keySet) take(key [16]byte) int64 {
	n, ok := s.rows[key]
	if ok {
		delete(s.rows, key)
	}
	return n
}

// next empties the set for the keys that come after its range; false: there
// are none.
func (s *keySet) next() bool {
	clear(s.rows)
	if s.high == math.MaxUint64 {
		return false
	}
	s.low, s.high = s.high+1, math.MaxUint64
	return true
}

// Keys streams the keys of rows, in the same way whenever it is called.
type Keys func(yield func(key [16]byte)) error

// Count counts the rows of one stream whose keys are in another one, and the
// different keys of the first. It reads both streams once for each million of
// different keys.
func Count(of, in Keys) (shared, distinct int64, err error) { return count(of, in, mostKeys) }

// count is Count with at most so many keys in memory.
func count(of, in Keys, most int) (shared, distinct int64, err error) {
	s := newKeySet(most)
	for more := true; more; more = s.next() {
		if err := of(s.add); err != nil {
			return 0, 0, err
		}
		distinct += int64(len(s.rows))
		if len(s.rows) == 0 {
			continue
		}
		if err := in(func(key [16]byte) { shared += s.take(key) }); err != nil {
			return 0, 0, err
		}
	}
	return shared, distinct, nil
}
