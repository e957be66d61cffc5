//go:build duckdb_arrow

package query

import (
	"fmt"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	duck "github.com/duckdb/duckdb-go-bindings"

	"github.com/quern-dev/quern/sdk/go/data"
)

// For a query, a timestamp, which is an instant, is a TIMESTAMP in UTC. It has
// a time zone only in the result, because that is how Arrow marks an instant.
const (
	timestampInside  = "TIMESTAMP"
	timestampOutside = "TIMESTAMP WITH TIME ZONE"
)

// sqlType returns the DuckDB type for a dataset's column type.
func sqlType(column, timestamp string) (string, error) {
	t, err := data.ArrowType(column)
	if err != nil {
		return "", err
	}
	return sqlTypeOf(t, timestamp), nil
}

func sqlTypeOf(t arrow.DataType, timestamp string) string {
	switch t := t.(type) {
	case *arrow.ListType:
		return sqlTypeOf(t.Elem(), timestamp) + "[]"
	case *arrow.StructType:
		fields := make([]string, t.NumFields())
		for i, f := range t.Fields() {
			fields[i] = quoteName(f.Name) + " " + sqlTypeOf(f.Type, timestamp)
		}
		return "STRUCT(" + strings.Join(fields, ", ") + ")"
	case *arrow.Int64Type:
		return "BIGINT"
	case *arrow.Float64Type:
		return "DOUBLE"
	case *arrow.BooleanType:
		return "BOOLEAN"
	case *arrow.BinaryType:
		return "BLOB"
	case *arrow.Date32Type:
		return "DATE"
	case *arrow.TimestampType:
		return timestamp
	default:
		return "VARCHAR"
	}
}

// columnTypes contains the dataset types for DuckDB's types: those that can
// represent every value, and those for HUGEINT and DECIMAL, which sums and
// literals have by default. A HUGEINT that is out of range, or a DECIMAL with
// more digits than a float64 keeps, is an error when it occurs.
var columnTypes = map[duck.Type]string{
	duck.TypeVarchar: "string", duck.TypeEnum: "string", duck.TypeUUID: "string",
	duck.TypeTinyInt: "int64", duck.TypeSmallInt: "int64", duck.TypeInteger: "int64", duck.TypeBigInt: "int64",
	duck.TypeUTinyInt: "int64", duck.TypeUSmallInt: "int64", duck.TypeUInteger: "int64", duck.TypeHugeInt: "int64",
	duck.TypeFloat: "float64", duck.TypeDouble: "float64", duck.TypeDecimal: "float64",
	duck.TypeBoolean: "bool", duck.TypeBlob: "binary", duck.TypeDate: "date",
	duck.TypeTimestamp: "timestamp", duck.TypeTimestampS: "timestamp", duck.TypeTimestampMS: "timestamp",
	duck.TypeTimestampNS: "timestamp", duck.TypeTimestampTZ: "timestamp",
}

// advice says how to convert a column whose type has no counterpart.
var advice = map[duck.Type]string{
	duck.TypeUBigInt:  "Cast it: ::varchar keeps every value, ::bigint only those below 2^63.",
	duck.TypeUHugeInt: "Cast it: ::varchar keeps every value, ::bigint only those below 2^63.",
	duck.TypeInterval: "Cast it to varchar, or convert it to a number: epoch(…) gives seconds.",
	duck.TypeMap:      "Use map_entries(…), which is a list of structs, or cast it to varchar.",
	duck.TypeUnion:    "Extract one member with union_extract, or cast it to varchar.",
}

// columnType returns the dataset type for a DuckDB type. If there is none, name
// is empty, and fix says what to do.
func columnType(t duck.LogicalType) (name, fix string) {
	id := duck.GetTypeId(t)
	switch id {
	case duck.TypeList:
		return listType(duck.ListTypeChildType(t))
	case duck.TypeArray:
		return listType(duck.ArrayTypeChildType(t))
	case duck.TypeStruct:
		return structType(t)
	}
	if name, ok := columnTypes[id]; ok {
		return name, ""
	}
	if a, ok := advice[id]; ok {
		return "", a
	}
	return "", "Cast it, for example ::varchar."
}

func listType(elem duck.LogicalType) (name, fix string) {
	defer duck.DestroyLogicalType(&elem)
	name, fix = columnType(elem)
	if name == "" {
		return "", "It is the type of its elements. " + fix
	}
	return "list<" + name + ">", ""
}

func structType(t duck.LogicalType) (name, fix string) {
	var fields []arrow.Field
	for i := range duck.StructTypeChildCount(t) {
		field := duck.StructTypeChildName(t, i)
		child := duck.StructTypeChildType(t, i)
		column, fix := columnType(child)
		duck.DestroyLogicalType(&child)
		if column == "" {
			return "", fmt.Sprintf("It is the type of its field %q. %s", field, fix)
		}
		at, err := data.ArrowType(column)
		if err != nil {
			return "", fmt.Sprintf("It is the type of its field %q: %s.", field, err)
		}
		fields = append(fields, arrow.Field{Name: field, Type: at, Nullable: true})
	}
	name, err := data.TypeName(arrow.StructOf(fields...))
	if err != nil {
		return "", "Cast it, for example to varchar."
	}
	return name, ""
}

// typeNames contains the SQL names of types that a dataset cannot contain.
var typeNames = map[duck.Type]string{
	duck.TypeUBigInt: "UBIGINT", duck.TypeUHugeInt: "UHUGEINT", duck.TypeInterval: "INTERVAL",
	duck.TypeMap: "MAP", duck.TypeUnion: "UNION", duck.TypeTime: "TIME", duck.TypeTimeTZ: "TIME WITH TIME ZONE",
	duck.TypeTimeNS: "TIME_NS", duck.TypeBit: "BIT", duck.TypeBigNum: "BIGNUM", duck.TypeGeometry: "GEOMETRY",
	duck.TypeVariant: "VARIANT", duck.TypeList: "LIST", duck.TypeArray: "ARRAY", duck.TypeStruct: "STRUCT",
}

func typeName(t duck.LogicalType) string {
	if name, ok := typeNames[duck.GetTypeId(t)]; ok {
		return name
	}
	return "that DuckDB calls " + fmt.Sprint(duck.GetTypeId(t))
}
