package client

import (
	"math"
	"testing"

	msgpacked "github.com/vmihailenco/msgpack/v5"
	"github.com/zclconf/go-cty/cty"
)

// A NaN, which a plugin in another language may send, does not affect other
// attributes.
func TestANaNIsReadAsAnInfinity(t *testing.T) {
	text, err := msgpacked.Marshal([]any{
		[]byte(`["object",{"id":"string","loads":["list","number"]}]`),
		map[string]any{"id": "i-1", "loads": []any{1.5, math.NaN()}},
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeValue(text)
	want := cty.ObjectVal(map[string]cty.Value{
		"id": cty.StringVal("i-1"), "loads": cty.ListVal([]cty.Value{cty.NumberFloatVal(1.5), cty.PositiveInfinity}),
	})
	if err != nil || !got.RawEquals(want) {
		t.Errorf("got %#v, %v", got, err)
	}
	if _, err := DecodeValue([]byte{0xc1}); err == nil {
		t.Error("what is no msgpack is read")
	}
}
