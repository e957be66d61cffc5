package runner

import (
	"context"

	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/runner/failure"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// replace decides in which order the deployment is replaced. coexists is the plugin's
// answer whether the old one can still exist when the new one is created. replace
// refuses what the plan does not show, because nobody has approved it.
func (d *deployment) replace(coexists bool) (plan.Action, error) {
	if d.PreventDestroy {
		return "", failure.Errorf(d.Range.Ptr(), "Deployment is protected",
			"With the results of this run, %s would have to be replaced, but it has prevent_destroy = true. To replace it, set prevent_destroy to false and make a new plan.", d.Address)
	}
	if d.Action == plan.Update {
		return "", failure.Errorf(d.Range.Ptr(), "The deployment would be replaced",
			"The plan was to update %s in place, but with the results of this run it would have to be replaced. Make a new plan, which will show this, and apply it.", d.Address)
	}
	wanted := d.CreateBeforeDestroy
	switch {
	case coexists && (wanted == nil || *wanted):
		if _, replaced := d.state.instance(d.Deposes); replaced { // an earlier attempt of this run got that far
			return plan.Update, nil
		}
		d.deposes = d.Deposes
		if d.deposes == "" {
			d.deposes = d.state.nextDeposed(d.at)
		}
	case d.Deposes != "" || wanted != nil && *wanted:
		return "", failure.Errorf(d.Range.Ptr(), "The deployment would be unavailable",
			"With the results of this run, the old deployment of %s has to be deleted before the new one can be created, which was not planned. Make a new plan, which will show this, and apply it.", d.Address)
	}
	return plan.Replace, nil
}

// succeed returns the action if the plugin has no deployment to start from: the state
// may have one of another type, unless an earlier attempt of this run has deleted it.
func (d *deployment) succeed() plan.Action {
	old, ok := d.state.instance(d.Address)
	if !ok || old.Type == d.Type || d.Former == nil && d.Deposes == "" {
		return plan.Create
	}
	d.deposes = d.Deposes
	return plan.Replace
}

// remove deletes the old deployment before the new one is created.
func (d *deployment) remove(ctx context.Context, res *StageResult) error {
	if d.Former != nil {
		return d.delete(ctx, d.Former, d.at, res)
	}
	if err := d.deleteOld(ctx); err != nil {
		return err
	}
	d.prior = nil
	return d.save(nil)
}

// deleteOld has the plugin delete the old deployment.
func (d *deployment) deleteOld(ctx context.Context) error {
	resp, err := d.plugin.Service().DeleteDeployment(ctx, &pluginv1.DeleteDeploymentRequest{Instance: d.Instance, State: d.prior})
	if err != nil {
		return err
	}
	return d.Heard(resp.GetDiagnostics())
}

// depose moves the old deployment to another address in the state, where it stays
// until it is deleted.
func (d *deployment) depose() {
	if d.deposes == "" {
		return
	}
	old, ok := d.state.instance(d.Address)
	if !ok {
		old, ok = d.state.instance(d.MovedFrom)
	}
	if ok {
		d.state.set(d.deposes, old.Depose(d.deposes))
	}
}

// deleteReplaced deletes the old deployment if the plan has no node that does that
// later: when the plan was made, it was not known whether it would be replaced.
func (d *deployment) deleteReplaced(ctx context.Context) error {
	if d.deposes == "" || d.deposes == d.Deposes {
		return nil
	}
	if err := d.deleteOld(ctx); err != nil {
		return err
	}
	return d.state.setNow(d.deposes, nil)
}

// nextDeposed returns the address that the deployment of an instance gets when another
// one replaces it.
func (v *saver) nextDeposed(of addr.Instance) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return plan.NextDeposed(v.state.Instances, of).String()
}
