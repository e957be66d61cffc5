// Package minhash estimates how similar texts are from signatures of a fixed size.
//
// The similarity of two texts is the Jaccard index of their shingles: runs of n words
// or characters. Each slot of a signature holds the least of many hashes of shingles,
// so that the slots of two texts are equal with a probability that is their
// similarity. Texts with a band of equal slots are candidates for being similar.
//
// A signature depends on the text and the parameters alone. Changing how it is computed
// requires a new behavior version of the stages that keep signatures.
package minhash

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/zeebo/xxh3"
)

// Params say how signatures are computed and compared.
type Params struct {
	// NGram is the number of words or, with Characters, of characters in a shingle.
	NGram      int
	Characters bool
	// Bands is the number of bands, and Rows the number of slots in each.
	Bands, Rows int
}

// Limits of the parameters.
const (
	MaxNGram = 64
	MaxSlots = 1024
	// derivedSlots is the most slots of derived parameters: the standard error of an
	// estimate is at most 0.045.
	derivedSlots = 128
	// found is the probability with which derived parameters find a pair whose
	// similarity is the threshold.
	found = 0.99
)

// Derive returns the number of bands and rows that find pairs with a similarity of at
// least the threshold, and as few others as possible.
func Derive(threshold float64) (bands, rows int) {
	for rows = derivedSlots / 2; rows > 1; rows-- {
		if bands = derivedSlots / rows; probability(threshold, bands, rows) >= found {
			return bands, rows
		}
	}
	return derivedSlots, 1
}

// Slots is the number of slots of a signature.
func (p Params) Slots() int { return p.Bands * p.Rows }

// Probability is the chance that two texts of a similarity become candidates.
func (p Params) Probability(similarity float64) float64 {
	return probability(similarity, p.Bands, p.Rows)
}

func probability(similarity float64, bands, rows int) float64 {
	return 1 - math.Pow(1-math.Pow(similarity, float64(rows)), float64(bands))
}

// LeastEqual is the number of equal slots from which a pair counts as having at least
// the threshold's similarity: two standard errors below it, because an estimate that is
// too low should not hide a duplicate.
func (p Params) LeastEqual(threshold float64) int {
	slots := float64(p.Slots())
	return int(math.Ceil(slots*threshold - 2*math.Sqrt(slots*threshold*(1-threshold))))
}

// throws is the number of hashes of each shingle. More of them leave fewer slots of
// short texts empty.
const throws = 8

// Signer computes signatures. It is not safe for concurrent use.
type Signer struct {
	Params
	shingles shingler
	slots    []uint32
	band     []byte
}

// NewSigner returns a signer.
func NewSigner(p Params) *Signer {
	return &Signer{Params: p, shingles: shingler{n: p.NGram, characters: p.Characters}, slots: make([]uint32, p.Slots()), band: make([]byte, 4*p.Rows)}
}

// Sign computes the signature of a text: the hash of each band into bands, and the
// lowest byte of each slot into slots. It returns false if the text has no shingles.
func (s *Signer) Sign(text string, bands []uint32, slots []byte) bool {
	all := s.shingles.of(text)
	if len(all) == 0 {
		return false
	}
	for i := range s.slots {
		s.slots[i] = math.MaxUint32
	}
	n := uint64(len(s.slots))
	for _, shingle := range all {
		for range throws {
			shingle += 0x9e3779b97f4a7c15
			h := mix(shingle)
			at := (h >> 32) * n >> 32
			s.slots[at] = min(s.slots[at], uint32(h))
		}
	}
	s.fill(slots)
	for b := range bands {
		for r, slot := range s.slots[b*s.Rows : (b+1)*s.Rows] {
			binary.LittleEndian.PutUint32(s.band[4*r:], slot)
		}
		bands[b] = uint32(xxh3.HashSeed(s.band, uint64(b)))
	}
	return true
}

// fill gives slots that no shingle hit the value of another one, which depends on the
// slot alone, so that texts with the same shingles there agree (optimal densification).
func (s *Signer) fill(lowest []byte) {
	n := uint64(len(s.slots))
	var empty []int
	for i, v := range s.slots {
		if v == math.MaxUint32 {
			empty = append(empty, i)
		}
	}
	values := make([]uint32, len(empty))
	for k, i := range empty {
		for try := uint64(1); ; try++ {
			if v := s.slots[mix(uint64(i)<<32|try)%n]; v != math.MaxUint32 {
				values[k] = v
				break
			}
		}
	}
	for k, i := range empty {
		s.slots[i] = values[k]
	}
	for i, v := range s.slots {
		lowest[i] = byte(v)
	}
}

// Equal is the number of equal slots of two signatures.
func Equal(a, b []byte) int {
	n := 0
	for len(a) >= 8 {
		x := binary.LittleEndian.Uint64(a) ^ binary.LittleEndian.Uint64(b)
		// Of each byte that is zero, the highest bit of zero is set.
		zero := ^((x&0x7f7f7f7f7f7f7f7f + 0x7f7f7f7f7f7f7f7f) | x | 0x7f7f7f7f7f7f7f7f)
		n += int(zero >> 7 * 0x0101010101010101 >> 56)
		a, b = a[8:], b[8:]
	}
	for i := range a {
		if a[i] == b[i] {
			n++
		}
	}
	return n
}

// Similarity estimates the similarity of two texts from the number of equal slots. One
// slot in 256 is equal by chance, because only its lowest byte is compared.
func (p Params) Similarity(equal int) float64 {
	share := float64(equal) / float64(p.Slots())
	return max(0, (share-1./256)/(1-1./256))
}

// mix spreads the bits of a number (the finalizer of MurmurHash3).
func mix(x uint64) uint64 {
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

// Check returns an error if the parameters are out of range.
func (p Params) Check() error {
	switch {
	case p.NGram < 1 || p.NGram > MaxNGram:
		return fmt.Errorf("an n-gram has 1 to %d units, not %d", MaxNGram, p.NGram)
	case p.Bands < 1 || p.Rows < 1 || p.Bands > MaxSlots || p.Rows > MaxSlots || p.Slots() > MaxSlots:
		return fmt.Errorf("%d bands of %d rows are not 1 to %d slots", p.Bands, p.Rows, MaxSlots)
	}
	return nil
}
