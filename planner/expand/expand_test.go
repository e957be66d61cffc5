package expand

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

func TestForEachIsLimited(t *testing.T) {
	at := &hclsyntax.LiteralValueExpr{}
	elements := map[string]cty.Value{}
	for i := range maxInstances {
		elements[fmt.Sprint(i)] = cty.True
	}
	if d := checkForEach(cty.MapVal(elements), at); d != nil {
		t.Errorf("%d elements are refused: %s", len(elements), d.Detail)
	}
	elements["one more"] = cty.True
	for _, v := range []cty.Value{cty.MapVal(elements), cty.ObjectVal(elements)} {
		if d := checkForEach(v, at); d == nil || !strings.Contains(d.Detail, "for_each has 100,001 elements, but a stage can have at most 100,000 instances") {
			t.Errorf("%s with %d elements: %v", v.Type().FriendlyName(), len(elements), d)
		}
	}
}

func TestOnlyUnknownKeysAreUnknown(t *testing.T) {
	unknown := cty.UnknownVal(cty.String)
	for name, c := range map[string]struct {
		value cty.Value
		want  bool
	}{
		"nothing is known":         {cty.DynamicVal, true},
		"an unknown map":           {cty.UnknownVal(cty.Map(cty.String)), true},
		"a set with an unknown":    {cty.SetVal([]cty.Value{unknown}), true},
		"a map with an unknown":    {cty.MapVal(map[string]cty.Value{"a": unknown}), false},
		"an object with a dynamic": {cty.ObjectVal(map[string]cty.Value{"a": cty.DynamicVal}), false},
		"a set":                    {cty.SetVal([]cty.Value{cty.StringVal("a")}), false},
		"null":                     {cty.NullVal(cty.DynamicPseudoType), false},
		"a null set":               {cty.NullVal(cty.Set(cty.String)), false},
	} {
		if got := keysUnknown(c.value); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
