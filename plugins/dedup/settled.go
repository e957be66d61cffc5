package dedup

import (
	"bytes"
	"context"
	"encoding/binary"
	"math/bits"
	"slices"

	"github.com/zeebo/xxh3"
)

// joined is which rows were similar in the last run, so that the next one need not compare
// them again. It is a file:
//
//	magic    8 bytes
//	shards, pairs    uint64 each
//	rows, and a hash of the name of the file about its values: 8 and 16 bytes for each shard
//	settled  a bit for each row, in words of 8 bytes
//	pairs    two uint32 each: a row, and one that it is joined with, the same for all that are
//
// Numbers are little-endian. Rows are numbered across shards. A row is settled if it was
// compared with every settled row that shares a band with it: it is not a copy of another
// one, and neither it nor a row that it is joined with is in a bucket that is too wide.
type joined struct {
	shards  []joinedShard
	first   []int // row of each shard, and at the end the number of rows
	settled []uint64
	pairs   [][2]uint32
}

type joinedShard struct {
	rows int
	name digest
}

const (
	joinedFile  = "joined"
	joinedMagic = "qjoined1"
)

// nameHash identifies a file by its name. It is zero without a name.
func nameHash(name string) digest {
	if name == "" {
		return digest{}
	}
	h := xxh3.HashString128(name)
	return digest{h.Hi, h.Lo}
}

func (j *joined) encode() []byte {
	out := []byte(joinedMagic)
	word := func(n uint64) { out = binary.LittleEndian.AppendUint64(out, n) }
	word(uint64(len(j.shards)))
	word(uint64(len(j.pairs)))
	for _, s := range j.shards {
		word(uint64(s.rows))
		word(s.name.high)
		word(s.name.low)
	}
	for _, w := range j.settled {
		word(w)
	}
	for _, p := range j.pairs {
		word(uint64(p[0]) | uint64(p[1])<<32)
	}
	return out
}

// decodeJoined returns nil if the content is not such a file.
func decodeJoined(content []byte) *joined {
	if !bytes.HasPrefix(content, []byte(joinedMagic)) || len(content)%8 != 0 || len(content) < 3*8 {
		return nil
	}
	next := func() uint64 {
		n := binary.LittleEndian.Uint64(content)
		content = content[8:]
		return n
	}
	next()
	shards, pairs := next(), next()
	if words := uint64(len(content) / 8); shards > words/3 || pairs > words {
		return nil
	}
	j := &joined{first: []int{0}}
	for range shards {
		s := joinedShard{int(next()), digest{next(), next()}}
		if s.rows < 0 || s.rows > 1<<32 {
			return nil
		}
		j.shards = append(j.shards, s)
		j.first = append(j.first, j.first[len(j.first)-1]+s.rows)
	}
	settled := (j.rows() + 63) / 64
	if len(content)/8 != settled+int(pairs) {
		return nil
	}
	for range settled {
		j.settled = append(j.settled, next())
	}
	for range pairs {
		p := next()
		pair := [2]uint32{uint32(p), uint32(p >> 32)}
		if int(pair[0]) >= j.rows() || int(pair[1]) >= j.rows() {
			return nil
		}
		j.pairs = append(j.pairs, pair)
	}
	return j
}

func (j *joined) rows() int { return j.first[len(j.first)-1] }

// each yields the settled rows.
func (j *joined) each(yield func(row uint32)) {
	for i, word := range j.settled {
		for ; word != 0; word &= word - 1 {
			yield(uint32(64*i + bits.TrailingZeros64(word)))
		}
	}
}

// nowhere is the place of a row whose value is not known to exist still.
const nowhere = 1<<32 - 1

// settle joins the rows that are known to be similar, and returns those that need not be
// compared with each other. now has the row that each row of the last run is now.
func (j *joined) settle(now []uint32, rows int, sets components) (settled bitmap) {
	settled = newBitmap(rows)
	// What joins the others can be a row that is gone, so all of them are compared again.
	broken, lost := newBitmap(j.rows()), newBitmap(j.rows())
	for _, p := range j.pairs {
		if now[p[0]] == nowhere || now[p[1]] == nowhere {
			broken.set(uint64(p[1]))
		}
	}
	for _, p := range j.pairs {
		if broken.has(uint64(p[1])) {
			lost.set(uint64(p[0]))
			lost.set(uint64(p[1]))
			continue
		}
		sets.join(now[p[0]], now[p[1]])
	}
	j.each(func(row uint32) {
		if now[row] != nowhere && !lost.has(uint64(row)) {
			settled.set(uint64(now[row]))
		}
	})
	return settled
}

