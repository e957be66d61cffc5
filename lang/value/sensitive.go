package value

import (
	"github.com/zclconf/go-cty/cty"
)

// Sensitive is the cty mark of values that come from a sensitive variable.
// Whatever is made of such a value bears the mark too.
type Sensitive struct{ Variable string }

// IsSensitive says whether the value or any part of it is marked sensitive.
func IsSensitive(v cty.Value) bool {
	if v == cty.NilVal || !v.ContainsMarked() {
		return false
	}
	_, marks := v.UnmarkDeep()
	return hasSensitive(marks)
}

func hasSensitive(marks cty.ValueMarks) bool {
	for m := range marks {
		if _, ok := m.(Sensitive); ok {
			return true
		}
	}
	return false
}

// Redacted stands in the place of a sensitive value.
const Redacted = "(sensitive value)"

// Redact returns the value without marks, each sensitive part replaced by the
// string Redacted. Collections with a sensitive element become objects and
// tuples, since their elements no longer have one type.
func Redact(v cty.Value) cty.Value {
	if v == cty.NilVal || !v.ContainsMarked() {
		return v
	}
	v, marks := v.Unmark()
	if hasSensitive(marks) {
		return cty.StringVal(Redacted)
	}
	if v.IsNull() || !v.IsKnown() {
		return v
	}
	switch t := v.Type(); {
	case t.IsMapType(), t.IsObjectType():
		parts := make(map[string]cty.Value, v.LengthInt())
		for k, e := range v.AsValueMap() {
			parts[k] = Redact(e)
		}
		return cty.ObjectVal(parts)
	case t.IsListType(), t.IsTupleType(), t.IsSetType():
		var parts []cty.Value
		for _, e := range v.AsValueSlice() {
			parts = append(parts, Redact(e))
		}
		return cty.TupleVal(parts)
	}
	return v
}
