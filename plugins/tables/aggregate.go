package tables

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"math"
	"math/big"
	"math/bits"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/quern-dev/quern/plugins/ordering"
)

// state computes one aggregate of one group after the other. b is the builder
// of its column: some states append to it while they go.
type state interface {
	begin(b array.Builder)
	add(b array.Builder, values arrow.Array, i int) error
	finish(b array.Builder) error
}

// valueState is a state that gets the values of its group sorted, without
// nulls, before it finishes.
type valueState interface {
	state
	values(b array.Builder, c *cursor, group []byte) error
}

func newState(function, typ string) (state, error) {
	switch function {
	case "rows":
		return &count{}, nil
	case "sum":
		if typ == "int64" {
			return &intSum{}, nil
		}
		return &floatSum{}, nil
	case "mean":
		if typ == "int64" {
			return &intSum{mean: true}, nil
		}
		return &floatSum{mean: true}, nil
	case "min":
		return &extreme{want: -1}, nil
	case "max":
		return &extreme{want: 1}, nil
	case "first":
		return &first{}, nil
	case "last":
		return &last{}, nil
	case "list":
		return list{}, nil
	case "median":
		return &median{}, nil
	case "distinct":
		return distinct{}, nil
	case "count_distinct":
		return &countDistinct{}, nil
	}
	return nil, fmt.Errorf("no function %q exists", function)
}

type count struct{ n int64 }

func (s *count) begin(array.Builder)                       { s.n = 0 }
func (s *count) add(array.Builder, arrow.Array, int) error { s.n++; return nil }
func (s *count) finish(b array.Builder) error              { b.(*array.Int64Builder).Append(s.n); return nil }

// intSum adds integers in 128 bits, so that only the result can be too large.
type intSum struct {
	mean bool
	n    int64
	high int64
	low  uint64
}

func (s *intSum) begin(array.Builder) { s.n, s.high, s.low = 0, 0, 0 }

func (s *intSum) add(_ array.Builder, values arrow.Array, i int) error {
	if values.IsValid(i) {
		v := values.(*array.Int64).Value(i)
		var carry uint64
		s.low, carry = bits.Add64(s.low, uint64(v), 0)
		s.high += v>>63 + int64(carry)
		s.n++
	}
	return nil
}

func (s *intSum) finish(b array.Builder) error {
	switch {
	case s.n == 0:
		b.AppendNull()
	case s.mean:
		sum := new(big.Int).Lsh(big.NewInt(s.high), 64)
		sum.Add(sum, new(big.Int).SetUint64(s.low))
		mean, _ := new(big.Rat).SetFrac(sum, big.NewInt(s.n)).Float64()
		b.(*array.Float64Builder).Append(mean)
	case s.high != int64(s.low)>>63:
		return errors.New("a sum does not fit into int64\nDivide the values first, or multiply them by 1.0 to add them as float64.")
	default:
		b.(*array.Int64Builder).Append(int64(s.low))
	}
	return nil
}

// floatSum adds numbers with Neumaier's compensation.
type floatSum struct {
	mean     bool
	n        int64
	sum, off float64
}

func (s *floatSum) begin(array.Builder) { s.n, s.sum, s.off = 0, 0, 0 }

func (s *floatSum) add(_ array.Builder, values arrow.Array, i int) error {
	if values.IsNull(i) {
		return nil
	}
	v := values.(*array.Float64).Value(i)
	sum := s.sum + v
	if math.Abs(s.sum) >= math.Abs(v) {
		s.off += (s.sum - sum) + v
	} else {
		s.off += (v - sum) + s.sum
	}
	s.sum = sum
	s.n++
	return nil
}

func (s *floatSum) finish(b array.Builder) error {
	if s.n == 0 {
		b.AppendNull()
		return nil
	}
	sum := s.sum
	if !math.IsInf(sum, 0) && !math.IsNaN(sum) {
		sum += s.off
	}
	if s.mean {
		sum /= float64(s.n)
	}
	b.(*array.Float64Builder).Append(sum)
	return nil
}

// kept is a value that outlives its batch.
type kept struct {
	values arrow.Array
	i      int
}

func (k *kept) set(values arrow.Array, i int) {
	if k.values != values {
		k.drop()
		values.Retain()
		k.values = values
	}
	k.i = i
}

func (k *kept) drop() {
	if k.values != nil {
		k.values.Release()
		k.values = nil
	}
}

// appendTo appends the value, or null if none was kept, and forgets it.
func (k *kept) appendTo(b array.Builder) error {
	if k.values == nil {
		b.AppendNull()
		return nil
	}
	defer k.drop()
	return ordering.AppendValue(b, k.values, k.i)
}

// extreme keeps the lowest (want is -1) or highest (1) value.
type extreme struct {
	want      int
	best      kept
	key, next []byte
}

func (s *extreme) begin(array.Builder) { s.best.drop() }

