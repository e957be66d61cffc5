package value_test

import (
	"testing"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/quern-dev/quern/lang/value"
)

func TestConvertAgreesWithThatOfCty(t *testing.T) {
	text, number, mark := cty.StringVal("1"), cty.NumberIntVal(2), value.Sensitive{Variable: "var.s"}
	elements := map[string][]cty.Value{
		"none":    {},
		"texts":   {text, cty.StringVal("x"), text},
		"numbers": {number, number},
		"nulls":   {cty.NullVal(cty.String), text},
		"untyped": {cty.NullVal(cty.DynamicPseudoType), text},
		"unknown": {cty.UnknownVal(cty.String), text},
		"anyone":  {cty.DynamicVal, cty.DynamicVal},
		"mixed":   {text, number, cty.True},
		"marked":  {text.Mark(mark), cty.StringVal("x")},
		"pairs":   {cty.TupleVal([]cty.Value{text, number}), cty.TupleVal([]cty.Value{text, number})},
		"nested":  {cty.TupleVal([]cty.Value{text}), cty.TupleVal([]cty.Value{text, text})},
		"objects": {cty.ObjectVal(map[string]cty.Value{"a": text}), cty.ObjectVal(map[string]cty.Value{"a": text})},
		"partial": {cty.ObjectVal(map[string]cty.Value{"a": text}), cty.ObjectVal(map[string]cty.Value{"b": text})},
		"lists":   {cty.ListVal([]cty.Value{text}), cty.ListValEmpty(cty.String)},
	}
	object := cty.Object(map[string]cty.Type{"a": cty.Number})
	optional := cty.ObjectWithOptionalAttrs(map[string]cty.Type{"a": cty.String, "c": cty.Bool}, []string{"c"})
	wants := []cty.Type{cty.String, cty.DynamicPseudoType}
	for _, e := range []cty.Type{cty.String, cty.Number, cty.Bool, cty.DynamicPseudoType, cty.List(cty.String), cty.Set(cty.DynamicPseudoType), object, optional} {
		wants = append(wants, cty.List(e), cty.Set(e), cty.Map(e))
	}
	for name, list := range elements {
		named := map[string]cty.Value{}
		for i, e := range list {
			named[string(rune('a'+i))] = e
		}
		for _, v := range []cty.Value{cty.TupleVal(list), cty.TupleVal(list).Mark(mark), cty.ObjectVal(named), cty.NullVal(cty.TupleVal(list).Type()), cty.UnknownVal(cty.TupleVal(list).Type())} {
			for _, want := range wants {
				expected, expectedErr := convert.Convert(v, want)
				got, err := value.Convert(v, want)
				// Which attribute of an object an error names is left to chance.
				sameText := err == nil || expectedErr == nil || v.Type().IsObjectType() || err.Error() == expectedErr.Error()
				if (err == nil) != (expectedErr == nil) || !sameText {
					t.Errorf("%s to %#v: error %v, not %v", name, want, err, expectedErr)
				} else if err == nil && !got.RawEquals(expected) {
					t.Errorf("%s to %#v: %#v, not %#v", name, want, got, expected)
				}
			}
		}
	}
}

// With cty's conversion, this takes minutes.
func TestALargeListIsConvertedInProportionToItsLength(t *testing.T) {
	list := make([]cty.Value, 100_000)
	for i := range list {
		list[i] = cty.NumberIntVal(int64(i))
	}
	for _, want := range []cty.Type{cty.List(cty.DynamicPseudoType), cty.List(cty.String), cty.Set(cty.Number)} {
		v, err := value.Convert(cty.TupleVal(list), want)
		if err != nil || v.LengthInt() != len(list) {
			t.Errorf("%#v: %v", want, err)
		}
	}
}
