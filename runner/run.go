package runner

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/secret"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/runner/events"
	"github.com/quern-dev/quern/runner/modelhost"
	"github.com/quern-dev/quern/runner/walk"
	"github.com/quern-dev/quern/store/artifact"
)

// run is one Apply.
type run struct {
	Options
	plan    *plan.Plan
	nodes   map[string]*plan.Node
	todo    []*plan.Node
	started time.Time

	// hard ends when everything has to end at once, soft also when a graceful
	// stop was asked for.
	hard, soft context.Context
	quit       func(error) // ends hard
	cleanup    func()

	scope     *plan.Scope
	artifacts *artifacts
	saver     *saver
	keys      keyLocks
	languages languages
	hub       *modelhost.Hub
	redactor  *secret.Redactor

	mu       sync.Mutex
	noted    map[string]*StageResult
	warnings hcl.Diagnostics

	eventMu sync.Mutex
}

func newRun(ctx context.Context, p *plan.Plan, opts Options) (*run, error) {
	if p.Format != plan.Format {
		return nil, fmt.Errorf("the plan has the format %q, but this version of quern supports %q", p.Format, plan.Format)
	}
	r := &run{
		Options: opts, plan: p, started: time.Now(), nodes: make(map[string]*plan.Node, len(p.Nodes)),
		artifacts: newArtifacts(opts.Store.Blobs), noted: map[string]*StageResult{}, redactor: newRedactor(opts.Secrets),
	}
	var err error
	if r.scope, err = plan.NewScope(p); err != nil {
		return nil, fmt.Errorf("the plan is malformed: %w", err)
	}
	for _, n := range p.Nodes {
		r.nodes[n.Address] = n
	}
	r.todo = todo(p)
	r.contexts(ctx)
	r.hub = r.newHub()
	r.saver = newSaver(opts.State, opts.Save, r.quit)
	if err := r.know(); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
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

func (r *run) contexts(ctx context.Context) {
	hard, quit := context.WithCancelCause(ctx)
	soft, stop := context.WithCancelCause(hard)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		select {
		case <-r.Stop:
			r.emit(events.Event{Type: events.Stopping})
			stop(errStopped)
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
	r.closeHub()
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
		a, err := r.artifacts.get(ref)
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
	return r.reveal(n, made)
}

// reveal lets expressions see what a node made.
func (r *run) reveal(n *plan.Node, made *plan.Made) error {
	a, err := addr.Parse(n.Address)
	if err != nil {
		return err
	}
	r.scope.Set(a, plan.StageValue(n, made))
	return nil
}

func seen(ref artifact.Ref, a *artifact.Artifact) plan.Artifact {
	s := plan.Artifact{Digest: ref.Digest}
	if a.Dataset != nil {
		s.Rows = a.Dataset.Rows
	}
	return s
}

// vars are what expressions are evaluated with that refer to these stages and
// sensitive variables.
func (r *run) vars(refs, secrets []string) map[string]cty.Value {
	return r.scope.Vars(refs, r.secrets(secrets))
}

// secrets are the values of sensitive variables, in clear.
func (r *run) secrets(names []string) map[string]cty.Value {
	values := make(map[string]cty.Value, len(names))
	for _, name := range names {
		if v, ok := r.Secrets[name]; ok {
			values[name], _ = v.UnmarkDeep()
		}
	}
	return values
}

func (r *run) note(res *StageResult) {
	res.Diagnostics = r.redactor.Diagnostics(res.Diagnostics)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.noted[res.Address] = res
}

func (r *run) emit(e events.Event) {
	if r.Events == nil {
		return
	}
	r.eventMu.Lock()
	defer r.eventMu.Unlock()
	e.Time = time.Now().UTC()
	r.Events(r.redacted(e))
}

// limits are what the machine has.
func (r *run) limits() walk.Limits {
	l := walk.Limits{Tasks: r.Parallelism, CPU: float64(runtime.NumCPU()), Memory: machineMemory(), GPU: max(machineGPUs(), 1)}
	if l.Tasks <= 0 {
		l.Tasks = max(runtime.NumCPU(), 4)
	}
	return l
}
