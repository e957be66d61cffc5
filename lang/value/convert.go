package value

import (
	"iter"
	"maps"
	"slices"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// Convert converts a value to a type. The result is that of convert.Convert,
// which compares the types of all elements of a tuple or object with each
// other. Convert takes time in proportion to their number if they are equal,
// as they usually are in a large one.
func Convert(v cty.Value, want cty.Type) (cty.Value, error) {
	if c, ok := collection(v, want); ok {
		if converted, err := convert.Convert(c, want); err == nil {
			return converted, nil
		}
	}
	return convert.Convert(v, want) // whose error names the types that the user wrote
}

// Collection returns a tuple as a list and an object as a map if a value of
// the wanted type is made from it, and all its elements have the same type. So
// it does with the elements. It returns other values unchanged.
func Collection(v cty.Value, want cty.Type) cty.Value {
	if c, ok := collection(v, want); ok {
		return c
	}
	return v
}

func collection(v cty.Value, want cty.Type) (cty.Value, bool) {
	t := v.Type()
	list := t.IsTupleType() && (want.IsListType() || want.IsSetType())
	if !list && !(t.IsObjectType() && want.IsMapType()) {
		return v, false
	}
	plain, marks := v.Unmark()
	if !plain.IsKnown() || plain.IsNull() {
		return v, false
	}
	if list {
		elements := plain.AsValueSlice()
		for i, e := range elements {
			elements[i] = Collection(e, want.ElementType())
		}
		if !haveOneType(slices.Values(elements)) {
			return v, false
		}
		return cty.ListVal(elements).WithMarks(marks), true
	}
	elements := plain.AsValueMap()
	for name, e := range elements {
		elements[name] = Collection(e, want.ElementType())
	}
	if !haveOneType(maps.Values(elements)) {
		return v, false
	}
	return cty.MapVal(elements).WithMarks(marks), true
}

// haveOneType reports whether there are values, and all have the same type,
// which does not depend on what is not known yet.
func haveOneType(values iter.Seq[cty.Value]) bool {
	one := cty.NilType
	for v := range values {
		switch {
		case one == cty.NilType:
			if one = v.Type(); one.HasDynamicTypes() {
				return false
			}
		case !v.Type().Equals(one):
			return false
		}
	}
	return one != cty.NilType
}
