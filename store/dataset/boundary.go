package dataset

import (
	"math"

	"github.com/zeebo/xxh3"
)

// Where shards end. A row's own hash decides, so that an insertion moves only
// the boundaries next to it: the probability that a shard ends after a row is
// one in meanRows plus the row's share of meanBytes. A shard is never smaller
// than the minimum and never larger than the maximum.
//
// These numbers and the hash are part of the format: different ones would give
// different shards, and shards that were already computed would not be found
// again.
const (
	minRows  = 4096
	maxRows  = 131072
	minBytes = 8 << 20
	maxBytes = 64 << 20

	// With the minimum size, shards have 32,768 rows on average as long as rows
	// are small.
	meanRows  = 32768 - minRows
	meanBytes = 32 << 20

	perRow  = math.MaxUint64 / meanRows
	perByte = math.MaxUint64 / meanBytes
)

// boundary decides where shards end.
type boundary struct {
	rows, bytes int64 // of the shard so far
}

// after reports whether the shard ends after a row with this hash and that many
// bytes of canonical encoding.
func (b *boundary) after(hash uint64, size int) bool {
	b.rows++
	b.bytes += int64(size)
	if b.ends(hash, size) {
		*b = boundary{}
		return true
	}
	return false
}

func (b *boundary) ends(hash uint64, size int) bool {
	if b.rows >= maxRows || b.bytes >= maxBytes {
		return true
	}
	if b.rows < minRows && b.bytes < minBytes {
		return false
	}
	return size >= meanBytes/2 || hash < perRow+uint64(size)*perByte
}

// noHash is the hash of a row without columns. It does not end a shard.
const noHash = math.MaxUint64

// mix adds the next column's value to a row's hash.
func mix(hash uint64, value []byte) uint64 { return xxh3.HashSeed(value, hash) }
