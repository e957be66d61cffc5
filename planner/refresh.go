package planner

import (
	"fmt"

	"github.com/quern-dev/quern/planner/fingerprint"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/host/parallel"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// lookers is how many sources and deployments are refreshed in parallel: they
// wait for disks and networks, not for processors.
const lookers = 16

// refresh reads the sources and deployments of a level that are wanted and were
// not refreshed yet.
func (b *builder) refresh(nodes []*node, wanted func(*node) bool) {
	if b.validating {
		return
	}
	var now []*node
	for _, n := range nodes {
		if n.broken || n.bound == nil || n.looked || !wanted(n) {
			continue
		}
		n.looked = true
		now = append(now, n)
	}
	parallel.For(len(now), lookers, func(i int) {
		if now[i].Mode == plan.ModeRead {
			b.lookAtSource(now[i])
		} else {
			b.lookAtDeployment(now[i])
		}
	})
}

// lookAtSource gets the current fingerprint of a source. Without a refresh, what the state
// says is taken to be so still.
func (b *builder) lookAtSource(n *node) {
	if !n.bound.Config.IsWhollyKnown() {
		return
	}
	if !b.Refresh {
		definition, _, err := fingerprint.Definition(n.Node, n.bound.Body, b.seal)
		if err == nil && n.prior != nil && n.prior.Definition == definition {
			n.Fingerprint, n.Memo = n.prior.Fingerprint, n.prior.Memo
		}
		return
	}
	in, err := b.protoInstance(n)
	if err != nil {
		b.lookFailed(n, "refresh "+n.Address, err)
		return
	}
	req := &pluginv1.FingerprintRequest{Instance: in}
	if n.prior != nil && n.prior.Type == n.Type {
		req.Memo = n.prior.Memo
	}
	service, err := b.calls.service(n.Plugin)
	if err != nil {
		b.lookFailed(n, "start", err)
		return
	}
	resp, err := service.Fingerprint(b.ctx, req)
	if err != nil {
		b.lookFailed(n, "refresh "+n.Address, err)
		return
	}
	if n.broken = b.heard(n, resp.Diagnostics); n.broken {
		return
	}
	if resp.Fingerprint == "" {
		b.lookFailed(n, "refresh "+n.Address, fmt.Errorf("it returned no fingerprint; this is a bug in the plugin"))
		return
	}
	if resp.Fingerprint, err = b.sealed(resp.Fingerprint); err != nil {
		b.lookFailed(n, "refresh "+n.Address, err)
		return
	}
	n.Fingerprint, n.Memo, n.summary = resp.Fingerprint, b.memo(resp), b.redactor.Text(resp.Summary)
}

func (b *builder) lookFailed(n *node, what string, err error) {
	n.broken = true
	subject := n.stage.cfg.DeclRange
	b.failed(n.Plugin, what, err, &subject)
}

// lookAtDeployment asks what stands at a deployment's place, and what it would
// take to get from there to the configuration.
func (b *builder) lookAtDeployment(n *node) {
	if !b.keys(n) {
		return
	}
	service, err := b.calls.service(n.Plugin)
	if err != nil {
		b.lookFailed(n, "start", err)
		return
	}
	if n.prior != nil && n.prior.Deployment != nil {
		n.Deployment = &plan.Deployment{Value: n.prior.Deployment.Value, Private: n.prior.Deployment.Private, Version: n.prior.Deployment.Version}
	}
	if !n.bound.Config.IsWhollyKnown() {
		b.decideLater(n)
		return
	}
	in, err := b.protoInstance(n)
	if err != nil {
		b.lookFailed(n, "refresh "+n.Address, err)
		return
	}
	if n.Deployment != nil && b.Refresh && !b.readDeployment(n, service, in) {
		return
	}
	if b.RefreshOnly {
		n.Action = plan.Keep
		return
	}
	b.planDeployment(n, service, in)
}

// decideLater decides about a deployment whose configuration waits for
// results.
func (b *builder) decideLater(n *node) {
	n.Action, n.Reasons = plan.Create, append([]plan.Reason{newReason()}, n.undecided()...)
	if n.Deployment != nil {
		n.Action, n.Reasons = plan.MayRun, n.waits()
	}
}

// readDeployment replaces the deployment in the state with the current one.
func (b *builder) readDeployment(n *node, service pluginv1.PluginServiceClient, in *pluginv1.Instance) bool {
	prior, err := n.Deployment.Proto()
	if err != nil {
		b.lookFailed(n, "refresh "+n.Address, err)
		return false
	}
	resp, err := service.ReadDeployment(b.ctx, &pluginv1.ReadDeploymentRequest{Instance: in, State: prior})
	if err != nil {
		b.lookFailed(n, "refresh "+n.Address, err)
		return false
	}
	if n.broken = b.heard(n, resp.Diagnostics); n.broken {
		return false
	}
	if resp.State == nil {
		n.Deployment = nil
		n.Reasons = append(n.Reasons, plan.Reason{Code: plan.BecauseDrift, Text: "the deployment no longer exists"})
		return true
	}
	d, err := plan.ReadDeployment(resp.State)
	if err != nil {
		b.lookFailed(n, "refresh "+n.Address, err)
		return false
	}
	if n.Deployment.Value != nil && d.Value != nil && !d.Value.Value.RawEquals(n.Deployment.Value.Value) {
		n.Reasons = append(n.Reasons, plan.Reason{Code: plan.BecauseDrift, Text: "the deployment changed outside of quern"})
	}
	n.Deployment = d
	return true
}

func (b *builder) planDeployment(n *node, service pluginv1.PluginServiceClient, in *pluginv1.Instance) {
	prior, err := n.Deployment.Proto()
	if err != nil {
		b.lookFailed(n, "plan "+n.Address, err)
		return
	}
	req := &pluginv1.PlanDeploymentRequest{Instance: in, Prior: prior, Digests: map[string]string{}}
	known := true
	for key, h := range n.inputs {
		if !h.node.result.known {
			known = false
			continue
		}
		req.Digests[key] = h.node.result.digests[h.port.Name]
	}
	resp, err := service.PlanDeployment(b.ctx, req)
	if err != nil {
		b.lookFailed(n, "plan "+n.Address, err)
		return
	}
	if n.broken = b.heard(n, resp.Diagnostics); n.broken {
		return
	}
	if resp.Upgraded != nil && n.Deployment != nil {
		if n.Deployment, err = plan.ReadDeployment(resp.Upgraded); err != nil {
			b.lookFailed(n, "plan "+n.Address, err)
			return
		}
	}
	for _, c := range resp.Changes {
		n.Changes = append(n.Changes, plan.Change{
			Argument: c.Argument, Before: b.redactor.Text(c.Before), After: b.redactor.Text(c.After), ForcesReplacement: c.ForcesReplacement,
		})
	}
	b.decideDeployment(n, resp.Action, known)
}

// decideDeployment takes the plugin's answer; known says whether all digests
// are.
func (b *builder) decideDeployment(n *node, a pluginv1.DeploymentAction, known bool) {
	switch a {
	case pluginv1.DeploymentAction_DEPLOYMENT_ACTION_CREATE:
		n.Action = plan.Create
	case pluginv1.DeploymentAction_DEPLOYMENT_ACTION_UPDATE:
		n.Action = plan.Update
	case pluginv1.DeploymentAction_DEPLOYMENT_ACTION_REPLACE:
		n.Action = plan.Replace
	case pluginv1.DeploymentAction_DEPLOYMENT_ACTION_NONE:
		n.Action = plan.Keep
		if !known {
			n.Action = plan.MayRun
		}
	default:
		n.broken = b.report(n.faulty(fmt.Errorf("its action is %s", a)))
		return
	}
	if b.replaced(n) && n.Deployment != nil {
		n.Action = plan.Replace
		n.Reasons = append(n.Reasons, plan.Reason{Code: plan.BecauseReplaced, Text: "-replace requests a new deployment"})
	}
	if n.Action == plan.Keep {
		return
	}
	if n.prior == nil && n.Deployment == nil && len(n.Reasons) == 0 {
		n.Reasons = append(n.Reasons, newReason())
	}
	n.Reasons = append(n.Reasons, n.waits()...)
	if len(n.Reasons) == 0 && len(n.Changes) == 0 {
		n.Reasons = n.compare()
	}
}
