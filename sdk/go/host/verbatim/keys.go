package verbatim

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/zclconf/go-cty/cty"
	"golang.org/x/text/unicode/norm"
)

// Distinct returns values under keys that are different even in NFC, in which cty
// compares map keys and attribute names: cty panics if two are equal. Of keys that
// are equal in NFC, one becomes that form: the one that is in NFC or, if none is,
// the first one in byte order. In the others, all characters but ASCII are
// escaped, as in "e\u0301".
func Distinct[V any](values map[string]V) map[string]V {
	out := make(map[string]V, len(values))
	var others []string
	for _, key := range slices.SortedFunc(maps.Keys(values), normalFirst) {
		name := norm.NFC.String(key)
		if _, taken := out[name]; taken {
			others = append(others, key)
			continue
		}
		out[name] = values[key]
	}
	for _, key := range others {
		name := strings.Trim(strconv.QuoteToASCII(key), `"`)
		for _, taken := out[name]; taken; _, taken = out[name] {
			name = `\` + name
		}
		out[name] = values[key]
	}
	return out
}

// Map returns a map whose keys come from data, as Distinct returns them. values
// must not be empty.
func Map(values map[string]cty.Value) cty.Value { return cty.MapVal(Distinct(values)) }

// normalFirst orders keys that are in NFC before others.
func normalFirst(a, b string) int {
	switch first, second := norm.NFC.IsNormalString(a), norm.NFC.IsNormalString(b); {
	case first && !second:
		return -1
	case second && !first:
		return 1
	}
	return strings.Compare(a, b)
}
