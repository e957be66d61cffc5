package value

import "github.com/zclconf/go-cty/cty"

// Element is one of a collection's.
type Element struct{ Key, Value cty.Value }

// Elements lists the elements of any collection, in its order; a set's keys are
// its values. A value that is unknown, null, or no collection has none.
func Elements(v cty.Value) []Element {
	if v == cty.NilVal {
		return nil
	}
	v, _ = v.Unmark()
	if v.IsNull() || !v.IsKnown() || !v.CanIterateElements() {
		return nil
	}
	var list []Element
	for it := v.ElementIterator(); it.Next(); {
		k, e := it.Element()
		list = append(list, Element{k, e})
	}
	return list
}

// TypeName is a type as messages call it, with its article: "a list".
func TypeName(t cty.Type) string {
	switch {
	case t.IsTupleType(), t.IsListType():
		return "a list"
	case t.IsObjectType():
		return "an object"
	case t.IsMapType():
		return "a map"
	case t.IsSetType():
		return "a set"
	}
	return "a " + t.FriendlyName()
}
