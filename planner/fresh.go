package planner

import (
	"context"

	"github.com/hashicorp/hcl/v2"

	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/parallel"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// CheckFresh says why a saved plan can no longer be applied: the state or a
// plugin is another one, or a source holds something else than when the plan
// was made. Without Options.Refresh sources are not looked at.
func CheckFresh(ctx context.Context, p *plan.Plan, o Options) hcl.Diagnostics {
	for name := range p.Plugins {
		// Whether there is such a plugin is for the comparison to say:
		// Describe knows those that were looked at.
		_, _ = o.Plugins.ConfigSchema(name)
	}
	now := plan.Now{Environment: o.Environment, Plugins: o.Plugins.Describe()}
	if o.State != nil {
		now.State = plan.StateRef{Lineage: o.State.Lineage, Serial: o.State.Serial}
	}
	diags := p.CheckFresh(now)
	if diags.HasErrors() {
		return diags
	}
	b := newBuilder(ctx, o)
	defer b.close()
	b.configurePlugins()
	b.hideAgain(p)
	b.checkSealed(p)
	if !o.Refresh || p.Destroy || p.RefreshOnly {
		return append(diags, b.sorted()...)
	}
	var read []*plan.Node
	for _, n := range p.Nodes {
		if n.Mode == plan.ModeRead && n.Fingerprint != "" && n.Body != nil {
			read = append(read, n)
		}
	}
	parallel.For(len(read), lookers, func(i int) { b.lookAgain(read[i]) })
	return append(diags, b.sorted()...)
}

// lookAgain compares what a source holds with what it held.
func (b *builder) lookAgain(n *plan.Node) {
	fail := func(err error) {
		b.report(diag.Errorf(n.Range.Ptr(), "Source can't be looked at", "Whether the saved plan still fits %s can't be told: %s", n.Address, err))
	}
	bound, diags := n.Body.Bind(b.vars(&node{Node: n}))
	if b.report(diags...) {
		return
	}
	in, err := bound.Instance(n, nil)
	if err != nil {
		fail(err)
		return
	}
	service, err := b.calls.service(n.Plugin)
	if err != nil {
		fail(err)
		return
	}
	resp, err := service.Fingerprint(b.ctx, &pluginv1.FingerprintRequest{Instance: in, Memo: n.Memo})
	switch {
	case err != nil:
		fail(err)
	case b.mustSeal(resp.Fingerprint) != n.Fingerprint:
		again, err := service.Fingerprint(b.ctx, &pluginv1.FingerprintRequest{Instance: in, Memo: n.Memo})
		if err == nil && again.Fingerprint != resp.Fingerprint {
			b.report(diag.Errorf(n.Range.Ptr(), "The source never stays the same",
				"Asked twice without a pause what %s holds, plugin %q gave two different fingerprints. Either something writes to the source all the time, or the plugin makes its fingerprint of something other than the content, such as the time. The latter is a fault of the plugin: tell its author. A new plan does not help.",
				n.Address, n.Plugin))
			return
		}
		b.report(diag.Errorf(n.Range.Ptr(), "The saved plan is stale", "What %s holds has changed since it was made. Make a new plan.", n.Address))
	}
}
