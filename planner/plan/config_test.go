package plan

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/msgpack"
)

func TestConfigurationsAreEncodedAsCtyDoes(t *testing.T) {
	long := map[string]cty.Value{}
	for _, name := range strings.Fields(strings.Repeat("x ", 300)) {
		long[strings.Repeat(name, len(long)+1)] = cty.True
	}
	longer := map[string]cty.Value{strings.Repeat("y", 1<<16): cty.True}
	for name, attrs := range map[string]map[string]cty.Value{
		"empty":  {},
		"flat":   {"input": cty.StringVal("input"), "n": cty.NumberIntVal(3), "on": cty.False},
		"nested": {"columns": cty.ObjectVal(map[string]cty.Value{"id": cty.StringVal("columns.id")}), "rule": cty.TupleVal([]cty.Value{cty.EmptyObjectVal})},
		"names":  {"größe": cty.Zero, "a b": cty.Zero, "<&>\u2028\"\\": cty.Zero, "日本": cty.Zero, "0": cty.Zero, "": cty.Zero},
		"open":   {"any": cty.DynamicVal, "null": cty.NullVal(cty.DynamicPseudoType), "list": cty.NullVal(cty.List(cty.String)), "later": cty.UnknownVal(cty.Map(cty.Number))},
		"lists":  {"list": cty.ListVal([]cty.Value{cty.StringVal("a")}), "set": cty.SetVal([]cty.Value{cty.Zero}), "map": cty.MapVal(map[string]cty.Value{"a": cty.True})},
		"long":   long,
		"longer": longer,
	} {
		v := cty.ObjectVal(attrs)
		want, err := msgpack.Marshal(v, cty.DynamicPseudoType)
		if err != nil {
			t.Fatal(err)
		}
		got, err := encodeConfig(v)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %q, %v, want %q", name, got, err, want)
		}
	}
	if _, err := encodeConfig(cty.ObjectVal(map[string]cty.Value{"secret": cty.StringVal("a").Mark("secret")})); err == nil {
		t.Error("a marked value is encoded")
	}
	if _, err := encodeConfig(cty.ObjectVal(map[string]cty.Value{"x": cty.CapsuleVal(cty.Capsule("x", reflect.TypeFor[int]()), new(int))})); err == nil {
		t.Error("a capsule is encoded")
	}
}
