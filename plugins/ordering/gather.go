package ordering

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// Row is one row of a batch.
type Row struct {
	Batch arrow.RecordBatch
	Index int
}

// AppendRow appends a row's columns to those of a builder. The batch can have
// more columns than the builder: the first ones count. A row without a batch
// is null in all columns.
func AppendRow(b *array.RecordBuilder, r Row) error {
	for c, field := range b.Fields() {
		if r.Batch == nil {
			field.AppendNull()
			continue
		}
		if err := AppendValue(field, r.Batch.Column(c), r.Index); err != nil {
			return fmt.Errorf("column %q: %w", b.Schema().Field(c).Name, err)
		}
	}
	return nil
}

// AppendValue appends a value of an array to a builder of the same type.
func AppendValue(b array.Builder, a arrow.Array, i int) error {
	if a.IsNull(i) {
		b.AppendNull()
		return nil
	}
	switch b := b.(type) {
	case *array.StringBuilder:
		b.Append(a.(*array.String).Value(i))
	case *array.BinaryBuilder:
		b.Append(a.(*array.Binary).Value(i))
	case *array.Int64Builder:
		b.Append(a.(*array.Int64).Value(i))
	case *array.Float64Builder:
		b.Append(a.(*array.Float64).Value(i))
	case *array.BooleanBuilder:
		b.Append(a.(*array.Boolean).Value(i))
	case *array.Date32Builder:
		b.Append(a.(*array.Date32).Value(i))
	case *array.TimestampBuilder:
		b.Append(a.(*array.Timestamp).Value(i))
	case *array.ListBuilder:
		return appendElements(b, a.(*array.List), i)
	case *array.StructBuilder:
		b.Append(true)
		s := a.(*array.Struct)
		for f := range s.NumField() {
			if err := AppendValue(b.FieldBuilder(f), s.Field(f), i); err != nil {
				return err
			}
		}
	default:
		return fmt.Errorf("values of type %s cannot be copied", a.DataType())
	}
	return nil
}

func appendElements(b *array.ListBuilder, a *array.List, i int) error {
	b.Append(true)
	from, until := a.ValueOffsets(i)
	for k := from; k < until; k++ {
		if err := AppendValue(b.ValueBuilder(), a.ListValues(), int(k)); err != nil {
			return err
		}
	}
	return nil
}

// Buffers counts the memory of batches that are kept. Batches can be slices of
// larger ones, and a buffer can be twice as large as its values, so each buffer
// counts once and with all of its memory.
type Buffers map[*memory.Buffer]struct{}

// Add returns the bytes that are kept because of a batch, but not because of
// earlier ones.
func (b Buffers) Add(rec arrow.RecordBatch) int64 {
	total := int64(0)
	for _, c := range rec.Columns() {
		total += b.add(c.Data())
	}
	return total
}

func (b Buffers) add(d arrow.ArrayData) int64 {
	total := int64(0)
	for _, buffer := range d.Buffers() {
		if buffer == nil {
			continue
		}
		if _, counted := b[buffer]; !counted {
			b[buffer] = struct{}{}
			total += int64(buffer.Cap())
		}
	}
	for _, child := range d.Children() {
		total += b.add(child)
	}
	return total
}

func arrayBytes(a arrow.Array) int64 {
	total := 9 * int64(a.Len())
	switch a := a.(type) {
	case *array.String:
		total += int64(len(a.ValueBytes()))
	case *array.Binary:
		total += int64(len(a.ValueBytes()))
	case *array.List:
		if a.Len() > 0 {
			from, _ := a.ValueOffsets(0)
			_, until := a.ValueOffsets(a.Len() - 1)
			elements := array.NewSlice(a.ListValues(), from, until)
			total += arrayBytes(elements)
			elements.Release()
		}
	case *array.Struct:
		for f := range a.NumField() {
			total += arrayBytes(a.Field(f))
		}
	}
	return total
}

// Bytes estimates the memory that the values of the row take.
func (r Row) Bytes() int64 {
	total := int64(0)
	for _, c := range r.Batch.Columns() {
		switch c := c.(type) {
		case *array.String:
			total += 9 + int64(c.ValueLen(r.Index))
		case *array.Binary:
			total += 9 + int64(c.ValueLen(r.Index))
		case *array.List, *array.Struct:
			value := array.NewSlice(c, int64(r.Index), int64(r.Index)+1)
			total += arrayBytes(value)
			value.Release()
		default:
			total += 9
		}
	}
	return total
}
