package data

import (
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// Range is the rows from From up to, but not including, To.
type Range struct{ From, To int }

// Ranges returns the rows of a column in some ranges, which ascend and do not overlap. The
// caller releases the result. Ranges can be short and many: texts, numbers, and times are copied
// directly if none is null.
func Ranges(column arrow.Array, ranges []Range) (arrow.Array, error) {
	rows := 0
	for _, r := range ranges {
		rows += r.To - r.From
	}
	switch {
	case rows == 0:
		return array.NewSlice(column, 0, 0), nil
	case column.NullN() > 0:
		return concatenated(column, ranges)
	}
	switch c := column.(type) {
	case *array.String:
		return textRanges(c, ranges, rows), nil
	case *array.Int64, *array.Float64, *array.Timestamp:
		return fixedRanges(column, 8, ranges, rows), nil
	case *array.Date32:
		return fixedRanges(column, 4, ranges, rows), nil
	}
	return concatenated(column, ranges)
}

// concatenated works for any column.
func concatenated(column arrow.Array, ranges []Range) (arrow.Array, error) {
	pieces := make([]arrow.Array, len(ranges))
	defer releaseAll(pieces)
	for i, r := range ranges {
		pieces[i] = array.NewSlice(column, int64(r.From), int64(r.To))
	}
	return array.Concatenate(pieces, memory.DefaultAllocator)
}

func textRanges(column *array.String, ranges []Range, rows int) arrow.Array {
	offsets, bytes := column.ValueOffsets(), column.ValueBytes()
	first, size := offsets[0], int32(0)
	for _, r := range ranges {
		size += offsets[r.To] - offsets[r.From]
	}
	ends, content := make([]int32, 1, rows+1), make([]byte, 0, size)
	for _, r := range ranges {
		shift := int32(len(content)) - offsets[r.From]
		content = append(content, bytes[offsets[r.From]-first:offsets[r.To]-first]...)
		for _, end := range offsets[r.From+1 : r.To+1] {
			ends = append(ends, end+shift)
		}
	}
	return made(column.DataType(), rows, arrow.Int32Traits.CastToBytes(ends), content)
}

// fixedRanges copies values of a size in bytes.
func fixedRanges(column arrow.Array, size int, ranges []Range, rows int) arrow.Array {
	values := column.Data().Buffers()[1].Bytes()[column.Data().Offset()*size:]
	content := make([]byte, 0, rows*size)
	for _, r := range ranges {
		content = append(content, values[r.From*size:r.To*size]...)
	}
	return made(column.DataType(), rows, content)
}

// made returns an array without nulls that consists of buffers.
func made(t arrow.DataType, rows int, content ...[]byte) arrow.Array {
	buffers := []*memory.Buffer{nil}
	for _, b := range content {
		buffers = append(buffers, memory.NewBufferBytes(b))
	}
	d := array.NewData(t, rows, buffers, nil, 0, 0)
	defer d.Release()
	return array.MakeFromData(d)
}
