package fasttext

import "math/bits"

// buckets maps the buckets of a pruned model to rows. It is a hash table with
// linear probing: most lookups are of buckets that were pruned, and find an
// empty slot at once.
type buckets struct {
	// slots contains pairs of a bucket plus one, or zero, and a row.
	slots [][2]uint32
	shift int
	// rows is one more than the highest row.
	rows int64
}

func readBuckets(in *reader, n int64, most int32) *buckets {
	b := &buckets{}
	if !in.fits(n, 8) {
		return b
	}
	size := bits.Len64(uint64(2*n + 1))
	b.slots, b.shift = make([][2]uint32, 1<<size), 64-size
	for range n {
		bucket, row := in.int32(), in.int32()
		if in.err == nil && (bucket < 0 || bucket >= most || row < 0) {
			in.fail(damaged("it maps bucket %d of %d to row %d", bucket, most, row))
		}
		if in.err != nil {
			return b
		}
		b.add(uint32(bucket), uint32(row))
	}
	return b
}

func (b *buckets) add(bucket, row uint32) {
	at := b.home(bucket)
	for b.slots[at][0] != 0 && b.slots[at][0] != bucket+1 {
		at = (at + 1) & (len(b.slots) - 1)
	}
	b.slots[at] = [2]uint32{bucket + 1, row}
	b.rows = max(b.rows, int64(row)+1)
}

func (b *buckets) find(bucket uint32) (int32, bool) {
	for at := b.home(bucket); ; at = (at + 1) & (len(b.slots) - 1) {
		switch b.slots[at][0] {
		case bucket + 1:
			return int32(b.slots[at][1]), true
		case 0:
			return 0, false
		}
	}
}

// home spreads neighboring buckets with Fibonacci hashing.
func (b *buckets) home(bucket uint32) int {
	return int(uint64(bucket) * 0x9E3779B97F4A7C15 >> b.shift)
}
