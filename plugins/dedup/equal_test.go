package dedup

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
)

// equalRows are shards whose values are from a small range, with ranks and contents that
// are often equal.
func equalRows(r *rand.Rand) (shards []*prints, ranks []uint64) {
	for range r.IntN(5) {
		p := newPrints(1+r.IntN(40), layout{slots: contentBytes})
		for row := range p.rows {
			if n := r.Uint64N(20); n > 0 { // 0 is null
				p.setPrint(row, digest{n % 7, n<<60 | n | 1})
			}
			p.setContent(row, r.Uint64N(3))
			ranks = append(ranks, r.Uint64N(3))
		}
		shards = append(shards, p)
	}
	return shards, ranks
}

func TestEqualRowsFollowTheBestWhateverIsLookedAtTogether(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		shards, ranks := equalRows(r)
		if r.IntN(2) == 0 {
			ranks = nil
		}
		e := &election{rows: newRowset(shards), ranks: ranks}
		want := plainDuplicates(e)
		for _, size := range []int{1, 5, 30, partRows} {
			got, err := e.electEqual(t.Context(), size)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got.duplicates, want) {
				t.Fatalf("in parts of %d rows: %v, want %v", size, got.duplicates, want)
			}
		}
	}
}

// plainDuplicates compares all rows with each other.
func plainDuplicates(e *election) (out []duplicate) {
	rank := func(row uint32) uint64 {
		if e.ranks == nil {
			return 0
		}
		return e.ranks[row]
	}
	content := func(row uint32) uint64 {
		shard, at := e.rows.locate(row)
		return e.rows.shards[shard].contentOf(at)
	}
	for row := range uint32(e.rows.rows()) {
		leader := row
		for other := range uint32(e.rows.rows()) {
			if e.rows.print(other) != e.rows.print(row) || e.rows.print(row) == (digest{}) {
				continue
			}
			if cmp.Or(cmp.Compare(rank(leader), rank(other)), cmp.Compare(content(other), content(leader)), cmp.Compare(other, leader)) < 0 {
				leader = other
			}
		}
		if leader != row {
			out = append(out, duplicate{row, leader})
		}
	}
	return out
}
