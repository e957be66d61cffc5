package expr

import (
	"testing"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/sdk/go/data"
)

func TestColumnTypesOfTypes(t *testing.T) {
	for _, c := range []struct {
		t    cty.Type
		want string
	}{
		{cty.String, "string"}, {cty.Number, "float64"}, {cty.Bool, "bool"},
		{cty.Set(cty.Bool), "list<bool>"},
		{cty.Tuple([]cty.Type{cty.Number, cty.String}), "list<string>"},
		{cty.Object(map[string]cty.Type{"b": cty.Bool, "a é": cty.List(cty.String)}), `struct<"a é":list<string>,b:bool>`},
		{cty.Map(cty.String), ""}, {cty.DynamicPseudoType, ""}, {cty.EmptyObject, ""}, {cty.EmptyTuple, ""},
	} {
		got, err := columnType(c.t, nil)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%#v: %q, %v", c.t, got, err)
		}
		if err == nil {
			if _, err := data.ArrowType(got); err != nil {
				t.Error(err)
			}
		}
	}
}
