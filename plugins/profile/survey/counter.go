package survey

import (
	"encoding/binary"
	"errors"
	"math/bits"
	"slices"
)

// counter is an open-addressing hash table that counts keys. Go's maps take
// three times as long.
type counter struct {
	slots []cell // free if N is 0
	shift uint
	len   int
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
			c.fill(old, func(uint64) bool { return true })
			s = c.find(key)
		}
		c.len++
		s.Key = key
	}
	s.N += n
	return s.N
}

// find returns the slot of a key, or the free one where it belongs.
func (c *counter) find(key uint64) *cell {
	mask := len(c.slots) - 1
	for i := int(key * 0x9e3779b97f4a7c15 >> c.shift); ; i = (i + 1) & mask {
		if s := &c.slots[i]; s.N == 0 || s.Key == key {
			return s
		}
	}
}

// keep forgets all keys but some.
func (c *counter) keep(which func(key uint64) bool) {
	old := c.slots
	c.resize(len(old))
	c.fill(old, which)
}

// resize makes room for size slots, a power of two, all of which are free.
func (c *counter) resize(size int) {
	c.slots, c.shift, c.len = make([]cell, size), uint(64-bits.TrailingZeros(uint(size))), 0
}

func (c *counter) fill(from []cell, which func(key uint64) bool) {
	for _, s := range from {
		if s.N > 0 && which(s.Key) {
			c.add(s.Key, s.N)
		}
	}
}

// sorted returns the keys in order, with their counts.
func (c *counter) sorted() cells {
	out := make(cells, 0, c.len)
	for _, s := range c.slots {
		if s.N > 0 {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, cell.Compare)
	return out
}

// GobEncode encodes the counts.
func (c *counter) GobEncode() ([]byte, error) { return c.sorted().GobEncode() }

// GobDecode decodes counts.
func (c *counter) GobDecode(text []byte) error {
	var all cells
	if err := all.GobDecode(text); err != nil {
		return err
	}
	c.resize(1 << 6)
	for _, one := range all {
		c.add(one.Key, one.N)
	}
	return nil
}

// cells are sorted by their keys, which differ. They are saved as the differences
// of the keys, each followed by the count.
type cells []cell

// GobEncode encodes the cells.
func (c cells) GobEncode() ([]byte, error) {
	out := make([]byte, 0, 4*len(c))
	var before uint64
	for _, one := range c {
		out = binary.AppendUvarint(out, one.Key-before)
		out = binary.AppendUvarint(out, uint64(one.N))
		before = one.Key
	}
	return out, nil
}

// GobDecode decodes cells.
func (c *cells) GobDecode(text []byte) error {
	*c = nil
	var key uint64
	for len(text) > 0 {
		difference, size := binary.Uvarint(text)
		if size <= 0 {
			return errCells
		}
		n, more := binary.Uvarint(text[size:])
		if more <= 0 || n == 0 || n > 1<<62 {
			return errCells
		}
		key += difference
		*c = append(*c, cell{Key: key, N: int64(n)})
		text = text[size+more:]
	}
	return nil
}

var errCells = errors.New("malformed counts")
