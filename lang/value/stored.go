package value

import (
	"bytes"
	"encoding/json"
	"sync"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/sdk/go/host/verbatim"
)

// Stored is a value whose JSON is decoded when it is first needed: a state
// contains large values, and a plan needs few of them. It is safe for
// concurrent use.
type Stored struct {
	text []byte // nil if it was created from a value
	once sync.Once
	v    cty.Value
	err  error
}

// Store returns a known, unmarked value in its stored form.
func Store(v cty.Value) *Stored { return &Stored{v: v} }

// Get returns the value, or an error if its JSON is not that of a value.
func (s *Stored) Get() (cty.Value, error) {
	s.once.Do(func() {
		if s.text != nil {
			var v Value
			s.err = json.Unmarshal(s.text, &v)
			s.v = v.Value
		}
	})
	return s.v, s.err
}

// Attribute returns an attribute of an object without decoding the others, or
// cty.NilVal if there is none with that name.
func (s *Stored) Attribute(name string) (cty.Value, error) {
	if s.text == nil {
		if !s.v.Type().IsObjectType() || s.v.IsNull() || !s.v.Type().HasAttribute(name) {
			return cty.NilVal, nil
		}
		return s.v.GetAttr(name), nil
	}
	var parts struct {
		Type  Type
		Value json.RawMessage
	}
	if err := json.Unmarshal(s.text, &parts); err != nil {
		return cty.NilVal, err
	}
	if t := parts.Type.Type; t == cty.NilType || !t.IsObjectType() || !t.HasAttribute(name) {
		return cty.NilVal, nil
	}
	var attrs map[string]json.RawMessage
	if err := json.Unmarshal(parts.Value, &attrs); err != nil || attrs[name] == nil {
		return cty.NilVal, err
	}
	return verbatim.JSON(attrs[name], parts.Type.AttributeType(name))
}

// MarshalJSON writes the same JSON as for a Value.
func (s *Stored) MarshalJSON() ([]byte, error) {
	if s.text != nil {
		return s.text, nil
	}
	return Value{s.v}.MarshalJSON()
}

// UnmarshalJSON keeps the JSON for Get.
func (s *Stored) UnmarshalJSON(b []byte) error {
	s.text = bytes.Clone(b)
	return nil
}
