package planner

import (
	"iter"
	"slices"

	"github.com/hashicorp/hcl/v2"

	"github.com/quern-dev/quern/internal/dag"
	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/kind"
	"github.com/quern-dev/quern/planner/module"
	"github.com/quern-dev/quern/planner/plan"
)

// checkAddresses reports addresses in flags that do not exist.
func (b *builder) checkAddresses(targets []addr.Target) {
	if b.IgnoreUnknown {
		return
	}
	for _, t := range targets {
		if b.root.Tree.Declares(t) || b.inState(t) {
			continue
		}
		if t.IsModule() {
			b.Report(diag.Errorf(nil, "Unknown address", "Module %s does not exist.%s", t, diag.Suggest(t.String(), b.moduleNames())))
			continue
		}
		if err := t.Stage().CheckModule(b.addresses()); err != nil {
			b.Report(diag.Of(err)...)
			continue
		}
		b.Report(diag.Errorf(nil, "Unknown address", "Stage %s does not exist.%s", t.Stage(), diag.Suggest(t.Stage().String(), slices.Collect(b.addresses()))))
	}
}

// inState reports whether the state has what an address in a flag means.
func (b *builder) inState(t addr.Target) bool {
	if !t.IsModule() {
		return b.prior[t.String()] != nil
	}
	for address := range b.prior {
		if a, err := addr.Parse(address); err == nil && t.Contains(a) {
			return true
		}
	}
	return false
}

// addresses yields the addresses of all stages, and of all instances in the state.
func (b *builder) addresses() iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, m := range b.root.Tree.Modules() {
			for _, s := range m.Stages() {
				if !yield(s.Addr.String()) {
					return
				}
			}
		}
		for address := range b.prior {
			if !yield(address) {
				return
			}
		}
	}
}

func (b *builder) moduleNames() []string {
	var names []string
	for _, m := range b.root.Tree.Modules()[1:] {
		names = append(names, m.Addr.String())
	}
	return names
}

// checkInstances reports addresses in flags whose stage or module exists but has no
// such instance.
func (b *builder) checkInstances() {
	if b.IgnoreUnknown {
		return
	}
	for _, t := range slices.Concat(b.Targets, b.Excludes, b.Replace) {
		if b.inState(t) || b.awaited(t) {
			continue
		}
		if d := b.noInstance(t); d != nil {
			b.Report(d)
		}
	}
}

// noInstance returns the error about an address in a flag that means no instance,
// or nil if it means one, or if that is not known because of errors.
func (b *builder) noInstance(t addr.Target) *hcl.Diagnostic {
	if t.IsModule() {
		if slices.ContainsFunc(b.root.Tree.Modules(), func(m *module.Module) bool { return t.Contains(addr.Instance{Stage: addr.Stage{Module: m.Addr}}) }) {
			return nil
		}
		return diag.Errorf(nil, "Unknown address", "Module %s does not exist. The modules are: %s.", t, diag.List(b.moduleNames()))
	}
	var names []string
	for _, s := range b.stagesOf(t) {
		if !s.Planned() || s.Broken() || s.Deferral() != nil || slices.ContainsFunc(s.Instances(), func(n *module.Instance) bool { return t.Contains(n.Addr) }) {
			return nil
		}
		names = append(names, s.Names()...)
	}
	there := "The stage has no instances."
	if len(names) > 0 {
		there = "The instances of the stage are: " + diag.List(names) + "."
	}
	return diag.Errorf(nil, "Unknown address", "Instance %s does not exist. %s", t, there)
}

// stagesOf returns the stages that a target means, whatever its keys.
func (b *builder) stagesOf(t addr.Target) []*module.Stage {
	var stages []*module.Stage
	for _, m := range b.root.Tree.Modules() {
		s := m.Stage(t.Stage().In(addr.Module{}))
		if s != nil && (addr.Target{Module: t.Module, Kind: t.Kind, Name: t.Name}).Contains(addr.Instance{Stage: s.Addr}) {
			stages = append(stages, s)
		}
	}
	return stages
}

