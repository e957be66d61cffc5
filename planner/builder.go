package planner

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/foreign"
	"github.com/quern-dev/quern/planner/diagnostics"
	"github.com/quern-dev/quern/planner/estimate"
	"github.com/quern-dev/quern/planner/module"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/planner/prepare"
	"github.com/quern-dev/quern/planner/processes"
	"github.com/quern-dev/quern/planner/refactor"
	"github.com/quern-dev/quern/planner/secrets"
	"github.com/quern-dev/quern/sdk/go/host/parallel"
	"github.com/quern-dev/quern/store/state"
)

// builder builds one plan.
type builder struct {
	Options
	*diagnostics.Collector
	ctx       context.Context
	cancel    context.CancelFunc
	started   time.Time
	secrets   *secrets.Secrets
	processes *processes.Processes
	foreign   *foreign.Set
	types     *types
	prepared  *prepare.Cache
	pins      *prepare.Pins
	prior     map[string]*state.Instance // the instances in the state, by address
	pending   map[string]*state.Pending  // what stages wait for, by address

	blocks *refactor.Blocks
	moves  []state.Move

	root    *phases
	levels  []*module.Level
	partial map[string]bool       // stages and modules with instances that are left out
	configs map[string]*plan.Body // by plugin
	// deferrals are the stages and modules that are planned during the run, by address.
	deferrals map[string]deferral
}

func newBuilder(ctx context.Context, o Options) *builder {
	s := secrets.New(o.Store, o.Hidden)
	functions := foreign.New(ctx, o.Plugins) // the plan that is built may call them later
	ctx, cancel := context.WithCancel(ctx)
	b := &builder{
		Options: o, Collector: diagnostics.New(o.Module, s.Redactor), ctx: ctx, cancel: cancel,
		foreign:  functions,
		started:  time.Now().UTC().Truncate(time.Second),
		secrets:  s,
		prepared: prepare.NewCache(o.Store, cmp.Or(o.preparedIn, o.cache())),
		pins:     prepare.NewPins(o.Pins),
		partial:  map[string]bool{},
	}
	b.processes = processes.New(ctx, o.Plugins, b.Collector, s)
	b.types = newTypes(o.Plugins, b.Collector)
	b.ownState()
	if b.State != nil {
		b.prior, b.pending = b.State.Instances, b.State.Pending
	}
	b.root = b.newPhases(o.Module, o.Variables)
	return b
}

func (b *builder) close() {
	b.cancel()
	b.prepared.Save()
}

// declare finds the types of the stages and configures the plugins. Meanwhile, the
// cached answers of plugins are read.
func (b *builder) declare() {
	reading := parallel.New(1)
	reading.Go(func() error { b.prepared.Read(); return nil })
	defer func() { _ = reading.Wait() }() // without the file, plugins are asked again
	b.root.Tree.Declare(b.types.of)
	b.configs = b.root.decode.ConfigurePlugins()
}

// build goes through the phases. An error in one phase does not stop the others
// from checking whatever does not depend on it.
func (b *builder) build() (*plan.Plan, hcl.Diagnostics) {
	b.declare()
	b.refactor()
	b.checkAddresses(slices.Concat(b.Targets, b.Excludes, b.Replace))
	b.levels = b.root.Tree.Order(b.Targets, b.Excludes)
	for _, level := range b.levels {
		b.root.level(level)
	}
	b.reportBreaches()
	if b.RefreshOnly && b.ctx.Err() == nil {
		return b.refreshOnly()
	}
	outputs, checks := b.root.output.All(b.limited()), b.checks()
	if b.ctx.Err() != nil {
		b.Report(diag.Errorf(nil, "Planning was interrupted", "No plan was made, and nothing was changed."))
	}
	diags := b.Sorted()
	if diags.HasErrors() {
		return nil, diags
	}
	p := b.newPlan()
	p.Nodes = b.nodes(p)
	if !b.Compared {
		b.protect(p.Nodes)
	}
	p.Outputs = slices.DeleteFunc(outputs, func(o *plan.Output) bool { return o.Expr != nil && b.waitsForPruned(o.DependsOn) })
	p.Checks = slices.DeleteFunc(checks, func(c *plan.CheckBlock) bool { return b.waitsForPruned(c.DependsOn) })
	p.Secrets = secretNames(p)
	b.sealPlan(p)
	if b.Compared {
		return b.finished(p)
	}
	b.root.estimate.Finish(p)
	budget := estimate.Budget{Module: b.root.Module, Environment: b.Environment}
	if b.Store != nil {
		budget.Runs = b.Store.Runs()
	}
	p.Budget = budget.Evaluate(b.started)
	budget.Check(p)
	return b.finished(p)
}

// checks returns the checks of all modules.
func (b *builder) checks() []*plan.CheckBlock {
	var all []*plan.CheckBlock
	for _, m := range b.root.Tree.Modules() {
		all = append(all, b.root.of[m].output.Checks()...)
	}
	return all
}

// finished returns the plan, or nil if there are errors.
func (b *builder) finished(p *plan.Plan) (*plan.Plan, hcl.Diagnostics) {
	diags := b.Sorted()
	if diags.HasErrors() {
		return nil, diags
	}
	return p, diags
}

// limited reports whether -target or -exclude may leave something out.
func (b *builder) limited() bool { return len(b.Targets) > 0 || len(b.Excludes) > 0 }

func (b *builder) newPlan() *plan.Plan {
	p := &plan.Plan{
		Format: plan.Format, QuernVersion: b.QuernVersion, Created: b.started,
		Environment: b.Environment, Destroy: b.Destroy, RefreshOnly: b.RefreshOnly,
		Partial: b.limited(), Moves: b.moves,
		Plugins: b.Plugins.Describe(), Variables: b.root.Secrets.Open(), Pins: b.pins.Used(),
	}
	for name, config := range b.configs {
		if described, ok := p.Plugins[name]; ok {
			described.Config = config
			p.Plugins[name] = described
		}
	}
	if b.State != nil {
		p.State = plan.StateRef{Lineage: b.State.Lineage, Serial: b.State.Serial}
	}
	return p
}

// waitsForPruned reports whether an output or a check needs an instance that
// -target or -exclude left out. It then stays as it is.
func (b *builder) waitsForPruned(dependsOn []string) bool {
	return slices.ContainsFunc(dependsOn, func(stage string) bool { return b.partial[stage] })
}
