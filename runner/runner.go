// Package runner applies a plan.
//
// It walks the plan's graph with bounded parallelism, computes what is not
// known, publishes results atomically (blobs, then manifest, then action entry,
// then state), and reports progress in one stream of events. What it reported
// as done survives the death of the process at any moment, and what is already
// in the store is never computed twice. A stage that fails stops only what
// needs it.
//
// The plan contains everything that the runner needs; it never opens a
// configuration file. A run evaluates what stages waited for, computes their
// keys, and publishes their results. Package engine is the seam to whatever
// executes stages, and engine/local executes them in this process. Package
// rowwise explains how rows are reused, and modelhost how stages reach the
// models that they use.
package runner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/runner/engine"
	"github.com/quern-dev/quern/runner/events"
	"github.com/quern-dev/quern/runner/failure"
	"github.com/quern-dev/quern/runner/modelhost"
	"github.com/quern-dev/quern/runner/stage"
	"github.com/quern-dev/quern/runner/walk"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/pending"
	"github.com/quern-dev/quern/store/state"
)

// Plugins starts plugins, or returns running ones. It is called from many
// goroutines.
type Plugins = stage.Plugins

// Options are what Apply needs in addition to the plan.
type Options struct {
	Store *store.Store
	// State is the state that the plan was made for. Apply changes it.
	State *state.State
	// Save writes the state. It is called from one goroutine at a time: for
	// each deployment that changes, and otherwise about once a second.
	Save func(*state.State) error
	// Keep, if not nil, keeps the state that the run left. It is called once, when
	// a recorded run has ended.
	Keep    func(run string) error
	Plugins Plugins
	// Functions are the functions of plugins, which the features of trained models may
	// call. It may be nil.
	Functions expr.Plugins
	// Engine opens the engine that executes stages. nil means the local engine.
	Engine engine.Open
	// Parallelism is the number of stages that run at the same time. 0 means
	// one for each processor, but at least four.
	Parallelism int
	// Secrets are the values of the plan's sensitive variables.
	Secrets map[string]cty.Value
	RunID   string
	// Continue plans the stages that a plan defers, when all others are done, and
	// returns that plan with the values of its secrets. nil means that deferred
	// stages are left to the next apply.
	Continue func(context.Context, *plan.Plan) (*plan.Plan, map[string]cty.Value, error)
	// Events receives the events, from several goroutines, one call at a time.
	// nil means that nobody listens.
	Events func(events.Event)
	// Stop, when closed, requests a graceful end: no more stages start, and
	// running stages save what they have and stop. Canceling Apply's context
	// ends them immediately. The state is correct in both cases.
	Stop <-chan struct{}

	// budget is the budget of the run. nil means the plan's.
	budget *modelhost.RunBudget
}

// Status is how a run or a stage ended.
type Status string

const (
	Done        Status = "done"
	Pending     Status = "pending" // something waits for something outside, and nothing failed
	Failed      Status = "failed"
	Interrupted Status = "interrupted"
	Skipped     Status = "skipped" // a stage that needs something that is not done
)

// Result is how a run ended.
type Result struct {
	Status Status
	// Stages are the instances that needed work, in the plan's order.
	Stages []StageResult
	// Plans is the number of plans that were applied: more than one if the first
	// one deferred stages.
	Plans int
	// Outputs that could be evaluated; sensitive ones are marked.
	Outputs map[string]cty.Value
	// Diagnostics are all errors and warnings, in the plan's order.
	Diagnostics hcl.Diagnostics
	Seconds     float64
	// Spend is the total of all calls of language models.
	Spend llm.Spend
}

