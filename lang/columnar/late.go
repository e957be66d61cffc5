package columnar

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/verbatim"
)

// Late values reach a program in columns in addition to those of the row. A part
// whose type is known in advance has the column type of its type. A
// part of type any can have a different type in each row: it is a string that
// contains JSON, which is decoded when the row is evaluated. Text that is not JSON
// is null.

// addLate finds the columns that contain late values.
func (p *Program) addLate(in data.Schema) error {
	for _, name := range slices.Sorted(maps.Keys(p.compiled.Late)) {
		column, _, ok := in.Lookup(name)
		if !ok {
			return fmt.Errorf("row expression %s: the rows have no %q", p.compiled.Text, name)
		}
		t, err := data.ArrowType(column.Type)
		if err == nil {
			err = holdsLate(t, p.compiled.Late[name].Type)
		}
		if err != nil {
			return fmt.Errorf("row expression %s: %q: %w", p.compiled.Text, name, err)
		}
		p.late = append(p.late, column)
	}
	return nil
}

// holdsLate explains why a column cannot contain late values of a type.
func holdsLate(col arrow.DataType, t cty.Type) error {
	switch {
	case t == cty.DynamicPseudoType:
		t = cty.String
	case t.IsListType():
		if list, ok := col.(*arrow.ListType); ok {
			return holdsLate(list.Elem(), t.ElementType())
		}
	case t.IsObjectType():
		if _, ok := col.(*arrow.StructType); !ok {
			break
		}
		for name, a := range t.AttributeTypes() {
			field := fieldType(col, name)
			if field == nil {
				return fmt.Errorf("field %q does not exist", name)
			}
			if err := holdsLate(field, a); err != nil {
				return fmt.Errorf("field %q: %w", name, err)
			}
		}
		return nil
	}
	if !expr.ValueType(col).Equals(t) {
		return fmt.Errorf("%s is not %s", col, t.FriendlyName())
	}
	return nil
}

// lateCell returns a late value of a type.
func lateCell(col arrow.Array, i int, t cty.Type) (cty.Value, error) {
	if col.IsNull(i) {
		return cty.NullVal(t), nil
	}
	switch {
	case t == cty.DynamicPseudoType:
		return fromJSON(col.(array.StringLike).Value(i)), nil
	case t.IsListType():
		return lateList(col.(*array.List), i, t)
	case t.IsObjectType():
		col := col.(*array.Struct)
		attrs := make(map[string]cty.Value, len(t.AttributeTypes()))
		for name, a := range t.AttributeTypes() {
			at, _ := col.DataType().(*arrow.StructType).FieldIdx(name)
			v, err := lateCell(col.Field(at), i, a)
			if err != nil {
				return cty.NilVal, err
			}
			attrs[name] = v
		}
		return cty.ObjectVal(attrs), nil
	}
	return cell(col, i)
}

// lateList returns a list, or a tuple if its elements may differ in type.
func lateList(col *array.List, i int, t cty.Type) (cty.Value, error) {
	from, to := col.ValueOffsets(i)
	vals := make([]cty.Value, 0, to-from)
	for j := from; j < to; j++ {
		v, err := lateCell(col.ListValues(), int(j), t.ElementType())
		if err != nil {
			return cty.NilVal, err
		}
		vals = append(vals, v)
	}
	switch {
	case t.HasDynamicTypes():
		return cty.TupleVal(vals), nil
	case len(vals) == 0:
		return cty.ListValEmpty(t.ElementType()), nil
	}
	return cty.ListVal(vals), nil
}

// fromJSON returns the value that a text encodes. It first checks, which is
// cheap, that the text is valid JSON and not nested too deeply.
func fromJSON(text string) cty.Value {
	if json.Valid([]byte(text)) {
		if v, err := expr.Functions()["jsondecode"].Call([]cty.Value{verbatim.Text(text)}); err == nil {
			return v
		}
	}
	return cty.NullVal(cty.DynamicPseudoType)
}

// lateValue returns the closure of a reference to a late name, or nil if its
// type is not known in advance.
func (v *vectorizer) lateValue(t hcl.Traversal, of cty.Type) *node {
	from := path{data.LateNames, []string{t.RootName()}}
	column, _, _ := v.lateColumns.Lookup(t.RootName())
	at, err := data.ArrowType(column.Type)
	if err != nil {
		return nil
	}
	for _, step := range t[1:] {
		name, ok := expr.AttributeName(step)
		if !ok || !of.IsObjectType() || !of.HasAttribute(name) {
			return nil
		}
		from.steps, at, of = append(from.steps, name), fieldType(at, name), of.AttributeType(name)
	}
	if of.HasDynamicTypes() {
		return nil
	}
	n := v.slot(from, at)
	if n.form == valueForm {
		// The column may contain more than the type says.
		k := v.slotIndex(from)
		n.typ, n.value = of, func(f *frame, i int) (cty.Value, outcome) {
			s := &f.slots[k]
			if o := s.state(i); o != some {
				return cty.NilVal, o
			}
			val, err := lateCell(s.any, i, of)
			if err != nil {
				return cty.NilVal, unsure
			}
			return val, some
		}
	}
	return n
}
