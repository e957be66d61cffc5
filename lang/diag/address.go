package diag

import "github.com/hashicorp/hcl/v2"

// about is the Extra of a diagnostic with an address. It wraps the other Extra, if
// the diagnostic has one.
type about struct {
	address string
	extra   any
}

// UnwrapDiagnosticExtra returns the other Extra.
func (a about) UnwrapDiagnosticExtra() any { return a.extra }

// About sets the address of the stage or instance that diagnostics are about.
// Diagnostics that have an address keep it. An empty address changes nothing.
func About(address string, diags ...*hcl.Diagnostic) {
	for _, d := range diags {
		if address != "" && Address(d) == "" {
			d.Extra = about{address, d.Extra}
		}
	}
}

// Address returns the address of the stage or instance that a diagnostic is about,
// or "".
func Address(d *hcl.Diagnostic) string {
	a, _ := hcl.DiagnosticExtra[about](d)
	return a.address
}

// has reports whether a diagnostic has an Extra of a type.
func has[T any](d *hcl.Diagnostic) bool {
	_, ok := hcl.DiagnosticExtra[T](d)
	return ok
}
