package dedup

import (
	"cmp"
	"context"
	"runtime"
	"sync"

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
	bits, rows := 0, e.rows.rows()
	for rows>>bits > size || rows>>bits > leastPart && 1<<bits < runtime.GOMAXPROCS(0) {
		bits++
	}
	out := &groups{}
	var adding sync.Mutex
	g, ctx := parallel.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for part := range uint64(1) << bits {
		g.Go(func() error {
			p := &equalPart{election: e, bits: bits, part: part}
			duplicates, err := p.duplicates(ctx)
			adding.Lock()
			defer adding.Unlock()
			out.duplicates = append(out.duplicates, duplicates...)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	out.sort()
	return out, nil
}

// equalPart are the rows whose digests begin with some bits.
type equalPart struct {
	*election
	bits int
	part uint64
}

// contender is the best of the rows with a value so far.
type contender struct {
	row           uint32
	rank, content uint64
}

// repetition is a row whose value occurs again, or whose hash does.
type repetition struct {
	value digest
	row   uint32
}

// before reports whether a row comes before another one with the same value.
func (c contender) before(other contender) bool {
	return cmp.Or(cmp.Compare(other.rank, c.rank), cmp.Compare(c.content, other.content), cmp.Compare(c.row, other.row)) < 0
}

// duplicates returns the rows of the part that are not kept.
func (p *equalPart) duplicates(ctx context.Context) ([]duplicate, error) {
	size := bitsPerRow * (p.rows.rows() >> p.bits)
	seen, again := newBitmap(size), newBitmap(size)
	err := p.each(ctx, func(_ *prints, _ int, value digest, _ uint32) {
		if seen.set(value.high) {
			again.set(value.high)
		}
	})
	if err != nil {
		return nil, err
	}
	best := map[digest]contender{}
	var repeated []repetition
	err = p.each(ctx, func(shard *prints, at int, value digest, row uint32) {
		if !again.has(value.high) {
			return
		}
		c := contender{row: row, content: shard.contentOf(at)}
		if p.ranks != nil {
			c.rank = p.ranks[row]
		}
		if b, ok := best[value]; !ok || c.before(b) {
			best[value] = c
		}
		repeated = append(repeated, repetition{value, row})
	})
	if err != nil {
		return nil, err
	}
	var out []duplicate
	for _, r := range repeated {
		if leader := best[r.value].row; leader != r.row {
			out = append(out, duplicate{r.row, leader})
		}
	}
	return out, nil
}

// each calls use for each row of the part whose value is not null.
func (p *equalPart) each(ctx context.Context, use func(shard *prints, at int, value digest, row uint32)) error {
	for i, s := range p.rows.shards {
		if err := ctx.Err(); err != nil {
			return err
		}
		for at := range s.rows {
			if d := s.print(at); d.low>>(64-p.bits) == p.part && d != (digest{}) {
				use(s, at, d, uint32(p.rows.first[i]+at))
			}
		}
		if err := s.release(); err != nil {
			return err
		}
	}
	return nil
}
