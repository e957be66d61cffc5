package planner

import (
	"maps"
	"slices"

	"github.com/quern-dev/quern/internal/dag"
	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/kind"
	"github.com/quern-dev/quern/planner/module"
	"github.com/quern-dev/quern/planner/plan"
)

// checkAddresses reports addresses in flags that do not exist.
func (b *builder) checkAddresses(addresses []addr.Instance) {
	if b.IgnoreUnknown {
		return
	}
	for _, a := range addresses {
		if b.root.Tree.Declared(a.Stage) || b.prior[a.String()] != nil {
			continue
		}
		if err := a.CheckModule(maps.Keys(b.prior)); err != nil {
			b.Report(diag.Of(err)...)
			continue
		}
		var names []string
		for _, m := range b.root.Tree.Modules() {
			for _, s := range m.Stages() {
				names = append(names, s.Addr.String())
			}
		}
		b.Report(diag.Errorf(nil, "Unknown address", "Stage %s does not exist.%s", a.Stage, diag.Suggest(a.Stage.String(), names)))
	}
}

// checkInstances reports addresses in flags whose stage exists but has no such
// instance.
func (b *builder) checkInstances() {
	if b.IgnoreUnknown {
		return
	}
	for _, a := range slices.Concat(b.Targets, b.Excludes, b.Replace) {
		s := b.root.Tree.Stage(a.Stage)
		if s == nil || !s.Planned() || s.Broken() || s.Deferral() != nil || b.prior[a.String()] != nil ||
			slices.ContainsFunc(s.Instances(), func(n *module.Instance) bool { return module.Means(a, n.Addr) }) {
			continue
		}
		there := "The stage has no instances."
		if names := s.Names(); len(names) > 0 {
			there = "The instances of the stage are: " + diag.List(names) + "."
		}
		b.Report(diag.Errorf(nil, "Unknown address", "Instance %s does not exist. %s", a, there))
	}
}

// means reports whether one of the addresses in a flag refers to an instance.
func means(flags []addr.Instance, n *module.Instance) bool {
	return slices.ContainsFunc(flags, func(a addr.Instance) bool { return module.Means(a, n.Addr) })
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
				all = append(all, b.deferred(s)...)
			}
		}
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
	b.addCredentials(gone)
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
		b.partial[n.Addr.Stage] = true
	}
	return kept
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
