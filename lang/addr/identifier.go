package addr

import "github.com/hashicorp/hcl/v2/hclsyntax"

// ValidIdentifier reports whether a name can be written without quotes. It is
// hclsyntax.ValidIdentifier, which starts a scanner, for names that are not
// obviously valid.
func ValidIdentifier(name string) bool {
	for i, c := range []byte(name) {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z' || c == '_'
		if !letter && (i == 0 || c != '-' && (c < '0' || c > '9')) {
			return hclsyntax.ValidIdentifier(name)
		}
	}
	return name != ""
}
