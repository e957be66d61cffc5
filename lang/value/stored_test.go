package value

import (
	"encoding/json"
	"testing"

	"github.com/zclconf/go-cty/cty"
)

func TestAStoredValueComesBackAsItWas(t *testing.T) {
	v := cty.ObjectVal(map[string]cty.Value{"rows": cty.NumberIntVal(3), "names": cty.ListVal([]cty.Value{cty.StringVal("a")})})
	text, err := json.MarshalIndent(map[string]*Stored{"value": Store(v)}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	var back map[string]*Stored
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	got, err := back["value"].Get()
	if err != nil || !got.RawEquals(v) {
		t.Errorf("got %#v, %v", got, err)
	}
	again, err := json.MarshalIndent(back, "", "  ")
	if err != nil || string(again) != string(text) {
		t.Errorf("encoded again, it is %s, %v", again, err)
	}
}

func TestAnAttributeOfAStoredValueIsReadAlone(t *testing.T) {
	overlap := cty.ObjectVal(map[string]cty.Value{"m": cty.NumberIntVal(3)})
	made := Store(cty.ObjectVal(map[string]cty.Value{"overlap": overlap, "none": cty.NullVal(cty.String)}))
	text, err := json.Marshal(made)
	if err != nil {
		t.Fatal(err)
	}
	var read Stored
	if err := json.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	for _, s := range []*Stored{made, &read} {
		if v, err := s.Attribute("overlap"); err != nil || !v.RawEquals(overlap) {
			t.Errorf("got %#v, %v", v, err)
		}
		if v, err := s.Attribute("none"); err != nil || !v.RawEquals(cty.NullVal(cty.String)) {
			t.Errorf("got %#v, %v", v, err)
		}
		if v, err := s.Attribute("other"); err != nil || v != cty.NilVal {
			t.Errorf("got %#v, %v", v, err)
		}
	}
	number := Stored{text: []byte(`{"type": "number", "value": 1}`)}
	if v, err := number.Attribute("overlap"); err != nil || v != cty.NilVal {
		t.Errorf("of a number, got %#v, %v", v, err)
	}
	// The values of other attributes are not decoded.
	faulty := Stored{text: []byte(`{"type": ["object", {"a": "number", "b": "number"}], "value": {"a": "x", "b": 2}}`)}
	if v, err := faulty.Attribute("b"); err != nil || !v.RawEquals(cty.NumberIntVal(2)) {
		t.Errorf("got %#v, %v", v, err)
	}
}

func TestAStoredValueIsDecodedOnlyWhenNeeded(t *testing.T) {
	var s Stored
	if err := json.Unmarshal([]byte(`{"type": "no type", "value": 1}`), &s); err != nil {
		t.Fatalf("it was decoded: %v", err)
	}
	if _, err := s.Get(); err == nil {
		t.Error("no error")
	}
}
