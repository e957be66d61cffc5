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
	summary, detail := e.Diagnostic()
	return strings.TrimSuffix(summary+"\n"+detail, "\n")
}

// Diagnostic returns the summary of the first error. The detail has everything
// else.
func (e *DiagnosticError) Diagnostic() (summary, detail string) {
	var texts []string
	for _, d := range e.Diagnostics {
		if d.GetSeverity() != pluginv1.Diagnostic_SEVERITY_ERROR {
			continue
		}
		text := d.GetSummary()
		if d.GetArgument() != "" {
			text = d.GetArgument() + ": " + text
		}
		texts = append(texts, text)
		if d.GetDetail() != "" {
			texts = append(texts, d.GetDetail())
		}
	}
	return fmt.Sprintf("plugin %q: %s", e.Plugin, texts[0]), strings.Join(texts[1:], "\n")
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
