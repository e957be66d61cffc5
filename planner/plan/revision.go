package plan

import (
	"fmt"
	"strings"
)

// Revision is a Git revision of a configuration.
type Revision struct {
	// Name is what the user wrote, such as origin/main, and Commit its full hash.
	Name   string `json:"name"`
	Commit string `json:"commit"`
}

// String returns the name, and the commit if the name does not begin with it.
func (r Revision) String() string {
	if strings.HasPrefix(r.Commit, r.Name) {
		return r.Name
	}
	return fmt.Sprintf("%s (%.7s)", r.Name, r.Commit)
}
