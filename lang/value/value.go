// Package value defines the JSON form of cty values and types, which is
// used in plans, states, and action entries.
package value

import (
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/quern-dev/quern/sdk/go/host/verbatim"
)

// Value is a cty value that travels with its type. It is known and unmarked.
type Value struct{ cty.Value }

// MarshalJSON writes {"type": …, "value": …}.
func (v Value) MarshalJSON() ([]byte, error) {
	if v.Value != cty.NilVal && v.IsNull() && v.Value.Type() == cty.DynamicPseudoType {
		// A bare null would read back as no value at all.
		return []byte(`{"value":null,"type":"dynamic"}`), nil
	}
	return ctyjson.Marshal(v.Value, cty.DynamicPseudoType)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (v *Value) UnmarshalJSON(b []byte) error {
	val, err := verbatim.JSON(b, cty.DynamicPseudoType)
	v.Value = val
	return err
}

// Type is a cty type that encodes as JSON; cty.NilType is null.
type Type struct{ cty.Type }

// MarshalJSON writes cty's JSON form of the type.
func (t Type) MarshalJSON() ([]byte, error) {
	if t.Type == cty.NilType {
		return []byte("null"), nil
	}
	return ctyjson.MarshalType(t.Type)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (t *Type) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		t.Type = cty.NilType
		return nil
	}
	typ, err := ctyjson.UnmarshalType(b)
	t.Type = typ
	return err
}
