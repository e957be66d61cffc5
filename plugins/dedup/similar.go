package dedup

import (
	"context"
	"encoding/binary"
	"slices"

	"github.com/quern-dev/quern/sdk/go/host/parallel"
)

// search joins the values that have a band in common and are similar.
type search struct {
	rows *rowset
	sets components
	by   comparison
	// copies are the rows with the value of an earlier one, which are not compared.
	copies bitmap
	// widest is the number of rows of a bucket, in the order of their prints, that each row
	// is compared with. Only many texts with the same band of which few are similar have
	// pairs further apart.
	widest int

	// settled are the rows that need not be compared with each other: the similar ones among
	// them are joined already.
	settled bitmap
	// others are the rows that are neither copies nor settled, ascending.
	others []uint32
	// crowded are rows in a bucket with more than widest rows, of which not all were compared.
	crowded bitmap
}

const widest = 128

// parallelBands is the number of bands that are searched at the same time. Each takes four
// bytes for each row.
const parallelBands = 4

// all searches among all rows, or returns false if settled rows have to be compared again.
func (s *search) all(ctx context.Context) (ok bool, err error) {
	s.crowded = newBitmap(s.rows.rows())
	s.others = nil
	for row := range uint32(s.rows.rows()) {
		if !s.copies.has(uint64(row)) && !s.settled.has(uint64(row)) {
			s.others = append(s.others, row)
		}
	}
	bands := s.by.layout().bands
	for first := 0; first < bands; first += parallelBands {
		keyed := make([][]uint64, min(parallelBands, bands-first))
		g, ctx := parallel.WithContext(ctx)
		for i := range keyed {
			g.Go(func() error {
				keyed[i] = s.sharing(first + i)
				return ctx.Err()
			})
		}
		if err := g.Wait(); err != nil {
			return false, err
		}
		for _, k := range keyed {
			if !s.buckets(k) {
				return false, nil
			}
		}
	}
	return true, nil
}

// hashes calls use with the hash of a band of some rows, which ascend. It is 0 if a row
// has none.
func (r *rowset) hashes(band int, rows []uint32, use func(row, hash uint32)) {
	shard := 0
	for _, row := range rows {
		for int(row) >= r.first[shard+1] {
			shard++
		}
		use(row, binary.LittleEndian.Uint32(r.shards[shard].band(band)[4*(int(row)-r.first[shard]):]))
	}
}

// sharing returns the rows whose hash of a band occurs several times, and not only in
// settled rows, and a few others: the hash and the row in one number, ascending.
func (s *search) sharing(band int) []uint64 {
	var some []uint32
	if len(s.others) < s.rows.rows()/2 {
		some = s.likeOthers(band)
	} else {
		some = repeated(s.rows.rows(), func(yield func(uint32, uint64)) {
			for i, p := range s.rows.shards {
				hashes := p.band(band)
				for at := range p.rows {
					row := uint32(s.rows.first[i] + at)
					if h := binary.LittleEndian.Uint32(hashes[4*at:]); h != 0 && !s.copies.has(uint64(row)) {
						yield(row, uint64(h))
					}
				}
			}
		})
	}
	keyed := make([]uint64, 0, len(some))
	s.rows.hashes(band, some, func(row, hash uint32) { keyed = append(keyed, uint64(hash)<<32|uint64(row)) })
	slices.Sort(keyed)
	return keyed
}

// likeOthers returns the rows whose hash of a band is that of a row that is not settled,
// and a few more.
func (s *search) likeOthers(band int) []uint32 {
	wanted := newBitmap(bitsPerRow * len(s.others))
	s.rows.hashes(band, s.others, func(_, hash uint32) { wanted.set(uint64(hash)) })
	var out []uint32
	for i, p := range s.rows.shards {
		hashes := p.band(band)
		for at := range p.rows {
			h := binary.LittleEndian.Uint32(hashes[4*at:])
			if h == 0 || !wanted.has(uint64(h)) {
				continue
			}
			if row := uint32(s.rows.first[i] + at); !s.copies.has(uint64(row)) {
				out = append(out, row)
			}
		}
	}
	return out
}

// buckets compares the rows with equal hashes. It returns false if settled rows have to be
// compared again.
func (s *search) buckets(keyed []uint64) bool {
	for from := 0; from < len(keyed); {
		to := from + 1
		for to < len(keyed) && keyed[to]>>32 == keyed[from]>>32 {
			to++
		}
		if !s.bucket(keyed[from:to]) {
			return false
		}
		from = to
	}
	return true
}

func (s *search) isSettled(keyed uint64) bool { return s.settled.has(keyed & (1<<32 - 1)) }

func (s *search) bucket(keyed []uint64) bool {
	if len(keyed) == 1 {
		return true
	}
	if len(keyed) > s.widest {
		if slices.ContainsFunc(keyed, s.isSettled) {
			return false // they were not in a bucket that is as wide
		}
		for _, k := range keyed {
			s.crowded.set(k & (1<<32 - 1))
		}
		slices.SortFunc(keyed, func(a, b uint64) int {
			return s.rows.print(uint32(a)).compare(s.rows.print(uint32(b)))
		})
	}
	for i, k := range keyed {
		for _, other := range keyed[max(0, i-s.widest):i] {
			if !s.isSettled(k) || !s.isSettled(other) {
				s.compare(uint32(k), uint32(other))
			}
		}
	}
	return true
}

// compare joins two rows if they are similar. A pair that is joined already need not be
// compared: that changes nothing.
func (s *search) compare(a, b uint32) {
	if s.sets.find(a) == s.sets.find(b) {
		return
	}
	if _, similar := s.by.similarity(s.rows.slots(a), s.rows.slots(b)); similar {
		s.sets.join(a, b)
	}
}
