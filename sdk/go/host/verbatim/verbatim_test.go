package verbatim_test

import (
	"encoding/json"
	"testing"

	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"
	"github.com/zclconf/go-cty/cty/msgpack"

	"github.com/quern-dev/quern/sdk/go/host/verbatim"
)

const (
	composed   = "K\u00f6ln"
	decomposed = "Ko\u0308ln"
)

// TestTextKeepsItsBytes fails if cty.Value has a different layout from the one
// that Text relies on.
func TestTextKeepsItsBytes(t *testing.T) {
	v := verbatim.Text(decomposed)
	if v.Type() != cty.String || !v.IsKnown() || v.IsNull() || v.AsString() != decomposed {
		t.Fatalf("%#v", v)
	}
	if !v.RawEquals(verbatim.Text(decomposed)) || v.RawEquals(cty.StringVal(composed)) || v.Equals(cty.StringVal(composed)).True() {
		t.Error("texts are not compared by their bytes")
	}
	for _, s := range []string{"", "a", composed, "\U0001f600"} {
		if !verbatim.Text(s).RawEquals(cty.StringVal(s)) {
			t.Errorf("%+q is not what cty makes", s)
		}
	}
	if got := cty.ListVal([]cty.Value{v, cty.StringVal("a")}).AsValueSlice()[0].AsString(); got != decomposed {
		t.Errorf("in a list: %+q", got)
	}
	if got := v.Mark("m").WithMarks(cty.NewValueMarks("n")); !got.HasMark("m") {
		t.Error("it cannot be marked")
	}
}

func TestTextThatNormalizingCannotChangeIsInert(t *testing.T) {
	for s, want := range map[string]bool{
		"": true, "abc": true, composed: true, "日本\U0001f600": true,
		decomposed: false, "\u0308": false, "\u212b": false, "\u1161": false, "\xff": false,
	} {
		if verbatim.Inert(s) != want {
			t.Errorf("%+q: %v", s, !want)
		}
	}
}

func values() []cty.Value {
	text := verbatim.Text(decomposed)
	return []cty.Value{
		text,
		cty.ListVal([]cty.Value{text, cty.NullVal(cty.String)}),
		cty.SetVal([]cty.Value{text, cty.StringVal(composed)}),
		cty.TupleVal([]cty.Value{cty.NumberIntVal(1), text, cty.True}),
		cty.MapVal(map[string]cty.Value{composed: text}),
		cty.ObjectVal(map[string]cty.Value{"a": cty.EmptyTupleVal, composed: cty.ListVal([]cty.Value{cty.ObjectVal(map[string]cty.Value{"b": text})})}),
		cty.ObjectVal(map[string]cty.Value{"null": cty.NullVal(cty.DynamicPseudoType), "text": text}),
	}
}

func TestValuesKeepTheirBytes(t *testing.T) {
	for _, v := range values() {
		for _, typ := range []cty.Type{v.Type(), cty.DynamicPseudoType} {
			b, err := ctyjson.Marshal(v, typ)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := verbatim.JSON(b, typ); err != nil || !got.RawEquals(v) {
				t.Errorf("JSON %s: %#v %v", b, got, err)
			}
			b, err = msgpack.Marshal(v, typ)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := verbatim.Msgpack(b, typ); err != nil || !got.RawEquals(v) {
				t.Errorf("msgpack of %#v: %#v %v", v, got, err)
			}
		}
	}
	partly := cty.ObjectVal(map[string]cty.Value{"a": cty.UnknownVal(cty.String), "b": verbatim.Text(decomposed)})
	b, err := msgpack.Marshal(partly, partly.Type())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := verbatim.Msgpack(b, partly.Type()); err != nil || !got.RawEquals(partly) {
		t.Errorf("partly unknown: %#v %v", got, err)
	}
}

func TestEscapesInJSONKeepTheirForm(t *testing.T) {
	for _, text := range []string{`["Ko\u0308ln"]`, `["Ko` + "\u0308" + `ln"]`} {
		got, err := verbatim.JSON([]byte(text), cty.List(cty.String))
		if err != nil || got.AsValueSlice()[0].AsString() != decomposed {
			t.Errorf("%s: %#v %v", text, got, err)
		}
	}
}

func TestKeysThatDifferOnlyInFormAreRefused(t *testing.T) {
	text, _ := json.Marshal(map[string]int{composed: 1, decomposed: 2})
	if v, err := verbatim.JSON(text, cty.Map(cty.Number)); err == nil {
		t.Errorf("%s gives %#v", text, v)
	}
}
