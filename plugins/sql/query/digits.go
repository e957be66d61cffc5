package query

import (
	"fmt"
	"strings"

	duck "github.com/duckdb/duckdb-go-bindings"
)

// lossless returns the expression that converts a column of a transform to an
// outside type. It fails for a value that would lose digits.
func lossless(quoted string, t duck.LogicalType, outside string) string {
	expression := cast(quoted, outside)
	condition := losesDigits(quoted, t, 0)
	switch {
	case condition == "":
		return expression
	case duck.GetTypeId(t) == duck.TypeDecimal:
		return refuseIf(quoted, condition, "has more digits than a float64 keeps. Cast it: ::VARCHAR keeps all, ::DOUBLE rounds", expression)
	case duck.GetTypeId(t) == duck.TypeTimestampNS:
		return refuseFine(quoted, expression)
	}
	return refuseIf(quoted, condition, "contains a number or a time with more digits than a dataset keeps. Cast these: ::VARCHAR keeps all digits, ::DOUBLE and ::TIMESTAMP round", expression)
}

// losesDigits returns the condition under which a value of type t has digits
// that its type in the dataset does not keep. It is empty if no value has.
func losesDigits(value string, t duck.LogicalType, depth int) string {
	switch duck.GetTypeId(t) {
	case duck.TypeDecimal:
		const safe = 15 // digits that DOUBLE always represents
		if duck.DecimalWidth(t) <= safe {
			return ""
		}
		original := fmt.Sprintf("DECIMAL(%d, %d)", duck.DecimalWidth(t), duck.DecimalScale(t))
		return "TRY_CAST(" + cast(value, "DOUBLE") + " AS " + original + ") IS DISTINCT FROM " + value
	case duck.TypeTimestampNS:
		return "epoch_ns(" + value + ") % 1000 <> 0"
	case duck.TypeList:
		return elementsLoseDigits(value, duck.ListTypeChildType(t), depth)
	case duck.TypeArray:
		return elementsLoseDigits(value, duck.ArrayTypeChildType(t), depth)
	case duck.TypeStruct:
		return fieldsLoseDigits(value, t, depth)
	}
	return ""
}

func elementsLoseDigits(value string, element duck.LogicalType, depth int) string {
	defer duck.DestroyLogicalType(&element)
	name := fmt.Sprintf("element%d", depth)
	condition := losesDigits(name, element, depth+1)
	if condition == "" {
		return ""
	}
	return "len(list_filter(" + value + ", lambda " + name + ": " + condition + ")) > 0"
}

func fieldsLoseDigits(value string, t duck.LogicalType, depth int) string {
	var conditions []string
	for i := range duck.StructTypeChildCount(t) {
		field := duck.StructTypeChildType(t, i)
		if c := losesDigits("struct_extract("+value+", "+quoteText(duck.StructTypeChildName(t, i))+")", field, depth); c != "" {
			conditions = append(conditions, "("+c+")")
		}
		duck.DestroyLogicalType(&field)
	}
	return strings.Join(conditions, " OR ")
}