// means reports whether one of the addresses in a flag refers to an instance.
func means(flags []addr.Target, n *module.Instance) bool {
	return slices.ContainsFunc(flags, func(t addr.Target) bool { return t.Contains(n.Addr) })
}

// nodes collects the plan's nodes: the instances that were decided, and then
// those that are in the state and no longer configured.
func (b *builder) nodes(p *plan.Plan) []*plan.Node {
	var all []*module.Instance
	for _, level := range b.levels {
		for _, s := range level.Stages {
			if s.Broken() && !b.validating {
				s.Module.Report(diag.Errorf(s.Config.DeclRange.Ptr(), "Cannot plan this stage", "A stage that it depends on has errors."))
			}
			if kind.Of(s.Config.Addr.Kind).IsStage() {
				all = append(all, s.Instances()...)
			}
		}
		all = append(all, b.deferred(level)...)
	}
	b.checkInstances()
	b.checkBlocks(all)
	gone := b.orphans(all)
	all = b.withoutDeferred(p, b.pruned(all))
	p.Models = models(all)
	nodes := make([]*plan.Node, 0, len(all))
	for _, n := range all {
		b.gateReasons(n.Node)
		nodes = append(nodes, n.Node)
	}
	gone = append(gone, b.replaced(nodes)...)
	deleteLast(nodes, gone)
	b.canDelete(gone)
	b.succeeding(nodes)
	return append(nodes, gone...)
}

// models returns the language models that the plan's nodes use.
func models(nodes []*module.Instance) map[string]*plan.Model {
	used := map[string]*plan.Model{}
	for _, n := range nodes {
		for _, h := range module.Artifacts(n.Inputs) {
			if m := h.From.Model; m != nil {
				used[m.Address] = m
			}
		}
	}
	return used
}

// pruned applies -target and -exclude, and records the stages that they leave
// out.
func (b *builder) pruned(all []*module.Instance) []*module.Instance {
	if !b.limited() {
		return all
	}
	index := make(map[string]int, len(all))
	for i, n := range all {
		index[n.Address] = i
	}
	g := make(dag.Graph, len(all))
	var targets, excludes []int
	for i, n := range all {
		for _, d := range n.DependsOn {
			if j, ok := index[d]; ok {
				g[i] = append(g[i], j)
			}
		}
		if means(b.Targets, n) || b.mayMean(b.Targets, n) {
			targets = append(targets, i)
		}
		if means(b.Excludes, n) {
			excludes = append(excludes, i)
		}
	}
	needed := g.Needs(targets...)
	excluded := g.Reverse().Needs(excludes...)
	var kept []*module.Instance
	for i, n := range all {
		if (len(b.Targets) == 0 || needed[i]) && !excluded[i] {
			kept = append(kept, n)
			continue
		}
		b.partial[stageAddress(n)] = true
	}
	return kept
}

// stageAddress returns the address of the stage of an instance, or of the module
// whose place it takes.
func stageAddress(n *module.Instance) string {
	if n.Kind == plan.KindModule {
		return n.Address
	}
	return n.Addr.Stage.String()
}

// gateReasons adds the gates that an instance to be run waits for.
func (b *builder) gateReasons(n *plan.Node) {
	if n.Action == plan.Keep {
		return
	}
	for _, d := range n.DependsOn {
		if addr.KindOf(d) != kind.Gate { // parsing all addresses is slow
			continue
		}
		a, err := addr.Parse(d)
		if err != nil {
			continue
		}
		if s := b.root.Tree.Stage(a.Stage); s != nil {
			for _, g := range s.Instances() {
				if g.Address == d && g.Action == plan.Check {
					n.Reasons = append(n.Reasons, plan.Reason{Code: plan.BecauseDepends, Subject: d, Text: "only if " + d + " passes"})
				}
			}
		}
	}
}
