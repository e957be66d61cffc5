package files

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/quern-dev/quern/sdk/go/data"
)

var (
	timestampType arrow.DataType = &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}
	stringType    arrow.DataType = arrow.BinaryTypes.String
)

// nearestType is the column type that values of an Arrow type are kept as.
func nearestType(t arrow.DataType) (arrow.DataType, error) {
	if _, err := data.TypeName(t); err == nil {
		return t, nil
	}
	switch t := t.(type) {
	case *arrow.DictionaryType:
		if near, err := nearestType(t.ValueType); err == nil && arrow.TypeEqual(near, stringType) {
			return stringType, nil
		}
	case *arrow.StructType:
		fields := make([]arrow.Field, t.NumFields())
		for i, f := range t.Fields() {
			near, err := nearestType(f.Type)
			if err != nil {
				return nil, fmt.Errorf("field %q: %w", f.Name, err)
			}
			fields[i] = arrow.Field{Name: f.Name, Type: near, Nullable: true}
		}
		if len(fields) > 0 {
			return arrow.StructOf(fields...), nil
		}
	case *arrow.MapType:
		return nil, fmt.Errorf("there is no column type for %s", t)
	case arrow.ListLikeType:
		near, err := nearestType(t.Elem())
		if err != nil {
			return nil, err
		}
		return arrow.ListOf(near), nil
	}
	if near := nearestScalar(t.ID()); near != nil {
		return near, nil
	}
	return nil, fmt.Errorf("there is no column type for %s", t)
}

func nearestScalar(id arrow.Type) arrow.DataType {
	switch id {
	case arrow.INT8, arrow.INT16, arrow.INT32, arrow.UINT8, arrow.UINT16, arrow.UINT32, arrow.UINT64:
		return arrow.PrimitiveTypes.Int64
	case arrow.FLOAT16, arrow.FLOAT32, arrow.DECIMAL32, arrow.DECIMAL64, arrow.DECIMAL128, arrow.DECIMAL256:
		return arrow.PrimitiveTypes.Float64
	case arrow.LARGE_STRING, arrow.STRING_VIEW, arrow.TIME32, arrow.TIME64, arrow.NULL:
		return stringType
	case arrow.LARGE_BINARY, arrow.BINARY_VIEW, arrow.FIXED_SIZE_BINARY:
		return arrow.BinaryTypes.Binary
	case arrow.DATE64:
		return arrow.FixedWidthTypes.Date32
	case arrow.TIMESTAMP:
		return timestampType
	}
	return nil
}

// nearest converts an array to nearestType of its type. The caller releases
// the result.
func nearest(a arrow.Array) (arrow.Array, error) {
	to, err := nearestType(a.DataType())
	if err != nil {
		return nil, err
	}
	if arrow.TypeEqual(to, a.DataType()) {
		a.Retain()
		return a, nil
	}
	switch a := a.(type) {
	case *array.Struct:
		return nearestStruct(a, to)
	case array.ListLike:
		return nearestList(a, to)
	}
	return nearestValues(a, to)
}

func nearestStruct(a *array.Struct, to arrow.DataType) (arrow.Array, error) {
	children := make([]arrow.ArrayData, a.NumField())
	for i := range children {
		// Field is cut to the struct's own rows.
		c, err := nearest(a.Field(i))
		if err != nil {
			return nil, err
		}
		defer c.Release()
		children[i] = c.Data()
	}
	d := array.NewData(to, a.Len(), []*memory.Buffer{validity(a)}, children, a.NullN(), 0)
	defer d.Release()
	return array.MakeFromData(d), nil
}

func nearestList(a array.ListLike, to arrow.DataType) (arrow.Array, error) {
	values, err := nearest(a.ListValues())
	if err != nil {
		return nil, err
	}
	defer values.Release()
	offsets := make([]int32, a.Len()+1)
	var picked []arrow.Array
	for i := range a.Len() {
		offsets[i+1] = offsets[i]
		if a.IsNull(i) {
			continue
		}
		from, until := a.ValueOffsets(i)
		offsets[i+1] += int32(until - from)
		picked = append(picked, array.NewSlice(values, from, until))
	}
	defer func() {
		for _, p := range picked {
			p.Release()
		}
	}()
	joined, err := join(picked, values.DataType())
	if err != nil {
		return nil, err
	}
	defer joined.Release()
	buffers := []*memory.Buffer{validity(a), memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(offsets))}
	d := array.NewData(to, a.Len(), buffers, []arrow.ArrayData{joined.Data()}, a.NullN(), 0)
	defer d.Release()
	return array.MakeFromData(d), nil
}

