package decide

import (
	"slices"

	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
	"github.com/quern-dev/quern/store/state"
)

// orderReplacement decides in which order a deployment is replaced: the new one is
// created first if both can exist, so that one of them serves at any time. It
// returns false if the user excludes the only possible order, which it has reported.
func (d *Decider) orderReplacement(n *Instance, coexists bool) bool {
	wanted := n.CreateBeforeDestroy
	switch {
	case coexists && (wanted == nil || *wanted):
		n.Deposes = plan.NextDeposed(d.Prior, n.Addr).String()
	case wanted != nil && *wanted:
		d.Report(diag.Errorf(n.Range.Ptr(), "The deployment would be unavailable",
			"%s has create_before_destroy = true, but the new deployment cannot exist together with the old one, so the old one has to be deleted first. Give the new one another name, or remove create_before_destroy.", n.Address))
		return false
	}
	return true
}

// succeed plans to replace a deployment of another type. The plugin cannot read the
// state of that one, nor know whether both can exist, so the old one is deleted first
// unless the user wants it otherwise. succeed returns false if the new one cannot be
// planned, which it has reported.
func (d *Decider) succeed(n *Instance, service pluginv1.PluginServiceClient) bool {
	if d.RefreshOnly {
		n.Action = plan.Keep
		return true
	}
	n.Deployment = nil
	n.Changes = []plan.Change{{Argument: "type", Before: n.Prior.Type, After: n.Type, ForcesReplacement: true}}
	if n.Bound.Config.IsWhollyKnown() {
		in, err := n.Proto()
		if err != nil {
			return d.failed(n, "plan", err)
		}
		if !d.planDeployment(n, service, in) {
			return false
		}
	}
	n.Action = plan.Replace
	return d.orderReplacement(n, n.CreateBeforeDestroy != nil && *n.CreateBeforeDestroy)
}

// lookAtDeposed decides what to do with the deployments that earlier ones of the
// instance were and that still exist. One that cannot exist together with the
// configured deployment is the same thing outside, so it must not be deleted. It
// returns false if the plugin could not be asked, which it has reported.
func (d *Decider) lookAtDeposed(n *Instance, service pluginv1.PluginServiceClient, req *pluginv1.PlanDeploymentRequest) bool {
	for _, a := range plan.Deposed(d.Prior, n.Addr) {
		deposed := d.Prior[a.String()]
		if deposed.Type != n.Type {
			d.deposed.Store(a.String(), plan.Delete)
			continue
		}
		prior, err := deployed(deposed).Proto()
		if err != nil {
			return d.failed(n, "plan", err)
		}
		resp, err := service.PlanDeployment(d.Context, &pluginv1.PlanDeploymentRequest{
			Instance: req.Instance, Prior: prior, Digests: req.Digests, Inputs: req.Inputs,
		})
		if err != nil {
			return d.failed(n, "plan", err)
		}
		action := plan.Forget
		if resp.Coexists {
			action = plan.Delete
		}
		d.deposed.Store(a.String(), action)
	}
	return true
}

// Deposed returns what to do with a deployment in the state that another one has
// replaced: Delete it, or Forget it because the configured deployment is the same
// thing. ok is false if that is not known before the run.
func (d *Decider) Deposed(address string) (action plan.Action, ok bool) {
	found, ok := d.deposed.Load(address)
	if !ok {
		return "", false
	}
	return found.(plan.Action), true
}

// deployed returns the deployment of an instance in the state, or nil.
func deployed(i *state.Instance) *plan.Deployment {
	if i == nil || i.Deployment == nil {
		return nil
	}
	return &plan.Deployment{Value: i.Deployment.Value, Private: i.Deployment.Private, Version: i.Deployment.Version}
}

// candidates returns the addresses of deployments that an instance may take over
// instead of creating one.
func (d *Decider) candidates(n *Instance) []string {
	if n.Mode != plan.ModeDeploy || !n.Bound.Config.IsWhollyKnown() {
		return nil
	}
	if n.Action == plan.Create && n.Prior == nil {
		return d.abandoned(n)
	}
	if n.Action != plan.Replace || n.Deposes == "" || n.Replaced {
		return nil
	}
	// The configuration may be the one from before a replacement that failed.
	var found []string
	for _, a := range plan.Deposed(d.Prior, n.Addr) {
		found = append(found, a.String())
	}
	return slices.DeleteFunc(found, func(address string) bool {
		action, ok := d.Deposed(address)
		return !ok || action != plan.Forget
	})
}
