// Package events defines the stream of events that a run emits. All displays
// (terminal, plain lines, JSON lines), the run history, and tests read it.
// docs/events.md specifies its JSON form.
//
// Events of one stage come in order: stage_started, any number of
// stage_progress and stage_retried, and then one of stage_done, stage_pending,
// stage_failed, and stage_interrupted. A stage that is not reached has only stage_skipped.
// Events of different stages interleave.
package events

import (
	"encoding/json"
	"time"

	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/store/pending"
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
	StagePending     Type = "stage_pending"     // Stage and Pending are set: it waits for something outside
	StageFailed      Type = "stage_failed"      // Stage and Diagnostics are set
	StageInterrupted Type = "stage_interrupted" // Stage is set
	StageSkipped     Type = "stage_skipped"     // Because is set, unless the run was stopped
	Warning          Type = "warning"           // Diagnostics is set
	OutputSet        Type = "output"            // Output is set
	Checked          Type = "check"             // Check is set; Diagnostics describe the conditions that are not met
	Stopping         Type = "stopping"          // a graceful stop was requested
	RunExtended      Type = "run_extended"      // stages were planned during the run; Run is set
	RunDone          Type = "run_done"          // last; Summary is set
	Error            Type = "error"             // the only event: no run started; Diagnostics is set
)

// Sink receives events. It may be called from several goroutines at once, and
// does not fail: events that it cannot deliver are lost.
type Sink interface{ Emit(Event) }

// Event is something that happened. Its type determines which pointers are set.
type Event struct {
	Time time.Time `json:"time"`
	Type Type      `json:"type"`
	// Address of the stage instance, or empty for an event of the whole run.
	Address string `json:"address,omitempty"`

	Run      *Run             `json:"run,omitempty"`
	Stage    *Stage           `json:"stage,omitempty"`
	Progress *Progress        `json:"progress,omitempty"`
	Retry    *Retry           `json:"retry,omitempty"`
	Pending  *pending.Summary `json:"pending,omitempty"`
	Because  []string         `json:"because,omitempty"` // addresses that failed, are pending, or were not reached
	// Waits is set if a stage is skipped only because others are pending.
	Waits       bool         `json:"waits,omitempty"`
	Diagnostics []Diagnostic `json:"diagnostics,omitempty"`
	Output      *Output      `json:"output,omitempty"`
	Check       *Check       `json:"check,omitempty"`
	Summary     *Summary     `json:"summary,omitempty"`
}

// Run describes what a run is about to do.
type Run struct {
	Format      string `json:"format"`
	ID          string `json:"id"`
	Environment string `json:"environment"`
	Destroy     bool   `json:"destroy,omitempty"`
	RefreshOnly bool   `json:"refresh_only,omitempty"`
	// Stages is the number of instances that may need work. In run_extended, it is
	// the number of those that are added.
	Stages int `json:"stages"`
	// Instances, in run_extended, is the number of instances of each stage that
	// was planned during the run.
	Instances map[string]int `json:"instances,omitempty"`
}

// Stage describes what is done, or was done, about an instance.
type Stage struct {
	Kind string `json:"kind"`
	Type string `json:"type,omitempty"`
	// Action is the planned action in stage_started, and the actual one in the
	// events that end a stage: a stage that may run is kept or reused if its
	// inputs did not change.
	Action  string  `json:"action"`
	Seconds float64 `json:"seconds"`
	// EstimatedSeconds, in stage_started, is how long the plan expects it to take,
	// or 0 if that is unknown.
	EstimatedSeconds float64 `json:"estimated_seconds,omitempty"`
	// Rows is the number of output rows, summed over all outputs, or, for a
	// stage that produces a model or a report, of input rows. For a row-wise
	// stage, it is the sum of new, computed, reused, and failed rows.
	Rows int64 `json:"rows,omitempty"`
	// RowsIn is the number of input rows of a stage whose rows each produce any
	// number of rows. New, reused, and failed rows count input rows, and add up
	// to it.
	RowsIn  int64 `json:"rows_in,omitempty"`
	NewRows int64 `json:"new_rows,omitempty"`
	// ComputedRows are the rows of a stage that consists of row expressions
	// only. They are computed again whenever their shard changed, so few of
	// them may be new.
	ComputedRows int64 `json:"computed_rows,omitempty"`
	ReusedRows   int64 `json:"reused_rows,omitempty"`
	FailedRows   int64 `json:"failed_rows,omitempty"`
	// PendingRows wait for something outside. They are not part of Rows.
	PendingRows int64 `json:"pending_rows,omitempty"`
	// Outputs are the digests of the results, by port.
	Outputs map[string]string `json:"outputs,omitempty"`
	// Contracts are the checks of the contracts of its outputs, in the events that
	// end a stage.
	Contracts []Contract `json:"contracts,omitempty"`
	// Spend is the total of its calls of language models in this run.
	llm.Spend
}

// Contract is the check of a contract.
type Contract struct {
	Output string         `json:"output,omitempty"`
	Status ContractStatus `json:"status"` // the worst of its rules
	Rules  []Rule         `json:"rules,omitempty"`
}

// Rule is what a check found about a rule of a contract.
type Rule struct {
	Name   string         `json:"name"`
	Status ContractStatus `json:"status"`
	// Rows is the number of rows that it applies to, Violations the number of those
	// that violate it, and Share the second divided by the first.
	Rows       int64   `json:"rows"`
	Violations int64   `json:"violations,omitempty"`
	Share      float64 `json:"share,omitempty"`
}

// ContractStatus is how a check of a contract, or of a rule of it, ended.
type ContractStatus string

const (
	ContractMet      ContractStatus = "met"
	ContractWarned   ContractStatus = "warned"   // violated, with the severity warn
	ContractViolated ContractStatus = "violated" // so the result was rejected
)

// Progress is how far a stage is. It replaces earlier reports.
type Progress struct {
	Done int64 `json:"done"`
	// Total is 0 if it is not known.
	Total int64 `json:"total,omitempty"`
	// Unit of Done and Total: "rows", "epochs".
	Unit    string `json:"unit,omitempty"`
	Message string `json:"message,omitempty"`
	// ReusedRows are part of Done in a row-wise stage.
	ReusedRows int64 `json:"reused_rows,omitempty"`
	FailedRows int64 `json:"failed_rows,omitempty"`
	// PendingRows are part of Done, too: they wait for something outside.
	PendingRows int64 `json:"pending_rows,omitempty"`
	// Spend is the total of its calls of language models so far.
	llm.Spend
}

// Retry is an attempt that failed and will be repeated.
type Retry struct {
	// Attempt is the number of the failed attempt, from 1, and Of the number of
	// attempts that are allowed.
	Attempt int     `json:"attempt"`
	Of      int     `json:"of"`
	Wait    float64 `json:"wait"` // seconds until the next
	Error   string  `json:"error"`
}

// Output is an output value of the pipeline.
type Output struct {
	Name      string `json:"name"`
	Sensitive bool   `json:"sensitive,omitempty"`
	// Value is plain JSON. It is not set if the output is sensitive.
	Value json.RawMessage `json:"value,omitempty"`
}

// Check is the result of a check of the pipeline.
type Check struct {
	Name   string `json:"name"`
	Status string `json:"status"` // pass, fail, unknown
}

// Diagnostic is an error or a warning.
type Diagnostic struct {
	Severity string      `json:"severity"` // error, warning
	Summary  string      `json:"summary"`
	Detail   string      `json:"detail,omitempty"`
	Address  string      `json:"address,omitempty"` // of the stage or instance that it is about
	Range    *diag.Range `json:"range,omitempty"`
}

// Summary is how a run ended.
type Summary struct {
	Status  string  `json:"status"` // done, pending, failed, interrupted
	Seconds float64 `json:"seconds"`
	// Actions counts the stages that were done, by action.
	Actions     map[string]int `json:"actions"`
	Pending     int            `json:"pending,omitempty"`
	Failed      int            `json:"failed,omitempty"`
	Interrupted int            `json:"interrupted,omitempty"`
	Skipped     int            `json:"skipped,omitempty"`
	// Spend is the total of all calls of language models.
	llm.Spend
}
