package verbatim_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/sdk/go/host/verbatim"
)

func TestMapKeepsKeysThatAreEqualInNFC(t *testing.T) {
	for name, test := range map[string]struct{ keys, want []string }{
		"different keys":            {[]string{"a", "b"}, []string{"a", "b"}},
		"a single key in NFD":       {[]string{"e\u0301"}, []string{"\u00e9"}},
		"NFC and NFD":               {[]string{"e\u0301", "\u00e9"}, []string{`e\u0301`, "\u00e9"}},
		"three forms of one letter": {[]string{"\u212b", "A\u030a", "\u00c5"}, []string{`A\u030a`, `\u212b`, "\u00c5"}},
		"neither in NFC":            {[]string{"\u212b", "A\u030a"}, []string{`\u212b`, "\u00c5"}},
		"an escaped key is taken":   {[]string{"e\u0301", "\u00e9", `e\u0301`}, []string{`\e\u0301`, `e\u0301`, "\u00e9"}},
	} {
		t.Run(name, func(t *testing.T) {
			values := map[string]cty.Value{}
			for _, key := range test.keys {
				values[key] = cty.StringVal(key)
			}
			got := verbatim.Map(values).AsValueMap()
			if keys := slices.Sorted(maps.Keys(got)); !slices.Equal(keys, test.want) {
				t.Errorf("%q became %q, want %q", test.keys, keys, test.want)
			}
		})
	}
}
