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

// run is one Apply: the walk over the plan, and how its nodes ended. What is done
// about a node is done by computer, deployer, gates, and checker. They know
// the parts below them and nothing of the run.
type run struct {
	plan    *plan.Plan
	nodes   map[string]*plan.Node
	todo    []*plan.Node
	started time.Time
	plugins Plugins

	// hard ends when everything has to end at once, soft also when a graceful
	// stop was asked for.
	hard, soft context.Context
	quit       func(error) // ends hard
	cleanup    func()

	reporter *reporter
	saver    *saver
	values   *values
	engine   engine.Engine

	binder    *binder
	publisher *publisher
	checker   *checker
	computer  *computer
	deployer  *deployer
	gates     *gates

	mu    sync.Mutex
	noted map[string]*StageResult
}

func newRun(ctx context.Context, p *plan.Plan, opts Options) (*run, error) {
	if p.Format != plan.Format {
		return nil, fmt.Errorf("the plan has the format %q, but this version of quern supports %q", p.Format, plan.Format)
	}
	scope, err := plan.NewScope(p)
	if err != nil {
		return nil, fmt.Errorf("the plan is malformed: %w", err)
	}
	secrets := stage.Secrets(opts.Secrets)
	r := &run{
		plan: p, nodes: make(map[string]*plan.Node, len(p.Nodes)), todo: todo(p), started: time.Now(), plugins: opts.Plugins,
		reporter: &reporter{to: opts.Events, redactor: secrets.Redactor()},
		values:   &values{scope: scope, secrets: secrets, seal: secrets.Seal(opts.Store.Seal)},
		noted:    map[string]*StageResult{},
	}
	for _, n := range p.Nodes {
		r.nodes[n.Address] = n
	}
	r.contexts(ctx, opts.Stop)
	r.saver = newSaver(opts.State, opts.Save, r.quit)
	r.parts(opts)
	if err := r.know(); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

// parts makes what the run is put together from.
func (r *run) parts(opts Options) {
	artifacts := stage.NewArtifacts(opts.Store.Blobs)
	open := opts.Engine
	if open == nil {
		open = local.Open(local.Options{Store: opts.Store, Plugins: opts.Plugins, Artifacts: artifacts})
	}
	r.engine = open(r.hard, engine.Run{
		Events: r.reporter, Budget: modelhost.NewBudget(r.plan.Budget), Limits: modelhost.NewLimits(), Stop: r.soft.Done(),
	})
	r.binder = &binder{
		nodes: r.nodes, models: r.plan.Models, values: r.values, state: r.saver, artifacts: artifacts, redactor: r.reporter.redactor,
		languages: &stage.Languages{Plugins: opts.Plugins, Redactor: r.reporter.redactor, Seal: opts.Store.Seal},
	}
	r.publisher = &publisher{store: opts.Store, state: r.saver, artifacts: artifacts, plugins: r.plan.Plugins, run: opts.RunID}
	r.checker = &checker{values: r.values}
	r.computer = &computer{
		binder: r.binder, checker: r.checker, publisher: r.publisher, engine: r.engine, environment: r.plan.Environment, soft: r.soft,
		sources: &stage.Sources{Plugins: opts.Plugins, Redactor: r.reporter.redactor, Seal: opts.Store.Seal},
	}
	r.deployer = &deployer{binder: r.binder, checker: r.checker, publisher: r.publisher, plugins: opts.Plugins, environment: r.plan.Environment}
	r.gates = &gates{checker: r.checker, publisher: r.publisher}
}

// todo are the nodes that something may be done about: those that the plan
// does not keep, and of those it keeps the ones with a condition on a value
// that may still change.
func todo(p *plan.Plan) []*plan.Node {
	open := map[string]bool{} // stages that are not kept
	for _, n := range p.Nodes {
		if n.Action != plan.Keep {
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

// know puts into the scope what the plan keeps and expressions refer to.
func (r *run) know() error {
	wanted := map[string]bool{}
	for _, n := range r.todo {
		for _, ref := range nodeRefs(n) {
			wanted[ref] = true
		}
	}
	for _, m := range r.plan.Models {
		refs, _ := m.Body.Refs()
		for _, ref := range refs {
			wanted[ref] = true
		}
	}
	for _, ref := range moduleRefs(r.plan) {
		wanted[ref] = true
	}
	for _, n := range r.plan.Nodes {
		if n.Action != plan.Keep {
			continue
		}
		a, err := addr.Parse(n.Address)
		if err != nil {
			return err
		}
		if wanted[a.Stage.String()] {
			if err := r.knowKept(n); err != nil {
				return fmt.Errorf("%s, which the plan keeps: %w", n.Address, err)
			}
		}
	}
	return nil
}

func nodeRefs(n *plan.Node) []string {
	var refs []string
	if n.Body != nil {
		refs, _ = n.Body.Refs()
	}
	return append(refs, conditionRefs(n.Conditions)...)
}

// moduleRefs are the stages that outputs and checks read.
func moduleRefs(p *plan.Plan) []string {
	var refs []string
	for _, o := range p.Outputs {
		if o.Expr != nil {
			refs = append(refs, o.Expr.Refs...)
		}
		refs = append(refs, conditionRefs(o.Conditions)...)
	}
	for _, c := range p.Checks {
		refs = append(refs, conditionRefs(c.Conditions)...)
	}
	return refs
}

func conditionRefs(all []plan.Condition) []string {
	var refs []string
	for i := range all {
		refs = append(refs, all[i].Refs()...)
	}
	return refs
}

// knowKept puts the value of an instance into the scope that stands in the
// state as it would come out.
func (r *run) knowKept(n *plan.Node) error {
	inst, ok := r.saver.instance(n.Address)
	if !ok {
		return fmt.Errorf("it is not in the state; make a new plan")
	}
	made := &plan.Made{Outputs: map[string]plan.Artifact{}}
	for port, ref := range inst.Outputs {
		a, err := r.publisher.artifacts.Get(ref)
		if err != nil {
			return err
		}
		made.Outputs[port] = seen(ref, a)
	}
	switch {
	case inst.Deployment != nil && inst.Deployment.Value != nil:
		made.Value = inst.Deployment.Value.Value
	case inst.Value != nil:
		v, err := inst.Value.Get()
		if err != nil {
			return fmt.Errorf("read the values of %s: %w", inst.Address, err)
		}
		made.Value = v
	}
	return r.values.reveal(n, made)
}

func (r *run) note(res *StageResult) {
	res.Diagnostics = r.reporter.redactor.Diagnostics(res.Diagnostics)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.noted[res.Address] = res
}

// limits are what the machine has.
func limits(parallelism int) walk.Limits {
	l := walk.Limits{Tasks: parallelism, CPU: float64(runtime.NumCPU()), Memory: machineMemory(), GPU: max(machineGPUs(), 1)}
	if l.Tasks <= 0 {
		l.Tasks = max(runtime.NumCPU(), 4)
	}
	return l
}
