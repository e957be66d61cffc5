package events

import (
	"github.com/hashicorp/hcl/v2"

	"github.com/quern-dev/quern/lang/diag"
)

// FromHCL converts diagnostics to their form in the stream.
func FromHCL(diags hcl.Diagnostics) []Diagnostic {
	out := make([]Diagnostic, 0, len(diags))
	for _, d := range diags {
		e := Diagnostic{Severity: "error", Summary: d.Summary, Detail: d.Detail, Address: diag.Address(d)}
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

// ToHCL is the inverse of FromHCL.
func ToHCL(diags []Diagnostic) hcl.Diagnostics {
	var out hcl.Diagnostics
	for _, e := range diags {
		d := &hcl.Diagnostic{Severity: hcl.DiagError, Summary: e.Summary, Detail: e.Detail}
		if e.Severity == "warning" {
			d.Severity = hcl.DiagWarning
		}
		if e.Range != nil {
			subject := e.Range.HCL()
			d.Subject = &subject
		}
		diag.About(e.Address, d)
		out = append(out, d)
	}
	return out
}
