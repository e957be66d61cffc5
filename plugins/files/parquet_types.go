package files

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/big"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/extensions"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/apache/arrow-go/v18/parquet/schema"
)

var (
	timestampType arrow.DataType = &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}
	stringType    arrow.DataType = arrow.BinaryTypes.String
)

// parquetColumn is a column of a Parquet file, or a part of one: a field, or
// the elements of a list.
type parquetColumn struct {
	name string
	// typ is a type of a union. Numbers that may be too large for int64 or have
	// too many digits for float64 are digitsType until narrow has checked them.
	typ arrow.DataType
	// leaf is the number of the leaf column, or -1 if the column has children.
	// logical is its logical type.
	leaf     int
	logical  schema.LogicalType
	scale    int32          // of a decimal
	origin   arrow.DataType // the type that the writer meant; nil: unknown
	children []parquetColumn
}

// describeColumn determines the type of a column. origin is the same column
// with the types that the writer meant, or nil if they are unknown.
func describeColumn(f, origin *pqarrow.SchemaField, file *schema.Schema) (parquetColumn, error) {
	t := f.Field.Type
	c := parquetColumn{name: f.Field.Name, leaf: f.ColIndex}
	if f.IsLeaf() {
		c.logical = file.Column(f.ColIndex).LogicalType()
		if origin != nil {
			c.origin = origin.Field.Type
		}
		var err error
		c.typ, err = c.leafType(t)
		return c, err
	}
	if _, ok := t.(*extensions.VariantType); ok {
		c.typ = stringType
		return c, nil
	}
	names := make([]string, len(f.Children))
	for i := range f.Children {
		var from *pqarrow.SchemaField
		if origin != nil && len(origin.Children) == len(f.Children) {
			from = &origin.Children[i]
		}
		child, err := describeColumn(&f.Children[i], from, file)
		if err != nil {
			return c, err
		}
		c.children = append(c.children, child)
		names[i] = child.name
	}
	for i, name := range UniqueNames(names) {
		c.children[i].name = name
	}
	return c, c.join(storage(t))
}

// join computes the type from those of the children.
func (c *parquetColumn) join(t arrow.DataType) error {
	switch {
	case t.ID() == arrow.STRUCT && len(c.children) > 0:
		fields := make([]arrow.Field, len(c.children))
		for i, child := range c.children {
			fields[i] = arrow.Field{Name: child.name, Type: child.typ, Nullable: true}
		}
		c.typ = arrow.StructOf(fields...)
		return nil
	case arrow.IsListLike(t.ID()) && len(c.children) == 1:
		if t.ID() == arrow.MAP && len(c.children[0].children) == 2 {
			c.children[0].children[0].name, c.children[0].children[1].name = "key", "value"
			if err := c.children[0].join(c.children[0].typ); err != nil {
				return err
			}
		}
		c.typ = arrow.ListOf(c.children[0].typ)
		return nil
	}
	return fmt.Errorf("%s is not a supported column type", t)
}

// storage returns the storage type of an extension type.
func storage(t arrow.DataType) arrow.DataType {
	for {
		e, ok := t.(arrow.ExtensionType)
		if !ok {
			return t
		}
		t = e.StorageType()
	}
}

// isIn reports whether a logical type is of the given kind.
func isIn[T schema.LogicalType](t schema.LogicalType) bool {
	_, ok := t.(T)
	return ok
}

// leafType returns the type in which values of a leaf are stored.
func (c *parquetColumn) leafType(t arrow.DataType) (arrow.DataType, error) {
	switch c.origin.(type) {
	case *arrow.DurationType, *extensions.UUIDType, *extensions.JSONType:
		return stringType, nil
	case *extensions.Bool8Type:
		return arrow.FixedWidthTypes.Boolean, nil
	}
	switch t := t.(type) {
	case *extensions.UUIDType:
		return stringType, nil
	case arrow.ExtensionType:
		return c.leafType(t.StorageType())
	case arrow.DecimalType:
		c.scale = t.GetScale()
		switch {
		case c.scale == 0 && t.GetPrecision() <= 18:
			return arrow.PrimitiveTypes.Int64, nil
		case c.scale != 0 && t.GetPrecision() <= exactDigits:
			return arrow.PrimitiveTypes.Float64, nil
		}
		return digitsType, nil
	}
	switch t.ID() {
	case arrow.NULL:
		return arrow.Null, nil
	case arrow.BOOL:
		return arrow.FixedWidthTypes.Boolean, nil
	case arrow.INT8, arrow.INT16, arrow.INT32, arrow.INT64, arrow.UINT8, arrow.UINT16, arrow.UINT32:
		return arrow.PrimitiveTypes.Int64, nil
	case arrow.UINT64:
		return digitsType, nil
	case arrow.FLOAT16, arrow.FLOAT32, arrow.FLOAT64:
		return arrow.PrimitiveTypes.Float64, nil
	case arrow.STRING, arrow.TIME32, arrow.TIME64:
		return stringType, nil
	case arrow.BINARY, arrow.FIXED_SIZE_BINARY:
		if isIn[schema.JSONLogicalType](c.logical) || isIn[schema.EnumLogicalType](c.logical) ||
			isIn[schema.IntervalLogicalType](c.logical) || isIn[schema.UUIDLogicalType](c.logical) {
			return stringType, nil
		}
		return arrow.BinaryTypes.Binary, nil
	case arrow.DATE32:
		return arrow.FixedWidthTypes.Date32, nil
	case arrow.TIMESTAMP:
		return timestampType, nil
	}
	return nil, fmt.Errorf("%s is not a supported column type", t)
}

