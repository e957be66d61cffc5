package dedup

import (
	"cmp"
	"context"
	"math/bits"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/quern-dev/quern/sdk/go/host/parallel"
)

// partRows is about how many rows have the digests that are looked at together, so that
// memory does not grow with the number of rows.
const partRows = 1 << 21

// leastPart is the number of rows that are worth a part of their own, if a processor would
// have nothing to do otherwise.
const leastPart = 1 << 16

// electEqual divides the rows with equal values into groups. It goes over ranges of
// digests, in each of which are about size rows.
func (e *election) electEqual(ctx context.Context, size int) (*groups, error) {
	first, rows := 0, e.rows.rows()
	for rows>>first > size || rows>>first > leastPart && 1<<first < runtime.GOMAXPROCS(0) {
		first++
	}
	out := &groups{}
	var adding sync.Mutex
	var next atomic.Uint64
	g, ctx := parallel.WithContext(ctx)
	for range runtime.GOMAXPROCS(0) {
		g.Go(func() error {
			p := &equalPart{election: e, bits: first, buckets: newBuckets(rows >> first)}
			for p.part = next.Add(1) - 1; p.part < 1<<first; p.part = next.Add(1) - 1 {
				duplicates, err := p.duplicates(ctx)
				if err != nil {
					return err
				}
				adding.Lock()
				out.duplicates = append(out.duplicates, duplicates...)
				adding.Unlock()
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	out.sort()
	return out, nil
}

// equalPart are the rows whose digests begin with some bits. What it takes to look at one
// part is used for the next.
type equalPart struct {
	*election
	bits    int
	part    uint64
	buckets []bucket // empty before and after
	spare   valueTable
}

// bucketRows is about how many rows a bucket has, so that they and their table fit into
// the cache of one processor.
const bucketRows = 1 << 13

// bucket are the rows of a part whose digests continue with some bits. Rows wait until all
// are there, or until there are too many of them, as if most have the same value. Of a
// digest, only half is here; the rest is looked up for repetitions.
type bucket struct {
	waiting []hashed
	values  valueTable
}

type hashed struct {
	hash uint64
	row  uint32
}

// valueTable is a hash table of values, which are numbered.
type valueTable struct {
	slots   []uint32 // number of a value, counted from 1, or 0
	hashes  []uint64 // by value
	leaders []uint32 // row, by value
	// repeated are rows that do not lead their value, whose number is in place of the leader.
	repeated []duplicate
}

// contender is a row that may be the best of those with its value.
type contender struct {
	row           uint32
	rank, content uint64
}

// before reports whether a row comes before another one with the same value.
func (c contender) before(other contender) bool {
	return cmp.Or(cmp.Compare(other.rank, c.rank), cmp.Compare(c.content, other.content), cmp.Compare(c.row, other.row)) < 0
}

// duplicates returns the rows of the part that are not kept.
func (p *equalPart) duplicates(ctx context.Context) ([]duplicate, error) {
	for i, s := range p.rows.shards {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		p.sort(s, p.rows.first[i])
		if err := s.release(); err != nil {
			return nil, err
		}
	}
	var out []duplicate
	for i := range p.buckets {
		b := &p.buckets[i]
		if b.values.slots == nil {
			b.values = p.spare
		}
		p.add(b)
		for _, d := range b.values.repeated {
			out = append(out, duplicate{d.row, b.values.leaders[d.leader]})
		}
		p.spare = b.values.emptied()
		b.values = valueTable{}
	}
	return out, nil
}

func newBuckets(rows int) []bucket {
	b := make([]bucket, 1<<bits.Len(uint(rows/bucketRows)))
	each := rows / len(b)
	for i := range b {
		b[i].waiting = make([]hashed, 0, each+each/8+64)
	}
	return b
}

// sort puts the rows of a shard that are in the part, and not null, into their buckets.
func (p *equalPart) sort(s *prints, first int) {
	next := bits.Len(uint(len(p.buckets) - 1))
	for at := range s.rows {
		d := s.print(at)
		if d.low>>(64-p.bits) != p.part || d == (digest{}) {
			continue
		}
		b := &p.buckets[d.low<<p.bits>>(64-next)]
		if len(b.waiting) == cap(b.waiting) {
			p.add(b)
		}
		b.waiting = append(b.waiting, hashed{d.high, uint32(first + at)})
	}
}

// add adds the rows that wait to the values of their bucket.
func (p *equalPart) add(b *bucket) {
	t := &b.values
	t.reserve(len(b.waiting))
	for _, w := range b.waiting {
		slot := p.find(t, w)
		if t.slots[slot] == 0 {
			t.hashes, t.leaders = append(t.hashes, w.hash), append(t.leaders, w.row)
			t.slots[slot] = uint32(len(t.hashes))
			continue
		}
		number := t.slots[slot] - 1
		loser := w.row
		if p.contender(w.row).before(p.contender(t.leaders[number])) {
			loser, t.leaders[number] = t.leaders[number], w.row
		}
		t.repeated = append(t.repeated, duplicate{loser, number})
	}
	b.waiting = b.waiting[:0]
}

// find returns the slot of a row's value, or the free one in which it belongs.
func (p *equalPart) find(t *valueTable, w hashed) int {
	slot := t.slot(w.hash)
	for n := t.slots[slot]; n != 0; n = t.slots[slot] {
		if t.hashes[n-1] == w.hash && p.rows.print(t.leaders[n-1]) == p.rows.print(w.row) {
			break
		}
		slot = t.after(slot)
	}
	return slot
}

func (p *equalPart) contender(row uint32) contender {
	shard, at := p.rows.locate(row)
	c := contender{row: row, content: p.rows.shards[shard].contentOf(at)}
	if p.ranks != nil {
		c.rank = p.ranks[row]
	}
	return c
}

// emptied returns the table without its values.
func (t *valueTable) emptied() valueTable {
	clear(t.slots)
	return valueTable{slots: t.slots, hashes: t.hashes[:0], leaders: t.leaders[:0], repeated: t.repeated[:0]}
}

// slot returns where the search for a value begins, and after where it continues.
func (t *valueTable) slot(hash uint64) int { return int(hash) & (len(t.slots) - 1) }
func (t *valueTable) after(slot int) int   { return (slot + 1) & (len(t.slots) - 1) }

// reserve makes room for more values. A third of the slots or more stay free.
func (t *valueTable) reserve(more int) {
	values := len(t.hashes) + more
	if 3*values < 2*len(t.slots) {
		return
	}
	t.hashes, t.leaders = slices.Grow(t.hashes, more), slices.Grow(t.leaders, more)
	t.slots = make([]uint32, 1<<bits.Len(uint(3*values/2)))
	for i, hash := range t.hashes {
		slot := t.slot(hash)
		for t.slots[slot] != 0 {
			slot = t.after(slot)
		}
		t.slots[slot] = uint32(i + 1)
	}
}
