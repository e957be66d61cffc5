package diag

import (
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// Error is an error that says what a diagnostic says. Code without a place in a
// configuration returns it where users will read it; see Of.
type Error struct {
	// Summary names the problem, Detail says what to do about it. Like all
	// errors, they may begin with a lowercase letter.
	Summary, Detail string
	// Subject is the place that the error is about, or nil.
	Subject *hcl.Range
	// Cause is the underlying error, or nil.
	Cause error
}

// Failed returns an Error. format and its arguments make up the detail; an error
// that is formatted with %w is its cause. If the cause is an Error itself, its
// summary becomes a sentence of the detail.
func Failed(summary, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	detail := err.Error()
	var cause *Error
	if errors.As(err, &cause) && cause.Detail != "" {
		detail = strings.Replace(detail, cause.Error(), cause.Summary+". "+Capital(cause.Detail), 1)
	}
	return &Error{Summary: summary, Detail: detail, Cause: errors.Unwrap(err)}
}

func (e *Error) Error() string {
	if e.Detail == "" {
		return e.Summary
	}
	return e.Summary + "\n" + e.Detail
}

func (e *Error) Unwrap() error { return e.Cause }

// Of converts an error to diagnostics. If it wraps an Error, what was added to
// the text of the Error is part of the summary. If it wraps diagnostics, they
// are returned. Of any other error the whole text is the summary.
func Of(err error) hcl.Diagnostics {
	d := &hcl.Diagnostic{Severity: hcl.DiagError, Summary: err.Error()}
	var e *Error
	var diags hcl.Diagnostics
	switch {
	case errors.As(err, &e):
		d.Summary = strings.Replace(err.Error(), e.Error(), e.Summary, 1)
		d.Detail, d.Subject = e.Detail, e.Subject
	case errors.As(err, &diags):
		return diags
	}
	d.Summary, d.Detail = Capital(d.Summary), Capital(d.Detail)
	return hcl.Diagnostics{d}
}
