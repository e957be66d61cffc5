// Package local executes tasks in this process, with plugins on this machine.
// It knows the task, the store, and what the stages of a run share, but not the
// run itself.
//
// Each mode of a stage has a type of its own: reading (a source), mapping (a
// row-wise stage), and running (a stage that receives its inputs as files).
// They use guard, which keeps secrets out of results, and serving, which
// provides a stage with its models.
package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/secret"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/runner/engine"
	"github.com/quern-dev/quern/runner/events"
	"github.com/quern-dev/quern/runner/failure"
	"github.com/quern-dev/quern/runner/modelhost"
	"github.com/quern-dev/quern/runner/stage"
	"github.com/quern-dev/quern/sdk/go/host/parallel"
	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/artifact"
	"github.com/quern-dev/quern/store/responses"
)

// Options configure the engine.
type Options struct {
	Store   *store.Store
	Plugins stage.Plugins
	// Functions are the functions of plugins. It may be nil.
	Functions expr.Plugins
	// Artifacts caches artifacts that were already read. It may be nil.
	Artifacts *stage.Artifacts
	// Replay is that of [modelhost.Options]: with it, no model is called.
	Replay func(modelhost.Request)
}

// Engine is the local engine.
type Engine struct {
	Options
	run       engine.Run
	redactor  *secret.Redactor
	sources   *stage.Sources
	languages *stage.Languages
	hub       *modelhost.Hub

	mu sync.Mutex
	// budgets are those of stages, by address. All attempts at a stage share one.
	budgets map[string]*modelhost.RunBudget

	// stopping ends when a graceful stop is requested.
	stopping context.Context
	closed   context.CancelFunc
}

// Open returns the function that opens the engine for a run.
func Open(opts Options) engine.Open {
	return func(ctx context.Context, run engine.Run) engine.Engine {
		if opts.Artifacts == nil {
			opts.Artifacts = stage.NewArtifacts(opts.Store.Blobs)
		}
		e := &Engine{Options: opts, run: run, redactor: secret.New(), budgets: map[string]*modelhost.RunBudget{}}
		e.sources = &stage.Sources{Plugins: opts.Plugins, Redactor: e.redactor, Seal: opts.Store.Seal}
		e.languages = &stage.Languages{Plugins: opts.Plugins, Redactor: e.redactor, Seal: opts.Store.Seal, Blobs: opts.Store.Blobs}
		e.hub = modelhost.NewHub(ctx, modelhost.Options{
			Budget: run.Budget, Limits: run.Limits,
			Cache:   func() (*responses.Cache, error) { return opts.Store.Responses(e.warn) },
			Batches: opts.Store.Batches,
			Report:  e.warn, Notice: func(text string) { e.tell("Waiting for a model", text) },
			Secrets: e.redactor, Seal: opts.Store.Seal, Replay: opts.Replay,
		})
		e.watch(run.Stop)
		return e
	}
}

// watch ends stopping when stop is closed.
func (e *Engine) watch(stop <-chan struct{}) {
	stopping, cancel := context.WithCancel(context.Background())
	closed, end := context.WithCancel(context.Background())
	e.stopping, e.closed = stopping, end
	go func() {
		select {
		case <-stop:
			cancel()
		case <-closed.Done():
		}
	}()
}

// stageBudget returns the budget of a stage that has one.
func (e *Engine) stageBudget(n *plan.Node) *modelhost.RunBudget {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.budgets[n.Address] == nil {
		e.budgets[n.Address] = modelhost.NewBudget(n.Address, n.Budget)
	}
	return e.budgets[n.Address]
}

// Close waits for answers that will be billed, and closes the response cache.
func (e *Engine) Close() {
	e.closed()
	if err := e.hub.Close(); err != nil {
		e.warn(fmt.Errorf("close the cached answers: %w", err))
	}
}

// warn reports a problem that did no harm.
func (e *Engine) warn(err error) { e.tell("Continuing despite a problem", err.Error()) }

func (e *Engine) tell(summary, detail string) {
	e.run.Events.Emit(events.Event{Type: events.Warning, Diagnostics: []events.Diagnostic{
		{Severity: "warning", Summary: summary, Detail: e.redactor.Text(detail)},
	}})
}

