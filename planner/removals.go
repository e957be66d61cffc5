package planner

import (
	"maps"
	"slices"
	"strconv"

	"github.com/hashicorp/hcl/v2"

	"github.com/quern-dev/quern/internal/dag"
	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/planner/decode"
	"github.com/quern-dev/quern/planner/module"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/store/state"
)

// orphans returns the nodes for instances that are in the state but no longer
// in the configuration. If only a part is planned, they are those that -target
// names.
func (b *builder) orphans(all []*module.Instance) []*plan.Node {
	if b.State == nil || b.Compared || len(b.Excludes) > 0 {
		return nil
	}
	there := make(map[string]bool, len(all))
	for _, n := range all {
		there[n.Address] = true
		there[n.MovedFrom] = true
	}
	gone := map[string]*state.Instance{}
	for address, i := range b.prior {
		if !there[address] && !b.decidedLater(address) {
			gone[address] = i
		}
	}
	if !b.limited() && len(all) > 0 {
		b.warnOfOthers(gone)
	}
	for address, i := range b.waiting() {
		if !there[address] && !b.decidedLater(address) {
			gone[address] = i
		}
	}
	maps.DeleteFunc(gone, func(address string, _ *state.Instance) bool { return !b.targeted(address) })
	deposed := b.deposed(gone, there)
	return append(b.kept(removals(gone, "is no longer in the configuration")), deposed...)
}

// waiting returns the stages that wait for something and have no result yet.
func (b *builder) waiting() map[string]*state.Instance {
	out := map[string]*state.Instance{}
	for address, p := range b.pending {
		if b.prior[address] == nil {
			out[address] = &state.Instance{Address: address, Kind: p.Kind, Type: p.Type}
		}
	}
	return out
}

// warnOfOthers warns if a store that pipelines can share has nothing of this one in the
// environment, but stages of what is probably another one, which the plan removes.
func (b *builder) warnOfOthers(gone map[string]*state.Instance) {
	s := b.Module.Settings.Store
	if s == nil || s.Path == "" || len(gone) == 0 || len(gone) < len(b.prior) {
		return
	}
	b.Report(diag.Warningf(s.Range.Ptr(), "The environment may belong to another pipeline",
		"Environment %q of the store contains %s, such as %s. This pipeline has none of them, so the plan removes them. Pipelines that share a store also share its environments: give this pipeline its own with -env or QUERN_ENV.",
		b.Environment, english.Count(len(gone), "instance"), ordered.Keys(gone)[0]))
}

// removals returns the nodes that remove instances, each after the instances
// that use it: an instance's DependsOn are those that needed it.
func removals(gone map[string]*state.Instance, why string) []*plan.Node {
	addresses := ordered.Keys(gone)
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
			// According to the state, the two need each other, so no order is
			// right.
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

// destroy plans to delete all deployments and to forget the rest.
func (b *builder) destroy() (*plan.Plan, hcl.Diagnostics) {
	b.declare()
	b.Clear() // a stage with errors can be destroyed, too
	b.refactor()
	b.checkAddresses(slices.Concat(b.Targets, b.Excludes))
	p := b.newPlan()
	gone := b.waiting()
	maps.Copy(gone, b.prior)
	maps.DeleteFunc(gone, func(address string, _ *state.Instance) bool { return !b.targeted(address) })
	p.Nodes = removals(gone, "everything is destroyed")
	b.protect(p.Nodes)
	b.canDelete(p.Nodes)
	if !b.limited() {
		p.Outputs = b.root.output.Removed(nil)
	}
	p.Secrets = secretNames(p)
	return b.finished(p)
}

// targeted reports whether -target and -exclude leave an instance in the state in
// the plan.
func (b *builder) targeted(address string) bool {
	if !b.limited() {
		return true
	}
	a, err := addr.Parse(address)
	if err != nil {
		return len(b.Targets) == 0
	}
	means := func(t addr.Target) bool { return t.Contains(a) }
	return (len(b.Targets) == 0 || slices.ContainsFunc(b.Targets, means)) && !slices.ContainsFunc(b.Excludes, means)
}

// canDelete checks that the plugins are available that delete deployments, and adds their
// credentials. Otherwise, an apply would find out only after everything else.
func (b *builder) canDelete(nodes []*plan.Node) {
	for _, n := range nodes {
		if n.Action != plan.Delete {
			continue
		}
		if _, _, err := b.Plugins.Type(n.Kind, n.Type, n.Plugin); err != nil {
			b.Report(diag.Errorf(nil, "Deployment cannot be deleted",
				"The plan deletes %s (%s %q): %s. Add the plugin again, in a version that has this type, and run quern init; or run quern state rm %s to forget the deployment and leave it in place.",
				n.Address, n.Kind, n.Type, err, strconv.Quote(n.Address)))
			continue
		}
		b.addCredentials(n)
	}
}

// addCredentials adds the sensitive arguments of its block to a node that deletes a
// deployment. The state does not contain them, and a plugin cannot delete without
// its credentials. If they are not available, addCredentials reports what is needed.
func (b *builder) addCredentials(n *plan.Node) {
	prior := b.deployedAs(n)
	if prior == nil || prior.Deployment == nil || len(prior.Deployment.Sensitive) == 0 {
		return
	}
	body, why := b.decoderOf(n.Address).Credentials(n.Address, prior)
	if body == nil {
		b.Report(diag.Errorf(nil, "Missing credentials",
			"The plan deletes %s, which was deployed with the sensitive %s. The state does not store sensitive arguments. %s Restore the block of %s, set its variables, and run quern destroy -target=%s; or run quern state rm %s to forget the deployment and leave it in place.",
			n.Address, diag.List(prior.Deployment.Sensitive), why, n.Address, strconv.Quote(n.Address), strconv.Quote(n.Address)))
		return
	}
	n.Body = body
}

// deployedAs returns the instance in the state whose deployment a node deletes, or nil.
// The plan may replace the deployment first.
func (b *builder) deployedAs(n *plan.Node) *state.Instance {
	if i := b.prior[n.Address]; i != nil {
		return i
	}
	a, err := addr.Parse(n.Address)
	if err != nil {
		return nil
	}
	return b.prior[a.Current().String()]
}

// decoderOf returns the decoder of the module that an address is in, or that of the
// root module if no block calls it. The module may have no such instance anymore.
func (b *builder) decoderOf(address string) *decode.Decoder {
	a, err := addr.Parse(address)
	if err != nil {
		return b.root.decode
	}
	at := b.root
	for _, call := range a.Module.Calls() {
		m := b.root.Tree.Module(at.Addr.Child(call.Name, call.Key))
		if m == nil {
			m = at.expand.Former(call)
		}
		if m == nil {
			return b.root.decode
		}
		at = b.root.of[m]
	}
	return at.decode
}
