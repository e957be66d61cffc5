package plugin

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/parallel"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// ArgumentError is an error in an argument. Return it from any method: quern
// shows it at the argument in the user's configuration.
type ArgumentError struct {
	// Argument is the argument's key.
	Argument string
	Err      error
}

func (e *ArgumentError) Error() string { return e.Err.Error() }
func (e *ArgumentError) Unwrap() error { return e.Err }

// ArgumentErrorf returns an ArgumentError. The first line of the text is the
// summary; the rest should say how to fix it. The format can wrap an error with
// %w.
func ArgumentErrorf(argument, format string, args ...any) error {
	return &ArgumentError{Argument: argument, Err: fmt.Errorf(format, args...)}
}

// RowError is a row that failed.
type RowError struct {
	// Row is the row's index in its batch.
	Row     int
	Message string
	// Temporary is true if another attempt may succeed.
	Temporary bool
	// pending is set if the row has not failed, but waits for something outside.
	pending *pluginv1.PendingRow
}

// Pending says that a row or a stage has no result yet because it waits for
// something outside: a person, a batch API, a hosted job. The apply ends without
// the stage's result, and the next one asks again. A Mapper or FlatMapper passes
// it to Batch.SetPending. A Runner returns it as an error, after it has saved in
// WorkDir what it needs to continue.
type Pending struct {
	// Reason is what it waits for, in one line for people: "batch_abc: 40 of 100
	// requests are done". quern shortens it to 1 KiB.
	Reason string
	// CheckAfter is when it is worth asking again, from now on; 0 means unknown.
	// It only informs the user.
	CheckAfter time.Duration
}

func (p *Pending) Error() string { return p.Reason }

// pendingOf returns what an error says that a row or a stage waits for: it is a
// *Pending, or a call to a model that is pending. Otherwise, pendingOf returns
// nil.
func pendingOf(err error) *Pending {
	if why := (*Pending)(nil); errors.As(err, &why) {
		return why
	}
	if call := (*llm.CallError)(nil); errors.As(err, &call) && call.Pending {
		return &Pending{Reason: call.Message, CheckAfter: call.CheckAfter}
	}
	return nil
}

// checkAfter returns CheckAfter in seconds, or nil if it is unknown.
func (p *Pending) checkAfter() *float64 {
	if p.CheckAfter <= 0 {
		return nil
	}
	seconds := p.CheckAfter.Seconds()
	return &seconds
}

// TokenBytes is the maximum length of a pending row's token.
const TokenBytes = 4096

// diagnostic converts an error to what the user sees.
func diagnostic(err error) *pluginv1.Diagnostic {
	crash(err)
	argument := ""
	if at := (*ArgumentError)(nil); errors.As(err, &at) {
		argument = at.Argument
	}
	text := err.Error()
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		text = "the disk is full\n" + strings.ReplaceAll(text, "\n", " ") + ". Free some space and run the command again: completed work is kept."
	}
	return described(pluginv1.Diagnostic_SEVERITY_ERROR, argument, text)
}

// described returns a diagnostic for a text of an author: its first line is the
// summary, and the rest is the detail. Beyond this function, the two are separate.
func described(severity pluginv1.Diagnostic_Severity, argument, text string) *pluginv1.Diagnostic {
	summary, detail, _ := strings.Cut(legible(text), "\n")
	return &pluginv1.Diagnostic{Severity: severity, Summary: summary, Detail: strings.TrimSpace(detail), Argument: argument}
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

// crash ends the process if the work panicked, as Go does, but prints the stack
// on which it panicked.
func crash(err error) {
	if p := (*parallel.Panic)(nil); errors.As(err, &p) {
		fmt.Fprintf(os.Stderr, "panic: %s", p)
		os.Exit(2)
	}
}

// malformedError says that a request is not as the protocol requires.
type malformedError struct{ error }

func isMalformed(err error) bool {
	m := malformedError{}
	return errors.As(err, &m)
}

// requestRows decodes the rows of a request.
func requestRows(rows []byte) (arrow.RecordBatch, error) {
	rec, err := data.DecodeBatch(rows)
	if err != nil {
		return nil, malformedError{err}
	}
	return rec, nil
}

// legible makes a text valid UTF-8: texts that plugins quote can be in any
// encoding.
func legible(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }
