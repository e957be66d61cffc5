package runner

import (
	"sync"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/quern-dev/quern/lang/secret"
	"github.com/quern-dev/quern/runner/events"
)

// reporter passes events on, one at a time and without secrets. It records the
// warnings that do not belong to a stage. It is the events.Sink of a run.
type reporter struct {
	to       func(events.Event) // nil if nobody listens
	redactor *secret.Redactor

	mu       sync.Mutex
	warnings hcl.Diagnostics
}

// Emit implements events.Sink.
func (r *reporter) Emit(e events.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e.Time = time.Now().UTC()
	e = r.redacted(e)
	if e.Type == events.Warning && e.Address == "" {
		r.warnings = append(r.warnings, events.ToHCL(e.Diagnostics)...)
	}
	if r.to != nil {
		r.to(e)
	}
}

// warn shows the user a warning during the run.
func (r *reporter) warn(summary, detail string) {
	r.Emit(events.Event{Type: events.Warning, Diagnostics: []events.Diagnostic{{Severity: "warning", Summary: summary, Detail: detail}}})
}

// redacted returns an event with secrets removed from its texts.
func (r *reporter) redacted(e events.Event) events.Event {
	if r.redactor.Empty() {
		return e
	}
	for i := range e.Diagnostics {
		d := &e.Diagnostics[i]
		d.Summary, d.Detail = r.redactor.Text(d.Summary), r.redactor.Text(d.Detail)
	}
	if e.Retry != nil {
		retry := *e.Retry
		retry.Error = r.redactor.Text(retry.Error)
		e.Retry = &retry
	}
	if e.Progress != nil {
		progress := *e.Progress
		progress.Message = r.redactor.Text(progress.Message)
		e.Progress = &progress
	}
	return e
}
