package data

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// Conform gives a batch exactly the given schema. Its columns must have the
// schema's names and types, in order. Differences without meaning (nullability,
// names inside list types, metadata) are removed. Values are neither copied nor
// converted. The caller releases the result.
func Conform(rec arrow.RecordBatch, schema *arrow.Schema) (arrow.RecordBatch, error) {
	if rec.Schema().Equal(schema) {
		rec.Retain()
		return rec, nil
	}
	if int(rec.NumCols()) != schema.NumFields() {
		return nil, fmt.Errorf("a batch has %d columns, but %d are expected", rec.NumCols(), schema.NumFields())
	}
	columns := make([]arrow.Array, rec.NumCols())
	defer releaseAll(columns)
	for i := range columns {
		if have, want := rec.ColumnName(i), schema.Field(i).Name; have != want {
			return nil, fmt.Errorf("column %d is %q, but %q is expected", i+1, have, want)
		}
		c, err := retype(rec.Column(i), schema.Field(i).Type)
		if err != nil {
			return nil, fmt.Errorf("column %q: %w", schema.Field(i).Name, err)
		}
		columns[i] = c
	}
	return array.NewRecordBatch(schema, columns, rec.NumRows()), nil
}

func releaseAll(arrays []arrow.Array) {
	for _, a := range arrays {
		if a != nil {
			a.Release()
		}
	}
}

// retype changes an array's type to t if both mean the same. The caller
// releases the result.
func retype(a arrow.Array, t arrow.DataType) (arrow.Array, error) {
	if arrow.TypeEqual(a.DataType(), t, arrow.CheckMetadata()) {
		a.Retain()
		return a, nil
	}
	have, err := TypeName(a.DataType())
	if err != nil {
		return nil, err
	}
	want, err := TypeName(t)
	if err != nil {
		return nil, err
	}
	if have != want {
		return nil, fmt.Errorf("is %s, but %s is expected", have, want)
	}
	d := retypeData(a.Data(), t)
	defer d.Release()
	return array.MakeFromData(d), nil
}

func retypeData(d arrow.ArrayData, t arrow.DataType) arrow.ArrayData {
	children := make([]arrow.ArrayData, len(d.Children()))
	for i, c := range d.Children() {
		children[i] = retypeData(c, childType(t, i))
	}
	out := array.NewData(t, d.Len(), d.Buffers(), children, d.NullN(), d.Offset())
	for _, c := range children {
		c.Release()
	}
	return out
}

func childType(t arrow.DataType, i int) arrow.DataType {
	switch t := t.(type) {
	case *arrow.ListType:
		return t.Elem()
	case *arrow.StructType:
		return t.Field(i).Type
	}
	panic(fmt.Sprintf("type %s has no children", t))
}
