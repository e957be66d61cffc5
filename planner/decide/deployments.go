package decide

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"

	"google.golang.org/grpc/codes"

	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/planner/module"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/host/client"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// lookAtDeployment asks the plugin what exists at a deployment's place, and
// what it takes to get from there to the configuration. It returns false if
// that failed, which it has reported.
func (d *Decider) lookAtDeployment(n *Instance) bool {
	if !d.keys(n) {
		return false
	}
	service, err := d.Processes.Service(n.Plugin)
	if err != nil {
		return d.failed(n, "start", err)
	}
	n.Deployment = deployed(n.Prior)
	if n.Prior != nil && d.IsSettled(n.Addr.Stage) {
		n.Action = plan.Keep
		return true
	}
	if n.Deployment != nil && n.Prior.Type != n.Type {
		return d.succeed(n, service)
	}
	id, imported := d.Imports(n.Address)
	imported = imported && n.Prior == nil && !d.RefreshOnly
	if !n.Bound.Config.IsWhollyKnown() {
		if imported {
			d.Report(diag.Errorf(n.Range.Ptr(), "Cannot import yet", "The configuration of %s depends on results that do not exist yet. Compute them first with -exclude='%s', and then import.", n.Address, n.Address))
			return false
		}
		n.decideLater()
		return true
	}
	in, err := n.Proto()
	if err != nil {
		return d.failed(n, "refresh", err)
	}
	if imported {
		return d.importDeployment(n, service, in, id)
	}
	if n.Deployment != nil && d.Refresh && !d.readDeployment(n, service, in) {
		return false
	}
	if d.RefreshOnly {
		n.Action = plan.Keep
		return true
	}
	return d.planDeployment(n, service, in)
}

// importDeployment plans to manage a deployment that exists already.
func (d *Decider) importDeployment(n *Instance, service pluginv1.PluginServiceClient, in *pluginv1.Instance, id string) bool {
	resp, err := service.ImportDeployment(d.Context, &pluginv1.ImportDeploymentRequest{Instance: in, Id: id})
	if call := (*client.CallError)(nil); errors.As(err, &call) && call.Code == codes.Unimplemented {
		d.Report(diag.Errorf(n.Range.Ptr(), "Cannot import this deployment", "Plugin %q cannot import a %s %q. Remove the import block; the deployment is then created.", n.Plugin, n.Kind, n.Type))
		return false
	}
	if err != nil {
		return d.failed(n, "import", err)
	}
	if d.Processes.Heard(n.Node, resp.Diagnostics) {
		return false
	}
	if resp.State == nil {
		d.Report(diag.Errorf(n.Range.Ptr(), "Nothing to import", "Plugin %q found no deployment %q for %s. Check the id of the import block, or remove the block to create the deployment.", n.Plugin, id, n.Address))
		return false
	}
	if n.Deployment, err = plan.ReadDeployment(resp.State); err != nil {
		return d.failed(n, "import", err)
	}
	if !d.planDeployment(n, service, in) {
		return false
	}
	if n.Action == plan.Keep {
		n.Action = plan.Update // the state is updated
	}
	n.Reasons = append([]plan.Reason{{Code: plan.BecauseImported, Subject: id, Text: fmt.Sprintf("imports the deployment %q", id)}}, n.Reasons...)
	return true
}

// failed reports that a plugin could not do something with a deployment. It
// returns false.
func (d *Decider) failed(n *Instance, what string, err error) bool {
	d.Processes.Failed(n.Node, what+" "+n.Address, err)
	return false
}

// decideLater decides about a deployment whose configuration waits for results.
func (n *Instance) decideLater() {
	n.Action, n.Reasons = plan.Create, append([]plan.Reason{newReason()}, n.undecided()...)
	if n.Deployment != nil {
		n.Action, n.Reasons = plan.MayRun, n.waits()
	}
}

// readDeployment replaces the deployment in the state with the current one.
func (d *Decider) readDeployment(n *Instance, service pluginv1.PluginServiceClient, in *pluginv1.Instance) bool {
	prior, err := n.Deployment.Proto()
	if err != nil {
		return d.failed(n, "refresh", err)
	}
	resp, err := service.ReadDeployment(d.Context, &pluginv1.ReadDeploymentRequest{Instance: in, State: prior})
	if err != nil {
		return d.failed(n, "refresh", err)
	}
	if d.Processes.Heard(n.Node, resp.Diagnostics) {
		return false
	}
	if resp.State == nil {
		n.Deployment = nil
		n.Reasons = append(n.Reasons, plan.Reason{Code: plan.BecauseDrift, Text: "the deployment no longer exists"})
		return true
	}
	now, err := plan.ReadDeployment(resp.State)
	if err != nil {
		return d.failed(n, "refresh", err)
	}
	if n.Deployment.Value != nil && now.Value != nil && !now.Value.Value.RawEquals(n.Deployment.Value.Value) {
		n.Reasons = append(n.Reasons, plan.Reason{Code: plan.BecauseDrift, Text: "the deployment changed outside of quern"})
	}
	n.Deployment = now
	return true
}

