package hcltext

import "fmt"

// Names are the names that blocks have, by kind of block.
type Names map[string]map[string]bool

// Name returns a name for a block that no other block of the kind has.
func (n Names) Name(kind, wish, other string) string {
	wish = Identifier(wish, other)
	if n[kind] == nil {
		n[kind] = map[string]bool{}
	}
	unique := wish
	for i := 2; n[kind][unique]; i++ {
		unique = fmt.Sprintf("%s_%d", wish, i)
	}
	n[kind][unique] = true
	return unique
}
