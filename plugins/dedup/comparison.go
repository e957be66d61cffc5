package dedup

import (
	"fmt"
	"math"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/quern-dev/quern/plugins/dedup/cosine"
	"github.com/quern-dev/quern/plugins/dedup/minhash"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// comparison finds values that are similar without being equal.
type comparison interface {
	layout() layout
	newSigner() signer
	// similarity compares the slots of two rows with a band in common. It reports whether
	// the rows are similar enough.
	similarity(a, b []byte) (float64, bool)
	// curve says how likely pairs are compared.
	curve() string
}

// signer computes what is kept about a row. It is not safe for concurrent use.
type signer interface {
	// sign computes the bands and slots of a value, which is not null. The slots are empty
	// if their size is not known yet. sign returns nil if the value is similar to no other.
	sign(values arrow.Array, i int, bands []uint32) (slots []byte, err error)
}

// byShingles compares texts by their n-grams.
type byShingles struct {
	minhash.Params
	threshold float64
}

func (c byShingles) layout() layout { return layout{bands: c.Bands, slots: c.Slots()} }

func (c byShingles) newSigner() signer {
	return &textSigner{Signer: minhash.NewSigner(c.Params), slots: make([]byte, c.Slots())}
}

func (c byShingles) similarity(a, b []byte) (float64, bool) {
	equal := minhash.Equal(a, b)
	return c.Similarity(equal), equal >= c.LeastEqual(c.threshold)
}

func (c byShingles) curve() string {
	return curve("texts are compared, by their similarity", c.Bands, c.Rows, c.Probability)
}

type textSigner struct {
	*minhash.Signer
	slots []byte
}

func (s *textSigner) sign(values arrow.Array, i int, bands []uint32) ([]byte, error) {
	if !s.Sign(values.(*array.String).Value(i), bands, s.slots) {
		return nil, nil
	}
	return s.slots, nil
}

// byDirection compares vectors by the cosine of their angle.
type byDirection struct {
	cosine.Params
	threshold float64
}

func (c byDirection) layout() layout { return layout{bands: c.Bands, slots: -1} }

func (c byDirection) newSigner() signer {
	return &vectorSigner{Signer: &cosine.Signer{Params: c.Params}}
}

func (c byDirection) similarity(a, b []byte) (float64, bool) {
	s := cosine.Of(a, b)
	return s, s >= c.threshold
}

func (c byDirection) curve() string {
	return curve("embeddings are compared, by their cosine", c.Bands, c.Rows, c.Probability)
}

type vectorSigner struct {
	*cosine.Signer
	vector []float64
	unit   []byte
}

func (s *vectorSigner) sign(values arrow.Array, i int, bands []uint32) ([]byte, error) {
	list := values.(*array.List)
	from, to := list.ValueOffsets(i)
	s.vector = s.vector[:0]
	for k := int(from); k < int(to); k++ {
		x := number(list.ListValues(), k)
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return nil, fmt.Errorf("the embedding has a component that is null or not a finite number")
		}
		s.vector = append(s.vector, x)
	}
	if s.unit = s.unit[:0]; cap(s.unit) < 4*len(s.vector) {
		s.unit = make([]byte, 0, 4*len(s.vector))
	}
	s.unit = s.unit[:4*len(s.vector)]
	if !s.Sign(s.vector, bands, s.unit) {
		return nil, nil
	}
	return s.unit, nil
}

// number returns a value of a numeric column, or NaN if it is null.
func number(a arrow.Array, i int) float64 {
	if a.IsNull(i) {
		return math.NaN()
	}
	switch a := a.(type) {
	case *array.Float64:
		return a.Value(i)
	case *array.Int64:
		return float64(a.Value(i))
	}
	return math.NaN()
}

// curve says how likely pairs are compared.
func curve(what string, bands, rows int, probability func(float64) float64) string {
	var points []string
	for tenth := 3; tenth <= 9; tenth++ {
		s := float64(tenth) / 10
		points = append(points, fmt.Sprintf("%.1f: %.3g%%", s, 100*probability(s)))
	}
	return fmt.Sprintf("%d bands of %d rows; chance that two %s: %s", bands, rows, what, strings.Join(points, ", "))
}

// comparison returns how values are compared that are not equal, or nil if they are not.
func (a *dedupArgs) newComparison() (comparison, error) {
	var c comparison
	var err error
	switch a.Method {
	case "near":
		near := byShingles{minhash.Params{NGram: a.ngram(), Characters: a.Unit == "characters"}, a.threshold()}
		if near.Bands, near.Rows = minhash.Derive(near.threshold); a.Bands != nil {
			near.Bands, near.Rows = *a.Bands, *a.Rows
		}
		c, err = near, near.Check()
	case "semantic":
		semantic := byDirection{cosine.Derive(a.threshold()), a.threshold()}
		if a.Bands != nil {
			semantic.Bands, semantic.Rows = *a.Bands, *a.Rows
		}
		c, err = semantic, semantic.Check()
	default:
		return nil, nil
	}
	if err != nil {
		return nil, plugin.ArgumentErrorf("", "The parameters of the comparison are out of range\n%s.", err)
	}
	return c, nil
}
