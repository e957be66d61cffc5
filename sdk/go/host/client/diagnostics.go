package client

import (
	"fmt"
	"strings"

	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// DiagnosticError is a failure that a plugin reported in its diagnostics, at
// least one of which is an error.
type DiagnosticError struct {
	Plugin      string
	Diagnostics []*pluginv1.Diagnostic
}

func (e *DiagnosticError) Error() string {
	var texts []string
	for _, d := range e.Diagnostics {
		if d.GetSeverity() != pluginv1.Diagnostic_SEVERITY_ERROR {
			continue
		}
		text := d.GetSummary()
		if d.GetArgument() != "" {
			text = d.GetArgument() + ": " + text
		}
		if d.GetDetail() != "" {
			text += "\n" + d.GetDetail()
		}
		texts = append(texts, text)
	}
	return fmt.Sprintf("plugin %q: %s", e.Plugin, strings.Join(texts, "\n"))
}

func (*DiagnosticError) pluginError() {}

// Failure returns a *DiagnosticError if a diagnostic is an error, and nil
// otherwise.
func Failure(plugin string, diagnostics []*pluginv1.Diagnostic) error {
	for _, d := range diagnostics {
		if d.GetSeverity() == pluginv1.Diagnostic_SEVERITY_ERROR {
			return &DiagnosticError{Plugin: plugin, Diagnostics: diagnostics}
		}
	}
	return nil
}
