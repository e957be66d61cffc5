package profile

import (
	"cmp"
	"math/bits"
	"slices"
)

// counter is an open-addressing hash table that counts keys. Go's maps take
// three times as long, and every value of a dataset passes through one of these.
type counter struct {
	slots []slot
	shift uint
	len   int
}

// slot is free if N is 0.
type slot struct {
	Key uint64 `json:"k"`
	N   int64  `json:"n"`
}

func newCounter() *counter {
	c := &counter{}
	c.resize(1 << 6)
	return c
}

// add counts a key n times, and returns how often it has been counted.
func (c *counter) add(key uint64, n int64) int64 {
	s := c.find(key)
	if s.N == 0 {
		if 2*c.len == len(c.slots) {
			old := c.slots
			c.resize(2 * len(old))
			c.fill(old, func(k uint64) (uint64, bool) { return k, true })
			s = c.find(key)
		}
		c.len++
		s.Key = key
	}
	s.N += n
	return s.N
}

// find returns the slot of a key, or the free one where it belongs.
func (c *counter) find(key uint64) *slot {
	mask := len(c.slots) - 1
	for i := int(key * 0x9e3779b97f4a7c15 >> c.shift); ; i = (i + 1) & mask {
		if s := &c.slots[i]; s.N == 0 || s.Key == key {
			return s
		}
	}
}

// rebuild counts all keys again. key returns the new key of an old one, and
// whether to keep it.
func (c *counter) rebuild(key func(uint64) (uint64, bool)) {
	old := c.slots
	c.resize(len(old))
	c.fill(old, key)
}

// resize makes room for size slots, a power of two, all of which are free.
func (c *counter) resize(size int) {
	c.slots, c.shift, c.len = make([]slot, size), uint(64-bits.TrailingZeros(uint(size))), 0
}

func (c *counter) fill(from []slot, key func(uint64) (uint64, bool)) {
	for _, s := range from {
		if s.N == 0 {
			continue
		}
		if k, keep := key(s.Key); keep {
			c.add(k, s.N)
		}
	}
}

// sortedSlots returns the keys of a counter in order, with their counts.
func sortedSlots(c *counter) []slot {
	out := make([]slot, 0, c.len)
	for _, s := range c.slots {
		if s.N > 0 {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, byKey)
	return out
}

func byKey(a, b slot) int { return cmp.Compare(a.Key, b.Key) }