// joined returns what a search found, for shards with these names.
func (s *search) joined(names []string) *joined {
	j := &joined{first: s.rows.first, settled: make([]uint64, (s.rows.rows()+63)/64)}
	for i, p := range s.rows.shards {
		j.shards = append(j.shards, joinedShard{p.rows, nameHash(names[i])})
	}
	crowded := newBitmap(s.rows.rows())
	for row := range uint32(s.rows.rows()) {
		if s.crowded.has(uint64(row)) {
			crowded.set(uint64(s.sets.find(row)))
		}
	}
	for row := range uint32(s.rows.rows()) {
		root := s.sets.find(row)
		if s.copies.has(uint64(row)) || crowded.has(uint64(root)) {
			continue
		}
		j.settled[row/64] |= 1 << (row % 64)
		if root != row {
			j.pairs = append(j.pairs, [2]uint32{row, root})
		}
	}
	return j
}

// joinSimilar joins the values that have a band in common and are similar. It compares those
// that the last run did not compare, and finds what a run from nothing finds.
func (s *scan) joinSimilar(ctx context.Context, all *rowset, sets components, copies bitmap) error {
	content, err := s.files.read(joinedFile)
	if err != nil {
		return err
	}
	found, err := s.searchAfter(ctx, decodeJoined(content), &search{rows: all, sets: sets, by: s.comparison, copies: copies, widest: widest})
	if err != nil {
		return err
	}
	return s.files.put(joinedFile, found.encode())
}

// searchAfter carries out a search, and returns what it found. former is what the last run
// found, or nil.
func (s *scan) searchAfter(ctx context.Context, former *joined, now *search) (*joined, error) {
	before := slices.Clone(now.sets)
	now.settled = newBitmap(now.rows.rows())
	if former != nil {
		now.settled = former.settle(s.now(former, now.rows), now.rows.rows(), now.sets)
	}
	ok, err := now.all(ctx)
	if err == nil && !ok {
		copy(now.sets, before)
		now.settled = newBitmap(now.rows.rows())
		_, err = now.all(ctx)
	}
	if err != nil {
		return nil, err
	}
	return now.joined(s.names), nil
}

// now returns the row that each row of the last run is now: in the same shard, or with the
// same value in a shard that is new.
func (s *scan) now(former *joined, all *rowset) []uint32 {
	now := make([]uint32, former.rows())
	for i := range now {
		now[i] = nowhere
	}
	shards := map[digest]int{}
	for i, name := range slices.Backward(s.names) { // the first one of equal shards
		shards[nameHash(name)] = i
	}
	gone := map[digest]*prints{}
	for name, p := range s.former {
		gone[nameHash(name)] = p
	}
	var values map[digest]uint32 // in new shards
	for i, was := range former.shards {
		if k, ok := shards[was.name]; ok && was.name != (digest{}) && all.shards[k].rows == was.rows {
			for at := range was.rows {
				now[former.first[i]+at] = uint32(all.first[k] + at)
			}
			continue
		}
		p := gone[was.name]
		if p == nil || p.rows != was.rows {
			continue
		}
		if values == nil {
			values = s.freshValues(all)
		}
		for at := range was.rows {
			if row, ok := values[p.print(at)]; ok {
				now[former.first[i]+at] = row
			}
		}
	}
	return now
}

// freshValues returns a row for each value in the shards that are new.
func (s *scan) freshValues(all *rowset) map[digest]uint32 {
	out := map[digest]uint32{}
	for k, p := range all.shards {
		if !s.fresh[k] {
			continue
		}
		for at := range p.rows {
			if _, ok := out[p.print(at)]; !ok {
				out[p.print(at)] = uint32(all.first[k] + at)
			}
		}
	}
	return out
}
