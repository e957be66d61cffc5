package database

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"time"

	"github.com/zeebo/xxh3"
)

// digest is a digest of a set of rows. It does not depend on their order, which a
// database may change at any time: it is the sum of the hashes of the rows.
type digest struct {
	rows   int64
	hi, lo uint64
	buf    []byte
}

func (d *digest) take(columns []column, row []any) error {
	d.buf = d.buf[:0]
	for i, v := range row {
		d.buf = encode(append(d.buf, columns[i].Type[0]), v)
	}
	h := xxh3.Hash128(d.buf)
	var carry uint64
	d.lo, carry = bits.Add64(d.lo, h.Lo, 0)
	d.hi, _ = bits.Add64(d.hi, h.Hi, carry)
	d.rows++
	return nil
}

func (d *digest) end() error { return nil }

func (d *digest) String() string { return fmt.Sprintf("rows:%d:%016x%016x", d.rows, d.hi, d.lo) }

// encode appends a value in a form that no other value has.
func encode(b []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, 0)
	case string:
		return append(binary.AppendUvarint(append(b, 1), uint64(len(v))), v...)
	case []byte:
		return append(binary.AppendUvarint(append(b, 1), uint64(len(v))), v...)
	case int64:
		return binary.LittleEndian.AppendUint64(append(b, 2), uint64(v))
	case float64:
		return binary.LittleEndian.AppendUint64(append(b, 3), math.Float64bits(v))
	case bool:
		if v {
			return append(b, 4)
		}
		return append(b, 5)
	case time.Time:
		return binary.LittleEndian.AppendUint64(append(b, 6), uint64(v.UnixMicro()))
	}
	return b
}
