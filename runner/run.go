package runner

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/runner/engine"
	"github.com/quern-dev/quern/runner/engine/local"
	"github.com/quern-dev/quern/runner/events"
	"github.com/quern-dev/quern/runner/failure"
	"github.com/quern-dev/quern/runner/modelhost"
	"github.com/quern-dev/quern/runner/stage"
	"github.com/quern-dev/quern/runner/walk"
)

// session is what the plans of one Apply share.
type session struct {
	started time.Time
	budget  *modelhost.RunBudget
	limits  *modelhost.RunLimits
}

func newSession(p *plan.Plan, opts Options) *session {
	s := &session{started: time.Now(), budget: opts.budget, limits: modelhost.NewLimits()}
	if s.budget == nil {
		s.budget = modelhost.NewBudget(thisRun, p.Budget)
	}
	return s
}

// run is the walk over one plan, and how its nodes ended. The work on a node is
// done by computer, deployer, gates, and checker, which know nothing about the
// run.
type run struct {
	*session
	plan    *plan.Plan
	nodes   map[string]*plan.Node
	todo    []*plan.Node
	plugins Plugins

	// hard ends when everything must end immediately, soft also when a graceful
	// stop was requested.
	hard, soft context.Context
	quit       func(error) // ends hard
	cleanup    func()

	reporter *reporter
	saver    *saver
	engine   engine.Engine

	binder     *binder
	checker    *checker
	computer   *computer
	deployer   *deployer
	gates      *gates
	conclusion *conclusion

	mu    sync.Mutex
	noted map[string]*StageResult
	// waits are the stages that are pending, and those that wait for them.
	waits map[string]bool
}

func newRun(ctx context.Context, p *plan.Plan, opts Options, shared *session) (*run, error) {
	if p.Format != plan.Format {
		return nil, fmt.Errorf("the plan has the format %q, but this version of quern supports %q", p.Format, plan.Format)
	}
	scope, err := plan.NewScope(p)
	if err != nil {
		return nil, fmt.Errorf("the plan is malformed: %w", err)
	}
	secrets := stage.Secrets(opts.Secrets)
	r := &run{
		session: shared, plan: p, nodes: make(map[string]*plan.Node, len(p.Nodes)), todo: todo(p), plugins: opts.Plugins,
		reporter: &reporter{to: opts.Events, redactor: secrets.Redactor()},
		noted:    map[string]*StageResult{}, waits: map[string]bool{},
	}
	for _, n := range p.Nodes {
		r.nodes[n.Address] = n
	}
	if err := opts.State.Move(p.Moves); err != nil {
		return nil, fmt.Errorf("move instances: %w; make a new plan", err)
	}
	adopt(p, opts.State)
	r.contexts(ctx, opts.Stop)
	r.saver = newSaver(opts.State, opts.Save, r.quit)
	if !p.Partial && !p.RefreshOnly {
		r.saver.forgetRejected(r.nodes)
	}
	r.parts(&values{scope: scope, secrets: secrets, seal: secrets.Seal(opts.Store.Seal)}, opts)
	if err := r.binder.know(p, r.todo); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

// parts creates the parts of the run.
func (r *run) parts(known *values, opts Options) {
	artifacts := stage.NewArtifacts(opts.Store.Blobs)
	open := opts.Engine
	if open == nil {
		open = local.Open(local.Options{Store: opts.Store, Plugins: opts.Plugins, Functions: opts.Functions, Artifacts: artifacts})
	}
	r.engine = open(r.hard, engine.Run{
		Events: r.reporter, Budget: r.budget, Limits: r.limits, Stop: r.soft.Done(),
	})
	r.binder = &binder{
		nodes: r.nodes, models: r.plan.Models, values: known, state: r.saver, artifacts: artifacts, redactor: r.reporter.redactor,
		languages: &stage.Languages{Plugins: opts.Plugins, Redactor: r.reporter.redactor, Seal: opts.Store.Seal},
	}
	published := &publisher{store: opts.Store, state: r.saver, artifacts: artifacts, plugins: r.plan.Plugins, run: opts.RunID}
	r.checker = &checker{values: known}
	r.computer = &computer{
		binder: r.binder, checker: r.checker, publisher: published,
		contracts: &contracts{store: opts.Store, state: r.saver, artifacts: artifacts, run: opts.RunID, environment: r.plan.Environment, now: r.plan.Created}, engine: r.engine, environment: r.plan.Environment, soft: r.soft,
		sources: &stage.Sources{Plugins: opts.Plugins, Redactor: r.reporter.redactor, Seal: opts.Store.Seal},
	}
	r.deployer = &deployer{binder: r.binder, checker: r.checker, publisher: published, plugins: opts.Plugins, environment: r.plan.Environment}
	r.gates = &gates{checker: r.checker, publisher: published}
	r.conclusion = &conclusion{plan: r.plan, checker: r.checker, reporter: r.reporter, state: r.saver, seal: opts.Store.Seal}
}

// todo returns the nodes that may need work: those that the plan neither keeps nor
// settles before the walk, and those that it keeps but whose conditions refer to a value that may still
// change.
func todo(p *plan.Plan) []*plan.Node {
	open := map[string]bool{} // stages that are not kept
	for _, n := range p.Nodes {
		if n.Action != plan.Keep && !settled(p, n) {
			if a, err := addr.Parse(n.Address); err == nil {
				open[a.Stage.String()] = true
			}
		}
	}
	waits := func(c plan.Condition) bool {
		return slices.ContainsFunc(c.Test.Refs, func(ref string) bool { return open[ref] })
	}
	var nodes []*plan.Node
	for _, n := range p.Nodes {
		if settled(p, n) {
			continue
		}
		if n.Action != plan.Keep || slices.ContainsFunc(n.Conditions, waits) {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

func (r *run) contexts(ctx context.Context, asked <-chan struct{}) {
	hard, quit := context.WithCancelCause(ctx)
	soft, stop := context.WithCancelCause(hard)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		select {
		case <-asked:
			r.reporter.Emit(events.Event{Type: events.Stopping})
			stop(failure.ErrStopped)
		case <-soft.Done():
		}
	}()
	r.hard, r.soft, r.quit = hard, soft, quit
	r.cleanup = func() {
		stop(nil)
		quit(nil)
		<-gone
	}
}

func (r *run) close() {
	r.engine.Close()
	r.cleanup()
	r.saver.close()
}

func (r *run) stopping() bool { return r.soft.Err() != nil }

func (r *run) note(res *StageResult) {
	res.Diagnostics = r.reporter.redactor.Diagnostics(res.Diagnostics)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.noted[res.Address] = res
}

// limits returns the capacity of the machine.
func limits(parallelism int) walk.Limits {
	l := walk.Limits{Tasks: parallelism, CPU: float64(runtime.NumCPU()), Memory: machineMemory(), GPU: max(machineGPUs(), 1)}
	if l.Tasks <= 0 {
		l.Tasks = max(runtime.NumCPU(), 4)
	}
	return l
}