// StageResult is how one instance ended.
type StageResult struct {
	Address string
	Kind    string
	// Planned is the planned action, Action the actual one. Action is empty if
	// nothing happened.
	Planned, Action plan.Action
	Status          Status
	Because         []string // of a skipped stage
	ActionKey       string
	// Rows is the number of output rows, or, for a stage that produces a model
	// or a report, of input rows. For a row-wise stage, it is the sum of the
	// other counts.
	Rows, NewRows, ComputedRows, ReusedRows, FailedRows int64
	// RowsIn is the number of input rows of a stage whose rows each produce any
	// number of rows. New, reused, and failed rows count input rows.
	RowsIn int64
	// Contracts are the checks of the contracts of its outputs.
	Contracts []events.Contract
	// Pending is what a pending stage waits for.
	Pending *pending.Summary

	Outputs map[string]string // digests by port
	Value   cty.Value
	Seconds float64
	// Spend is the total of its calls of language models, in all attempts.
	Spend       llm.Spend
	Diagnostics hcl.Diagnostics
}

// Apply runs a plan and, if it defers stages, the plans that Options.Continue
// returns. The error describes what ended the run as a whole, such as a state that
// could not be written. Failures of stages are in the result, which exists even if
// there is an error.
func Apply(ctx context.Context, p *plan.Plan, opts Options) (*Result, error) {
	r, err := newRun(ctx, p, opts, newSession(p, opts))
	if err != nil {
		return nil, err
	}
	// Later plans have runs of their own.
	defer func() { r.close() }()
	if len(p.Moves) > 0 || p.Adopts != "" {
		if err := r.saver.change(); err != nil {
			return nil, err
		}
	}
	if err := r.checkModels(); err != nil {
		return nil, err
	}
	r.reporter.Emit(events.Event{Type: events.RunStarted, Run: &events.Run{
		Format: events.Format, ID: opts.RunID, Environment: p.Environment, Destroy: p.Destroy, RefreshOnly: p.RefreshOnly, Stages: len(r.todo),
	}})
	result, err := r.walk(opts)
	for err == nil && r.continues(result, opts) {
		var next *run
		if next, err = r.next(ctx, result, opts); err != nil {
			if r.stopping() {
				err = nil // planning was interrupted
			}
			break
		}
		r.close()
		r = next
		var more *Result
		if more, err = r.walk(opts); more != nil {
			result.add(more)
		}
	}
	if result == nil {
		return nil, err
	}
	if err == nil {
		r.leave(result)
	}
	return result, errors.Join(err, r.conclude(result, err))
}

func (r *run) checkModels() error {
	before := &preflight{plan: r.plan, todo: r.todo, binder: r.binder, reporter: r.reporter}
	return before.checkModels(r.hard)
}

// walk does what the plan says.
func (r *run) walk(opts Options) (*Result, error) {
	outcomes, err := walk.Walk(r.hard, r.tasks(), limits(opts.Parallelism), r.soft.Done(), r.do, r.ended)
	if err != nil {
		return nil, fmt.Errorf("the plan is malformed: %w", err)
	}
	r.engine.Close()
	return r.result(outcomes), nil
}

// continues reports whether stages are left that can be planned now.
func (r *run) continues(result *Result, opts Options) bool {
	return r.plan.Deferred != nil && opts.Continue != nil && result.Status == Done && !r.stopping()
}

// next plans what the plan defers and returns the run of that plan. The state is
// written first, so that nothing is lost if that takes long, or fails.
func (r *run) next(ctx context.Context, result *Result, opts Options) (*run, error) {
	if err := r.saver.write(); err != nil {
		return nil, err
	}
	p, secrets, err := opts.Continue(r.soft, r.plan)
	if err != nil {
		return nil, err
	}
	opts.Secrets = secrets
	next, err := newRun(ctx, p, opts, r.session)
	if err != nil {
		return nil, err
	}
	if err := next.checkModels(); err != nil {
		next.close()
		return nil, err
	}
	result.Plans++
	next.reporter.Emit(events.Event{Type: events.RunExtended, Run: &events.Run{
		Format: events.Format, ID: opts.RunID, Environment: p.Environment, Stages: len(next.todo), Instances: r.plan.Deferred.Instances(p),
	}})
	return next, nil
}

