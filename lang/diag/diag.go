// Package diag shows errors to users: it builds diagnostics, suggests the
// names that users probably meant, and prints diagnostics with the user's own text, for
// people and as JSON.
//
// Diagnostics are hcl.Diagnostics throughout. A summary is short and names
// the problem; a detail says what to do about it.
package diag

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
)

// Errorf returns an error about a place; subject is nil if there is
// none. format and its arguments make up the detail.
func Errorf(subject *hcl.Range, summary, format string, args ...any) *hcl.Diagnostic {
	return &hcl.Diagnostic{
		Severity: hcl.DiagError,
		Summary:  summary,
		Detail:   fmt.Sprintf(format, args...),
		Subject:  subject,
	}
}

// Warningf is Errorf for a warning.
func Warningf(subject *hcl.Range, summary, format string, args ...any) *hcl.Diagnostic {
	d := Errorf(subject, summary, format, args...)
	d.Severity = hcl.DiagWarning
	return d
}

// Secret is the Extra of a diagnostic whose subject is a secret: it is not
// shown.
type Secret struct{}

// SecretLines is the Extra of a diagnostic with a secret somewhere in the lines
// of its subject: none of them is shown.
type SecretLines struct{}

// Parts is the Extra of a diagnostic about an expression: the values of its parts, which
// are shown in place of those of its references.
type Parts []SnippetValue
