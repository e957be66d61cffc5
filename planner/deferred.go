package planner

import (
	"context"
	"fmt"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/planner/module"
	"github.com/quern-dev/quern/planner/plan"
)

// Continue plans the stages that a plan deferred, when everything else in it is
// done. o.State is the state after that; the flags are those of the first plan.
// The result only changes instances of the deferred stages. It can defer some of
// them again, but not all.
func Continue(ctx context.Context, p *plan.Plan, o Options) (*plan.Plan, hcl.Diagnostics) {
	o.Continues = p.Deferred
	o.Targets, o.Excludes, o.Replace = parsed(p.Deferred.Targets), parsed(p.Deferred.Excludes), parsed(p.Deferred.Replace)
	next, diags := Build(ctx, o)
	if diags.HasErrors() {
		return nil, diags
	}
	if next.Deferred.Len() == p.Deferred.Len() {
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
		if a, err := addr.Parse(n.Address); n.Action != plan.Keep && (err != nil || !deferred.Has(a.Stage)) {
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
func (b *builder) settled(s addr.Stage) bool { return !b.Continues.Has(s) }

// deferred returns an instance that takes the place of those of a deferred stage
// while -target and -exclude are applied, or none if the stage is planned now.
func (b *builder) deferred(s *module.Stage) []*module.Instance {
	if s.Deferral() == nil {
		return nil
	}
	if b.deferrals == nil {
		b.deferrals = map[addr.Stage]bool{}
	}
	a := addr.Instance{Stage: s.Addr}
	b.deferrals[a.Stage] = true
	return []*module.Instance{{Addr: a, Node: &plan.Node{
		Address: a.String(), Kind: a.Kind, Type: s.Config.Type, Range: diag.NewRange(s.Config.DeclRange), DependsOn: s.NeededBy(),
	}}}
}

// mayMean reports whether one of the addresses in a flag may refer to an instance
// of a deferred stage.
func (b *builder) mayMean(flags []addr.Target, n *module.Instance) bool {
	return b.deferrals[n.Addr.Stage] && slices.ContainsFunc(flags, func(t addr.Target) bool {
		if !t.IsModule() {
			t.Key = cty.NilVal
		}
		return t.Contains(n.Addr)
	})
}

// decidedLater reports whether an address in the state is of a deferred stage.
func (b *builder) decidedLater(address string) bool {
	if len(b.deferrals) == 0 {
		return false
	}
	a, err := addr.Parse(address)
	return err == nil && b.deferrals[a.Stage]
}

// withoutDeferred moves what takes the place of deferred stages to p.Deferred.
func (b *builder) withoutDeferred(p *plan.Plan, all []*module.Instance) []*module.Instance {
	var stages []*plan.DeferredStage
	all = slices.DeleteFunc(all, func(n *module.Instance) bool {
		if !b.deferrals[n.Addr.Stage] {
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
	why := b.root.Tree.Stage(n.Addr.Stage).Deferral()
	s := &plan.DeferredStage{
		Address: n.Address, Kind: n.Kind, Type: n.Type, Range: n.Range, DependsOn: n.DependsOn, Expands: why.Argument != "",
	}
	for _, on := range why.On {
		text := "waits for " + on.String()
		if s.Expands {
			text = why.Argument + " " + text
		}
		s.Reasons = append(s.Reasons, plan.Reason{Code: plan.BecauseUpstream, Subject: on.String(), Text: text})
	}
	for address := range b.prior {
		if a, err := addr.Parse(address); err == nil && a.Stage == n.Addr.Stage {
			s.Instances++
		}
	}
	return s
}
