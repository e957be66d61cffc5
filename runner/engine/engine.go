// Package engine is the seam between a run and the processes that execute its
// stages.
//
// A run decides what to do. It evaluates what a stage waited for, computes its
// keys, and looks for its result in the store. If the result has to be
// computed, the run creates a Task, and an Engine executes it: in this process
// (engine/local), in another one, or on another machine. Tasks and results are
// plain data. Artifacts are named by digest and are in the store, which both
// sides can reach. The run decides which results to publish, and when. An
// engine writes blobs and memo entries, but neither action entries nor state.
package engine

import (
	"context"

	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/runner/events"
	"github.com/quern-dev/quern/runner/failure"
	"github.com/quern-dev/quern/runner/modelhost"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/store/artifact"
	"github.com/quern-dev/quern/store/pending"
)

// Engine executes the tasks of one run.
type Engine interface {
	// Execute executes a task and returns when it has ended, successfully or
	// not. A task that failed has a result, too, which says why. An error means
	// that the engine could not execute the task, or does not know how it
	// ended; the run may try again, as it may for a task that failed. When ctx
	// ends, the task ends immediately, and has ended when Execute returns.
	// Execute is called from many goroutines, but never for two tasks with the
	// same action key at the same time.
	Execute(ctx context.Context, t *Task) (*Result, error)
	// Close closes the engine after all tasks have ended. It may be called
	// again.
	Close()
}

// Run is what tasks share with the rest of their run. An engine that executes
// tasks elsewhere forwards the calls.
type Run struct {
	// Events receives progress and warnings.
	Events events.Sink
	Budget modelhost.Budget
	Limits modelhost.Limits
	// Stop, when closed, asks tasks to keep their results so far and to end.
	Stop <-chan struct{}
}

// Open opens the engine of a run. When ctx ends, all tasks end.
type Open func(ctx context.Context, run Run) Engine

// Format is the version of the JSON form of tasks and results.
const Format = "quern.task/v1"

// Task is a stage to be executed, of mode read, map, flat_map, or run.
type Task struct {
	Format string `json:"format"`
	// Node is resolved: of everything that its configuration waited for, only
	// sensitive variables remain.
	Node *plan.Node `json:"node"`
	// Inputs by key of the node's arguments.
	Inputs map[string]Input `json:"inputs,omitempty"`
	// Models are the blocks of language models among the inputs, by address,
	// resolved like the node.
	Models map[string]*plan.Model `json:"models,omitempty"`
	// Wrapped are the trained models in these blocks, by the blocks' addresses.
	Wrapped map[string]Input `json:"wrapped,omitempty"`
	// Secrets are the values of all sensitive variables of the run. Expressions
	// need some of them, and no message or result may contain any. Treat a task
	// like a secret.
	Secrets map[string]value.Value `json:"secrets,omitempty"`

	// Definition and Key are the definition key and the action key. Rows is the
	// key of the results of single rows in a row-wise stage.
	Definition string `json:"definition"`
	Key        string `json:"key"`
	Rows       string `json:"rows,omitempty"`
	// Fingerprint is the content that a source must have. Memo is what its
	// plugin receives again.
	Fingerprint string `json:"fingerprint,omitempty"`
	Memo        []byte `json:"memo,omitempty"`
	// Prior are the outputs, by port, of the last result with the same
	// definition, whose rows may be reused.
	Prior map[string]artifact.Ref `json:"prior,omitempty"`
	// PriorPart is what OnlyPart was in that result.
	PriorPart   string `json:"prior_part,omitempty"`
	Environment string `json:"environment"`
}

// Input is an artifact or a language model that a task receives.
type Input struct {
	// Ref is the artifact. It is zero for a language model, which is in Models.
	Ref artifact.Ref `json:"ref,omitzero"`
	// Port is the declaration of the artifact, Plugin the plugin that produced
	// it, and Action the key of the action that did.
	Port   *plan.Port `json:"port,omitempty"`
	Plugin string     `json:"plugin,omitempty"`
	Action string     `json:"action,omitempty"`
}

// Result is how a task ended.
type Result struct {
	Format string `json:"format"`
	// Outputs are artifacts in the store, by port.
	Outputs map[string]artifact.Ref `json:"outputs,omitempty"`
	Value   *value.Stored           `json:"value,omitempty"` // nil if there is none
	// Memo is what a source's plugin receives again the next time.
	Memo []byte `json:"memo,omitempty"`
	// Origin is what a source calls its only part, such as the name of a file. The
	// names of several parts are in the output "parts".
	Origin string `json:"origin,omitempty"`
	// OnlyPart is the fingerprint of that part. It is empty if rows of it were set
	// aside.
	OnlyPart string `json:"only_part,omitempty"`
	// Errors is the number of rows or answers that failed and may succeed the
	// next time.
	Errors int64 `json:"errors,omitempty"`
	Rows   Rows  `json:"rows"`
	// Spend is the total of its calls of language models, even if it failed.
	Spend    llm.Spend           `json:"spend"`
	Seconds  float64             `json:"seconds"`
	Warnings []events.Diagnostic `json:"warnings,omitempty"`
	// Pending says what the task waits for. It then has no outputs, and is
	// neither done nor failed.
	Pending *pending.Summary `json:"pending,omitempty"`
	// Failure says why the task failed. It is nil if the task is done.
	Failure *failure.Failure `json:"failure,omitempty"`
}

// Rows counts the rows of a row-wise stage.
type Rows struct {
	// In is the number of input rows of a stage whose rows each produce any
	// number of rows. The other fields count input rows as well.
	In  int64 `json:"in,omitempty"`
	New int64 `json:"new,omitempty"`
	// Computed counts the rows of a stage that consists of row expressions
	// only.
	Computed int64 `json:"computed,omitempty"`
	Reused   int64 `json:"reused,omitempty"`
	Failed   int64 `json:"failed,omitempty"`
}
