package files

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/decimal256"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// The rules by which files with different columns become one dataset
// (docs/language.md, "Files with different columns"):
//
//   - Columns are joined by name, in the order in which names first appear. If
//     a file lacks a column, its rows have nulls in it.
//   - A column that contains only nulls fits every type.
//   - int64 and float64 become float64, as long as every integer is exact.
//   - date and timestamp become timestamp; a date is midnight in UTC.
//   - The fields of structs are joined by name, and the elements of lists by
//     their types, at any depth.
//   - Any other pair of types is refused. In formats that are text (CSV and
//     JSON), the column keeps the text instead.

// digitsType marks numbers that neither int64 nor float64 can represent
// exactly. They become text.
var digitsType arrow.DataType = &arrow.Decimal256Type{Precision: decimal256.MaxPrecision}

// union contains the columns of several files, joined by name.
type union struct {
	columns []unionColumn
	places  map[string]int
	// warnings contains warnings about how the columns were found.
	warnings []string
}

// unionColumn is a column of a union.
type unionColumn struct {
	name string
	// typ is a column type in which arrow.Null means "only nulls so far" and
	// digitsType means numbers that must be stored as text.
	typ arrow.DataType
	// file is the file that determined the type.
	file string
}

func newUnion() *union { return &union{places: map[string]int{}} }

// add adds a column of a file.
func (u *union) add(file, name string, t arrow.DataType) error {
	i, known := u.places[name]
	if !known {
		u.places[name] = len(u.columns)
		u.columns = append(u.columns, unionColumn{name, t, file})
		return nil
	}
	c := &u.columns[i]
	wide, err := widen(c.typ, t)
	if err != nil {
		return plugin.ArgumentErrorf("path", "Column %q is %s in %s and %s in %s: %w\nSet schema = { %s = \"string\" }, or to another type that both can be read as, or read the files as two sources.",
			name, describeType(c.typ), c.file, describeType(t), file, err, quoteKey(name))
	}
	if !arrow.TypeEqual(wide, c.typ) {
		c.typ, c.file = wide, file
	}
	return nil
}

// lookup returns a column, or nil if there is none with that name.
func (u *union) lookup(name string) *unionColumn {
	if i, ok := u.places[name]; ok {
		return &u.columns[i]
	}
	return nil
}

func (u *union) names() []string {
	names := make([]string, len(u.columns))
	for i, c := range u.columns {
		names[i] = c.name
	}
	return names
}

// widen returns a type that can represent the values of both types exactly.
func widen(a, b arrow.DataType) (arrow.DataType, error) {
	if arrow.TypeEqual(a, b) || b.ID() == arrow.NULL {
		return a, nil
	}
	if a.ID() == arrow.NULL {
		return b, nil
	}
	for _, pair := range [][2]arrow.DataType{{a, b}, {b, a}} {
		if wide := widerScalar(pair[0].ID(), pair[1].ID()); wide != nil {
			return wide, nil
		}
	}
	if a, ok := a.(*arrow.ListType); ok {
		if b, ok := b.(*arrow.ListType); ok {
			return widenList(a, b)
		}
	}
	if a, ok := a.(*arrow.StructType); ok {
		if b, ok := b.(*arrow.StructType); ok {
			return widenStruct(a, b)
		}
	}
	return nil, fmt.Errorf("no column type can represent both")
}

// widerScalar returns a type that can represent the values of both types. b
// must be the wider type.
func widerScalar(a, b arrow.Type) arrow.DataType {
	switch {
	case a == arrow.INT64 && b == arrow.FLOAT64:
		return arrow.PrimitiveTypes.Float64
	case a == arrow.DATE32 && b == arrow.TIMESTAMP:
		return timestampType
	case (a == arrow.INT64 || a == arrow.FLOAT64) && b == digitsType.ID():
		return digitsType
	}
	return nil
}

func widenList(a, b *arrow.ListType) (arrow.DataType, error) {
	elem, err := widen(a.Elem(), b.Elem())
	if err != nil {
		return nil, fmt.Errorf("the elements are %s and %s, and %w", describeType(a.Elem()), describeType(b.Elem()), err)
	}
	return arrow.ListOf(elem), nil
}

func widenStruct(a, b *arrow.StructType) (arrow.DataType, error) {
	fields := slices.Clone(a.Fields())
	for _, f := range b.Fields() {
		i, ok := a.FieldIdx(f.Name)
		if !ok {
			fields = append(fields, f)
			continue
		}
		wide, err := widen(fields[i].Type, f.Type)
		if err != nil {
			return nil, fmt.Errorf("the field %q is %s and %s, and %w", f.Name, describeType(fields[i].Type), describeType(f.Type), err)
		}
		fields[i].Type = wide
	}
	return arrow.StructOf(fields...), nil
}

