package diag

import (
	"fmt"
	"io"

	"github.com/hashicorp/hcl/v2"
)

// PrintOptions say how diagnostics look.
type PrintOptions struct {
	Color bool
	// Width of the terminal in cells. 0 means that text is not wrapped.
	Width int
	// Redact removes secrets from a text. It is nil if there are none.
	Redact func(string) string
}

// Print writes diagnostics for people. src contains the texts of the files, by
// the names in the diagnostics' ranges.
func Print(w io.Writer, diags hcl.Diagnostics, src map[string][]byte, opts PrintOptions) {
	p := printer{src: src, opts: opts, parsed: map[string]*hcl.File{}}
	for _, d := range diags {
		fmt.Fprint(w, p.text(d))
	}
}
