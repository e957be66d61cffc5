package expr

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/sdk/go/data"
)

// columnValueType is ValueType for a column. A column whose type is not known to
// package data is dynamic.
func columnValueType(c data.Column) cty.Type {
	t, err := data.ArrowType(c.Type)
	if err != nil {
		return cty.DynamicPseudoType
	}
	return ValueType(t)
}

// ValueType returns the type that the values of a column have in expressions.
// Integers and floats are numbers. A float is the decimal number that is printed
// for it, so that row.score >= 0.85 is true for 0.85; NaN and the infinities are
// null. Dates are strings such as 2026-01-31, timestamps are RFC 3339 in UTC, and
// binary values are base64.
func ValueType(t arrow.DataType) cty.Type {
	switch t := t.(type) {
	case *arrow.Int64Type, *arrow.Float64Type:
		return cty.Number
	case *arrow.BooleanType:
		return cty.Bool
	case *arrow.ListType:
		return cty.List(ValueType(t.Elem()))
	case *arrow.StructType:
		attrs := map[string]cty.Type{}
		for _, f := range t.Fields() {
			attrs[f.Name] = ValueType(f.Type)
		}
		return cty.Object(attrs)
	}
	return cty.String
}

// containsEncoded reports whether a column type contains values that
// expressions see in a different form.
func containsEncoded(columnType string) bool {
	t, err := data.ArrowType(columnType)
	return err == nil && IsEncoded(t)
}

// IsEncoded reports whether a column type contains values that expressions see in
// a different form: dates, times, and bytes.
func IsEncoded(t arrow.DataType) bool {
	switch t := t.(type) {
	case *arrow.ListType:
		return IsEncoded(t.Elem())
	case *arrow.StructType:
		return slices.ContainsFunc(t.Fields(), func(f arrow.Field) bool { return IsEncoded(f.Type) })
	case *arrow.BinaryType, *arrow.Date32Type, *arrow.TimestampType:
		return true
	}
	return false
}

// columnType returns the dataset column type for values of a type. Numbers are
// int64 if s knows that they are whole, and float64 otherwise. Lists, sets, and
// tuples with one element type are lists. Objects are structs with fields
// sorted by name. Maps, whose keys vary from row to row, have no column type.
func columnType(t cty.Type, s *shape) (string, error) {
	switch {
	case t == cty.String:
		return "string", nil
	case t == cty.Bool:
		return "bool", nil
	case t == cty.Number && s.isInteger():
		return "int64", nil
	case t == cty.Number:
		return "float64", nil
	case t.IsListType(), t.IsSetType():
		return listType(t.ElementType(), s.element())
	case t.IsTupleType():
		return tupleType(t, s)
	case t.IsObjectType():
		return structType(t, s)
	case t.IsMapType():
		return "", fmt.Errorf("a map cannot be a column, because its keys vary; encode it with jsonencode(), or write an object with fixed attributes")
	case t == cty.DynamicPseudoType:
		return "", fmt.Errorf("the type of the result is not known in advance; convert the result, for example with tostring()")
	}
	return "", fmt.Errorf("%s cannot be a column", t.FriendlyName())
}

func listType(elem cty.Type, s *shape) (string, error) {
	name, err := columnType(elem, s)
	if err != nil {
		return "", err
	}
	return "list<" + name + ">", nil
}

func tupleType(t cty.Type, s *shape) (string, error) {
	types := t.TupleElementTypes()
	if len(types) == 0 {
		return "", fmt.Errorf("the element type of an empty list is not known; convert the list, for example with tolist() of typed elements")
	}
	elem, err := unify(types)
	if err != nil {
		return "", err
	}
	return listType(elem, s.element())
}

func structType(t cty.Type, s *shape) (string, error) {
	attrs := t.AttributeTypes()
	if len(attrs) == 0 {
		return "", fmt.Errorf("an object without attributes cannot be a column")
	}
	parts := make([]string, 0, len(attrs))
	for _, name := range ordered.Keys(attrs) {
		field, err := columnType(attrs[name], s.field(name))
		if err != nil {
			return "", fmt.Errorf("attribute %s: %w", name, err)
		}
		parts = append(parts, fieldName(name)+":"+field)
	}
	return "struct<" + strings.Join(parts, ",") + ">", nil
}

// fieldName writes a struct's field name in the form that package data reads.
func fieldName(s string) string {
	plain := s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r != '_' && r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
	if plain {
		return s
	}
	return strconv.Quote(s)
}

func typeText(t cty.Type) string { return typeexpr.TypeString(t) }

// columnType returns the column type of an expression's result. A column that
// is passed through keeps its own type.
func (r *reducer) columnType(e hclsyntax.Expression, t, want cty.Type) (string, hcl.Diagnostics) {
	shape := r.shapeOf(e, nil)
	if trav, ok := e.(*hclsyntax.ScopeTraversalExpr); ok && want == cty.DynamicPseudoType && len(trav.Traversal) == 2 && trav.Traversal.RootName() == RowName {
		name, _ := columnOf(trav.Traversal)
		c, _ := LookupColumn(r.scope.Row, name)
		return c.Type, nil
	}
	name, err := columnType(t, shape)
	if err == nil {
		_, err = data.ArrowType(name) // which bounds nesting to what a file can contain
	}
	if err != nil {
		return "", hcl.Diagnostics{diag.Errorf(e.Range().Ptr(), "Invalid column value", "%s", diag.Sentence(err))}
	}
	return name, nil
}
