package diag

import "github.com/hashicorp/hcl/v2"

// Diagnostic is a diagnostic in its JSON form.
type Diagnostic struct {
	Severity string `json:"severity"` // error or warning
	Summary  string `json:"summary"`
	Detail   string `json:"detail,omitempty"`
	// Address of the stage or instance that the diagnostic is about; absent if it
	// is not about one.
	Address string `json:"address,omitempty"`
	// Range and Snippet are absent if the diagnostic has no place,
	// Snippet also if the file's text is not available.
	Range   *Range   `json:"range,omitempty"`
	Snippet *Snippet `json:"snippet,omitempty"`
}

// JSON converts diagnostics to their JSON form: an array, never null. Of
// the options, it uses only Redact.
func JSON(diags hcl.Diagnostics, src map[string][]byte, opts PrintOptions) []Diagnostic {
	p := printer{src: src, opts: opts, parsed: map[string]*hcl.File{}}
	out := make([]Diagnostic, 0, len(diags))
	for _, d := range diags {
		j := Diagnostic{Severity: "error", Summary: p.redact(d.Summary), Detail: p.redact(d.Detail), Address: p.redact(Address(d)), Snippet: p.snippet(d)}
		if d.Severity == hcl.DiagWarning {
			j.Severity = "warning"
		}
		if d.Subject != nil {
			r := NewRange(*d.Subject)
			j.Range = &r
		}
		out = append(out, j)
	}
	return out
}
