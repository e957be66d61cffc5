package plugin

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/quern-dev/quern/sdk/go/host/parallel"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// ArgumentError is an error that lies in an argument: returned from anywhere,
// it is shown at that argument's place in the configuration.
type ArgumentError struct {
	// Argument is the argument's key.
	Argument string
	Err      error
}

func (e *ArgumentError) Error() string { return e.Err.Error() }
func (e *ArgumentError) Unwrap() error { return e.Err }

// ArgumentErrorf makes an ArgumentError.
func ArgumentErrorf(argument, format string, args ...any) error {
	return &ArgumentError{Argument: argument, Err: fmt.Errorf(format, args...)}
}

// RowError is a row that could not be worked on.
type RowError struct {
	// Row is the row's index in its batch.
	Row     int
	Message string
	// Temporary: another try may succeed.
	Temporary bool
}

// diagnostic turns an error into what the user sees. The text up to the first
// line break is the summary.
func diagnostic(err error) *pluginv1.Diagnostic {
	crash(err)
	summary, detail, _ := strings.Cut(legible(err.Error()), "\n")
	d := &pluginv1.Diagnostic{
		Severity: pluginv1.Diagnostic_SEVERITY_ERROR,
		Summary:  summary, Detail: strings.TrimSpace(detail),
	}
	var at *ArgumentError
	if errors.As(err, &at) {
		d.Argument = at.Argument
	}
	return d
}

// diagnostics is diagnostic for an error that may be nil.
func diagnostics(err error) []*pluginv1.Diagnostic {
	if err == nil {
		return nil
	}
	return []*pluginv1.Diagnostic{diagnostic(err)}
}

// diagnosticError is the inverse of diagnostic.
func diagnosticError(d *pluginv1.Diagnostic) error {
	text := d.Summary
	if d.Detail != "" {
		text += "\n" + d.Detail
	}
	if d.Argument == "" {
		return errors.New(text)
	}
	return &ArgumentError{Argument: d.Argument, Err: errors.New(text)}
}

// crash ends the process where the work has panicked, as Go does, but shows the
// stack on which it did: a panic is no answer.
func crash(err error) {
	if p := (*parallel.Panic)(nil); errors.As(err, &p) {
		fmt.Fprintf(os.Stderr, "panic: %s", p)
		os.Exit(2)
	}
}

// legible is a text as the protocol can carry it: what plugins quote may be in
// any encoding.
func legible(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }
