// Package overlap counts the rows that two streams have in common, in bounded
// memory.
package overlap

import (
	"encoding/binary"
	"maps"
	"math"
)

// keySet counts the rows for each key in a range of keys, for the first keys
// that fit. The rest is left to a later pass. Keys are hashes, so ranges of the
// same width contain about the same number of them.
type keySet struct {
	most      int    // distinct keys at a time
	low, high uint64 // the range of the keys' first 8 bytes, inclusive
	rows      map[[16]byte]int64
}

// mostKeys bounds the memory of a set to about 64 MiB.
const mostKeys = 1 << 20

func newKeySet(most int) *keySet {
	return &keySet{most: most, high: math.MaxUint64, rows: map[[16]byte]int64{}}
}

func prefix(key [16]byte) uint64 { return binary.BigEndian.Uint64(key[:]) }

// add counts a row, unless it belongs to another pass.
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

// take removes a key and returns the number of rows with it.
func (s *keySet) take(key [16]byte) int64 {
	n, ok := s.rows[key]
	if ok {
		delete(s.rows, key)
	}
	return n
}

// next empties the set for the keys after its range. It returns false if there
// are none.
func (s *keySet) next() bool {
	clear(s.rows)
	if s.high == math.MaxUint64 {
		return false
	}
	s.low, s.high = s.high+1, math.MaxUint64
	return true
}

// Keys streams the keys of rows, in the same order each time it is called.
type Keys func(yield func(key [16]byte)) error

// Count counts the rows of one stream whose keys also occur in another one, and
// the distinct keys in the first. It reads both streams once for each million
// distinct keys.
func Count(of, in Keys) (shared, distinct int64, err error) { return count(of, in, mostKeys) }

// count is Count with at most that many keys in memory.
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