// finalType returns the column type for a type in a union. Columns of nulls,
// and numbers that must be stored as text, become string.
func finalType(t arrow.DataType) arrow.DataType {
	switch t := t.(type) {
	case *arrow.NullType, *arrow.Decimal256Type:
		return stringType
	case *arrow.ListType:
		return arrow.ListOf(finalType(t.Elem()))
	case *arrow.StructType:
		fields := slices.Clone(t.Fields())
		for i := range fields {
			fields[i].Type = finalType(fields[i].Type)
		}
		return arrow.StructOf(fields...)
	}
	return t
}

// describeType returns the name of a type in a union, for people.
func describeType(t arrow.DataType) string {
	switch t.ID() {
	case arrow.NULL:
		return "null"
	case digitsType.ID():
		return "decimal"
	}
	name, err := data.TypeName(finalType(t))
	if err != nil {
		return t.String()
	}
	return name
}

// quoteKey formats a name as the key of an HCL object.
func quoteKey(name string) string {
	for i, r := range name {
		letter := r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return strconv.Quote(name)
		}
	}
	if name == "" {
		return `""`
	}
	return name
}

// UniqueNames gives each column of a file a unique name. A column without a
// name is called column0, column1, … by its position. If several columns have
// the same name, all but the first get the suffixes _1, _2, …, as in DuckDB.
func UniqueNames(names []string) []string {
	taken := make(map[string]bool, len(names))
	for _, name := range names {
		taken[name] = true
	}
	out := make([]string, len(names))
	seen := make(map[string]bool, len(names))
	for i, name := range names {
		if name == "" {
			name = "column" + strconv.Itoa(i)
			if taken[name] {
				name = freeName(name, taken)
			}
			taken[name] = true
		}
		if seen[name] {
			name = freeName(name, taken)
			taken[name] = true
		}
		seen[name] = true
		out[i] = name
	}
	return out
}

func freeName(name string, taken map[string]bool) string {
	for n := 1; ; n++ {
		if free := name + "_" + strconv.Itoa(n); !taken[free] {
			return free
		}
	}
}

// selection is what the arguments of a source say about its columns.
type selection struct {
	// types contains the types that the user set, by column.
	types map[string]string
	// columns contains the selected columns in order, or nil for all.
	columns []string
	// open says that a column in types can be missing in a file, and is null
	// there.
	open bool
}

// check checks a selection on its own.
func (s selection) check() error {
	for i, name := range s.columns {
		if slices.Contains(s.columns[:i], name) {
			return plugin.ArgumentErrorf("columns", "columns lists %q twice\nList each column once.", name)
		}
	}
	if s.columns != nil && len(s.columns) == 0 {
		return plugin.ArgumentErrorf("columns", "columns is empty\nList at least one column, or omit columns to read all of them.")
	}
	if s.types != nil && len(s.types) == 0 {
		return plugin.ArgumentErrorf("schema", "schema is empty\nName at least one column, or omit schema.")
	}
	for _, name := range sortedKeys(s.types) {
		if name == "" {
			return plugin.ArgumentErrorf("schema", "schema has a column without a name")
		}
		if _, err := data.ArrowType(s.types[name]); err != nil {
			return plugin.ArgumentErrorf("schema", "The type of column %q is not valid: %w", name, err)
		}
		if s.columns != nil && !slices.Contains(s.columns, name) {
			return plugin.ArgumentErrorf("schema", "schema has a type for %q, which columns does not list\nAdd it to columns, or remove it from schema.", name)
		}
	}
	return nil
}

// typed reports whether the user set the type of a column or did not select it,
// so that its type need not be inferred.
func (s selection) typed(name string) bool {
	if _, ok := s.types[name]; ok {
		return true
	}
	return s.columns != nil && !slices.Contains(s.columns, name)
}

// complete reports whether the arguments name all columns and their types.
func (s selection) complete() bool {
	return s.columns != nil && len(s.columns) == len(s.types)
}

// choose returns the columns of the dataset.
func (s selection) choose(found *union) (data.Schema, error) {
	names, argument := s.columns, "columns"
	if names == nil {
		names, argument = s.allNames(found), "schema"
	}
	out := make(data.Schema, 0, len(names))
	for _, name := range names {
		column, given := found.lookup(name), s.types[name]
		if column == nil && (given == "" || !s.open) {
			return nil, plugin.ArgumentErrorf(argument, "No column is named %q\nThe columns are %s.", name, strings.Join(found.names(), ", "))
		}
		if given == "" {
			var err error
			if given, err = data.TypeName(finalType(column.typ)); err != nil {
				return nil, fmt.Errorf("column %q: %w", name, err)
			}
		}
		out = append(out, data.Column{Name: name, Type: given})
	}
	return out, nil
}

// allNames returns the columns that were found, followed by those that have
// types but were not found.
func (s selection) allNames(found *union) []string {
	names := found.names()
	for _, name := range sortedKeys(s.types) {
		if found.lookup(name) == nil {
			names = append(names, name)
		}
	}
	return names
}