func (s *extreme) add(_ array.Builder, values arrow.Array, i int) error {
	if values.IsNull(i) {
		return nil
	}
	var err error
	if s.next, err = ordering.AppendKey(s.next[:0], []arrow.Array{values}, nil, i); err != nil {
		return err
	}
	if s.best.values == nil || bytes.Compare(s.next, s.key) == s.want {
		s.best.set(values, i)
		s.key, s.next = s.next, s.key
	}
	return nil
}

func (s *extreme) finish(b array.Builder) error { return s.best.appendTo(b) }

type first struct{ done bool }

func (s *first) begin(array.Builder) { s.done = false }

func (s *first) add(b array.Builder, values arrow.Array, i int) error {
	if s.done {
		return nil
	}
	s.done = true
	return ordering.AppendValue(b, values, i)
}

func (s *first) finish(b array.Builder) error {
	if !s.done {
		b.AppendNull()
	}
	return nil
}

type last struct{ kept }

func (s *last) begin(array.Builder) { s.drop() }

func (s *last) add(_ array.Builder, values arrow.Array, i int) error {
	s.set(values, i)
	return nil
}

func (s *last) finish(b array.Builder) error { return s.appendTo(b) }

type list struct{}

func (list) begin(b array.Builder) { b.(*array.ListBuilder).Append(true) }

func (list) add(b array.Builder, values arrow.Array, i int) error {
	return ordering.AppendValue(b.(*array.ListBuilder).ValueBuilder(), values, i)
}

func (list) finish(array.Builder) error { return nil }

// cursor reads sorted values, group by group.
type cursor struct {
	entry ordering.Entry
	err   error
	more  bool
	next  func() (ordering.Entry, error, bool)
	stop  func()
}

func newCursor(rows iter.Seq2[ordering.Entry, error]) *cursor {
	c := &cursor{}
	c.next, c.stop = iter.Pull2(rows)
	c.advance()
	return c
}

func (c *cursor) advance() { c.entry, c.err, c.more = c.next() }

// of yields the rows of a group, which must be the next one that has any.
func (c *cursor) of(group []byte) iter.Seq2[ordering.Entry, error] {
	return func(yield func(ordering.Entry, error) bool) {
		for ; c.more && (c.err != nil || bytes.HasPrefix(c.entry.Key, group)); c.advance() {
			if !yield(c.entry, c.err) || c.err != nil {
				return
			}
		}
	}
}

// median counts the values first, so that it can find the middle.
type median struct {
	n      int64
	middle []float64
}

func (s *median) begin(array.Builder) { s.n, s.middle = 0, s.middle[:0] }

func (s *median) add(_ array.Builder, values arrow.Array, i int) error {
	if values.IsValid(i) {
		s.n++
	}
	return nil
}

func (s *median) values(_ array.Builder, c *cursor, group []byte) error {
	at := int64(0)
	for e, err := range c.of(group) {
		if err != nil {
			return err
		}
		if at == (s.n-1)/2 || at == s.n/2 {
			s.middle = append(s.middle, number(e.Row.Batch.Column(0), e.Row.Index))
		}
		at++
	}
	return nil
}

func number(values arrow.Array, i int) float64 {
	if v, ok := values.(*array.Int64); ok {
		return float64(v.Value(i))
	}
	return values.(*array.Float64).Value(i)
}

func (s *median) finish(b array.Builder) error {
	switch out := b.(*array.Float64Builder); len(s.middle) {
	case 0:
		out.AppendNull()
	case 1:
		out.Append(s.middle[0])
	default:
		out.Append(s.middle[0]/2 + s.middle[1]/2)
	}
	return nil
}

type distinct struct{}

func (distinct) begin(array.Builder)                       {}
func (distinct) add(array.Builder, arrow.Array, int) error { return nil }
func (distinct) finish(array.Builder) error                { return nil }

func (distinct) values(b array.Builder, c *cursor, group []byte) error {
	out := b.(*array.ListBuilder)
	out.Append(true)
	return eachDistinct(c, group, func(r ordering.Row) error {
		return ordering.AppendValue(out.ValueBuilder(), r.Batch.Column(0), r.Index)
	})
}

// eachDistinct yields one row for each key of a group.
func eachDistinct(c *cursor, group []byte, work func(ordering.Row) error) error {
	var before []byte
	seen := false
	for e, err := range c.of(group) {
		if err != nil {
			return err
		}
		if seen && bytes.Equal(e.Key, before) {
			continue
		}
		seen, before = true, append(before[:0], e.Key...)
		if err := work(e.Row); err != nil {
			return err
		}
	}
	return nil
}

type countDistinct struct{ n int64 }

func (s *countDistinct) begin(array.Builder)                       { s.n = 0 }
func (s *countDistinct) add(array.Builder, arrow.Array, int) error { return nil }

func (s *countDistinct) values(_ array.Builder, c *cursor, group []byte) error {
	return eachDistinct(c, group, func(ordering.Row) error {
		s.n++
		return nil
	})
}

func (s *countDistinct) finish(b array.Builder) error {
	b.(*array.Int64Builder).Append(s.n)
	return nil
}
