package columnar

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/sdk/go/host/verbatim"
)

// cell returns a value of a column as expressions see it; see
// expr.ValueType.
func cell(col arrow.Array, i int) (cty.Value, error) {
	t := expr.ValueType(col.DataType())
	if col.IsNull(i) {
		return cty.NullVal(t), nil
	}
	switch col := col.(type) {
	case array.StringLike:
		return verbatim.Text(col.Value(i)), nil
	case *array.Int64:
		return cty.NumberIntVal(col.Value(i)), nil
	case *array.Float64:
		if !finite(col.Value(i)) {
			return cty.NullVal(t), nil
		}
		return decimal(col.Value(i)), nil
	case *array.Boolean:
		return cty.BoolVal(col.Value(i)), nil
	case *array.Binary:
		return cty.StringVal(base64.StdEncoding.EncodeToString(col.Value(i))), nil
	case *array.Date32:
		return cty.StringVal(col.Value(i).ToTime().Format(time.DateOnly)), nil
	case *array.Timestamp:
		unit := col.DataType().(*arrow.TimestampType).Unit
		return cty.StringVal(col.Value(i).ToTime(unit).UTC().Format(time.RFC3339Nano)), nil
	case *array.List:
		return listCell(col, i, t)
	case *array.Struct:
		return structCell(col, i)
	}
	return cty.NilVal, fmt.Errorf("expressions cannot read values of type %s", col.DataType())
}

// decimal returns the number that a float's shortest text represents.
func decimal(f float64) cty.Value {
	if f == 0 {
		return cty.Zero // also for -0
	}
	v, err := cty.ParseNumberVal(strconv.FormatFloat(f, 'g', -1, 64))
	if err != nil {
		panic("a float's own form is no number: " + err.Error())
	}
	return v
}

func listCell(col *array.List, i int, t cty.Type) (cty.Value, error) {
	from, to := col.ValueOffsets(i)
	if from == to {
		return cty.ListValEmpty(t.ElementType()), nil
	}
	vals := make([]cty.Value, 0, to-from)
	for j := from; j < to; j++ {
		v, err := cell(col.ListValues(), int(j))
		if err != nil {
			return cty.NilVal, err
		}
		vals = append(vals, v)
	}
	return cty.ListVal(vals), nil
}

func structCell(col *array.Struct, i int) (cty.Value, error) {
	attrs := make(map[string]cty.Value, col.NumField())
	for j, f := range col.DataType().(*arrow.StructType).Fields() {
		v, err := cell(col.Field(j), i)
		if err != nil {
			return cty.NilVal, err
		}
		attrs[f.Name] = v
	}
	return cty.ObjectVal(attrs), nil
}

// check reports whether a value fits in a column of a type, so that a row's
// value is appended either completely or not at all.
func check(t arrow.DataType, v cty.Value) error {
	if !v.IsKnown() {
		return errors.New("the result is not known")
	}
	if v.IsNull() {
		return nil
	}
	switch t := t.(type) {
	case *arrow.Int64Type:
		_, err := integer(v)
		return err
	case *arrow.Float64Type:
		_, err := float(v)
		return err
	case *arrow.ListType:
		for it := v.ElementIterator(); it.Next(); {
			_, e := it.Element()
			if err := check(t.Elem(), e); err != nil {
				return err
			}
		}
	case *arrow.StructType:
		attrs := v.AsValueMap()
		for _, f := range t.Fields() {
			if err := check(f.Type, attrs[f.Name]); err != nil {
				return err
			}
		}
	}
	return nil
}

func integer(v cty.Value) (int64, error) {
	n, acc := v.AsBigFloat().Int64()
	if acc != big.Exact {
		return 0, fmt.Errorf("%s does not fit in an int64", v.AsBigFloat().Text('f', -1))
	}
	return n, nil
}

func float(v cty.Value) (float64, error) {
	f, _ := v.AsBigFloat().Float64()
	if math.IsInf(f, 0) {
		return 0, errors.New("the number is too large for a float64")
	}
	return f, nil
}

// appendValue adds a value to a column, or, if there is an error, adds
// nothing.
func appendValue(b array.Builder, v cty.Value) error {
	if err := check(b.Type(), v); err != nil {
		return err
	}
	put(b, v)
	return nil
}

func put(b array.Builder, v cty.Value) {
	if v.IsNull() {
		b.AppendNull()
		return
	}
	switch b := b.(type) {
	case *array.StringBuilder:
		b.Append(v.AsString())
	case *array.Int64Builder:
		n, _ := integer(v)
		b.Append(n)
	case *array.Float64Builder:
		f, _ := float(v)
		b.Append(f)
	case *array.BooleanBuilder:
		b.Append(v.True())
	case *array.ListBuilder:
		b.Append(true)
		for it := v.ElementIterator(); it.Next(); {
			_, e := it.Element()
			put(b.ValueBuilder(), e)
		}
	case *array.StructBuilder:
		b.Append(true)
		putFields(b, v.AsValueMap())
	default:
		panic(fmt.Sprintf("no expression gives a %s", b.Type()))
	}
}

func putFields(b *array.StructBuilder, attrs map[string]cty.Value) {
	for i, f := range b.Type().(*arrow.StructType).Fields() {
		put(b.FieldBuilder(i), attrs[f.Name])
	}
}