func join(parts []arrow.Array, t arrow.DataType) (arrow.Array, error) {
	if len(parts) == 0 {
		return array.MakeArrayOfNull(memory.DefaultAllocator, t, 0), nil
	}
	return array.Concatenate(parts, memory.DefaultAllocator)
}

// validity is an array's null bitmap from bit 0 on; nil: no nulls.
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

// nearestValues converts scalars one by one.
func nearestValues(a arrow.Array, to arrow.DataType) (arrow.Array, error) {
	get, err := getter(a)
	if err != nil {
		return nil, err
	}
	b := array.NewBuilder(memory.DefaultAllocator, to)
	defer b.Release()
	b.Reserve(a.Len())
	for i := range a.Len() {
		if a.IsNull(i) {
			b.AppendNull()
			continue
		}
		v, err := get(i)
		if err != nil {
			return nil, err
		}
		if err := put(b, v); err != nil {
			return nil, err
		}
	}
	return b.NewArray(), nil
}

// getter returns how to read a value that is not null.
func getter(a arrow.Array) (func(i int) (parsed, error), error) {
	switch a := a.(type) {
	case *array.Int8:
		return whole(a.Value), nil
	case *array.Int16:
		return whole(a.Value), nil
	case *array.Int32:
		return whole(a.Value), nil
	case *array.Uint8:
		return whole(a.Value), nil
	case *array.Uint16:
		return whole(a.Value), nil
	case *array.Uint32:
		return whole(a.Value), nil
	case *array.Uint64:
		return unsigned(a), nil
	case *array.Float16:
		return func(i int) (parsed, error) { return parsed{f: float64(a.Value(i).Float32())}, nil }, nil
	case *array.Float32:
		return func(i int) (parsed, error) { return parsed{f: float64(a.Value(i))}, nil }, nil
	case *array.Date64:
		return func(i int) (parsed, error) {
			return parsed{i: int64(arrow.Date32FromTime(a.Value(i).ToTime()))}, nil
		}, nil
	case *array.Timestamp:
		unit := a.DataType().(*arrow.TimestampType).Unit
		return func(i int) (parsed, error) { return parsed{i: a.Value(i).ToTime(unit).UnixMicro()}, nil }, nil
	case *array.FixedSizeBinary:
		return bytesOf(a.Value), nil
	case *array.LargeBinary:
		return bytesOf(a.Value), nil
	case *array.BinaryView:
		return bytesOf(a.Value), nil
	case *array.Dictionary:
		return category(a)
	}
	return written(a)
}

func whole[T int8 | int16 | int32 | uint8 | uint16 | uint32](value func(int) T) func(int) (parsed, error) {
	return func(i int) (parsed, error) { return parsed{i: int64(value(i))}, nil }
}

func bytesOf(value func(int) []byte) func(int) (parsed, error) {
	return func(i int) (parsed, error) { return parsed{text: value(i)}, nil }
}

func unsigned(a *array.Uint64) func(int) (parsed, error) {
	return func(i int) (parsed, error) {
		v := a.Value(i)
		if v > 1<<63-1 {
			return parsed{}, fmt.Errorf("%d is more than int64 can hold", v)
		}
		return parsed{i: int64(v)}, nil
	}
}

func category(a *array.Dictionary) (func(int) (parsed, error), error) {
	names := a.Dictionary()
	return func(i int) (parsed, error) {
		at := a.GetValueIndex(i)
		if names.IsNull(at) {
			return parsed{null: true}, nil
		}
		return parsed{text: []byte(names.ValueStr(at))}, nil
	}, nil
}

// written reads types that go by their written form: decimals, texts, times.
func written(a arrow.Array) (func(int) (parsed, error), error) {
	switch nearestScalar(a.DataType().ID()) {
	case stringType:
		return func(i int) (parsed, error) { return parsed{text: []byte(a.ValueStr(i))}, nil }, nil
	case arrow.PrimitiveTypes.Float64:
		return func(i int) (parsed, error) { return parseText("float64", []byte(a.ValueStr(i))) }, nil
	}
	return nil, fmt.Errorf("there is no column type for %s", a.DataType())
}
