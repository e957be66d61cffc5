package planner

import (
	"context"
	"slices"

	"github.com/hashicorp/hcl/v2"

	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/planner/prepare"
	"github.com/quern-dev/quern/sdk/go/host/parallel"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
	"github.com/quern-dev/quern/store"
)

// CheckFresh reports why a saved plan can no longer be applied: the state, a
// plugin, or the content of a source has changed since the plan was made.
// Without Options.Refresh, sources are not read.
func CheckFresh(ctx context.Context, p *plan.Plan, o Options) hcl.Diagnostics {
	for name := range p.Plugins {
		// Describe knows only plugins that were asked for; the comparison
		// reports a plugin that does not exist.
		_, _ = o.Plugins.ConfigSchema(name)
	}
	now := plan.Now{Environment: o.Environment, Plugins: o.Plugins.Describe()}
	if o.State != nil {
		now.State = plan.StateRef{Lineage: o.State.Lineage, Serial: o.State.Serial}
	}
	diags := slices.Concat(p.CheckFresh(now), sameConfiguration(p, o.Module), adoptable(p, o.Store))
	if diags.HasErrors() {
		return diags
	}
	b := newBuilder(ctx, o)
	defer b.close()
	p.Connect(b.foreign)
	b.root.decode.ConfigurePlugins()
	b.hideAgain(p)
	b.checkSealed(p)
	if !o.Refresh || p.Adopts != "" || p.Destroy || p.RefreshOnly {
		return append(diags, b.Sorted()...)
	}
	var read []*plan.Node
	for _, n := range p.Nodes {
		if n.Mode == plan.ModeRead && n.Fingerprint != "" && n.Body != nil {
			read = append(read, n)
		}
	}
	parallel.For(len(read), prepare.Lookers, func(i int) { b.lookAgain(read[i]) })
	return append(diags, b.Sorted()...)
}

// adoptable reports results that a plan adopts and that the store no longer has.
func adoptable(p *plan.Plan, s *store.Store) hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, n := range p.Nodes {
		if n.Adoption == nil {
			continue
		}
		if err := n.Adoption.Instance.Present(s.Blobs); err != nil {
			diags = append(diags, diag.Errorf(n.Range.Ptr(), "The saved plan is stale", "The result of %s that the plan adopts is no longer in the store: %s. Make a new plan.", n.Address, err))
		}
	}
	return diags
}

// sameConfiguration reports that the configuration has changed since a plan was
// made, part of which is planned during the run.
func sameConfiguration(p *plan.Plan, c *config.Module) hcl.Diagnostics {
	if p.Deferred == nil || p.Deferred.Configuration == plan.ConfigurationDigest(c.Sources) {
		return nil
	}
	return hcl.Diagnostics{diag.Errorf(nil, "The saved plan is stale",
		"The configuration has changed since the plan was made, and the run reads it again to plan %s. Make a new plan.", p.Deferred.Stages[0].Address)}
}

// lookAgain compares the current content of a source with the content recorded
// in the plan.
func (b *builder) lookAgain(n *plan.Node) {
	fail := func(err error) {
		b.Report(diag.Errorf(n.Range.Ptr(), "Cannot refresh the source", "quern cannot tell whether the saved plan still matches %s: %s", n.Address, err))
	}
	_, names := n.Body.Refs()
	bound, diags := n.Body.Bind(b.root.Secrets.With(nil, names))
	if b.Report(diags...) {
		return
	}
	in, err := bound.Instance(n, nil)
	if err != nil {
		fail(err)
		return
	}
	service, err := b.processes.Service(n.Plugin)
	if err != nil {
		fail(err)
		return
	}
	resp, err := service.Fingerprint(b.ctx, &pluginv1.FingerprintRequest{Instance: in, Memo: n.Memo})
	switch {
	case err != nil:
		fail(err)
	case !b.sameFingerprint(resp.Fingerprint, n):
		again, err := service.Fingerprint(b.ctx, &pluginv1.FingerprintRequest{Instance: in, Memo: n.Memo})
		if err == nil && again.Fingerprint != resp.Fingerprint {
			b.Report(diag.Errorf(n.Range.Ptr(), "The source keeps changing",
				"quern asked twice in a row for the fingerprint of %s, and plugin %q returned two different ones. Either something constantly writes to the source, or the plugin computes its fingerprint from something other than the content, such as the time. The latter is a bug in the plugin: report it to the plugin's author. A new plan does not help.",
				n.Address, n.Plugin))
			return
		}
		b.Report(diag.Errorf(n.Range.Ptr(), "The saved plan is stale", "The content of %s has changed since the plan was made. Make a new plan.", n.Address))
	}
}

// sameFingerprint reports whether a source still has the fingerprint recorded
// in the plan. A fingerprint that cannot be sealed equals no other.
func (b *builder) sameFingerprint(fingerprint string, n *plan.Node) bool {
	sealed, err := b.secrets.SealText(fingerprint)
	return err == nil && sealed == n.Fingerprint
}
