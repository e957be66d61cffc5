package events

import (
	"github.com/hashicorp/hcl/v2"

	"github.com/quern-dev/quern/lang/diag"
)

// FromHCL gives diagnostics their form in the stream.
func FromHCL(diags hcl.Diagnostics) []Diagnostic {
	out := make([]Diagnostic, 0, len(diags))
	for _, d := range diags {
		e := Diagnostic{Severity: "error", Summary: d.Summary, Detail: d.Detail}
		if d.Severity == hcl.DiagWarning {
			e.Severity = "warning"
		}
		if d.Subject != nil {
			r := diag.NewRange(*d.Subject)
			e.Range = &r
		}
		out = append(out, e)
	}
	return out
}