func (d *Decider) planDeployment(n *Instance, service pluginv1.PluginServiceClient, in *pluginv1.Instance) bool {
	prior, err := n.Deployment.Proto()
	if err != nil {
		return d.failed(n, "plan", err)
	}
	req := &pluginv1.PlanDeploymentRequest{Instance: in, Prior: prior, Digests: map[string]string{}, Inputs: map[string]*pluginv1.Artifact{}}
	known := true
	for key, h := range n.Inputs {
		if !h.Known() {
			known = false
			continue
		}
		req.Digests[key] = h.From.Result.Digests[h.Port.Name]
		if req.Inputs[key], err = d.present(h); err != nil {
			return d.failed(n, "plan", err)
		}
	}
	maps.DeleteFunc(req.Inputs, func(_ string, a *pluginv1.Artifact) bool { return a == nil })
	resp, err := service.PlanDeployment(d.Context, req)
	if err != nil {
		return d.failed(n, "plan", err)
	}
	if !d.lookAtDeposed(n, service, req) {
		return false
	}
	if d.Processes.Heard(n.Node, resp.Diagnostics) {
		return false
	}
	if resp.Upgraded != nil && n.Deployment != nil {
		if n.Deployment, err = plan.ReadDeployment(resp.Upgraded); err != nil {
			return d.failed(n, "plan", err)
		}
	}
	for _, c := range resp.Changes {
		n.Changes = append(n.Changes, plan.Change{
			Argument: c.Argument, Before: d.Secrets.Text(c.Before), After: d.Secrets.Text(c.After), ForcesReplacement: c.ForcesReplacement,
		})
	}
	return d.decideDeployment(n, resp, known)
}

// present describes a model or report whose files are all on this machine. It
// returns nil for anything else: planning neither downloads a model nor reads
// all of its bytes. When the run hands the files out, it verifies them.
func (d *Decider) present(h *module.Handle) (*pluginv1.Artifact, error) {
	a := h.From.Result.Artifacts[h.Port.Name]
	if a == nil || a.Dataset != nil {
		return nil, nil
	}
	out, err := plan.ArtifactProto(a, h.From.Result.Digests[h.Port.Name], d.Store.Blobs.Local)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return out, err
}

// deploymentActions are the actions of a plan by those of the protocol.
var deploymentActions = map[pluginv1.DeploymentAction]plan.Action{
	pluginv1.DeploymentAction_DEPLOYMENT_ACTION_CREATE:  plan.Create,
	pluginv1.DeploymentAction_DEPLOYMENT_ACTION_UPDATE:  plan.Update,
	pluginv1.DeploymentAction_DEPLOYMENT_ACTION_REPLACE: plan.Replace,
	pluginv1.DeploymentAction_DEPLOYMENT_ACTION_NONE:    plan.Keep,
}

// decideDeployment translates the plugin's answer. known reports whether all
// digests are known.
func (d *Decider) decideDeployment(n *Instance, resp *pluginv1.PlanDeploymentResponse, known bool) bool {
	action, ok := deploymentActions[resp.Action]
	if !ok {
		d.Processes.Faulty(n.Node, fmt.Errorf("its action is %s", resp.Action))
		return false
	}
	n.Action = action
	if action == plan.Keep && !known {
		n.Action = plan.MayRun
	}
	if n.Replaced && n.Deployment != nil {
		n.Action = plan.Replace
		n.Reasons = append(n.Reasons, plan.Reason{Code: plan.BecauseReplaced, Text: "-replace requests a new deployment"})
	}
	if n.Action == plan.Keep {
		return true
	}
	if n.Action == plan.Replace && !d.orderReplacement(n, resp.Coexists) {
		return false
	}
	if n.Prior == nil && n.Deployment == nil && len(n.Reasons) == 0 {
		n.Reasons = append(n.Reasons, newReason())
	}
	n.Reasons = append(n.Reasons, n.waits()...)
	if len(n.Reasons) == 0 && len(n.Changes) == 0 {
		n.Reasons = n.compare()
	}
	return true
}
