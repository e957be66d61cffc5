package dedup

import (
	"cmp"
	"context"
	"encoding/binary"
	"math"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/quern-dev/quern/plugins/dedup/minhash"
	"github.com/quern-dev/quern/sdk/go/data"
)

// verifier computes the similarity of texts from all of their shingles. It remembers the
// pairs that the last run compared, so that their texts need not be read.
type verifier struct {
	known, used map[pair]float64
	shingles    map[uint32][]uint64 // of the rows that were read
}

// pair are two values, the lower one first.
type pair [2]digest

func pairOf(a, b digest) pair {
	if a.compare(b) > 0 {
		a, b = b, a
	}
	return pair{a, b}
}

// pairsFile has the pairs that were compared, ascending, with their similarities: 40 bytes
// for each, little-endian.
const (
	pairsFile = "pairs"
	pairSize  = 5 * 8
)

func newVerifier(f *files) (*verifier, error) {
	content, err := f.read(pairsFile)
	if err != nil {
		return nil, err
	}
	v := &verifier{known: make(map[pair]float64, len(content)/pairSize), used: map[pair]float64{}, shingles: map[uint32][]uint64{}}
	for ; len(content) >= pairSize; content = content[pairSize:] {
		word := func(i int) uint64 { return binary.LittleEndian.Uint64(content[8*i:]) }
		v.known[pair{{word(0), word(1)}, {word(2), word(3)}}] = math.Float64frombits(word(4))
	}
	return v, nil
}

// similarity returns the similarity of two rows, and whether it is known.
func (v *verifier) similarity(all *rowset, a, b uint32) (float64, bool) {
	p := pairOf(all.print(a), all.print(b))
	s, ok := v.known[p]
	if !ok {
		x, read := v.shingles[a]
		if !read {
			return 0, false
		}
		s = minhash.Jaccard(x, v.shingles[b])
	}
	v.used[p] = s
	return s, true
}

// keep keeps the pairs that were compared for the next run.
func (v *verifier) keep(f *files) error {
	pairs := make([]pair, 0, len(v.used))
	for p := range v.used {
		pairs = append(pairs, p)
	}
	slices.SortFunc(pairs, func(a, b pair) int { return cmp.Or(a[0].compare(b[0]), a[1].compare(b[1])) })
	content := make([]byte, 0, pairSize*len(pairs))
	for _, p := range pairs {
		for _, n := range []uint64{p[0].high, p[0].low, p[1].high, p[1].low, math.Float64bits(v.used[p])} {
			content = binary.LittleEndian.AppendUint64(content, n)
		}
	}
	return f.put(pairsFile, content)
}

// readShingles reads the texts of sets of rows.
func (e *election) readShingles(ctx context.Context, sets [][]uint32) error {
	wanted := slices.Concat(sets...)
	slices.Sort(wanted)
	signer := minhash.NewSigner(e.comparison.(byShingles).Params)
	return e.each(ctx, wanted, []data.Ref{e.compared}, func(row uint32, rec arrow.RecordBatch, i int) error {
		e.verifier.shingles[row] = slices.Clone(signer.Shingles(rec.Column(0).(*array.String).Value(i)))
		return nil
	})
}
