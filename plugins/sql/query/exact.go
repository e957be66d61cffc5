//go:build duckdb_arrow

package query

import (
	"fmt"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	duck "github.com/duckdb/duckdb-go-bindings"

	"github.com/quern-dev/quern/sdk/go/data"
)

// exactColumn returns a column of a file, with a type that can represent every
// value of it. Where only text can, the values are as DuckDB writes them. Values
// that no type can represent, such as infinite times, are errors when they occur.
func exactColumn(name string, t duck.LogicalType) (c data.Column, expression, mistake string) {
	typ := exactType(t)
	quoted := quoteName(name)
	expression = cast(quoted, outsideType(typ))
	switch {
	case typ == "date" || typ == "timestamp":
		expression = refuseIf(quoted, "isinf("+quoted+")", "is infinite, which no "+typ+" can represent", expression)
		if duck.GetTypeId(t) == duck.TypeTimestampNS {
			expression = refuseFine(quoted, expression)
		}
	}
	return data.Column{Name: name, Type: typ}, expression, ""
}

// refuseFine returns an expression that fails for a time that a timestamp would
// round.
func refuseFine(quoted, expression string) string {
	return refuseIf(quoted, "epoch_ns("+quoted+") % 1000 <> 0", "is finer than microseconds. Cast it in a query: ::TIMESTAMP rounds, ::VARCHAR keeps all digits", expression)
}

// refuseIf returns an expression that fails if a condition is true.
func refuseIf(quoted, condition, problem, expression string) string {
	message := quoteText("column "+quoted+": ") + " || " + quoted + "::VARCHAR || " + quoteText(" "+problem)
	return fmt.Sprintf("CASE WHEN %s THEN error(%s) ELSE %s END", condition, message, expression)
}

// exactTypes contains the dataset types for DuckDB's types whose every value they
// can represent.
var exactTypes = map[duck.Type]string{
	duck.TypeTinyInt: "int64", duck.TypeSmallInt: "int64", duck.TypeInteger: "int64", duck.TypeBigInt: "int64",
	duck.TypeUTinyInt: "int64", duck.TypeUSmallInt: "int64", duck.TypeUInteger: "int64",
	duck.TypeFloat: "float64", duck.TypeDouble: "float64", duck.TypeBoolean: "bool", duck.TypeBlob: "binary", duck.TypeDate: "date",
	duck.TypeTimestamp: "timestamp", duck.TypeTimestampS: "timestamp", duck.TypeTimestampMS: "timestamp",
	duck.TypeTimestampNS: "timestamp", duck.TypeTimestampTZ: "timestamp",
}

// exactType returns the dataset type for a type of DuckDB.
func exactType(t duck.LogicalType) string {
	id := duck.GetTypeId(t)
	switch id {
	case duck.TypeDecimal:
		if duck.DecimalScale(t) == 0 && duck.DecimalWidth(t) <= 18 {
			return "int64"
		}
	case duck.TypeList:
		return exactList(duck.ListTypeChildType(t))
	case duck.TypeArray:
		return exactList(duck.ArrayTypeChildType(t))
	case duck.TypeStruct:
		return exactStruct(t)
	}
	if name, ok := exactTypes[id]; ok {
		return name
	}
	return "string"
}

func exactList(elem duck.LogicalType) string {
	defer duck.DestroyLogicalType(&elem)
	return "list<" + exactType(elem) + ">"
}

// exactStruct returns string if the names of the fields cannot be those of a
// dataset.
func exactStruct(t duck.LogicalType) string {
	var fields []arrow.Field
	seen := map[string]bool{}
	for i := range duck.StructTypeChildCount(t) {
		name := duck.StructTypeChildName(t, i)
		child := duck.StructTypeChildType(t, i)
		at, err := data.ArrowType(exactType(child))
		duck.DestroyLogicalType(&child)
		if err != nil || seen[strings.ToLower(name)] {
			return "string"
		}
		seen[strings.ToLower(name)] = true
		fields = append(fields, arrow.Field{Name: name, Type: at, Nullable: true})
	}
	name, err := data.TypeName(arrow.StructOf(fields...))
	if err != nil {
		return "string"
	}
	return name
}
