package planner

import (
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/quern-dev/quern/internal/dag"
	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/eval"
	"github.com/quern-dev/quern/lang/kind"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/store/state"
)

// wanted marks the vertices that the plan is about; nil: all.
func (b *builder) wanted(g dag.Graph, all []vertex) []bool {
	for _, list := range [][]addr.Instance{b.Targets, b.Excludes, b.Replace} {
		b.checkAddresses(list)
	}
	if len(b.Targets) == 0 && len(b.Excludes) == 0 {
		return nil
	}
	wanted := make([]bool, len(all))
	for i := range wanted {
		wanted[i] = len(b.Targets) == 0
	}
	if len(b.Targets) > 0 {
		wanted = g.Needs(indices(all, b.Targets, false)...)
	}
	for i, excluded := range g.Reverse().Needs(indices(all, b.Excludes, true)...) {
		wanted[i] = wanted[i] && !excluded
	}
	return wanted
}

// indices are the vertices of addresses: of whole stages only, where whole is
// set.
func indices(all []vertex, addresses []addr.Instance, whole bool) []int {
	var found []int
	for i, v := range all {
		for _, a := range addresses {
			if v.stage != nil && v.stage.cfg.Addr == a.Stage && (!whole || !a.HasKey()) {
				found = append(found, i)
			}
		}
	}
	return found
}

// checkAddresses reports addresses given by flags that nothing has.
func (b *builder) checkAddresses(addresses []addr.Instance) {
	for _, a := range addresses {
		if b.byAddress[a.Stage] != nil || b.prior[a.String()] != nil {
			continue
		}
		var names []string
		for _, s := range b.stages {
			names = append(names, s.cfg.Addr.String())
		}
		b.report(diag.Errorf(nil, "Unknown address", "Stage %s does not exist.%s", a.Stage, diag.Suggest(a.Stage.String(), names)))
	}
}

// checkInstances reports addresses given by flags whose stage is there, but has
// no such instance.
func (b *builder) checkInstances() {
	for _, a := range slices.Concat(b.Targets, b.Excludes, b.Replace) {
		s := b.byAddress[a.Stage]
		if s == nil || !b.planned[s] || s.broken || b.prior[a.String()] != nil ||
			slices.ContainsFunc(s.instances, func(n *node) bool { return n.matches(a) }) {
			continue
		}
		var names []string
		for _, n := range s.instances {
			names = append(names, n.Address)
		}
		there := "The stage has no instances."
		if len(names) > 0 {
			there = "The instances of the stage are: " + diag.List(names) + "."
		}
		b.report(diag.Errorf(nil, "Unknown address", "Instance %s does not exist. %s", a, there))
	}
}

// matches says whether an address given by a flag means the instance.
func (n *node) matches(a addr.Instance) bool {
	return a.Stage == n.address.Stage && (!a.HasKey() || a.String() == n.Address)
}

// nodes puts the plan's nodes together: what was decided, then what is in the
// state and no longer configured.
func (b *builder) nodes(p *plan.Plan) []*plan.Node {
	var all []*node
	for _, level := range b.levels {
		for _, v := range level {
			if v.stage == nil {
				continue
			}
			if v.stage.broken && !b.validating {
				subject := v.stage.cfg.DeclRange
				b.report(diag.Errorf(&subject, "Cannot plan this stage", "A stage that it depends on has errors."))
			}
			all = append(all, v.stage.instances...)
		}
	}
	for _, n := range all {
		b.dependencies(n)
	}
	all = slices.DeleteFunc(all, (*node).notCarriedOut)
	b.checkInstances()
	all = b.pruned(all)
	p.Models = b.models(all)
	nodes := make([]*plan.Node, 0, len(all))
	for _, n := range all {
		b.gateReasons(n)
		nodes = append(nodes, n.Node)
	}
	if !p.Partial {
		gone := b.orphans(nodes)
		b.addCredentials(gone)
		nodes = append(nodes, gone...)
	}
	return nodes
}

