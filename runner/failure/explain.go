package failure

import (
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/kind"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/runner/events"
	"github.com/quern-dev/quern/runner/rowwise"
	"github.com/quern-dev/quern/sdk/go/host/client"
	"github.com/quern-dev/quern/sdk/go/host/parallel"
	"github.com/quern-dev/quern/store/blob"
	"github.com/quern-dev/quern/store/disk"
)

// Explain describes the error of a node to the author of the configuration.
// stderr returns the last lines that a plugin wrote.
func Explain(n *plan.Node, err error, stderr func(plugin string) []string) hcl.Diagnostics {
	if told := (*Diagnosed)(nil); errors.As(err, &told) {
		diag.About(n.Address, told.Diagnostics...)
		return told.Diagnostics
	}
	if f := (*Failure)(nil); errors.As(err, &f) {
		return events.ToHCL(f.Diagnostics)
	}
	d := explain(n, err, stderr)
	diag.About(n.Address, d)
	return hcl.Diagnostics{d}
}

func explain(n *plan.Node, err error, stderr func(plugin string) []string) *hcl.Diagnostic {
	subject, summary, detail := n.Range.Ptr(), "Stage failed", err.Error()
	var (
		own     *Plugin
		rows    *rowwise.PluginError
		faulty  *rowwise.Faulty
		many    *rowwise.TooManyErrors
		slow    *TimedOut
		panicky *parallel.Panic
		full    *disk.Full
		trouble *disk.Trouble
	)
	model, advice := explainModel(n.Address, err)
	switch {
	case errors.As(err, &own):
		subject, summary, detail = n.RangeOf(own.Argument), own.Summary, own.Detail
	case errors.As(err, &rows):
		subject, summary, detail = n.RangeOf(rows.Argument), rows.Summary, rows.Detail
	case errors.As(err, &faulty):
		summary, detail = "Plugin is faulty", Fault(n, faulty.What)+lastWords(stderr(n.Plugin))
	case errors.As(err, &many):
		summary, detail = "Too many rows failed", manyText(n, many)
		if n.Kind == kind.Evaluate {
			summary = "Too many answers failed"
		}
	case errors.As(err, &slow):
		summary = "Stage timed out"
		detail = fmt.Sprintf("%s did not finish within %s. Completed work is kept. If that is not enough time, set a longer timeout.", n.Address, slow.After)
	case errors.As(err, &full):
		summary, detail = "The disk is full", full.Error()
	case errors.As(err, &trouble):
		summary, detail = trouble.What, trouble.Error()
	case model != "":
		summary, detail = model, advice
	case errors.As(err, &panicky):
		summary = "Bug in quern"
		detail = fmt.Sprintf("%s failed because of a bug in quern. Please report it at https://github.com/quern-dev/quern/issues, and include the text below.\n\n%s", n.Address, panicky)
	case blob.Unavailable(err):
		summary = "A stored file is missing or damaged"
		detail = err.Error() + ". Run the command again to recreate it."
	case disk.TooManyOpen(err) != nil:
		trouble = disk.TooManyOpen(err)
		summary, detail = trouble.What, trouble.Error()
	case isPluginFailure(err):
		summary = "Plugin failed"
		if crash := (*client.Crash)(nil); errors.As(err, &crash) && crash.OutOfMemory {
			summary = "Out of memory"
		}
	}
	return diag.Errorf(subject, diag.Capital(summary), "%s", diag.Capital(detail))
}

// Faulty is the error for a plugin that violates the protocol.
func Faulty(n *plan.Node, what string) error {
	return Errorf(n.Range.Ptr(), "Plugin is faulty", "%s", Fault(n, what))
}

// Fault describes how a plugin violates the protocol.
func Fault(n *plan.Node, what string) string {
	return fmt.Sprintf("%s %q of plugin %q violates the plugin protocol: %s. Report this to its author.", diag.Capital(n.Kind), n.Type, n.Plugin, what)
}

func lastWords(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return "\nIts last output on stderr:\n  " + strings.Join(lines, "\n  ")
}

func manyText(n *plan.Node, e *rowwise.TooManyErrors) string {
	what := english.Plural(e.Failed, "row")
	if n.Kind == kind.Evaluate {
		what = english.Agree(e.Failed, "answer or grade", "answers and grades")
	}
	text := fmt.Sprintf("%s %s failed, but max_errors allows only %d. Successful results are kept, and only the failed ones are retried. The first failures:", english.Number(e.Failed), what, e.Allowed)
	for i, f := range e.Failures {
		if i == 3 {
			break
		}
		if f.Row < 0 { // the plugin did not say which
			text += "\n  " + f.Message
			continue
		}
		text += fmt.Sprintf("\n  row %d: %s", f.Row, f.Message)
	}
	return text
}

func isPluginFailure(err error) bool {
	var crash *client.Crash
	var start *client.StartError
	var call *client.CallError
	return errors.As(err, &crash) || errors.As(err, &start) || errors.As(err, &call)
}
