package files

import "fmt"

// pathColumn is the column for the name of a file.
const pathColumn = "path"

// isNamed reports whether rows contain the names of their files.
func isNamed(arguments any) bool {
	a, ok := arguments.(interface{ named() bool })
	return ok && a.named()
}

// nameText is the part of a fingerprint that is the name of a file.
func nameText(name string) string { return fmt.Sprintf(" %q", name) }

// naming is a rowWriter for rows that contain the names of their files. It makes
// the name part of the fingerprint of a file's rows.
type naming struct{ rowWriter }

// NamedPart writes the rows of a file.
func (n naming) NamedPart(name, fingerprint string, read func() error) error {
	return n.rowWriter.NamedPart(name, fingerprint+nameText(name), read)
}