// dependencies notes what must come before an instance: where its inputs come
// from, and what its expressions refer to.
func (b *builder) dependencies(n *node) {
	depends := map[string]bool{}
	for _, h := range n.artifacts() {
		if !h.node.notCarriedOut() {
			depends[h.node.Address] = true
			continue
		}
		for _, d := range h.node.DependsOn {
			depends[d] = true
		}
	}
	for _, p := range n.prompts {
		for _, d := range p.DependsOn {
			depends[d] = true
		}
	}
	if n.Body != nil {
		refs, _ := n.Body.Refs()
		for _, ref := range refs {
			if a, err := addr.Parse(ref); err == nil {
				b.addInstances(depends, n, stageRef{stage: a.Stage, key: a})
			}
		}
	}
	for _, a := range n.stage.valueRefs(b) {
		b.addInstances(depends, n, a)
	}
	for _, t := range n.stage.cfg.DependsOn {
		if a, _, ok := addr.FromTraversal(t); ok {
			b.addInstances(depends, n, stageRef{stage: a.Stage, key: a})
		}
	}
	delete(depends, n.Address)
	n.DependsOn = sortedKeys(depends)
	if n.model != nil {
		n.model.DependsOn = n.DependsOn
	}
}

// artifacts are all that an instance is or may be given.
func (n *node) artifacts() []*handle {
	var all []*handle
	for _, key := range sortedKeys(n.inputs) {
		all = append(all, n.inputs[key].each()...)
	}
	return all
}

// notCarriedOut says of a model or a prompt that it is no node of the plan.
func (n *node) notCarriedOut() bool { return !kind.Of(n.Kind).IsStage() }

func (b *builder) addInstances(depends map[string]bool, n *node, r stageRef) {
	s := b.byAddress[r.stage]
	if s == nil {
		return
	}
	if r.index != nil {
		if v, diags := eval.Value(r.index, n.scope.values); !diags.HasErrors() && v.IsKnown() && !v.IsNull() && !v.IsMarked() {
			r.key = addr.Instance{Stage: r.stage, Key: v}
		}
	}
	if r.key.HasKey() {
		name := r.key.String()
		for _, i := range s.instances {
			if i.Address == name {
				depends[name] = true
				return
			}
		}
	}
	for _, i := range s.instances {
		if !i.notCarriedOut() {
			depends[i.Address] = true
			continue
		}
		for _, d := range i.DependsOn {
			depends[d] = true
		}
	}
}

// pruned leaves out instances that -target or -exclude leave out, and notes
// their stages.
func (b *builder) pruned(all []*node) []*node {
	if len(b.Targets) == 0 && len(b.Excludes) == 0 {
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
		if slices.ContainsFunc(b.Targets, n.matches) {
			targets = append(targets, i)
		}
		if slices.ContainsFunc(b.Excludes, n.matches) {
			excludes = append(excludes, i)
		}
	}
	needed := g.Needs(targets...)
	excluded := g.Reverse().Needs(excludes...)
	var kept []*node
	for i, n := range all {
		if (len(b.Targets) == 0 || needed[i]) && !excluded[i] {
			kept = append(kept, n)
			continue
		}
		b.partial[n.address.Stage] = true
	}
	return kept
}

// gateReasons adds the gates that an instance to be carried out waits for.
func (b *builder) gateReasons(n *node) {
	if n.Action == plan.Keep {
		return
	}
	for _, d := range n.DependsOn {
		if !strings.HasPrefix(d, "gate.") { // to parse all addresses takes long
			continue
		}
		a, err := addr.Parse(d)
		if err != nil {
			continue
		}
		if s := b.byAddress[a.Stage]; s != nil {
			for _, g := range s.instances {
				if g.Address == d && g.Action == plan.Check {
					n.Reasons = append(n.Reasons, plan.Reason{Code: plan.BecauseDepends, Subject: d, Text: "only if " + d + " passes"})
				}
			}
		}
	}
}

