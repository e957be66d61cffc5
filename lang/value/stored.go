package value

import (
	"bytes"
	"encoding/json"
	"sync"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/sdk/go/host/verbatim"
)

// Stored is a value whose JSON is decoded when it is first asked for: a state
// has large values, and a plan needs few of them. It may be used by several
// goroutines.
type Stored struct {
	text []byte // nil: it was made of a value
	once sync.Once
	v    cty.Value
	err  error
}

// Store returns a value, which is known and unmarked, in the form that is
// stored.
func Store(v cty.Value) *Stored { return &Stored{v: v} }

// Get returns the value. The error says that its JSON is not that of a value.
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

// Attribute returns an attribute of an object without decoding the others;
// cty.NilVal: it has none of that name.
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

// MarshalJSON writes it as a Value is written.
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
