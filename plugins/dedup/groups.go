package dedup

import (
	"cmp"
	"math/bits"
	"runtime"
	"slices"
	"sort"

	"github.com/quern-dev/quern/sdk/go/host/parallel"
)

// rowset has all rows of a dataset, numbered across its shards.
type rowset struct {
	shards []*prints
	first  []int // row of each shard, and at the end the number of rows
}

func newRowset(shards []*prints) *rowset {
	r := &rowset{shards: shards, first: make([]int, 1, len(shards)+1)}
	for _, s := range shards {
		r.first = append(r.first, r.first[len(r.first)-1]+s.rows)
	}
	return r
}

func (r *rowset) rows() int { return r.first[len(r.first)-1] }

// locate returns the shard of a row and its position there.
func (r *rowset) locate(row uint32) (shard, at int) {
	shard = sort.SearchInts(r.first, int(row)+1) - 1
	return shard, int(row) - r.first[shard]
}

func (r *rowset) print(row uint32) digest {
	shard, at := r.locate(row)
	return r.shards[shard].print(at)
}

func (r *rowset) slots(row uint32) []byte {
	shard, at := r.locate(row)
	return r.shards[shard].slotsOf(at)
}

// components are sets of rows that may be duplicates of each other, as a forest: each
// row refers to another one of its set, or to itself. They depend only on which rows are
// joined, not on the order.
type components []uint32

func newComponents(rows int) components {
	c := make(components, rows)
	for i := range c {
		c[i] = uint32(i)
	}
	return c
}

func (c components) find(row uint32) uint32 {
	for c[row] != row {
		c[row] = c[c[row]]
		row = c[row]
	}
	return row
}

func (c components) join(a, b uint32) {
	if a, b = c.find(a), c.find(b); a != b {
		c[max(a, b)] = min(a, b)
	}
}

// several returns the sets with several rows.
func (c components) several() [][]uint32 {
	var members []uint64 // root and row
	roots := newBitmap(len(c))
	for row := range c {
		if root := c.find(uint32(row)); root != uint32(row) {
			members = append(members, uint64(root)<<32|uint64(row))
			if !roots.set(uint64(root)) {
				members = append(members, uint64(root)<<32|uint64(root))
			}
		}
	}
	slices.Sort(members)
	var out [][]uint32
	last := uint64(0)
	for i, m := range members {
		if i == 0 || m>>32 != last {
			out, last = append(out, nil), m>>32
		}
		out[len(out)-1] = append(out[len(out)-1], uint32(m))
	}
	return out
}

// bitmap is a set of numbers below its size, a power of two; larger ones are reduced.
type bitmap []uint64

func newBitmap(size int) bitmap { return make(bitmap, max(1, 1<<bits.Len(uint(size))>>6)) }

func (b bitmap) has(n uint64) bool {
	n &= uint64(len(b))<<6 - 1
	return b[n>>6]&(1<<(n&63)) != 0
}

// set adds a number, and reports whether it was there.
func (b bitmap) set(n uint64) bool {
	had := b.has(n)
	n &= uint64(len(b))<<6 - 1
	b[n>>6] |= 1 << (n & 63)
	return had
}

// bitsPerRow makes it rare that a hash that occurs once is taken for a repeated one.
const bitsPerRow = 16

// repeated returns the rows whose hashes occur several times, and a few others. each
// yields the hashes, twice.
func repeated(rows int, each func(yield func(row uint32, hash uint64))) []uint32 {
	seen, again := newBitmap(bitsPerRow*rows), newBitmap(bitsPerRow*rows)
	each(func(_ uint32, hash uint64) {
		if seen.set(hash) {
			again.set(hash)
		}
	})
	var out []uint32
	each(func(row uint32, hash uint64) {
		if again.has(hash) {
			out = append(out, row)
		}
	})
	return out
}

// joinEqual joins the rows with equal values, and returns those that have the value of an
// earlier one.
func (r *rowset) joinEqual(c components) (copies bitmap) {
	parts := make([][]valued, runtime.GOMAXPROCS(0))
	g := parallel.New(len(parts))
	for i := range parts {
		g.Go(func() error {
			parts[i] = r.valuesAgain(uint64(i), uint64(len(parts)))
			return nil
		})
	}
	_ = g.Wait() // it cannot fail
	copies = newBitmap(r.rows())
	for _, values := range parts {
		for i := 1; i < len(values); i++ {
			if values[i].digest == values[i-1].digest {
				c.join(values[i-1].row, values[i].row)
				copies.set(uint64(values[i].row))
			}
		}
	}
	return copies
}

// valued is a row with its value.
type valued struct {
	digest
	row uint32
}

// valuesAgain returns the values that occur several times, and a few others, ascending.
// They are those of one of some parts, into which their digests divide them.
func (r *rowset) valuesAgain(part, parts uint64) []valued {
	rows := repeated(r.rows()/int(parts), func(yield func(uint32, uint64)) {
		for i, s := range r.shards {
			for at := range s.rows {
				if p := s.print(at); p != (digest{}) && p.low/2%parts == part { // the lowest bit is always set
					yield(uint32(r.first[i]+at), p.high)
				}
			}
		}
	})
	values := make([]valued, len(rows))
	for i, row := range rows {
		values[i] = valued{r.print(row), row}
	}
	slices.SortFunc(values, func(a, b valued) int {
		return cmp.Or(a.compare(b.digest), cmp.Compare(a.row, b.row))
	})
	return values
}
