package linear

import (
	"context"
	"iter"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
)

// Example is a text with its label.
type Example struct{ Text, Label string }

// Rows yields the examples, and can be called again. If order is nil, they come
// in their own order. Otherwise, they come in an order that depends only on
// order and is as random as possible without holding all rows in memory.
type Rows func(ctx context.Context, order *rand.PCG) iter.Seq2[Example, error]

// survey is the result of a first pass over the rows.
type survey struct {
	rows       int64
	classes    []string // sorted
	counts     []int64  // number of rows by class
	singles    int64    // number of classes with one row
	vocabulary *vocabulary
}

// look reads the rows and counts. Buckets that occur in fewer than o.Least rows
// get no place: they are noise, and would take most of the memory.
func look(ctx context.Context, rows Rows, o Options) (*survey, error) {
	frequency := make([]uint32, 1<<o.Features.Bits)
	labels := labelCounts{rows: map[string]int64{}}
	extract := extractor{Features: o.Features}
	for e, err := range rows(ctx, nil) {
		if err != nil {
			return nil, err
		}
		if err := labels.add(e.Label); err != nil {
			return nil, err
		}
		for _, t := range extract.counts(e.Text) {
			frequency[t.at]++
		}
	}
	s := &survey{rows: labels.total, singles: labels.singles, classes: slices.Sorted(maps.Keys(labels.rows))}
	for _, class := range s.classes {
		s.counts = append(s.counts, labels.rows[class])
	}
	s.vocabulary = choose(frequency, s.rows, o.Least, o.Features.Bits)
	return s, s.fits(o)
}

// choose assigns places to the buckets that occur often enough, in ascending
// order.
func choose(frequency []uint32, rows int64, least, bits int) *vocabulary {
	var buckets []uint32
	var idf []float32
	for b, n := range frequency {
		if n == 0 || int(n) < least {
			continue
		}
		buckets = append(buckets, uint32(b))
		// smoothed as in scikit-learn's TfidfTransformer
		idf = append(idf, float32(math.Log(float64(1+rows)/float64(1+n))+1))
	}
	return newVocabulary(bits, buckets, idf)
}
