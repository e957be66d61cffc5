package dedup

import (
	"cmp"
	"context"
	"math/bits"
	"runtime"
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

// equalPart finds the duplicates among the rows whose digests begin with the same bits.
// Its memory is used again for the next part.
type equalPart struct {
	*election
	bits    int
	part    uint64
	buckets []bucket // empty before and after
	spare   leaders  // empty
}

// bucketRows is about how many rows a bucket has: few enough that they and the map of their
// values fit into the cache of one processor.
const bucketRows = 1 << 13

// bucket has the rows of a part whose digests continue with the same bits. Rows wait until
// the bucket is full, which it is only at the end unless many rows have the same value.
type bucket struct {
	waiting []valued
	leaders leaders
}

// leaders are the best rows so far, one for each value.
type leaders struct {
	numbers map[digest]uint32 // index in rows
	rows    []uint32
	// repeated are the other rows; their leader is an index in rows.
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
		if b.leaders.numbers == nil {
			b.leaders = p.spare
		}
		p.elect(b)
		for _, d := range b.leaders.repeated {
			out = append(out, duplicate{d.row, b.leaders.rows[d.leader]})
		}
		p.spare = b.leaders.emptied()
		b.leaders = leaders{}
	}
	return out, nil
}

func newBuckets(rows int) []bucket {
	b := make([]bucket, 1<<bits.Len(uint(rows/bucketRows)))
	each := rows / len(b)
	for i := range b {
		b[i].waiting = make([]valued, 0, each+each/8+64)
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
			p.elect(b)
		}
		b.waiting = append(b.waiting, valued{d, uint32(first + at)})
	}
}

// elect compares the rows that wait in a bucket with the leaders of their values.
func (p *equalPart) elect(b *bucket) {
	l := &b.leaders
	if l.numbers == nil {
		l.numbers = make(map[digest]uint32, len(b.waiting))
	}
	for _, w := range b.waiting {
		number, known := l.numbers[w.digest]
		if !known {
			l.numbers[w.digest] = uint32(len(l.rows))
			l.rows = append(l.rows, w.row)
			continue
		}
		loser := w.row
		if p.contender(w.row).before(p.contender(l.rows[number])) {
			loser, l.rows[number] = l.rows[number], w.row
		}
		l.repeated = append(l.repeated, duplicate{loser, number})
	}
	b.waiting = b.waiting[:0]
}

func (p *equalPart) contender(row uint32) contender {
	shard, at := p.rows.locate(row)
	c := contender{row: row, content: p.rows.shards[shard].contentOf(at)}
	if p.ranks != nil {
		c.rank = p.ranks[row]
	}
	return c
}

// emptied returns the memory of the leaders, to be used again.
func (l *leaders) emptied() leaders {
	clear(l.numbers)
	return leaders{l.numbers, l.rows[:0], l.repeated[:0]}
}