// leave reports the stages that the last plan defers as not reached: they are planned
// only when all others are done.
func (r *run) leave(result *Result) {
	if r.plan.Deferred == nil {
		return
	}
	var because []string
	for _, s := range result.Stages {
		if s.Status == Failed || s.Status == Pending {
			because = append(because, s.Address)
		}
	}
	if r.stopping() {
		because = nil
	}
	for _, s := range r.plan.Deferred.Stages {
		result.Stages = append(result.Stages, StageResult{Address: s.Address, Kind: s.Kind, Status: Skipped, Because: because})
		r.reporter.Emit(events.Event{Type: events.StageSkipped, Address: s.Address, Because: because, Waits: result.Status == Pending})
	}
}

// conclude evaluates the outputs and checks of the last plan and writes the state.
func (r *run) conclude(result *Result, failed error) error {
	if failed != nil {
		result.Status = Failed
	}
	if result.Status == Done && r.stopping() && r.plan.Deferred != nil {
		result.Status = Interrupted
	}
	r.conclusion.outputs(result)
	r.conclusion.checks(result)
	err := r.saver.finish()
	if err != nil {
		result.Status = Failed
	}
	result.Seconds = time.Since(r.started).Seconds()
	r.reporter.Emit(events.Event{Type: events.RunDone, Summary: summary(result)})
	return err
}

// add adds the result of a later plan.
func (res *Result) add(more *Result) {
	res.Status = more.Status
	res.Stages = append(res.Stages, more.Stages...)
	res.Diagnostics = append(res.Diagnostics, more.Diagnostics...)
	res.Spend.Add(more.Spend)
}

// tasks returns the nodes that may need work.
func (r *run) tasks() []walk.Task {
	tasks := make([]walk.Task, len(r.todo))
	for i, n := range r.todo {
		tasks[i] = walk.Task{
			ID:     n.Address,
			Needs:  n.DependsOn,
			Demand: walk.Demand{CPU: n.Resources.CPU, Memory: n.Resources.Memory, GPU: n.Resources.GPU},
		}
		if n.Estimate.Seconds != nil {
			tasks[i].Seconds = *n.Estimate.Seconds
		}
	}
	return tasks
}

// do runs one node. The walk calls it when everything that the node needs is
// done.
func (r *run) do(ctx context.Context, address string) error {
	n := r.nodes[address]
	started := time.Now()
	begun := stageEvent(n, &StageResult{Planned: n.Action, Action: n.Action})
	if n.Estimate.Seconds != nil {
		begun.EstimatedSeconds = *n.Estimate.Seconds
	}
	r.reporter.Emit(events.Event{Type: events.StageStarted, Address: address, Stage: begun})
	res := &StageResult{Address: address, Kind: n.Kind, Planned: n.Action}
	err := r.attempts(ctx, n, res)
	res.Seconds = time.Since(started).Seconds()
	switch {
	case err == nil:
		res.Status = Done
	case isPending(err):
		res.Status = Pending
	case r.stopping() && r.interrupted(err):
		res.Status = Interrupted
	default:
		res.Status = Failed
		res.Diagnostics = append(res.Diagnostics, r.explain(n, err)...)
	}
	r.note(res)
	r.emitEnd(n, res)
	return err
}

func isPending(err error) bool { return errors.Is(err, walk.ErrPending) }

func (r *run) emitEnd(n *plan.Node, res *StageResult) {
	e := events.Event{Address: n.Address, Stage: stageEvent(n, res), Pending: res.Pending}
	for _, d := range res.Diagnostics {
		if d.Severity == hcl.DiagWarning {
			r.reporter.Emit(events.Event{Type: events.Warning, Address: n.Address, Diagnostics: events.FromHCL(hcl.Diagnostics{d})})
		}
	}
	switch res.Status {
	case Done:
		e.Type = events.StageDone
	case Pending:
		e.Type = events.StagePending
	case Interrupted:
		e.Type = events.StageInterrupted
	default:
		e.Type = events.StageFailed
		e.Diagnostics = events.FromHCL(errorsOf(res.Diagnostics))
	}
	r.reporter.Emit(e)
}

