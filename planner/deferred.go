package planner

import (
	"context"
	"fmt"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/kind"
	"github.com/quern-dev/quern/planner/module"
	"github.com/quern-dev/quern/planner/plan"
)

// Continue plans the stages that a plan deferred, when everything else in it is
// done. o.State is the state after that; the flags are those of the first plan.
// The result only changes instances of the deferred stages. It can defer some of
// them again, but not all, and stages of modules that have instances now.
func Continue(ctx context.Context, p *plan.Plan, o Options) (*plan.Plan, hcl.Diagnostics) {
	o.Continues = p.Deferred
	o.Targets, o.Excludes, o.Replace = parsed(p.Deferred.Targets), parsed(p.Deferred.Excludes), parsed(p.Deferred.Replace)
	next, diags := Build(ctx, o)
	if diags.HasErrors() {
		return nil, diags
	}
	if !slices.ContainsFunc(p.Deferred.Stages, func(s *plan.DeferredStage) bool { return !next.Deferred.Has(s.Address) }) {
		s := next.Deferred.Stages[0]
		return nil, append(diags, diag.Errorf(s.Range.Ptr(), "Instances are still not known",
			"Everything that %s depends on is done, but its for_each or count is still not known.", s.Address))
	}
	return next, append(diags, unapproved(next, p.Deferred)...)
}

// unapproved reports changes to stages that were not deferred. They are possible
// only if something outside of the run changed.
func unapproved(p *plan.Plan, deferred *plan.Deferred) hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, n := range p.Nodes {
		if n.Action != plan.Keep && !deferred.Has(n.Address) {
			diags = append(diags, diag.Errorf(n.Range.Ptr(), "Result changed during the run",
				"%s was done, but would change again: %s. Apply again to continue with a new plan.", n.Address, reasonText(n)))
		}
	}
	return diags
}

func reasonText(n *plan.Node) string {
	if len(n.Reasons) == 0 {
		return fmt.Sprintf("the plan would %s it", n.Action)
	}
	return n.Reasons[0].Text
}

func parsed(addresses []string) []addr.Target {
	var all []addr.Target
	for _, text := range addresses {
		if a, err := addr.ParseTarget(text); err == nil { // Decode has checked them
			all = append(all, a)
		}
	}
	return all
}

func texts(addresses []addr.Target) []string {
	var all []string
	for _, a := range addresses {
		all = append(all, a.String())
	}
	return all
}

// settled reports whether an earlier plan of this run covered a stage.
func (b *builder) settled(s addr.Stage) bool { return !b.Continues.Has(s.String()) }

// deferral is a deferred stage, or a call whose instances are not known yet.
type deferral struct {
	*module.Deferral
	call *module.Call
}

// deferred returns what takes the place of the deferred stages and modules of a level
// while -target and -exclude are applied.
func (b *builder) deferred(l *module.Level) []*module.Instance {
	var all []*module.Instance
	add := func(n *module.Instance, of deferral) {
		if b.deferrals == nil {
			b.deferrals = map[string]deferral{}
		}
		b.deferrals[n.Address] = of
		all = append(all, n)
	}
	for _, s := range l.Stages {
		if why := s.Deferral(); why != nil && kind.Of(s.Addr.Kind).IsStage() {
			add(&module.Instance{Addr: addr.Instance{Stage: s.Addr}, Node: &plan.Node{
				Address: s.Addr.String(), Kind: s.Addr.Kind, Type: s.Config.Type, Range: diag.NewRange(s.Config.DeclRange), DependsOn: s.NeededBy(),
			}}, deferral{Deferral: why})
		}
	}
	for _, c := range l.Deferred {
		add(&module.Instance{Addr: within(c), Node: &plan.Node{
			Address: c.Addr.String(), Kind: plan.KindModule, Range: diag.NewRange(c.Config().DeclRange), DependsOn: c.NeededBy(),
		}}, deferral{Deferral: c.Deferral(), call: c})
	}
	return all
}

