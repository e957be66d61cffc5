package rows

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/zeebo/xxh3"
)

// hasher computes a number for each row that depends only on the row's values
// and a seed, and is uniformly distributed over uint64. The number decides
// which part a row belongs to, now and years from now. Changing it requires a
// new behavior version.
type hasher struct {
	seed uint64
	buf  []byte
}

// hash returns the number of row i over some columns.
func (h *hasher) hash(columns []arrow.Array, i int) (uint64, error) {
	h.buf = h.buf[:0]
	for _, c := range columns {
		var err error
		if h.buf, err = appendValue(h.buf, c, i); err != nil {
			return 0, err
		}
	}
	return xxh3.HashSeed(h.buf, h.seed), nil
}

// place returns the place of row i in a random order. Different values have
// different places.
func (h *hasher) place(columns []arrow.Array, i int) ([16]byte, error) {
	if _, err := h.hash(columns, i); err != nil {
		return [16]byte{}, err
	}
	return xxh3.Hash128Seed(h.buf, h.seed).Bytes(), nil
}

// appendValue encodes a value so that different values of a column have
// different encodings, none of which is a prefix of another.
func appendValue(b []byte, a arrow.Array, i int) ([]byte, error) {
	if a.IsNull(i) {
		return append(b, 0), nil
	}
	switch a := a.(type) {
	case *array.String:
		return appendText(b, a.Value(i)), nil
	case *array.Binary:
		return appendText(b, string(a.Value(i))), nil
	case *array.Int64:
		return binary.LittleEndian.AppendUint64(append(b, 2), uint64(a.Value(i))), nil
	case *array.Float64:
		v := a.Value(i)
		if v == 0 {
			v = 0 // -0 equals 0
		}
		return binary.LittleEndian.AppendUint64(append(b, 3), math.Float64bits(v)), nil
	case *array.Boolean:
		if a.Value(i) {
			return append(b, 4, 1), nil
		}
		return append(b, 4, 0), nil
	case *array.Date32:
		return binary.LittleEndian.AppendUint32(append(b, 5), uint32(a.Value(i))), nil
	case *array.Timestamp:
		return binary.LittleEndian.AppendUint64(append(b, 6), uint64(a.Value(i))), nil
	case *array.List:
		return appendList(b, a, i)
	case *array.Struct:
		b = append(b, 8)
		for f := range a.NumField() {
			var err error
			if b, err = appendValue(b, a.Field(f), i); err != nil {
				return nil, err
			}
		}
		return b, nil
	}
	return nil, fmt.Errorf("values of type %s cannot be hashed", a.DataType())
}

func appendText(b []byte, text string) []byte {
	b = binary.AppendUvarint(append(b, 1), uint64(len(text)))
	return append(b, text...)
}

func appendList(b []byte, a *array.List, i int) ([]byte, error) {
	from, until := a.ValueOffsets(i)
	b = binary.AppendUvarint(append(b, 7), uint64(until-from))
	values := a.ListValues()
	for k := from; k < until; k++ {
		var err error
		if b, err = appendValue(b, values, int(k)); err != nil {
			return nil, err
		}
	}
	return b, nil
}