func errorsOf(diags hcl.Diagnostics) hcl.Diagnostics {
	return slices.DeleteFunc(slices.Clone(diags), func(d *hcl.Diagnostic) bool { return d.Severity != hcl.DiagError })
}

func stageEvent(n *plan.Node, res *StageResult) *events.Stage {
	action := res.Action
	if action == "" {
		action = n.Action
	}
	if action == plan.MayRun {
		action = plan.Run
	}
	e := &events.Stage{
		Kind: n.Kind, Type: n.Type, Action: string(action), Seconds: res.Seconds,
		Rows: res.Rows, RowsIn: res.RowsIn, NewRows: res.NewRows, ComputedRows: res.ComputedRows, ReusedRows: res.ReusedRows, FailedRows: res.FailedRows, Outputs: res.Outputs,
		Spend: res.Spend, Contracts: res.Contracts,
	}
	if res.Pending != nil {
		e.PendingRows = res.Pending.Rows
	}
	return e
}

// ended reports nodes for which do was never called.
func (r *run) ended(address string, o walk.Outcome) {
	switch o.Status {
	case walk.Pending:
		r.waits[address] = true
	case walk.Skipped, walk.NotStarted:
		waits := len(o.Because) > 0 && !slices.ContainsFunc(o.Because, func(need string) bool { return !r.waits[need] })
		r.waits[address] = waits
		r.reporter.Emit(events.Event{Type: events.StageSkipped, Address: address, Because: o.Because, Waits: waits})
	}
}

// result collects how the nodes ended, in the plan's order.
func (r *run) result(outcomes map[string]walk.Outcome) *Result {
	res := &Result{Status: Done, Plans: 1, Diagnostics: r.reporter.warnings, Stages: adopted(r.plan)}
	for _, n := range r.todo {
		s, ok := r.noted[n.Address]
		switch o := outcomes[n.Address]; {
		case ok:
		case o.Err != nil: // a panic in do
			s = &StageResult{Address: n.Address, Kind: n.Kind, Planned: n.Action, Status: Failed, Diagnostics: r.reporter.redactor.Diagnostics(r.explain(n, o.Err))}
		default:
			s = &StageResult{Address: n.Address, Kind: n.Kind, Planned: n.Action, Status: Skipped, Because: o.Because}
		}
		res.Stages = append(res.Stages, *s)
		res.Diagnostics = append(res.Diagnostics, s.Diagnostics...)
		res.Spend.Add(s.Spend)
		res.Status = worse(res.Status, s.Status, outcomes[n.Address])
	}
	return res
}

// worse returns the status of a run with one more stage. A stage that was
// skipped is as bad as what it needs, which is another stage.
func worse(run, stage Status, o walk.Outcome) Status {
	switch {
	case stage == Skipped && o.Status == walk.Skipped, stage == Done, run == Failed:
		return run
	case stage == Failed:
		return Failed
	case stage == Pending && run != Interrupted:
		return Pending
	}
	return Interrupted
}

func summary(res *Result) *events.Summary {
	s := &events.Summary{Status: string(res.Status), Seconds: res.Seconds, Actions: map[string]int{}, Spend: res.Spend}
	for _, stage := range res.Stages {
		switch stage.Status {
		case Done:
			s.Actions[string(stage.Action)]++
		case Pending:
			s.Pending++
		case Failed:
			s.Failed++
		case Interrupted:
			s.Interrupted++
		case Skipped:
			s.Skipped++
		}
	}
	return s
}

// interrupted reports whether a stage ended because it was asked to.
func (r *run) interrupted(err error) bool {
	return failure.Interrupted(err) || err != nil && errors.Is(err, context.Cause(r.hard))
}

// explain describes an error of a node to the author of the configuration.
func (r *run) explain(n *plan.Node, err error) hcl.Diagnostics {
	return failure.Explain(n, err, func(plugin string) []string {
		p, err := r.plugins.Client(r.hard, plugin)
		if err != nil {
			return nil
		}
		return p.Stderr()
	})
}
