package dedup

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/zeebo/xxh3"

	"github.com/quern-dev/quern/plugins/dedup/minhash"
	"github.com/quern-dev/quern/plugins/rows"
	"github.com/quern-dev/quern/sdk/go/data"
)

// groups say which rows are duplicates of which.
type groups struct {
	// leader is the row that is kept in the place of each row: itself, if it is kept.
	leader []uint32
	// similarity of rows that are not kept with their leaders, if it is not 1.
	similarity map[uint32]float64
}

// election chooses the leaders among rows that may be duplicates of each other.
type election struct {
	*scan
	rows  *rowset
	ranks []uint64 // by row; nil if all are equal
	// content has a hash of all columns for the rows that nothing else orders.
	content map[uint32]uint64
	// shingles are those of texts whose similarity is computed.
	shingles map[uint32][]uint64
}

// hold divides sets of rows into groups. In the order of ranks, each row joins the first
// leader that it is similar to, or becomes a leader itself.
func (e *election) hold(ctx context.Context, sets [][]uint32) (*groups, error) {
	if err := e.rank(ctx); err != nil {
		return nil, err
	}
	if err := e.breakTies(ctx, sets); err != nil {
		return nil, err
	}
	if e.run.Args.Verify {
		if err := e.readShingles(ctx, sets); err != nil {
			return nil, err
		}
	}
	g := &groups{leader: newComponents(e.rows.rows()), similarity: map[uint32]float64{}}
	for _, set := range sets {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		e.divide(g, set)
	}
	return g, nil
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
		return cmp.Or(cmp.Compare(b.rank, a.rank), cmp.Compare(a.value.high, b.value.high), cmp.Compare(a.value.low, b.value.low),
			cmp.Compare(a.content, b.content), cmp.Compare(a.row, b.row))
	})
	return out
}

func (e *election) divide(g *groups, set []uint32) {
	type place struct {
		leader     uint32
		similarity float64
	}
	var leaders []uint32
	known := map[digest]place{} // where equal values are
	for _, c := range e.candidates(set) {
		at, ok := known[c.value]
		for i := 0; !ok && i < len(leaders); i++ {
			if at.similarity, ok = e.similar(leaders[i], c.row); ok {
				at.leader = leaders[i]
			}
		}
		if !ok {
			leaders = append(leaders, c.row)
			known[c.value] = place{c.row, 1}
			continue
		}
		known[c.value] = at
		g.leader[c.row] = at.leader
		if at.similarity < 1 {
			g.similarity[c.row] = at.similarity
		}
	}
}

// similar returns the similarity of two rows with different values, and whether they are
// duplicates.
func (e *election) similar(a, b uint32) (float64, bool) {
	if e.run.Args.Method == "exact" {
		return 0, false
	}
	if e.shingles != nil {
		s := minhash.Jaccard(e.shingles[a], e.shingles[b])
		return s, s >= e.run.Args.Threshold
	}
	equal := minhash.Equal(e.rows.slots(a), e.rows.slots(b))
	return e.params.Similarity(equal), equal >= e.params.LeastEqual(e.run.Args.Threshold)
}

// rank reads what "keep" ranks rows by, as numbers that compare alike.
func (e *election) rank(ctx context.Context) error {
	keep := e.run.Args.Keep
	if !keep.IsSet() {
		return nil
	}
	e.ranks = make([]uint64, 0, e.rows.rows())
	for rec, err := range e.in.Batches(ctx, data.Arguments.Refs(keep.Key)) {
		if err != nil {
			return err
		}
		for i := range int(rec.NumRows()) {
			rank, err := ordered(rec.Column(0), i)
			if err != nil {
				return err
			}
			e.ranks = append(e.ranks, rank)
		}
	}
	return nil
}

// ordered returns a number that is larger for a larger value. Null and NaN are lowest.
func ordered(a arrow.Array, i int) (uint64, error) {
	if a.IsNull(i) {
		return 0, nil
	}
	switch a := a.(type) {
	case *array.Int64:
		return max(1, uint64(a.Value(i))^1<<63), nil
	case *array.Float64:
		v := a.Value(i) + 0 // no negative zero
		if math.IsNaN(v) {
			return 0, nil
		}
		if n := math.Float64bits(v); n>>63 == 0 {
			return n | 1<<63, nil
		}
		return max(1, ^math.Float64bits(v)), nil
	}
	return 0, fmt.Errorf("keep has values of type %s", a.DataType())
}

// breakTies reads the other columns of rows that have equal values and equal ranks.
func (e *election) breakTies(ctx context.Context, sets [][]uint32) error {
	var tied []uint32
	for _, set := range sets {
		all := e.candidates(set)
		for i := 1; i < len(all); i++ {
			if all[i].value == all[i-1].value && all[i].rank == all[i-1].rank {
				tied = append(tied, all[i-1].row, all[i].row)
			}
		}
	}
	slices.Sort(tied)
	e.content = map[uint32]uint64{}
	columns := data.Columns.Refs(e.in.Schema.Names()...)
	var value []byte
	return e.each(ctx, slices.Compact(tied), columns, func(row uint32, rec arrow.RecordBatch, i int) (err error) {
		value = value[:0]
		for _, c := range rec.Columns() {
			if value, err = rows.AppendValue(value, c, i); err != nil {
				return err
			}
		}
		e.content[row] = xxh3.Hash(value)
		return nil
	})
}

// readShingles reads the texts of rows that may be duplicates, and of which several
// values exist.
func (e *election) readShingles(ctx context.Context, sets [][]uint32) error {
	var wanted []uint32
	for _, set := range sets {
		first := e.rows.print(set[0])
		if slices.ContainsFunc(set, func(row uint32) bool { return e.rows.print(row) != first }) {
			wanted = append(wanted, set...)
		}
	}
	slices.Sort(wanted)
	e.shingles = map[uint32][]uint64{}
	signer := minhash.NewSigner(e.params)
	return e.each(ctx, wanted, []data.Ref{e.compared}, func(row uint32, rec arrow.RecordBatch, i int) error {
		e.shingles[row] = slices.Clone(signer.Shingles(rec.Column(0).(*array.String).Value(i)))
		return nil
	})
}

// each reads some rows, ascending, from the shards that contain them.
func (s *scan) each(ctx context.Context, wanted []uint32, refs []data.Ref, work func(row uint32, rec arrow.RecordBatch, i int) error) error {
	shards := s.in.Shards()
	first := uint32(0)
	for _, shard := range shards {
		end := first + uint32(shard.Rows)
		n, _ := slices.BinarySearch(wanted, end)
		here := wanted[:n]
		wanted = wanted[n:]
		at := first
		first = end
		if len(here) == 0 {
			continue
		}
		for rec, err := range data.ReadRefs(ctx, []data.Shard{shard}, refs, 0) {
			if err != nil {
				return err
			}
			for ; len(here) > 0 && here[0] < at+uint32(rec.NumRows()); here = here[1:] {
				if err := work(here[0], rec, int(here[0]-at)); err != nil {
					return err
				}
			}
			if at += uint32(rec.NumRows()); len(here) == 0 {
				break
			}
		}
	}
	return nil
}
