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
)

// phases are the phases of planning for one module. Each level goes through all
// of them before the next one begins: the instances of a level are expanded,
// decoded, and checked by what earlier levels have published. All modules share
// the phases that do not evaluate expressions, so that plugins are asked about the
// instances of all modules at once.
type phases struct {
	*module.Module
	expand *expand.Expander
	decode *decode.Decoder
	output *output.Outputs
	*shared
}

type shared struct {
	prepare  *prepare.Preparer
	decide   *decide.Decider
	estimate *estimate.Estimator
	// of are the phases of all modules.
	of map[*module.Module]*phases
}

// newPhases returns the phases of the root module. Those of others are added as
// the modules are created.
func (b *builder) newPhases(c *config.Module, variables map[string]cty.Value) *phases {
	settings := module.Settings{
		Variables: variables, Once: b.Once, Validating: b.validating, Started: b.started,
		Version: b.QuernVersion, Environment: b.Environment, StartedIn: b.StartedIn, Foreign: b.foreign,
	}
	if b.Continues != nil {
		settings.Settled = b.settled
	}
	tree := module.NewTree(c, settings, b.secrets, b.Collector)
	m := tree.Root
	conditions := &condition.Conditions{Module: m, RefreshOnly: b.RefreshOnly || b.adopting}
	s := &shared{
		prepare: &prepare.Preparer{
			Module: m, Context: b.ctx, Conditions: conditions, Processes: b.processes,
			Cache: b.prepared, Pins: b.pins, Prior: b.prior, Refresh: b.Refresh && b.adopts == "", Columns: b.storedColumns(),
		},
		decide: &decide.Decider{
			Module: m, Context: b.ctx, Conditions: conditions, Processes: b.processes,
			Store: b.Store, Prior: b.prior, Pending: b.pending, Replace: b.Replace, Refresh: b.Refresh, RefreshOnly: b.RefreshOnly,
			Adopting: b.adopting, Environment: b.Environment,
			TakeOver: b.State != nil && !b.limited(), Keeps: b.keeps, Imports: b.imports,
		},
		estimate: estimate.New(m, estimate.Options{
			Context: b.ctx, Processes: b.processes, Store: b.Store, Prior: b.prior,
			Refresh: b.Refresh && b.adopts == "", Environment: b.Environment, Cache: b.prepared,
		}),
		of: map[*module.Module]*phases{},
	}
	tree.New = func(m *module.Module) { b.addPhases(m, s) }
	return b.addPhases(m, s)
}

func (b *builder) addPhases(m *module.Module, s *shared) *phases {
	conditions := &condition.Conditions{Module: m, RefreshOnly: b.RefreshOnly || b.adopting}
	expander := &expand.Expander{Module: m}
	p := &phases{
		Module: m, shared: s, expand: expander,
		decode: &decode.Decoder{Expander: expander, Conditions: conditions, Plugins: b.Plugins},
		output: &output.Outputs{Module: m, Conditions: conditions, Store: b.Store},
	}
	if b.State != nil && m.Addr.IsRoot() {
		p.output.Prior = b.State.Outputs
	}
	s.of[m] = p
	return p
}

// Expand creates the instances of a module that m calls.
func (s *shared) Expand(m *module.Module, c *config.Call) { s.of[m].expand.Call(c) }

// CheckInput checks the validations of an input of m.
func (s *shared) CheckInput(m *module.Module, in *module.Input) { s.of[m].output.CheckInput(in) }

// CheckOutput checks the preconditions of an output of m.
func (s *shared) CheckOutput(m *module.Module, out *module.Output) { s.of[m].output.CheckOutput(out) }

// partSize is the number of stages of a level that go through the phases together:
// enough for all processors and for the largest calls of plugins. What the phases pass on to each
// other about more stages would be a large part of the memory of a large plan.
const partSize = 1024

// level takes stages and values that do not depend on each other through the
// phases and publishes the instances.
func (s *shared) level(l *module.Level) {
	l.Enter(s)
	expanded := make([][]*expand.Instance, len(l.Stages))
	parallel.For(len(l.Stages), runtime.GOMAXPROCS(0), func(i int) {
		if m := l.Stages[i].Module; m.Begin(l.Stages[i]) {
			expanded[i] = s.of[m].expand.Expand(l.Stages[i])
		}
	})
	for begin := 0; begin < len(expanded); begin += partSize {
		end := min(begin+partSize, len(expanded))
		s.publish(l.Stages[begin:end], slices.Concat(expanded[begin:end]...))
		clear(expanded[begin:end])
	}
	l.Leave()
}

// publish takes the instances of stages through the other phases and publishes them.
func (s *shared) publish(stages []*module.Stage, all []*expand.Instance) {
	s.prefetch(all)
	published := map[addr.Stage][]*module.Instance{}
	for _, n := range s.decided(all) {
		published[n.Addr.Stage] = append(published[n.Addr.Stage], n)
	}
	for _, stage := range stages {
		stage.Publish(published[stage.Addr])
	}
}

// decided takes expanded instances through the other phases and leaves out
// those with errors.
func (s *shared) decided(all []*expand.Instance) []*module.Instance {
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
	ctx := s.prepare.Context
	decoder := func(n *expand.Instance) *decode.Decoder { return s.of[n.Stage.Module].decode }
	done := phase.Each(ctx, prompts, func(n *expand.Instance) *module.Instance { return decoder(n).DecodePrompt(n) })
	done = append(done, phase.Each(ctx, gates, func(n *expand.Instance) *module.Instance {
		if !decoder(n).DecodeGate(n) {
			return nil
		}
		return s.decide.DecideGate(n)
	})...)
	decoded := phase.Each(ctx, typed, func(n *expand.Instance) *decode.Instance { return decoder(n).Decode(n) })
	decided := s.decide.Decide(s.prepare.Prepare(decoded))
	return append(done, phase.Each(ctx, decided, func(n *decide.Instance) *module.Instance {
		s.estimate.Estimate(n)
		return n.Publish()
	})...)
}
