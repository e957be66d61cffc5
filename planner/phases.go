package planner

import (
	"runtime"
	"slices"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/kind"
	"github.com/quern-dev/quern/planner/condition"
	"github.com/quern-dev/quern/planner/decide"
	"github.com/quern-dev/quern/planner/decode"
	"github.com/quern-dev/quern/planner/estimate"
	"github.com/quern-dev/quern/planner/expand"
	"github.com/quern-dev/quern/planner/module"
	"github.com/quern-dev/quern/planner/output"
	"github.com/quern-dev/quern/planner/phase"
	"github.com/quern-dev/quern/planner/prepare"
	"github.com/quern-dev/quern/sdk/go/host/parallel"
	"github.com/quern-dev/quern/store/state"
)

// phases are the phases of planning for one module. Each level goes through all
// of them before the next one begins: the instances of a level are expanded,
// decoded, and checked by what earlier levels have published.
type phases struct {
	*module.Module
	expand   *expand.Expander
	decode   *decode.Decoder
	prepare  *prepare.Preparer
	decide   *decide.Decider
	estimate *estimate.Estimator
	output   *output.Outputs
}

func (b *builder) newPhases(c *config.Module, variables map[string]cty.Value) *phases {
	m := module.New(c, module.Settings{
		Variables: variables, Validating: b.validating, Started: b.started,
		Version: b.QuernVersion, Environment: b.Environment, StartedIn: b.StartedIn,
	}, b.secrets, b.Collector)
	conditions := &condition.Conditions{Module: m, RefreshOnly: b.RefreshOnly}
	expander := &expand.Expander{Module: m}
	var outputs map[string]*state.Output
	if b.State != nil {
		outputs = b.State.Outputs
	}
	return &phases{
		Module: m,
		expand: expander,
		decode: &decode.Decoder{Expander: expander, Conditions: conditions, Plugins: b.Plugins},
		prepare: &prepare.Preparer{
			Module: m, Context: b.ctx, Conditions: conditions, Processes: b.processes,
			Cache: b.prepared, Pins: b.pins, Prior: b.prior, Refresh: b.Refresh,
		},
		decide: &decide.Decider{
			Module: m, Context: b.ctx, Conditions: conditions, Processes: b.processes,
			Store: b.Store, Prior: b.prior, Pending: b.pending, Replace: b.Replace, Refresh: b.Refresh, RefreshOnly: b.RefreshOnly,
			TakeOver: b.State != nil && !b.limited(), Keeps: b.keeps, Imports: b.imports,
		},
		estimate: estimate.New(m, estimate.Options{
			Context: b.ctx, Processes: b.processes, Store: b.Store, Prior: b.prior,
			Refresh: b.Refresh, Environment: b.Environment, Cache: b.prepared,
		}),
		output: &output.Outputs{Module: m, Conditions: conditions, Store: b.Store, Prior: outputs},
	}
}

// level takes stages and locals that do not depend on each other through the
// phases and publishes the instances.
func (p *phases) level(l module.Level) {
	for _, local := range l.Locals {
		p.EvaluateLocal(local)
	}
	expanded := make([][]*expand.Instance, len(l.Stages))
	parallel.For(len(l.Stages), runtime.GOMAXPROCS(0), func(i int) {
		if p.Begin(l.Stages[i]) {
			expanded[i] = p.expand.Expand(l.Stages[i])
		}
	})
	published := map[addr.Stage][]*module.Instance{}
	for _, n := range p.decided(slices.Concat(expanded...)) {
		published[n.Addr.Stage] = append(published[n.Addr.Stage], n)
	}
	for _, s := range l.Stages {
		s.Publish(published[s.Config.Addr])
	}
}

// decided takes expanded instances through the other phases and leaves out
// those with errors.
func (p *phases) decided(all []*expand.Instance) []*module.Instance {
	var prompts, gates, typed []*expand.Instance
	for _, n := range all {
		switch {
		case n.Stage.Type != nil:
			typed = append(typed, n)
		case n.Kind == kind.Prompt:
			prompts = append(prompts, n)
		default:
			gates = append(gates, n)
		}
	}
	ctx := p.prepare.Context
	done := phase.Each(ctx, prompts, p.decode.DecodePrompt)
	done = append(done, phase.Each(ctx, gates, func(n *expand.Instance) *module.Instance {
		if !p.decode.DecodeGate(n) {
			return nil
		}
		return p.decide.DecideGate(n)
	})...)
	decoded := phase.Each(ctx, typed, p.decode.Decode)
	decided := p.decide.Decide(p.prepare.Prepare(decoded))
	return append(done, phase.Each(ctx, decided, func(n *decide.Instance) *module.Instance {
		p.estimate.Estimate(n)
		return n.Publish()
	})...)
}