// Execute executes a task.
func (e *Engine) Execute(ctx context.Context, t *engine.Task) (*engine.Result, error) {
	if t.Format != engine.Format {
		return nil, fmt.Errorf("the task of %s has the format %q, but this version of quern supports %q", t.Node.Address, t.Format, engine.Format)
	}
	started := time.Now()
	res := &engine.Result{Format: engine.Format}
	err := parallel.Call(func() error { return e.execute(ctx, t, res) })
	res.Seconds = time.Since(started).Seconds()
	if err != nil {
		res.Failure = failure.Of(t.Node, err, func(plugin string) []string { return e.stderr(ctx, plugin) })
		res.Failure.Interrupted = res.Failure.Interrupted || ctx.Err() != nil && errors.Is(err, context.Cause(ctx))
	}
	return res, nil
}

// stderr returns the last lines that a plugin wrote.
func (e *Engine) stderr(ctx context.Context, plugin string) []string {
	p, err := e.Plugins.Client(ctx, plugin)
	if err != nil {
		return nil
	}
	return p.Stderr()
}

func (e *Engine) execute(ctx context.Context, t *engine.Task, res *engine.Result) error {
	s, err := e.bind(t)
	if err != nil {
		return err
	}
	defer func() { res.Warnings = events.FromHCL(s.Warnings) }()
	limited, end := e.limited(ctx, t.Node)
	defer end()
	a := &attempt{
		Engine: e, Stage: s, task: t, res: res, end: ctx,
		guard: &guard{Stage: s, redactor: e.redactor, blobs: e.Store.Blobs},
	}
	if err := unchanged(t.Node); err != nil {
		return err
	}
	made, err := a.produce(limited)
	if err != nil && limited.Err() != nil {
		return context.Cause(limited)
	}
	if err == nil {
		err = unchanged(t.Node)
	}
	if own := (*failure.Plugin)(nil); errors.As(err, &own) {
		return s.ExplainEmpty(err, own)
	}
	if err != nil || made == nil {
		return err
	}
	return e.put(made, res)
}

// unchanged returns an error if a file that the plan's keys contain is no longer
// the one that the stage reads.
func unchanged(n *plan.Node) error {
	for i := range n.Files {
		f := &n.Files[i]
		same, err := f.Unchanged()
		if err != nil {
			return err
		}
		if !same {
			return failure.Errorf(nil, "A file has changed since the plan", "%s depends on %s, which has changed. Plan again.", n.Address, f.Path)
		}
	}
	return nil
}

// limited returns the context of one attempt at a node.
func (e *Engine) limited(ctx context.Context, n *plan.Node) (context.Context, context.CancelFunc) {
	unhook := func() bool { return true }
	if !n.RowWise() {
		// A graceful stop ends the call; the plugin saves a checkpoint.
		// Row-wise stages stop by themselves.
		graceful, cancel := context.WithCancelCause(ctx)
		unhook = context.AfterFunc(e.stopping, func() { cancel(failure.ErrStopped) })
		ctx = graceful
	}
	limited, end := failure.WithTimeout(ctx, n.Timeout)
	return limited, func() { unhook(); end() }
}

// bind evaluates the configuration that needs secrets, and reads the inputs.
func (e *Engine) bind(t *engine.Task) (*stage.Stage, error) {
	secrets := make(stage.Secrets, len(t.Secrets))
	for name, v := range t.Secrets {
		secrets[name] = v.Value
		e.redactor.Add(v.Value)
	}
	e.connect(t)
	_, names := t.Node.Body.Refs()
	bound, diags := t.Node.Body.Bind(secrets.Vars(names))
	if diags.HasErrors() {
		return nil, &failure.Diagnosed{Diagnostics: diags}
	}
	stage.Conceal(e.redactor, bound)
	inputs := make(map[string]*stage.Input, len(bound.Inputs))
	for key, of := range bound.Inputs {
		in, err := e.input(t, key, of, secrets)
		if err != nil {
			return nil, err
		}
		inputs[key] = in
	}
	return stage.New(t.Node, bound, inputs, secrets)
}

// connect says where the functions of plugins are found that a task's expressions
// call. Those of a task from this process are connected already.
func (e *Engine) connect(t *engine.Task) {
	if e.Functions == nil {
		return
	}
	t.Node.Connect(e.Functions)
	for _, m := range t.Models {
		m.Connect(e.Functions)
	}
}

