// Package events holds the one stream of events that a run gives out. All
// displays (terminal, plain lines, JSON lines), the run history and tests are
// readers of it. docs/events.md specifies its JSON form.
//
// Events of one stage come in order: stage_started, any number of
// stage_progress and stage_retried, then one of stage_done, stage_failed and
// stage_interrupted. A stage that is not reached has stage_skipped alone.
// Events of different stages interleave.
package events

import (
	"encoding/json"
	"time"

	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/sdk/go/llm"
)

// Format is the version of the stream's JSON form; run_started carries it.
const Format = "quern.events/v1"

// Type says what happened.
type Type string

const (
	RunStarted       Type = "run_started"       // first; Run is set
	StageStarted     Type = "stage_started"     // Stage is set: what will be done
	StageProgress    Type = "stage_progress"    // Progress is set
	StageRetried     Type = "stage_retried"     // Retry is set
	StageDone        Type = "stage_done"        // Stage is set: what was done
	StageFailed      Type = "stage_failed"      // Stage and Diagnostics are set
	StageInterrupted Type = "stage_interrupted" // Stage is set
	StageSkipped     Type = "stage_skipped"     // Because is set, unless the run was stopped
	Warning          Type = "warning"           // Diagnostics is set
	OutputSet        Type = "output"            // Output is set
	Checked          Type = "check"             // Check is set; Diagnostics are what does not hold
	Stopping         Type = "stopping"          // a graceful stop was asked for
	RunDone          Type = "run_done"          // last; Summary is set
	Error            Type = "error"             // alone: no run began; Diagnostics is set
)

// Sink takes events. It may be called from several goroutines at once, and does
// not fail: what it can't pass on is lost.
type Sink interface{ Emit(Event) }

// Event is one thing that happened. Of the pointers those are set that the
// type names.
type Event struct {
	Time time.Time `json:"time"`
	Type Type      `json:"type"`
	// Address of the stage instance; empty where the event is the run's.
	Address string `json:"address,omitempty"`

	Run         *Run         `json:"run,omitempty"`
	Stage       *Stage       `json:"stage,omitempty"`
	Progress    *Progress    `json:"progress,omitempty"`
	Retry       *Retry       `json:"retry,omitempty"`
	Because     []string     `json:"because,omitempty"` // addresses that failed or were not reached
	Diagnostics []Diagnostic `json:"diagnostics,omitempty"`
	Output      *Output      `json:"output,omitempty"`
	Check       *Check       `json:"check,omitempty"`
	Summary     *Summary     `json:"summary,omitempty"`
}

// Run is what a run sets out to do.
type Run struct {
	Format      string `json:"format"`
	ID          string `json:"id"`
	Environment string `json:"environment"`
	Destroy     bool   `json:"destroy,omitempty"`
	RefreshOnly bool   `json:"refresh_only,omitempty"`
	// Stages is the number of instances that something may be done about.
	Stages int `json:"stages"`
}

// Stage is what is done, or was done, about an instance.
type Stage struct {
	Kind string `json:"kind"`
	Type string `json:"type,omitempty"`
	// Action is the plan's in stage_started, and the actual one in
	// the events that end a stage: a stage that may run is kept or reused
	// when its inputs came out as they were.
	Action  string  `json:"action"`
	Seconds float64 `json:"seconds"`
	// Rows that came out, in all outputs; of a stage that makes a model or a
	// report, those that went in. For a row-wise stage they are the sum of new,
	// computed, reused and failed rows.
	Rows int64 `json:"rows,omitempty"`
	// RowsIn are those that went in, of a stage whose rows each give any number of
	// rows: new, reused and failed rows are of these, and add up to them.
	RowsIn  int64 `json:"rows_in,omitempty"`
	NewRows int64 `json:"new_rows,omitempty"`
	// ComputedRows are those of a stage that is row expressions alone. They are
	// computed again wherever their shard changed, so that few of them may be new.
	ComputedRows int64 `json:"computed_rows,omitempty"`
	ReusedRows   int64 `json:"reused_rows,omitempty"`
	FailedRows   int64 `json:"failed_rows,omitempty"`
	// Outputs are the digests of what was made, by port.
	Outputs map[string]string `json:"outputs,omitempty"`
	// Spend is what its calls of language models came to in this run.
	llm.Spend
}

// Progress is how far a stage is. A later one replaces an earlier one.
type Progress struct {
	Done int64 `json:"done"`
	// Total is 0 where it is not known.
	Total int64 `json:"total,omitempty"`
	// Unit of both: "rows", "epochs".
	Unit    string `json:"unit,omitempty"`
	Message string `json:"message,omitempty"`
	// Of Done, in a row-wise stage.
	ReusedRows int64 `json:"reused_rows,omitempty"`
	FailedRows int64 `json:"failed_rows,omitempty"`
	// Spend is what its calls of language models have come to.
	llm.Spend
}

// Retry is an attempt that failed and will be made again.
type Retry struct {
	// Attempt that failed, from 1, of so many that are allowed.
	Attempt int     `json:"attempt"`
	Of      int     `json:"of"`
	Wait    float64 `json:"wait"` // seconds until the next
	Error   string  `json:"error"`
}

// Output is a value that the pipeline hands out.
type Output struct {
	Name      string `json:"name"`
	Sensitive bool   `json:"sensitive,omitempty"`
	// Value is plain JSON; not set where the output is sensitive.
	Value json.RawMessage `json:"value,omitempty"`
}

// Check is how a check of the pipeline ended.
type Check struct {
	Name   string `json:"name"`
	Status string `json:"status"` // pass, fail, unknown
}

// Diagnostic is an error or a warning.
type Diagnostic struct {
	Severity string      `json:"severity"` // error, warning
	Summary  string      `json:"summary"`
	Detail   string      `json:"detail,omitempty"`
	Range    *diag.Range `json:"range,omitempty"`
}

// Summary is how a run ended.
type Summary struct {
	Status  string  `json:"status"` // done, failed, interrupted
	Seconds float64 `json:"seconds"`
	// Actions counts the stages that were done by what was done.
	Actions     map[string]int `json:"actions"`
	Failed      int            `json:"failed,omitempty"`
	Interrupted int            `json:"interrupted,omitempty"`
	Skipped     int            `json:"skipped,omitempty"`
	// Spend is what all calls of language models came to.
	llm.Spend
}
