package runner

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/runner/failure"
	"github.com/quern-dev/quern/runner/stage"
	"github.com/quern-dev/quern/sdk/go/host/client"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
	"github.com/quern-dev/quern/store/state"
)

// deployer changes deployments. It is not a task of an engine: what exists outside
// the store must be in the state before anything else happens.
type deployer struct {
	*binder
	checker     *checker
	publisher   *publisher
	plugins     Plugins
	environment string
	// unfinished are the deployments that failed attempts of this run left, by address.
	unfinished sync.Map // string → *plan.Deployment
}

// deploy creates, updates, replaces, or keeps a deployment, as its plugin
// decides now that everything is known.
func (c *deployer) deploy(ctx context.Context, n *plan.Node, res *StageResult) (err error) {
	s, err := c.bind(n)
	if err != nil {
		return err
	}
	defer func() { res.Diagnostics = append(res.Diagnostics, s.Warnings...) }()
	if err := c.checker.check(n, plan.WhenPre); err != nil {
		return err
	}
	keys, err := s.Keys("", c.values.seal)
	if err != nil {
		return err
	}
	res.ActionKey = keys.Action
	p, err := c.plugins.Client(ctx, n.Plugin)
	if err != nil {
		return err
	}
	d := &deployment{deployer: c, Stage: s, keys: keys, plugin: p, digests: map[string]string{}}
	if d.at, err = addr.Parse(n.Address); err != nil {
		return err
	}
	if n.MovedFrom != "" { // it may take over an older deployment in place of the current one
		d.deposes = n.Deposes
	}
	if left, ok := c.unfinished.Load(n.Address); ok {
		n.Deployment = left.(*plan.Deployment)
	}
	for key, in := range s.Inputs {
		d.digests[key] = in.Ref.Digest
	}
	if d.prior, err = n.Deployment.Proto(); err != nil {
		return err
	}
	if d.place, err = stage.NewPlace(c.publisher.store, keys.Action, c.environment); err != nil {
		return err
	}
	defer d.place.Clear(&err)
	if d.inputs, err = s.Files(ctx, stage.Handover{Blobs: c.publisher.store.Blobs, Arguments: d.place.Arguments}); err != nil {
		return err
	}
	if res.Action, err = d.decide(ctx); err != nil {
		return err
	}
	if err := d.carryOut(ctx, res); err != nil {
		return err
	}
	if err := d.place.Remove(); err != nil {
		return err
	}
	if err := c.checker.check(n, plan.WhenPost); err != nil {
		return err
	}
	return d.deleteReplaced(ctx)
}

// deployment is one change to a deployment.
type deployment struct {
	*deployer
	*stage.Stage
	at      addr.Instance
	keys    stage.Keys
	plugin  *client.Plugin
	place   *stage.Place
	digests map[string]string // what is to be deployed, by input key
	inputs  map[string]*pluginv1.Artifact
	prior   *pluginv1.DeploymentState
	// deposes is the address at which the state keeps the deployment that another one
	// replaces, or empty.
	deposes string
}

// decide asks the plugin what to do. It refuses an answer that goes further
// than the plan, because nobody has approved it.
func (d *deployment) decide(ctx context.Context) (plan.Action, error) {
	if d.prior == nil {
		return d.succeed(), nil
	}
	resp, err := d.plugin.Service().PlanDeployment(ctx, &pluginv1.PlanDeploymentRequest{
		Instance: d.Instance, Prior: d.prior, Digests: d.digests, Inputs: d.inputs,
	})
	if err != nil {
		return "", err
	}
	if err := d.Reported(resp.GetDiagnostics()); err != nil {
		return "", err
	}
	if up := resp.GetUpgraded(); up != nil {
		d.prior = up
		if d.Deployment, err = plan.ReadDeployment(up); err != nil {
			return "", d.Faulty(err.Error())
		}
	}
	switch resp.GetAction() {
	case pluginv1.DeploymentAction_DEPLOYMENT_ACTION_NONE:
		if stage.Forced(d.Node) {
			return d.replace(resp.GetCoexists())
		}
		return plan.Keep, nil
	case pluginv1.DeploymentAction_DEPLOYMENT_ACTION_CREATE:
		return plan.Create, nil
	case pluginv1.DeploymentAction_DEPLOYMENT_ACTION_UPDATE:
		if stage.Forced(d.Node) {
			return d.replace(resp.GetCoexists())
		}
		return plan.Update, nil
	case pluginv1.DeploymentAction_DEPLOYMENT_ACTION_REPLACE:
		return d.replace(resp.GetCoexists())
	}
	return "", d.Faulty(fmt.Sprintf("its planned action for the deployment is %s", resp.GetAction()))
}

