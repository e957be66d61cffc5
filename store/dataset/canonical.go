package dataset

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// The canonical encoding of values, which digests and row keys are computed
// from. docs/formats.md specifies it. Every value's encoding is
// self-delimiting, so a sequence of them can be read in only one way.

// canonicalNaN represents all NaNs.
const canonicalNaN = 0x7ff8000000000001

// encoded is the canonical encoding of the values of one column: of row i,
// the bytes from ends[i-1] (0 for the first) to ends[i].
type encoded struct {
	bytes []byte
	ends  []int
}

func (e *encoded) row(i int) []byte { return e.bytes[e.start(i):e.ends[i]] }

func (e *encoded) start(i int) int {
	if i == 0 {
		return 0
	}
	return e.ends[i-1]
}

// encode replaces the content of e with the rows [from, to) of a. The most
// frequent kinds of columns have loops of their own.
func (e *encoded) encode(a arrow.Array, from, to int) {
	e.bytes, e.ends = e.bytes[:0], e.ends[:0]
	switch a := a.(type) {
	case *array.String:
		e.encodeTexts(a, from, to)
	case *array.Int64:
		values := a.Int64Values()
		for i := from; i < to; i++ {
			if a.IsNull(i) {
				e.bytes = append(e.bytes, 0)
			} else {
				e.bytes = binary.LittleEndian.AppendUint64(append(e.bytes, 1), uint64(values[i]))
			}
			e.ends = append(e.ends, len(e.bytes))
		}
	default:
		for i := from; i < to; i++ {
			e.bytes = appendValue(e.bytes, a, i)
			e.ends = append(e.ends, len(e.bytes))
		}
	}
}

func (e *encoded) encodeTexts(a *array.String, from, to int) {
	nulls := a.NullN() > 0
	for i := from; i < to; i++ {
		if nulls && a.IsNull(i) {
			e.bytes = append(e.bytes, 0)
		} else {
			s := a.Value(i)
			e.bytes = binary.AppendUvarint(e.bytes, uint64(len(s))+1)
			e.bytes = append(e.bytes, s...)
		}
		e.ends = append(e.ends, len(e.bytes))
	}
}

// appendValue appends the canonical encoding of a value of any type that a
// dataset can contain.
func appendValue(b []byte, a arrow.Array, i int) []byte {
	if a.IsNull(i) {
		return append(b, 0)
	}
	switch a := a.(type) {
	case *array.String:
		s := a.Value(i)
		return append(binary.AppendUvarint(b, uint64(len(s))+1), s...)
	case *array.Binary:
		s := a.Value(i)
		return append(binary.AppendUvarint(b, uint64(len(s))+1), s...)
	case *array.Int64:
		return binary.LittleEndian.AppendUint64(append(b, 1), uint64(a.Value(i)))
	case *array.Float64:
		return binary.LittleEndian.AppendUint64(append(b, 1), floatBits(a.Value(i)))
	case *array.Boolean:
		if a.Value(i) {
			return append(b, 2)
		}
		return append(b, 1)
	case *array.Date32:
		return binary.LittleEndian.AppendUint64(append(b, 1), uint64(int64(a.Value(i))))
	case *array.Timestamp:
		return binary.LittleEndian.AppendUint64(append(b, 1), uint64(int64(a.Value(i))))
	case *array.List:
		start, end := a.ValueOffsets(i)
		b = binary.AppendUvarint(b, uint64(end-start)+1)
		for k := start; k < end; k++ {
			b = appendValue(b, a.ListValues(), int(k))
		}
		return b
	case *array.Struct:
		b = append(b, 1)
		for f := range a.NumField() {
			b = appendValue(b, a.Field(f), i)
		}
		return b
	}
	panic(fmt.Sprintf("a dataset cannot have a column of Arrow type %s", a.DataType()))
}

func floatBits(f float64) uint64 {
	if f != f {
		return canonicalNaN
	}
	return math.Float64bits(f)
}
