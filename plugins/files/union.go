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

// The rule by which files with different columns become one dataset
// (docs/language.md, "Files with different columns"):
//
//   - Columns are joined by name, in the order in which names first appear. A
//     file that lacks a column has nulls in it.
//   - A column that holds nothing but nulls fits every type.
//   - int64 beside float64 is float64, as long as every integer is exact.
//   - date beside timestamp is timestamp: midnight in UTC.
//   - The fields of structs are joined by name, and the elements of lists by
//     their types, at any depth.
//   - Any other pair of types is refused. Formats that are text themselves (CSV,
//     JSON) keep the text instead.

// digitsType marks numbers whose digits neither int64 nor float64 can hold.
// They become text.
var digitsType arrow.DataType = &arrow.Decimal256Type{Precision: decimal256.MaxPrecision}

// union is the columns of several files, joined by name.
type union struct {
	columns []unionColumn
	places  map[string]int
	// warnings are what the user should know of how the columns were found.
	warnings []string
}

// unionColumn is a column of a union.
type unionColumn struct {
	name string
	// typ is a column type in which arrow.Null stands for "nothing but nulls
	// so far" and digitsType for numbers that have to be kept as text.
	typ arrow.DataType
	// file gave the column its type.
	file string
}

func newUnion() *union { return &union{places: map[string]int{}} }

// add takes account of a column of a file.
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

// lookup returns a column; nil: there is none of that name.
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

// widen returns the type that holds the values of both types exactly.
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

// widerScalar is the type that holds values of both types, of which b is the
// wider one.
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

// finalType is the column type of a type in a union: what held nothing but nulls
// is string, and so are numbers that have to be kept as text.
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

// describeType names a type of a union for a person.
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

// quoteKey writes a name as the key of an HCL object.
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

// uniqueNames gives each column of a file a name of its own. A column without
// a name is called column0, column1, … by its place; of several columns with
// one name all but the first get _1, _2, … added, as DuckDB does.
func uniqueNames(names []string) []string {
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

// selection is what a source's arguments say about its columns.
type selection struct {
	// types are those that the user gave, by column.
	types map[string]string
	// columns are those to take, in order; nil: all.
	columns []string
	// open: a column in types need not be in a file, and is null there.
	open bool
}

// check finds what is wrong with a selection by itself.
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

// typed says whether the user gave the type of a column that is taken, or
// does not take the column: its type need not be found out.
func (s selection) typed(name string) bool {
	if _, ok := s.types[name]; ok {
		return true
	}
	return s.columns != nil && !slices.Contains(s.columns, name)
}

// complete says whether the arguments name all columns and their types.
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

// allNames are the columns that were found, and after them those that have
// types and were not.
func (s selection) allNames(found *union) []string {
	names := found.names()
	for _, name := range sortedKeys(s.types) {
		if found.lookup(name) == nil {
			names = append(names, name)
		}
	}
	return names
}
