package quality

import (
	"math/bits"

	"github.com/zeebo/xxh3"
)

func hashOf(s string) uint64 { return xxh3.HashString(s) }

// counter counts hashes. It is a hash table with linear probing that is emptied
// without writing to it.
type counter struct {
	slots      []slot
	shift      int
	generation uint32
}

type slot struct {
	hash              uint64
	generation, count uint32
	first             int
}

// reset empties the counter and makes room for n hashes.
func (c *counter) reset(n int) {
	c.generation++
	if want := bits.Len(uint(2*n) | 15); 1<<want > len(c.slots) || c.generation == 0 {
		*c = counter{slots: make([]slot, max(len(c.slots), 1<<want)), generation: 1}
		c.shift = 64 - bits.Len(uint(len(c.slots)-1))
	}
}

// add counts a hash and returns its count and the position that was passed
// first.
func (c *counter) add(hash uint64, position int) (count, first int) {
	at := int(hash * 0x9E3779B97F4A7C15 >> c.shift)
	for {
		s := &c.slots[at]
		if s.generation != c.generation {
			*s = slot{hash, c.generation, 1, position}
			return 1, position
		}
		if s.hash == hash {
			s.count++
			return int(s.count), s.first
		}
		at = (at + 1) & (len(c.slots) - 1)
	}
}
