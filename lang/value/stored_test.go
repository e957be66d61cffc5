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
		t.Errorf("written again it is %s, %v", again, err)
	}
}

func TestAStoredValueIsDecodedOnlyWhenItIsAskedFor(t *testing.T) {
	var s Stored
	if err := json.Unmarshal([]byte(`{"type": "no type", "value": 1}`), &s); err != nil {
		t.Fatalf("it was decoded: %v", err)
	}
	if _, err := s.Get(); err == nil {
		t.Error("no error")
	}
}
