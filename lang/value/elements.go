package value

import "github.com/zclconf/go-cty/cty"

// Element is an element of a collection.
type Element struct{ Key, Value cty.Value }

// Elements returns the elements of any collection, in order. The keys of a set
// are its values. For a value that is unknown, null, or not a collection, it
// returns none.
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

// TypeName returns a type as messages name it, with its article: "a list".
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