func (d *deployment) carryOut(ctx context.Context, res *StageResult) error {
	switch {
	case res.Action == plan.Keep:
		return d.record(d.Deployment, d.keys.Definition, res)
	case res.Action != plan.Replace:
		return d.apply(ctx, d.prior, res)
	case d.deposes == "":
		if err := d.remove(ctx, res); err != nil {
			return err
		}
	}
	return d.apply(ctx, nil, res)
}

// apply creates a deployment, or updates the prior one.
func (d *deployment) apply(ctx context.Context, prior *pluginv1.DeploymentState, res *StageResult) error {
	resp, err := d.plugin.Service().ApplyDeployment(ctx, &pluginv1.ApplyDeploymentRequest{
		Instance: d.Instance, Prior: prior, Inputs: d.inputs, WorkDir: d.place.Work,
	})
	if err != nil {
		d.warnOfLost(prior)
		return err
	}
	failed := d.Heard(resp.GetDiagnostics())
	if failed == nil && resp.GetState() == nil {
		d.warnOfLost(prior)
		failed = d.Faulty("it returned no state for the deployment")
	}
	// Something may exist even if the call failed. It has to be recorded, or
	// nobody will ever delete it.
	if resp.GetState() != nil {
		made, err := d.made(resp.GetState())
		if failed == nil {
			failed = err
		}
		definition := d.keys.Definition
		if failed != nil {
			definition = ""
			d.unfinished.Store(d.Address, made)
		}
		if err := d.record(made, definition, res); err != nil {
			return err
		}
	}
	return failed
}

// warnOfLost warns that a deployment may exist that is not in any state. What
// existed before is still in the state.
func (d *deployment) warnOfLost(prior *pluginv1.DeploymentState) {
	if prior != nil {
		return
	}
	d.Warn(d.Range.Ptr(), "A deployment may have no record",
		"The plugin %q returned no state for %s. If it created something before it failed, quern does not know about it. Look for it, and delete it yourself.", d.Plugin, d.Address)
}

// made returns what exists now, as far as it can be stored. The error describes
// what cannot.
func (d *deployment) made(s *pluginv1.DeploymentState) (*plan.Deployment, error) {
	made, err := plan.ReadDeployment(s)
	if err != nil {
		err = failure.Errorf(d.Range.Ptr(), "The state of a deployment cannot be stored",
			"%s The rest of the state was stored, so %s can still be updated or deleted.", failure.Fault(d.Node, err.Error()), d.Address)
	}
	leaked := d.withoutSecrets(made)
	if err == nil {
		err = leaked
	}
	if err == nil {
		err = d.Bounded(made.Value.Value)
	}
	return made, err
}

// withoutSecrets removes secrets from the values that a plugin wants to store.
// A plugin must not store secrets, so the error reports it.
func (d *deployment) withoutSecrets(made *plan.Deployment) error {
	var where string
	if made.Value != nil {
		if v, changed := d.redactor.Value(made.Value.Value); changed {
			made.Value, where = &value.Value{Value: v}, "the values"
		}
	}
	if d.redactor.In(string(made.Private)) {
		made.Private, where = nil, "the notes"
	}
	if where == "" {
		return nil
	}
	return failure.Errorf(d.Range.Ptr(), "Secret in a deployment", "The plugin %q put the value of a sensitive variable into %s that the state stores for %s. They were stored without it. Report this to the plugin's author.", d.Plugin, where, d.Address)
}

