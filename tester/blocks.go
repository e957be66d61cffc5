package tester

import (
	"strings"

	"github.com/zclconf/go-cty/cty"
)

// noKey is the key of a module or a stage without count and for_each.
var noKey = cty.NilVal

// blockOf returns an address without the keys of instances: that of the block. Keys are in
// brackets, and those in quotes may contain brackets.
func blockOf(address string) string {
	var b strings.Builder
	inKey, inQuotes := false, false
	for i := 0; i < len(address); i++ {
		switch c := address[i]; {
		case inQuotes && c == '\\':
			i++
		case inKey && c == '"':
			inQuotes = !inQuotes
		case !inQuotes && c == '[':
			inKey = true
		case !inQuotes && c == ']':
			inKey = false
		case !inKey:
			b.WriteByte(c)
		}
	}
	return b.String()
}
