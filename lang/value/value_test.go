package value

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"
)

var secret = cty.StringVal("s3cret").Mark(Sensitive{Variable: "token"})

func TestValuesAreFormattedForPeople(t *testing.T) {
	capsule := cty.CapsuleVal(cty.Capsule("artifact", reflect.TypeOf(0)), new(int))
	for want, v := range map[string]cty.Value{
		`null`:                             cty.NilVal,
		`3.5`:                              cty.NumberFloatVal(3.5),
		`"a\n$${b}"`:                       cty.StringVal("a\n${b}"),
		`[1, true, null]`:                  cty.TupleVal([]cty.Value{cty.NumberIntVal(1), cty.True, cty.NullVal(cty.String)}),
		`[]`:                               cty.ListValEmpty(cty.String),
		`toset(["a"])`:                     cty.SetVal([]cty.Value{cty.StringVal("a")}),
		`{}`:                               cty.EmptyObjectVal,
		"{\n  a     = 1\n  \"b c\" = 2\n}": cty.MapVal(map[string]cty.Value{"a": cty.NumberIntVal(1), "b c": cty.NumberIntVal(2)}),
		`(known after apply)`:              cty.UnknownVal(cty.String),
		`(sensitive value)`:                secret,
		`[(sensitive value), 1]`:           cty.TupleVal([]cty.Value{secret, cty.NumberIntVal(1)}),
		`(artifact)`:                       capsule,
	} {
		if got := Format(v); got != want {
			t.Errorf("%s, not %s", got, want)
		}
	}
}

func TestAValueWithASensitivePartIsSensitive(t *testing.T) {
	for _, v := range []cty.Value{
		secret, cty.ListVal([]cty.Value{cty.StringVal("b"), secret}), cty.MapVal(map[string]cty.Value{"k": secret}),
		cty.ObjectVal(map[string]cty.Value{"x": cty.True}).Mark(Sensitive{"token"}),
	} {
		if !IsSensitive(v) {
			t.Errorf("%#v is not sensitive", v)
		}
	}
	if IsSensitive(cty.NilVal) || IsSensitive(cty.True) || IsSensitive(cty.True.Mark("other")) {
		t.Error("a value without a sensitive part is sensitive")
	}
}

func TestValuesAndTypesComeBackFromJSON(t *testing.T) {
	for _, v := range []cty.Value{
		cty.StringVal("a"), cty.NullVal(cty.Number), cty.ListVal([]cty.Value{cty.NumberIntVal(1)}),
		cty.ObjectVal(map[string]cty.Value{"a": cty.SetVal([]cty.Value{cty.True})}), cty.NullVal(cty.DynamicPseudoType),
	} {
		b, err := json.Marshal(Value{v})
		if err != nil {
			t.Fatal(err)
		}
		var back Value
		if err := json.Unmarshal(b, &back); err != nil || !back.RawEquals(v) {
			t.Errorf("%#v came back as %#v: %v", v, back.Value, err)
		}
		var typ Type
		b, err = json.Marshal(Type{v.Type()})
		if err != nil || json.Unmarshal(b, &typ) != nil || !typ.Equals(v.Type()) {
			t.Errorf("%#v came back as %#v: %v", v.Type(), typ.Type, err)
		}
	}
	var none Type
	if err := json.Unmarshal([]byte("null"), &none); err != nil || none.Type != cty.NilType {
		t.Error("cty.NilType does not survive encoding", err)
	}
}

func TestSensitiveValuesAreNeverEncoded(t *testing.T) {
	if b, err := json.Marshal(Value{secret}); err == nil || strings.Contains(string(b), "s3cret") {
		t.Errorf("%s", b)
	}
}
