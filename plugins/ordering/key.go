package ordering

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// Direction says how the values of one expression are ordered.
type Direction struct {
	Descending bool
	NullsFirst bool
	// Text returns the bytes by which a text is ordered; nil means its own.
	Text func(string) []byte
}

// The first byte of an encoded value. Null is one of the outer two, whatever
// the direction.
const (
	nullFirst = 0x00
	present   = 0x01
	nullLast  = 0xff
)

// AppendKey encodes row i of some columns, one after the other. A nil
// direction means ascending with nulls last, for all columns. No key is a
// prefix of another one, and equal keys mean equal values, unless a Text
// function makes texts equal.
func AppendKey(b []byte, columns []arrow.Array, directions []Direction, i int) ([]byte, error) {
	for c, column := range columns {
		var d Direction
		if directions != nil {
			d = directions[c]
		}
		var err error
		if b, err = d.append(b, column, i); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// AppendOrdinal appends a row's number, which makes keys unique and sorting
// stable.
func AppendOrdinal(key []byte, row int64) []byte {
	return binary.BigEndian.AppendUint64(key, uint64(row))
}

// ordinalBytes is what AppendOrdinal appends.
const ordinalBytes = 8

// Ordinal returns the number at the end of a key, and the key before it.
func Ordinal(key []byte) (before []byte, row int64) {
	n := len(key) - ordinalBytes
	return key[:n], int64(binary.BigEndian.Uint64(key[n:]))
}

func (d Direction) append(b []byte, a arrow.Array, i int) ([]byte, error) {
	switch {
	case a.IsNull(i) && d.NullsFirst:
		return append(b, nullFirst), nil
	case a.IsNull(i):
		return append(b, nullLast), nil
	}
	start := len(b) + 1
	b, err := d.appendPresent(append(b, present), a, i)
	if d.Descending {
		for k := start; k < len(b); k++ {
			b[k] = ^b[k]
		}
	}
	return b, err
}

func (d Direction) appendPresent(b []byte, a arrow.Array, i int) ([]byte, error) {
	switch a := a.(type) {
	case *array.String:
		if d.Text != nil {
			return appendBytes(b, d.Text(a.Value(i))), nil
		}
		return appendBytes(b, a.Value(i)), nil
	case *array.Binary:
		return appendBytes(b, a.Value(i)), nil
	case *array.Int64:
		return appendInt(b, a.Value(i)), nil
	case *array.Float64:
		return appendFloat(b, a.Value(i)), nil
	case *array.Boolean:
		if a.Value(i) {
			return append(b, 1), nil
		}
		return append(b, 0), nil
	case *array.Date32:
		return appendInt(b, int64(a.Value(i))), nil
	case *array.Timestamp:
		return appendInt(b, int64(a.Value(i))), nil
	case *array.List:
		return d.appendList(b, a, i)
	case *array.Struct:
		for f := range a.NumField() {
			var err error
			if b, err = (Direction{Text: d.Text}).append(b, a.Field(f), i); err != nil {
				return nil, err
			}
		}
		return b, nil
	}
	return nil, fmt.Errorf("values of type %s cannot be ordered", a.DataType())
}

// appendBytes ends a text with 0 1, which is less than anything that can
// follow, and writes a 0 inside it as 0 255.
func appendBytes[T string | []byte](b []byte, text T) []byte {
	for k := range len(text) {
		b = append(b, text[k])
		if text[k] == 0 {
			b = append(b, 0xff)
		}
	}
	return append(b, 0, 1)
}

func appendInt(b []byte, v int64) []byte {
	return binary.BigEndian.AppendUint64(b, uint64(v)^(1<<63))
}

func appendFloat(b []byte, v float64) []byte {
	switch {
	case v == 0:
		v = 0 // -0 equals 0
	case v != v:
		v = math.NaN()
	}
	bits := math.Float64bits(v)
	if bits>>63 == 1 {
		return binary.BigEndian.AppendUint64(b, ^bits)
	}
	return binary.BigEndian.AppendUint64(b, bits|1<<63)
}

// appendList writes 1 before each element and 0 at the end, so that a list
// comes before a longer one that begins with it.
func (d Direction) appendList(b []byte, a *array.List, i int) ([]byte, error) {
	from, until := a.ValueOffsets(i)
	values := a.ListValues()
	for k := from; k < until; k++ {
		var err error
		if b, err = (Direction{Text: d.Text}).append(append(b, 1), values, int(k)); err != nil {
			return nil, err
		}
	}
	return append(b, 0), nil
}
