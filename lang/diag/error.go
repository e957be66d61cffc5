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
	// Address is the address of the stage or instance that the error is about, or
	// "".
	Address string
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

// Diagnostic returns the summary and the detail.
func (e *Error) Diagnostic() (summary, detail string) { return e.Summary, e.Detail }

// Described is an error that consists of a summary and a detail. Errors of
// packages that cannot import this one implement it, as *[Error] does.
type Described interface {
	error
	// Diagnostic returns the summary and the detail, which may be empty. Like all
	// errors, they may begin with a lowercase letter.
	Diagnostic() (summary, detail string)
}

// Of converts an error to diagnostics. If it wraps a Described error, what was
// added to the text of that error is part of the summary. If it wraps diagnostics,
// they are returned. Joined errors are converted one by one. Of any other error the
// whole text is the summary.
func Of(err error) hcl.Diagnostics {
	if all := joined(err); all != nil {
		var diags hcl.Diagnostics
		for _, err := range all {
			diags = append(diags, Of(err)...)
		}
		return diags
	}
	d := &hcl.Diagnostic{Severity: hcl.DiagError, Summary: err.Error()}
	var described Described
	var diags hcl.Diagnostics
	switch {
	case errors.As(err, &described):
		var summary string
		summary, d.Detail = described.Diagnostic()
		d.Summary = strings.Replace(err.Error(), described.Error(), summary, 1)
	case errors.As(err, &diags):
		return diags
	}
	if e := (*Error)(nil); errors.As(err, &e) {
		d.Subject = e.Subject
		About(e.Address, d)
	}
	d.Summary, d.Detail = Capital(d.Summary), Capital(d.Detail)
	return hcl.Diagnostics{d}
}

// joined returns the errors that [errors.Join] joined, or nil.
func joined(err error) []error {
	all, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return nil
	}
	if same := errors.Join(all.Unwrap()...); same == nil || same.Error() != err.Error() {
		return nil // its text says more
	}
	return all.Unwrap()
}
