package dedup

import (
	"cmp"
	"context"
	"maps"
	"runtime"
	"slices"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/parallel"
)

// groups say which rows are duplicates of which.
type groups struct {
	// duplicates are the rows that are not kept, ascending.
	duplicates []duplicate
	// similarity of duplicates with their leaders, if it is not 1.
	similarity map[uint32]float64
}

// duplicate is a row, and the one that is kept in its place.
type duplicate struct{ row, leader uint32 }

// from returns the duplicates from a row on.
func (g *groups) from(row int) []duplicate {
	at, _ := slices.BinarySearchFunc(g.duplicates, row, func(d duplicate, row int) int { return cmp.Compare(int(d.row), row) })
	return g.duplicates[at:]
}

func (g *groups) sort() {
	slices.SortFunc(g.duplicates, func(a, b duplicate) int { return cmp.Compare(a.row, b.row) })
}

// election chooses the leaders among rows that may be duplicates of each other.
type election struct {
	*scan
	rows  *rowset
	ranks []uint64 // by row; nil if all are equal
	// content has a hash of all columns for the rows that nothing else orders.
	content map[uint32]uint64
	// verifier computes similarities; nil if they are estimated.
	verifier *verifier
}

// elect divides sets of rows into groups. In the order of ranks, each row joins the first
// leader that it is similar to, or becomes a leader itself.
func (e *election) elect(ctx context.Context, sets [][]uint32) (*groups, error) {
	if err := e.breakTies(ctx, sets); err != nil {
		return nil, err
	}
	g := &groups{similarity: map[uint32]float64{}}
	defer g.sort()
	if !e.run.Args.Verify {
		return g, e.divideInParts(ctx, g, sets)
	}
	var err error
	if e.verifier, err = newVerifier(e.files); err != nil {
		return nil, err
	}
	unknown, err := e.divideAll(ctx, g, sets)
	if err != nil {
		return nil, err
	}
	if err := e.readShingles(ctx, unknown); err != nil {
		return nil, err
	}
	if _, err := e.divideAll(ctx, g, unknown); err != nil {
		return nil, err
	}
	return g, e.verifier.keep(e.files)
}

// divideInParts divides sets of which all similarities are known.
func (e *election) divideInParts(ctx context.Context, g *groups, sets [][]uint32) error {
	parts := make([]groups, runtime.GOMAXPROCS(0))
	p, ctx := parallel.WithContext(ctx)
	for i := range parts {
		some := sets[i*len(sets)/len(parts) : (i+1)*len(sets)/len(parts)]
		parts[i].similarity = map[uint32]float64{}
		p.Go(func() error {
			_, err := e.divideAll(ctx, &parts[i], some)
			return err
		})
	}
	if err := p.Wait(); err != nil {
		return err
	}
	for _, part := range parts {
		g.duplicates = append(g.duplicates, part.duplicates...)
		maps.Copy(g.similarity, part.similarity)
	}
	return nil
}

// divideAll divides sets, and returns those of which a similarity is not known.
func (e *election) divideAll(ctx context.Context, g *groups, sets [][]uint32) (unknown [][]uint32, err error) {
	for _, set := range sets {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if !e.divide(g, set) {
			unknown = append(unknown, set)
		}
	}
	return unknown, nil
}

// candidate is a row with what orders it.
type candidate struct {
	row     uint32
	rank    uint64
	value   digest
	content uint64
}

func (e *election) candidates(set []uint32) []candidate {
	out := make([]candidate, len(set))
	for i, row := range set {
		out[i] = candidate{row: row, value: e.rows.print(row), content: e.content[row]}
		if e.ranks != nil {
			out[i].rank = e.ranks[row]
		}
	}
	slices.SortFunc(out, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.rank, a.rank), a.value.compare(b.value), cmp.Compare(a.content, b.content), cmp.Compare(a.row, b.row))
	})
	return out
}

// divide divides a set into groups. It returns false if it needs a similarity that is not
// known.
func (e *election) divide(g *groups, set []uint32) bool {
	type place struct {
		leader     uint32
		similarity float64
	}
	var leaders []uint32
	before := len(g.duplicates)
	placed := map[digest]place{} // where equal values are
	for _, c := range e.candidates(set) {
		at, ok := placed[c.value]
		for i := 0; !ok && i < len(leaders); i++ {
			known := false
			if at.similarity, ok, known = e.similar(leaders[i], c.row); !known {
				g.duplicates = g.duplicates[:before]
				return false
			}
			at.leader = leaders[i]
		}
		if !ok {
			leaders = append(leaders, c.row)
			placed[c.value] = place{c.row, 1}
			continue
		}
		placed[c.value] = at
		g.duplicates = append(g.duplicates, duplicate{c.row, at.leader})
		if at.similarity < 1 {
			g.similarity[c.row] = at.similarity
		}
	}
	return true
}

// similar returns the similarity of two rows with different values, whether they are
// duplicates, and whether that is known.
func (e *election) similar(a, b uint32) (similarity float64, duplicates, known bool) {
	if e.verifier != nil {
		s, known := e.verifier.similarity(e.rows, a, b)
		return s, s >= e.run.Args.threshold(), known
	}
	similarity, duplicates = e.comparison.similarity(e.rows.slots(a), e.rows.slots(b))
	return similarity, duplicates, true
}

// byShard calls work for each shard with some of these rows, which ascend. first is the
// shard's first row.
func (s *scan) byShard(wanted []uint32, work func(shard data.Shard, first uint32, here []uint32) error) error {
	first := uint32(0)
	for _, shard := range s.in.Shards() {
		end := first + uint32(shard.Rows)
		n, _ := slices.BinarySearch(wanted, end)
		if n > 0 {
			if err := work(shard, first, wanted[:n]); err != nil {
				return err
			}
		}
		wanted, first = wanted[n:], end
	}
	return nil
}

// each reads some rows, ascending, from the shards that contain them. It reads several
// shards at a time, but calls work for one row after the other.
func (s *scan) each(ctx context.Context, wanted []uint32, refs []data.Ref, work func(row uint32, rec arrow.RecordBatch, i int) error) error {
	g, ctx := parallel.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	var working sync.Mutex
	all := func(rows []uint32, at uint32, rec arrow.RecordBatch) error {
		working.Lock()
		defer working.Unlock()
		for _, row := range rows {
			if err := work(row, rec, int(row-at)); err != nil {
				return err
			}
		}
		return nil
	}
	err := s.byShard(wanted, func(shard data.Shard, at uint32, here []uint32) error {
		g.Go(func() error {
			for rec, err := range data.ReadRefs(ctx, []data.Shard{shard}, refs, 0) {
				if err != nil {
					return err
				}
				n, _ := slices.BinarySearch(here, at+uint32(rec.NumRows()))
				if err := all(here[:n], at, rec); err != nil {
					return err
				}
				if here, at = here[n:], at+uint32(rec.NumRows()); len(here) == 0 {
					break
				}
			}
			return nil
		})
		return nil
	})
	if err != nil {
		return err
	}
	return g.Wait()
}
