package files

import (
	"errors"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/quern-dev/quern/internal/arrowjson"
)

// conversion converts arrays, as the Parquet library reads them, to arrays of
// column types.
type conversion struct {
	// asked says that the user set the type. Texts are then parsed, everything
	// can become text, and digits beyond the precision of float64 and timestamp
	// are dropped.
	asked bool
}

// valueError is the error of a value that cannot be converted.
type valueError struct {
	row int // in the batch
	err error
}

func (e *valueError) Error() string { return e.err.Error() }
func (e *valueError) Unwrap() error { return e.err }

// convert converts an array, which column describes, to a column type. The
// caller releases the result.
func (v *conversion) convert(a arrow.Array, column *parquetColumn, to arrow.DataType) (arrow.Array, error) {
	if a.NullN() == a.Len() || column.typ.ID() == arrow.NULL {
		return array.MakeArrayOfNull(memory.DefaultAllocator, to, a.Len()), nil
	}
	if e, ok := a.(array.ExtensionArray); ok && len(column.children) > 0 {
		a = e.Storage()
	}
	switch to := to.(type) {
	case *arrow.StructType:
		if s, ok := a.(*array.Struct); ok {
			return v.structure(s, column, to)
		}
	case *arrow.ListType:
		if l, ok := a.(array.ListLike); ok {
			return v.list(l, column, to)
		}
	case *arrow.StringType:
		if len(column.children) > 0 && v.asked {
			return v.asJSON(a, column)
		}
	}
	if len(column.children) > 0 || arrow.IsNested(to.ID()) {
		return nil, mismatch(column.typ, to)
	}
	if same := v.unchanged(a, to); same != nil {
		return same, nil
	}
	return v.scalars(a, column, to)
}

func mismatch(from, to arrow.DataType) error {
	return fmt.Errorf("%s cannot be read as %s", describeType(from), describeType(to))
}

// unchanged returns an array if it needs no conversion, and nil otherwise.
func (v *conversion) unchanged(a arrow.Array, to arrow.DataType) arrow.Array {
	if !arrow.TypeEqual(a.DataType(), to) {
		return nil
	}
	if s, ok := a.(*array.String); ok && checkText(s.ValueBytes()) != nil {
		return nil // scalars finds out which value it is
	}
	a.Retain()
	return a
}

func (v *conversion) structure(a *array.Struct, column *parquetColumn, to *arrow.StructType) (arrow.Array, error) {
	children := make([]arrow.ArrayData, to.NumFields())
	for i, f := range to.Fields() {
		child, err := v.field(a, column, f)
		if err != nil {
			return nil, err
		}
		defer child.Release()
		children[i] = child.Data()
	}
	d := array.NewData(to, a.Len(), []*memory.Buffer{validity(a)}, children, a.NullN(), 0)
	defer d.Release()
	return array.MakeFromData(d), nil
}

func (v *conversion) field(a *array.Struct, column *parquetColumn, f arrow.Field) (arrow.Array, error) {
	for k := range column.children {
		if column.children[k].name != f.Name {
			continue
		}
		// Field returns only the struct's own rows.
		child, err := v.convert(a.Field(k), &column.children[k], f.Type)
		if err != nil {
			return nil, fmt.Errorf("field %q: %w", f.Name, err)
		}
		return child, nil
	}
	return array.MakeArrayOfNull(memory.DefaultAllocator, f.Type, a.Len()), nil
}

func (v *conversion) list(a array.ListLike, column *parquetColumn, to *arrow.ListType) (arrow.Array, error) {
	elements, offsets := elementsOf(a)
	defer elements.Release()
	values, err := v.convert(elements, &column.children[0], to.Elem())
	if at := (*valueError)(nil); errors.As(err, &at) {
		at.row = max(0, lastAtMost(offsets, int32(at.row)))
	}
	if err != nil {
		return nil, fmt.Errorf("elements: %w", err)
	}
	defer values.Release()
	buffers := []*memory.Buffer{validity(a), memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(offsets))}
	d := array.NewData(to, a.Len(), buffers, []arrow.ArrayData{values.Data()}, a.NullN(), 0)
	defer d.Release()
	return array.MakeFromData(d), nil
}

// lastAtMost returns the index of the last offset that is at most at.
func lastAtMost(offsets []int32, at int32) int {
	for i := len(offsets) - 1; i >= 0; i-- {
		if offsets[i] <= at {
			return i
		}
	}
	return -1
}

// elementsOf returns the elements of a list's rows, and the offset where each
// row's elements begin, starting at 0. Null rows have no elements. The caller
// releases the elements.
func elementsOf(a array.ListLike) (arrow.Array, []int32) {
	all := a.ListValues()
	offsets := make([]int32, a.Len()+1)
	contiguous, next := true, int64(-1)
	for i := range a.Len() {
		from, until := a.ValueOffsets(i)
		if a.IsNull(i) {
			contiguous = contiguous && from == until
			until = from
		}
		if next < 0 {
			next = from
		}
		contiguous = contiguous && (from == next || from == until)
		if from != until {
			next = until
		}
		offsets[i+1] = offsets[i] + int32(until-from)
	}
	if contiguous {
		first := int64(0)
		if offsets[a.Len()] > 0 {
			first = next - int64(offsets[a.Len()])
		}
		return array.NewSlice(all, first, first+int64(offsets[a.Len()])), offsets
	}
	var parts []arrow.Array
	for i := range a.Len() {
		if from, until := a.ValueOffsets(i); a.IsValid(i) && from != until {
			parts = append(parts, array.NewSlice(all, from, until))
		}
	}
	defer func() {
		for _, p := range parts {
			p.Release()
		}
	}()
	joined, err := array.Concatenate(parts, memory.DefaultAllocator)
	if err != nil {
		panic(err) // they have the same type
	}
	return joined, offsets
}

// childArray returns the array of a child. The caller releases it.
func childArray(a arrow.Array, i int) arrow.Array {
	if e, ok := a.(array.ExtensionArray); ok {
		a = e.Storage()
	}
	switch a := a.(type) {
	case *array.Struct:
		child := a.Field(i)
		child.Retain()
		return child
	case array.ListLike:
		elements, _ := elementsOf(a)
		return elements
	}
	panic(fmt.Sprintf("type %s has no children", a.DataType()))
}

// validity returns an array's null bitmap, starting at bit 0, or nil if there
// are no nulls.
func validity(a arrow.Array) *memory.Buffer {
	if a.NullN() == 0 {
		return nil
	}
	bits := make([]byte, bitutil.BytesForBits(int64(a.Len())))
	for i := range a.Len() {
		bitutil.SetBitTo(bits, i, a.IsValid(i))
	}
	return memory.NewBufferBytes(bits)
}

// asJSON converts lists and structs to JSON.
func (v *conversion) asJSON(a arrow.Array, column *parquetColumn) (arrow.Array, error) {
	plain, err := v.convert(a, column, finalType(column.typ))
	if err != nil {
		return nil, err
	}
	defer plain.Release()
	b := array.NewStringBuilder(memory.DefaultAllocator)
	defer b.Release()
	for i := range plain.Len() {
		if plain.IsNull(i) {
			b.AppendNull()
			continue
		}
		text, err := arrowjson.Encoder{}.Append(nil, plain, i)
		if err != nil {
			return nil, &valueError{i, err}
		}
		b.BinaryBuilder.Append(text)
	}
	return b.NewArray(), nil
}
