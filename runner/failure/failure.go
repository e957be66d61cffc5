// Package failure describes why a stage failed: in words for the author of the
// configuration, and as plain data that can come from another process.
package failure

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/runner/events"
	"github.com/quern-dev/quern/runner/modelhost"
	"github.com/quern-dev/quern/runner/rowwise"
	"github.com/quern-dev/quern/sdk/go/host/parallel"
	"github.com/quern-dev/quern/store/blob"
)

// Failure describes as plain data why a stage failed. It is an error.
type Failure struct {
	// Message is the text of the error, for logs.
	Message     string              `json:"message"`
	Diagnostics []events.Diagnostic `json:"diagnostics"`
	// Final is set if another attempt would fail in the same way.
	Final bool `json:"final,omitempty"`
	// Heals is set if earlier results of the stage were damaged and have been
	// set aside, so that another attempt computes them again.
	Heals bool `json:"heals,omitempty"`
	// Interrupted is set if the stage ended because it was asked to.
	Interrupted bool `json:"interrupted,omitempty"`
}

func (f *Failure) Error() string { return f.Message }

// Of converts an error of a node to plain data; see Explain.
func Of(n *plan.Node, err error, stderr func(plugin string) []string) *Failure {
	if f := (*Failure)(nil); errors.As(err, &f) {
		return f
	}
	return &Failure{
		Message: err.Error(), Diagnostics: events.FromHCL(Explain(n, err, stderr)),
		Final: Final(err), Heals: Heals(err), Interrupted: Interrupted(err),
	}
}

// ErrStopped is the cause of a context that a graceful stop ended.
var ErrStopped = errors.New("the run was stopped")

// Diagnosed is an error that is already described for the author. Another
// attempt would not change it.
type Diagnosed struct{ Diagnostics hcl.Diagnostics }

func (e *Diagnosed) Error() string { return e.Diagnostics.Error() }

// Errorf returns a *Diagnosed with one error.
func Errorf(subject *hcl.Range, summary, format string, args ...any) error {
	return &Diagnosed{hcl.Diagnostics{diag.Errorf(subject, summary, format, args...)}}
}

// Plugin is an error that a plugin reported on its own.
type Plugin struct{ Summary, Detail, Argument string }

func (e *Plugin) Error() string {
	return strings.TrimSuffix(e.Summary+": "+e.Detail, ": ")
}

// Input is the error for an output of another stage that cannot be used.
type Input struct {
	Address string
	Err     error
}

func (e *Input) Error() string {
	return fmt.Sprintf("the output of %s cannot be used: %v", e.Address, e.Err)
}
func (e *Input) Unwrap() error { return e.Err }

// TimedOut is the cause of a context that a stage's timeout ended.
type TimedOut struct{ After time.Duration }

func (e *TimedOut) Error() string { return fmt.Sprintf("it did not finish within %s", e.After) }

// WithTimeout returns a context that ends when the timeout of a stage is over,
// with *TimedOut as its cause. A timeout of 0 means none. The context has no
// deadline, because a plugin would see it and end the call before its caller
// knows why.
func WithTimeout(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	if timeout <= 0 {
		return context.WithCancel(ctx)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	t := time.AfterFunc(timeout, func() { cancel(&TimedOut{timeout}) })
	return ctx, func() { t.Stop(); cancel(nil) }
}

// Final reports whether another attempt would fail in the same way.
func Final(err error) bool {
	var f *Failure
	var told *Diagnosed
	var many *rowwise.TooManyErrors
	var bug *parallel.Panic
	if errors.As(err, &f) {
		return f.Final
	}
	return errors.As(err, &told) || errors.As(err, &many) || errors.As(err, &bug) || hopeless(err)
}

// hopeless reports whether calls of models would fail again in the same way.
func hopeless(err error) bool {
	var budget *modelhost.BudgetReached
	var price *modelhost.NoPrice
	var denied *modelhost.Denied
	var postponed *modelhost.Postponed
	var ended *modelhost.BatchEnded
	var refused *modelhost.BatchRefused
	return errors.As(err, &ended) || errors.As(err, &refused) || errors.As(err, &budget) || errors.As(err, &price) || errors.As(err, &denied) || errors.As(err, &postponed)
}

// Heals reports whether the error is about earlier results of the stage itself
// that are missing or damaged.
func Heals(err error) bool {
	var f *Failure
	var input *rowwise.InputError
	var upstream *Input
	if errors.As(err, &f) {
		return f.Heals
	}
	return blob.Unavailable(err) && !errors.As(err, &input) && !errors.As(err, &upstream)
}

// Interrupted reports whether a stage ended because it was asked to.
func Interrupted(err error) bool {
	if f := (*Failure)(nil); errors.As(err, &f) {
		return f.Interrupted
	}
	return errors.Is(err, ErrStopped) || errors.Is(err, rowwise.ErrStopped) || errors.Is(err, context.Canceled)
}
