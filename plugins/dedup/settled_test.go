package dedup

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
)

// byParity is a comparison of rows whose slots are a number: some pairs are similar.
type byParity struct{ bands int }

func (c byParity) layout() layout  { return layout{bands: c.bands, slots: 8} }
func (byParity) newSigner() signer { return nil }
func (byParity) curve() string     { return "" }
func (byParity) similarity(a, b []byte) (float64, bool) {
	x, y := binary.LittleEndian.Uint64(a), binary.LittleEndian.Uint64(b)
	return 1, (x*y+x+y)%11 == 0
}

// shardOf has what is known about values. Those with a remainder have bands in common.
func shardOf(values []uint64, l layout) *prints {
	p := newPrints(len(values), l)
	for row, v := range values {
		if v == 0 {
			continue // null
		}
		r := rand.New(rand.NewPCG(v, 1))
		p.setPrint(row, digest{r.Uint64(), v})
		binary.LittleEndian.PutUint64(p.slotsOf(row), v)
		for band := range l.bands {
			p.setBand(band, row, uint32(1+band+r.IntN(12)))
		}
	}
	return p
}

// shardName identifies a shard by its values.
func shardName(values []uint64) string { return fmt.Sprint(values) }

// TestASearchAfterAnyHistoryFindsTheSame adds, changes, removes, and copies shards. Most
// buckets are too wide now and then.
func TestASearchAfterAnyHistoryFindsTheSame(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	again, settled := 0, 0
	for range 100 {
		by := byParity{1 + r.IntN(2)}
		var shards [][]uint64
		known := map[string]*prints{}
		var former *joined
		for range 12 {
			shards = changed(r, shards)
			s := &scan{former: map[string]*prints{}, comparison: by}
			all, here := []*prints{}, map[string]*prints{}
			for _, values := range shards {
				name := shardName(values)
				p := known[name]
				s.fresh = append(s.fresh, p == nil)
				if p == nil {
					p = shardOf(values, by.layout())
				}
				s.names, all, here[name] = append(s.names, name), append(all, p), p
			}
			for name, p := range known {
				if here[name] == nil {
					s.former[name] = p
				}
			}
			known = here
			search := func(former *joined) (*joined, components, bool) {
				rows := newRowset(all)
				sets := newComponents(rows.rows())
				found := &search{rows: rows, sets: sets, by: by, copies: rows.joinEqual(sets), widest: 3}
				j, err := s.searchAfter(context.Background(), former, found)
				if err != nil {
					t.Fatal(err)
				}
				for row := range sets {
					sets[row] = sets.find(uint32(row))
				}
				return j, sets, len(found.others) < rows.rows()/2
			}
			after, got, fast := search(former)
			fresh, want, _ := search(nil)
			if !slices.Equal(got, want) || !reflect.DeepEqual(after, fresh) {
				t.Fatalf("shards %v:\n%v\nfrom nothing:\n%v", shards, got, want)
			}
			if again++; fast {
				settled++
			}
			former = decodeJoined(after.encode())
			if !reflect.DeepEqual(former, after) && len(got) > 0 {
				t.Fatalf("encoded and decoded:\n%v\n%v", former, after)
			}
		}
	}
	if settled < again/5 {
		t.Errorf("only %d of %d searches were short", settled, again)
	}
}

// changed returns shards with one more row, without one, with one more shard, or without one.
func changed(r *rand.Rand, shards [][]uint64) [][]uint64 {
	out := slices.Clone(shards)
	for range 1 + r.IntN(2) {
		if len(out) == 0 || r.IntN(3) == 0 {
			fresh := make([]uint64, 1+r.IntN(24))
			for i := range fresh {
				fresh[i] = r.Uint64N(400)
			}
			out = slices.Insert(out, r.IntN(len(out)+1), fresh)
			continue
		}
		i := r.IntN(len(out))
		switch at := r.IntN(len(out[i])); r.IntN(4) {
		case 0:
			out[i] = slices.Insert(slices.Clone(out[i]), at, r.Uint64N(400))
		case 1:
			out[i] = append(slices.Clone(out[i][:at]), out[i][at+1:]...)
			if len(out[i]) == 0 {
				out = slices.Delete(out, i, i+1)
			}
		case 2:
			out = append(out, out[i])
		case 3:
			out = slices.Delete(out, i, i+1)
		}
	}
	return out
}

func FuzzJoined(f *testing.F) {
	j := &joined{shards: []joinedShard{{rows: 3, name: digest{1, 2}}}, first: []int{0, 3}, settled: []uint64{7}, pairs: [][2]uint32{{2, 0}}}
	f.Add(j.encode())
	f.Add([]byte(joinedMagic))
	f.Fuzz(func(t *testing.T, content []byte) {
		j := decodeJoined(content)
		if j == nil {
			return
		}
		if !slices.Equal(j.encode(), content) {
			t.Errorf("%x is encoded as %x", content, j.encode())
		}
		j.settle(make([]uint32, j.rows()), 1, newComponents(1))
	})
}