// isDeferred reports whether an instance takes the place of something deferred.
func (b *builder) isDeferred(n *module.Instance) bool {
	_, ok := b.deferrals[n.Address]
	return ok
}

// mayMean reports whether one of the addresses in a flag may refer to an instance
// of a deferred stage, or to something in an instance of a deferred module.
func (b *builder) mayMean(flags []addr.Target, n *module.Instance) bool {
	d, ok := b.deferrals[n.Address]
	return ok && slices.ContainsFunc(flags, func(t addr.Target) bool {
		if d.call != nil {
			return d.mayContain(t)
		}
		if !t.IsModule() {
			t.Key = cty.NilVal
		}
		return t.Contains(n.Addr)
	})
}

// mayContain reports whether an address in a flag may lead into an instance of a
// deferred module.
func (d deferral) mayContain(t addr.Target) bool {
	path, of := t.Calls(), d.call.Addr.Calls()
	if len(path) < len(of) {
		return false
	}
	var m addr.Module
	last := len(of) - 1
	for _, step := range path[:last] {
		m = m.Child(step.Name, step.Key)
	}
	return addr.Target{Module: m, Name: path[last].Name}.Contains(within(d.call))
}

// within returns an address that a target contains if it contains the module.
func within(c *module.Call) addr.Instance {
	return addr.Instance{Stage: addr.Stage{Module: c.Module()}}
}

// awaited reports whether an address in a flag may mean something in a deferred
// module.
func (b *builder) awaited(t addr.Target) bool {
	for _, d := range b.deferrals {
		if d.call != nil && d.mayContain(t) {
			return true
		}
	}
	return false
}

// decidedLater reports whether an address in the state is of a deferred stage, or in
// a deferred module.
func (b *builder) decidedLater(address string) bool {
	if len(b.deferrals) == 0 {
		return false
	}
	for target := range addr.Enclosing(address) {
		if _, ok := b.deferrals[target]; ok {
			return true
		}
	}
	return false
}

// withoutDeferred moves what takes the place of deferred stages to p.Deferred.
func (b *builder) withoutDeferred(p *plan.Plan, all []*module.Instance) []*module.Instance {
	var stages []*plan.DeferredStage
	all = slices.DeleteFunc(all, func(n *module.Instance) bool {
		if !b.isDeferred(n) {
			return false
		}
		stages = append(stages, b.deferredStage(n))
		return true
	})
	if len(stages) > 0 {
		p.Deferred = &plan.Deferred{
			Stages: stages, Configuration: plan.ConfigurationDigest(b.Module.Sources),
			Targets: texts(b.Targets), Excludes: texts(b.Excludes), Replace: texts(b.Replace),
		}
	}
	return all
}

func (b *builder) deferredStage(n *module.Instance) *plan.DeferredStage {
	why := b.deferrals[n.Address]
	s := &plan.DeferredStage{
		Address: n.Address, Kind: n.Kind, Type: n.Type, Range: n.Range, DependsOn: n.DependsOn, Expands: why.Argument != "",
	}
	if why.call != nil {
		why.call.EachBlock(func(a addr.Stage, _ *config.Stage) {
			if kind.Of(a.Kind).IsStage() {
				s.Stages++
			}
		})
	}
	for _, on := range why.On {
		text := "waits for " + on.String()
		if s.Expands {
			text = why.Argument + " " + text
		}
		s.Reasons = append(s.Reasons, plan.Reason{Code: plan.BecauseUpstream, Subject: on.String(), Text: text})
	}
	s.Instances = b.priorInstances(n.Address)
	return s
}

// priorInstances returns the number of instances of a stage or module in the state.
func (b *builder) priorInstances(of string) int {
	instances := map[string]bool{}
	for address := range b.prior {
		instance := address
		for target := range addr.Enclosing(address) {
			if target == of {
				instances[instance] = true
			}
			instance = target
		}
	}
	return len(instances)
}