// orphans are the nodes for what the state has and the configuration does not
// have any more.
func (b *builder) orphans(nodes []*plan.Node) []*plan.Node {
	if b.State == nil {
		return nil
	}
	there := make(map[string]bool, len(nodes))
	for _, n := range nodes {
		there[n.Address] = true
		there[n.MovedFrom] = true
	}
	gone := map[string]*state.Instance{}
	for address, i := range b.prior {
		if !there[address] {
			gone[address] = i
		}
	}
	return removals(gone, "is no longer in the configuration")
}

// removals makes the nodes that take instances away, users of something before
// it: an instance's DependsOn are those that needed it.
func removals(gone map[string]*state.Instance, why string) []*plan.Node {
	addresses := sortedKeys(gone)
	index := make(map[string]int, len(addresses))
	for i, address := range addresses {
		index[address] = i
	}
	g := make(dag.Graph, len(addresses))
	for i, address := range addresses {
		for _, d := range gone[address].DependsOn {
			if j, ok := index[d]; ok && j != i {
				g[j] = append(g[j], i)
			}
		}
	}
	var nodes []*plan.Node
	placed := map[int]bool{}
	for _, level := range g.Levels() {
		for _, i := range level {
			placed[i] = true
			n := removal(gone[addresses[i]], addresses[i], why)
			for _, j := range g[i] {
				n.DependsOn = append(n.DependsOn, addresses[j])
			}
			slices.Sort(n.DependsOn)
			n.DependsOn = slices.Compact(n.DependsOn)
			nodes = append(nodes, n)
		}
	}
	for i, address := range addresses {
		if !placed[i] {
			// A state that says that two need each other: no order is right.
			nodes = append(nodes, removal(gone[address], address, why))
		}
	}
	return nodes
}

func removal(i *state.Instance, address, why string) *plan.Node {
	n := &plan.Node{
		Address: address, Kind: i.Kind, Type: i.Type, Plugin: i.Plugin,
		Action: plan.Forget, Reasons: []plan.Reason{{Code: plan.BecauseRemoved, Text: why}},
	}
	if i.Deployment != nil {
		n.Action, n.Mode = plan.Delete, plan.ModeDeploy
		n.Deployment = &plan.Deployment{Value: i.Deployment.Value, Private: i.Deployment.Private, Version: i.Deployment.Version}
	}
	return n
}

// destroy plans to take all deployments away, and to forget the rest.
func (b *builder) destroy() (*plan.Plan, hcl.Diagnostics) {
	b.declare()
	b.configurePlugins()
	b.diags = nil // a stage that no longer makes sense can be taken away, too
	b.checkAddresses(slices.Concat(b.Targets, b.Excludes))
	p := b.newPlan()
	gone := map[string]*state.Instance{}
	for address, i := range b.prior {
		if b.destroyed(address) {
			gone[address] = i
		}
	}
	p.Nodes = removals(gone, "everything is destroyed")
	b.protect(p.Nodes)
	b.addCredentials(p.Nodes)
	if len(b.Targets) == 0 && len(b.Excludes) == 0 {
		p.Outputs = b.removedOutputs(nil)
	}
	p.Secrets = secrets(p)
	diags := b.sorted()
	if diags.HasErrors() {
		return nil, diags
	}
	return p, diags
}

func (b *builder) destroyed(address string) bool {
	a, err := addr.Parse(address)
	if err != nil {
		return len(b.Targets) == 0
	}
	means := func(t addr.Instance) bool {
		return t.Stage == a.Stage && (!t.HasKey() || t.String() == address)
	}
	return (len(b.Targets) == 0 || slices.ContainsFunc(b.Targets, means)) && !slices.ContainsFunc(b.Excludes, means)
}