// record writes the deployment to the state immediately, and lets expressions
// see it. An empty definition means that it differs from what was requested.
func (d *deployment) record(made *plan.Deployment, definition string, res *StageResult) error {
	inst := &state.Instance{
		Address: d.Address, Kind: d.Kind, Type: d.Type, Plugin: d.Plugin,
		Definition: definition, Preimage: preimage(d.keys.Preimage),
		Deployment: &state.Deployment{Value: made.Value, Private: made.Private, Version: made.Version, Digests: d.digests, Sensitive: d.Body.Sensitive()},
		Inputs:     d.publisher.inputRefs(d.Stage), DependsOn: d.DependsOn, Run: d.publisher.run, Updated: time.Now().UTC(),
	}
	if definition != "" {
		inst.ActionKey = d.keys.Action
	}
	if made.Value != nil {
		res.Value = made.Value.Value
	}
	if err := d.save(inst); err != nil {
		return err
	}
	return d.values.reveal(d.Node, &plan.Made{Value: res.Value})
}

// save writes the instance to the state immediately. A deployment that it replaces
// gets another address, and one that was taken over is removed from its old address.
func (d *deployment) save(inst *state.Instance) error {
	d.depose()
	if d.MovedFrom != "" {
		d.state.set(d.MovedFrom, nil)
	}
	return d.state.setNow(d.Address, inst)
}

// undeploy deletes a deployment that is no longer configured, or that another one has
// replaced.
func (c *deployer) undeploy(ctx context.Context, n *plan.Node, res *StageResult) error {
	at, err := addr.Parse(n.Address)
	if err != nil {
		return err
	}
	if _, ok := c.state.instance(n.Address); !ok && at.Deposed > 0 { // the run has not replaced it
		res.Action = plan.Keep
		return nil
	}
	res.Action = plan.Delete
	return c.delete(ctx, n, at, res)
}

// delete has its plugin delete a deployment as the state describes it.
func (c *deployer) delete(ctx context.Context, n *plan.Node, at addr.Instance, res *StageResult) error {
	p, err := c.plugins.Client(ctx, n.Plugin)
	if err != nil {
		return err
	}
	prior, err := n.Deployment.Proto()
	if err != nil {
		return err
	}
	// The plugin works from its own state. From the configuration, it receives
	// only sensitive arguments, which the state does not contain.
	config := cty.EmptyObjectVal
	if n.Body != nil {
		_, secrets := n.Body.Refs()
		bound, diags := n.Body.Bind(c.values.secrets.Vars(secrets))
		if diags.HasErrors() {
			return &failure.Diagnosed{Diagnostics: diags}
		}
		stage.Conceal(c.redactor, bound)
		config = bound.Config
	}
	encoded, err := client.EncodeValue(config)
	if err != nil {
		return err
	}
	s := &stage.Stage{Node: n, Instance: &pluginv1.Instance{Kind: n.Kind, Type: n.Type, Address: addr.WithinModule(at.Current().String()), Config: encoded}}
	defer func() { res.Diagnostics = append(res.Diagnostics, s.Warnings...) }()
	resp, err := p.Service().DeleteDeployment(ctx, &pluginv1.DeleteDeploymentRequest{Instance: s.Instance, State: prior})
	if err != nil {
		return err
	}
	if err := s.Heard(resp.GetDiagnostics()); err != nil {
		return err
	}
	return c.state.setNow(n.Address, nil)
}

// takeInto updates a deployment in the state to what the refresh found.
func (c *deployer) takeInto(n *plan.Node, res *StageResult) error {
	res.Action = plan.Refresh
	inst, ok := c.state.instance(n.Address)
	if !ok || inst.Deployment == nil {
		return fmt.Errorf("it is not in the state; make a new plan")
	}
	if n.Deployment == nil {
		return c.state.setNow(n.Address, nil)
	}
	found, deployment := *inst, *inst.Deployment
	deployment.Value, deployment.Private, deployment.Version = n.Deployment.Value, n.Deployment.Private, n.Deployment.Version
	found.Deployment, found.Updated = &deployment, time.Now().UTC()
	return c.state.setNow(n.Address, &found)
}
