// Package cosine finds pairs of vectors that point into similar directions.
//
// A band is the side on which a vector lies of some random hyperplanes: two vectors are
// on the same side of one with a probability that depends on their angle alone. Vectors
// with an equal band are candidates, whose cosine is then computed.
//
// The hyperplanes are fixed, and arithmetic is rounded after each step, so that bands and
// cosines depend on the vectors alone. Changing how they are computed requires a new
// behavior version of the stages that keep them.
package cosine

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Params say how candidates are found.
type Params struct {
	// Bands is the number of bands, and Rows the number of hyperplanes of each.
	Bands, Rows int
}

// Limits of the parameters. A band is a number of 32 bits.
const (
	MaxRows  = 32
	MaxBands = 1024
	// derivedBands is the most bands of derived parameters, and found the probability with
	// which they find a pair whose cosine is the threshold.
	derivedBands = 256
	found        = 0.99
)

// Derive returns the parameters that find pairs with a cosine of at least the threshold,
// and as few others as possible.
func Derive(threshold float64) Params {
	for rows := 24; rows > 1; rows-- {
		for bands := 1; bands <= derivedBands; bands++ {
			if p := (Params{Bands: bands, Rows: rows}); p.Probability(threshold) >= found {
				return p
			}
		}
	}
	return Params{Bands: derivedBands, Rows: 1}
}

// Probability is the chance that two vectors become candidates.
func (p Params) Probability(cosine float64) float64 {
	side := 1 - math.Acos(max(-1, min(1, cosine)))/math.Pi
	return 1 - math.Pow(1-math.Pow(side, float64(p.Rows)), float64(p.Bands))
}

// Check returns an error if the parameters are out of range.
func (p Params) Check() error {
	if p.Bands < 1 || p.Bands > MaxBands || p.Rows < 1 || p.Rows > MaxRows {
		return fmt.Errorf("%d bands of %d rows are not 1 to %d bands of 1 to %d rows", p.Bands, p.Rows, MaxBands, MaxRows)
	}
	return nil
}

// Signer computes bands. It is not safe for concurrent use.
type Signer struct {
	Params
	turned, sides []float32
}

// Sign computes the unit vector of v, into unit as float32, little-endian, and the bands.
// It returns false for a vector without a direction.
func (s *Signer) Sign(v []float64, bands []uint32, unit []byte) bool {
	length := 0.
	for _, x := range v {
		length = math.Max(length, math.Abs(x)) // squares of large numbers overflow
	}
	if length == 0 {
		return false
	}
	sum := 0.
	for _, x := range v {
		sum += float64((x / length) * (x / length))
	}
	sum = math.Sqrt(sum)
	size := 1
	for size < len(v) {
		size *= 2
	}
	s.turned = append(s.turned[:0], make([]float32, size)...)
	for i, x := range v {
		s.turned[i] = float32(x / length / sum)
		binary.LittleEndian.PutUint32(unit[4*i:], math.Float32bits(s.turned[i]))
	}
	s.sides = s.sides[:0]
	for round := uint64(0); len(s.sides) < s.Bands*s.Rows; round++ {
		turn(s.turned, round)
		s.sides = append(s.sides, s.turned...)
	}
	for b := range bands {
		bands[b] = 0
		for _, side := range s.sides[b*s.Rows : (b+1)*s.Rows] {
			bands[b] <<= 1
			if side < 0 {
				bands[b] |= 1
			}
		}
	}
	return true
}

// turn rotates a vector by a random rotation: signs that a round determines, and a
// Hadamard transform, three times. The components are then like the distances from random
// hyperplanes.
func turn(v []float32, round uint64) {
	scale := float32(1 / math.Sqrt(float64(len(v))))
	for step := range uint64(3) {
		for i := range v {
			v[i] *= scale
			if mix((3*round+step)<<32|uint64(i))&1 == 0 {
				v[i] = -v[i]
			}
		}
		for half := 1; half < len(v); half *= 2 {
			for i := 0; i < len(v); i += 2 * half {
				a, b := v[i:i+half], v[i+half:i+2*half]
				for k := range a {
					a[k], b[k] = a[k]+b[k], a[k]-b[k]
				}
			}
		}
	}
}

// Of returns the cosine of two unit vectors as Sign encodes them.
func Of(a, b []byte) float64 {
	var sums [4]float32
	for len(a) >= 16 && len(b) >= 16 {
		for k := range sums {
			// The conversion keeps processors from rounding the product differently.
			sums[k] += float32(at(a, k) * at(b, k))
		}
		a, b = a[16:], b[16:]
	}
	for k := range len(a) / 4 {
		sums[k] += float32(at(a, k) * at(b, k))
	}
	return max(-1, min(1, float64(sums[0]+sums[1])+float64(sums[2]+sums[3])))
}

func at(b []byte, i int) float32 {
	return math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
}

// mix spreads the bits of a number (the finalizer of MurmurHash3).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}