func (e *Engine) input(t *engine.Task, key string, of *plan.Input, secrets stage.Secrets) (*stage.Input, error) {
	if m := t.Models[of.Address]; m != nil {
		l, err := e.languages.Bind(m, stage.Scope{
			Secrets: secrets, Vars: func(_, names []string) map[string]cty.Value { return secrets.Vars(names) },
			Wrapped: func(key string, of *plan.Input) (*stage.Input, error) {
				return e.artifact(t.Wrapped[m.Address], key, of)
			},
		})
		if err != nil {
			return nil, err
		}
		return stage.NewLanguage(key, of, l), nil
	}
	in, err := e.artifact(t.Inputs[key], key, of)
	if err == nil {
		err = e.languages.Trained(in)
	}
	return in, err
}

// artifact returns an artifact that a task receives.
func (e *Engine) artifact(given engine.Input, key string, of *plan.Input) (*stage.Input, error) {
	if given.Port == nil {
		return nil, fmt.Errorf("the task has no %s, which argument %q needs", of.Address, key)
	}
	a, err := e.Artifacts.Get(given.Ref)
	if err != nil {
		return nil, &failure.Input{Address: of.Address, Err: err}
	}
	in, err := stage.NewInput(key, of, given.Port, given.Ref, a)
	if err == nil {
		for _, feature := range in.Features {
			feature.Connect(e.Functions)
		}
		in.Plugin, in.Action = given.Plugin, given.Action
	}
	return in, err
}

// product is the result of a stage before it is stored.
type product struct {
	artifacts map[string]*artifact.Artifact // by port
	value     cty.Value                     // cty.NilVal if there is none
	errors    int64
	memo      []byte
	origin    string // see engine.Result
	onlyPart  string // see engine.Result
}

// put writes the manifests of a product to the store, which already contains
// its blobs.
func (e *Engine) put(p *product, res *engine.Result) error {
	var made *value.Value
	if p.value != cty.NilVal {
		made, res.Value = &value.Value{Value: p.value}, value.Store(p.value)
	}
	res.Errors, res.Memo, res.Origin, res.OnlyPart, res.Outputs = p.errors, p.memo, p.origin, p.onlyPart, map[string]artifact.Ref{}
	for port, a := range p.artifacts {
		if a.Kind == artifact.Report {
			a.Value = made
		}
		ref, err := artifact.Put(e.Store.Blobs, a)
		if err != nil {
			return err
		}
		res.Outputs[port] = ref
		e.Artifacts.Keep(ref, a)
	}
	return nil
}

// attempt is a task in progress.
type attempt struct {
	*Engine
	*stage.Stage
	task  *engine.Task
	res   *engine.Result
	guard *guard
	// end ends when the attempt must end immediately, without a checkpoint.
	end context.Context
}

// produce returns the product of a stage, or nil if the stage is pending.
func (a *attempt) produce(ctx context.Context) (*product, error) {
	switch a.Mode {
	case plan.ModeRead:
		return a.read(ctx)
	case plan.ModeMap, plan.ModeFlatMap:
		return a.mapRows(ctx)
	case plan.ModeRun:
		return a.runWhole(ctx)
	}
	return nil, fmt.Errorf("the task has the mode %q, which this version of quern does not support", a.Mode)
}

// model creates a model artifact from its files.
func (a *attempt) model(port *plan.Port, files []artifact.File) (*artifact.Artifact, error) {
	m := &artifact.Artifact{Kind: artifact.Model, Files: files, ModelFormat: port.Format}
	if port.Signature != nil {
		text, err := json.Marshal(port.Signature)
		if err != nil {
			return nil, err
		}
		m.Signature = text
	}
	if len(port.Features) == 0 {
		return m, nil
	}
	features := map[string]*expr.Compiled{}
	for name, e := range port.Features {
		// The expression may have waited for values when it was planned.
		if row := a.Bound.Rows[name]; row != nil {
			e = row.Expr
		}
		placeless := *e
		placeless.Range = diag.Range{} // the digest must not depend on where it was written
		features[name] = &placeless
	}
	text, err := json.Marshal(features)
	if err != nil {
		return nil, err
	}
	m.Features = text
	return m, nil
}

// progressPause is the time between two reports of progress.
const progressPause = 200 * time.Millisecond

// progress passes on how far a plugin is. It always passes on the final report,
// when done equals total.
type progress struct {
	sink    events.Sink
	address string
	told    time.Time
}

func (p *progress) tell(e events.Progress) {
	if !finished(e) && time.Since(p.told) < progressPause {
		return
	}
	p.told = time.Now()
	p.sink.Emit(events.Event{Type: events.StageProgress, Address: p.address, Progress: &e})
}

func finished(p events.Progress) bool { return p.Total > 0 && p.Done >= p.Total }
