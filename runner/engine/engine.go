// Package engine is the seam between a run and the processes that carry out its
// stages.
//
// A run decides what is done: it evaluates what a stage waited for, computes its
// keys, and looks for its result in the store. If it has to be computed, the run
// makes a Task of it, and an Engine carries the task out: in this process
// (engine/local), in another one, or on another machine. Tasks and results are
// plain data. Artifacts are named by digest and are in the store, which both sides
// can reach. The run decides what it publishes of a result, and when: an
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
)

// Engine carries out the tasks of one run.
type Engine interface {
	// Execute carries out a task and returns when it has ended, well or not: why a
	// task failed is in its result, which exists even then. The error says that the
	// engine could not carry it out, or does not know how it ended; the run may try
	// again, as with a task that failed. When ctx ends, the task ends at once, and
	// has ended when Execute returns. Execute is called from many goroutines, but
	// never for two tasks with the same action key at once.
	Execute(ctx context.Context, t *Task) (*Result, error)
	// Close ends the engine when no task is under way. It may be called again.
	Close()
}

// Run is what tasks share with the rest of their run. An engine whose tasks are
// carried out elsewhere passes calls on.
type Run struct {
	// Events takes progress and warnings.
	Events events.Sink
	Budget modelhost.Budget
	Limits modelhost.Limits
	// Stop, once closed, asks tasks to keep what they have and to end.
	Stop <-chan struct{}
}

// Open opens the engine of a run. When ctx ends, so do all tasks.
type Open func(ctx context.Context, run Run) Engine

// Format is the version of the JSON form of tasks and results.
const Format = "quern.task/v1"

// Task is a stage to be carried out, of mode read, map, flat_map, or run.
type Task struct {
	Format string `json:"format"`
	// Node is resolved: of everything that its configuration waited for, only
	// sensitive variables are left.
	Node *plan.Node `json:"node"`
	// Inputs by key of the node's arguments.
	Inputs map[string]Input `json:"inputs,omitempty"`
	// Models are the blocks of language models among the inputs, by address,
	// resolved like the node.
	Models map[string]*plan.Model `json:"models,omitempty"`
	// Secrets are the values of all sensitive variables of the run: expressions
	// need some of them, and no message or result may contain any. Treat a task
	// like a secret.
	Secrets map[string]value.Value `json:"secrets,omitempty"`

	// Definition and Key are the definition key and the action key. Rows is the key
	// of the results of single rows, of a row-wise stage.
	Definition string `json:"definition"`
	Key        string `json:"key"`
	Rows       string `json:"rows,omitempty"`
	// Fingerprint is what a source must hold, Memo what its plugin wants to get back.
	Fingerprint string `json:"fingerprint,omitempty"`
	Memo        []byte `json:"memo,omitempty"`
	// Prior are the outputs by port of the last result with the same definition, of
	// which rows may be reused.
	Prior       map[string]artifact.Ref `json:"prior,omitempty"`
	Environment string                  `json:"environment"`
}

// Input is an artifact, or a language model, that a task is given.
type Input struct {
	// Ref is the artifact; zero: a language model, which is in Models.
	Ref artifact.Ref `json:"ref,omitzero"`
	// Port is how the artifact was declared, Plugin which plugin produced it, Action
	// the key of the action that did.
	Port   *plan.Port `json:"port,omitempty"`
	Plugin string     `json:"plugin,omitempty"`
	Action string     `json:"action,omitempty"`
}

// Result is how a task ended.
type Result struct {
	Format string `json:"format"`
	// Outputs by port. The artifacts are in the store.
	Outputs map[string]artifact.Ref `json:"outputs,omitempty"`
	Value   *value.Stored           `json:"value,omitempty"` // nil: none
	// Memo is what a source's plugin wants to get back the next time.
	Memo []byte `json:"memo,omitempty"`
	// Errors are rows or answers that failed and may not the next time.
	Errors int64 `json:"errors,omitempty"`
	Rows   Rows  `json:"rows"`
	// Spend is what its calls of language models came to, also if it failed.
	Spend    llm.Spend           `json:"spend"`
	Seconds  float64             `json:"seconds"`
	Warnings []events.Diagnostic `json:"warnings,omitempty"`
	// Failure is why it is not done; nil: it is done.
	Failure *failure.Failure `json:"failure,omitempty"`
}

// Rows counts the rows of a row-wise stage.
type Rows struct {
	// In are those that went in, of a stage whose rows each give any number of
	// rows. The others are of these.
	In  int64 `json:"in,omitempty"`
	New int64 `json:"new,omitempty"`
	// Computed are those of a stage that is row expressions alone.
	Computed int64 `json:"computed,omitempty"`
	Reused   int64 `json:"reused,omitempty"`
	Failed   int64 `json:"failed,omitempty"`
}