// exactDigits is the number of significant digits that float64 always
// preserves.
const exactDigits = 15

// narrow determines the type of numbers that may not fit int64 or float64, from
// the statistics of the file or, if these are not sufficient, from the values.
func (o *parquetFile) narrow(ctx context.Context, c *parquetColumn, top int) error {
	for i := range c.children {
		if err := o.narrow(ctx, &c.children[i], top); err != nil {
			return err
		}
	}
	if len(c.children) > 0 {
		t := arrow.DataType(arrow.ListOf(arrow.Null))
		if c.typ.ID() == arrow.STRUCT {
			t = c.typ
		}
		return c.join(t)
	}
	if c.typ.ID() != digitsType.ID() {
		return nil
	}
	fits := o.fitsByStatistics(c)
	if !fits {
		var err error
		if fits, err = o.fitsByValues(ctx, c, top); err != nil {
			return err
		}
	}
	switch {
	case fits && c.scale == 0:
		c.typ = arrow.PrimitiveTypes.Int64
	case fits:
		c.typ = arrow.PrimitiveTypes.Float64
	}
	return nil
}

// fitsByStatistics reports whether, according to the file's statistics, int64
// can represent every value of a leaf or, for numbers with a fraction, float64
// can.
func (o *parquetFile) fitsByStatistics(c *parquetColumn) bool {
	limit := big.NewInt(1e15 - 1) // the largest number with exactDigits digits
	if c.scale == 0 {
		limit = big.NewInt(1<<63 - 1)
	}
	for i := range o.file.NumRowGroups() {
		group := o.file.MetaData().RowGroup(i)
		chunk, err := group.ColumnChunk(c.leaf)
		if err != nil {
			return false
		}
		if group.NumRows() == 0 {
			continue
		}
		stats, err := chunk.Statistics()
		if err != nil || stats == nil {
			return false
		}
		if stats.HasNullCount() && stats.NullCount() == chunk.NumValues() {
			continue
		}
		if !stats.HasMinMax() {
			return false
		}
		for _, b := range [][]byte{stats.EncodeMin(), stats.EncodeMax()} {
			if v := unscaled(chunk.Type(), b, c.logical); v == nil || v.CmpAbs(limit) > 0 {
				return false
			}
		}
	}
	return true
}

// unscaled returns a number as Parquet stores it, or nil if it is not a number.
func unscaled(physical parquet.Type, b []byte, logical schema.LogicalType) *big.Int {
	signed := true
	if i, ok := logical.(schema.IntLogicalType); ok {
		signed = i.IsSigned()
	}
	switch {
	case physical == parquet.Types.Int32 && len(b) == 4:
		return big.NewInt(int64(int32(binary.LittleEndian.Uint32(b))))
	case physical == parquet.Types.Int64 && len(b) == 8 && signed:
		return big.NewInt(int64(binary.LittleEndian.Uint64(b)))
	case physical == parquet.Types.Int64 && len(b) == 8:
		return new(big.Int).SetUint64(binary.LittleEndian.Uint64(b))
	case physical != parquet.Types.FixedLenByteArray && physical != parquet.Types.ByteArray || len(b) == 0:
		return nil
	}
	v := new(big.Int).SetBytes(b)
	if b[0]&0x80 != 0 {
		v.Sub(v, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
	return v
}

// fitsByValues is like fitsByStatistics, but checks the values themselves.
func (o *parquetFile) fitsByValues(ctx context.Context, c *parquetColumn, top int) (bool, error) {
	to := arrow.PrimitiveTypes.Float64
	if c.scale == 0 {
		to = arrow.PrimitiveTypes.Int64
	}
	fits := true
	field := &o.reader.Manifest.Fields[top]
	err := o.each(ctx, appendLeaves(nil, field), func(rec arrow.RecordBatch) error {
		fits = leafFits(rec.Column(0), field, c, to)
		if !fits {
			return errEnough
		}
		return nil
	})
	return fits, err
}

// leafFits reports whether a type can represent the values of one leaf, which
// can be anywhere inside an array.
func leafFits(a arrow.Array, f *pqarrow.SchemaField, c *parquetColumn, to arrow.DataType) bool {
	if f.IsLeaf() {
		if f.ColIndex != c.leaf {
			return true
		}
		fit := *c
		fit.typ = digitsType
		out, err := (&conversion{}).convert(a, &fit, to)
		if err == nil {
			out.Release()
		}
		return err == nil
	}
	for i := range f.Children {
		if !slices.Contains(appendLeaves(nil, &f.Children[i]), c.leaf) {
			continue
		}
		child := childArray(a, i)
		defer child.Release()
		if !leafFits(child, &f.Children[i], c, to) {
			return false
		}
	}
	return true
}

// columnsOf returns the columns of a file, with unique names. A column whose
// type quern does not have is in problems.
func (o *parquetFile) columnsOf() (columns []parquetColumn, problems map[string]error) {
	fields := o.reader.Manifest.Fields
	names := make([]string, len(fields))
	for i := range fields {
		names[i] = fields[i].Field.Name
	}
	problems = map[string]error{}
	for i, name := range UniqueNames(names) {
		var origin *pqarrow.SchemaField
		if o.origin != nil {
			origin = &o.origin.Fields[i]
		}
		c, err := describeColumn(&fields[i], origin, o.file.MetaData().Schema)
		if err != nil {
			problems[name] = err
			c.typ = arrow.Null
		}
		c.name = name
		columns = append(columns, c)
	}
	return columns, problems
}
