package kubernetes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/sdk/go/plugin"
)

type args struct {
	Manifest     cty.Value         `quern:"manifest,required" doc:"The objects: an object, a list of objects, or a text in YAML or JSON with one or more documents, such as file(\"app.yaml\") or templatefile(\"app.yaml\", { model = deploy.oci.registry.pinned })."`
	Namespace    string            `quern:"namespace" doc:"The namespace of objects that name none. By default, it is that of the context."`
	Kubeconfig   string            `quern:"kubeconfig,operational" doc:"The path of the kubeconfig file. By default, it is KUBECONFIG, or ~/.kube/config, or, in a pod, its service account."`
	Context      string            `quern:"context" doc:"The context in the kubeconfig file. By default, it is the current context."`
	Force        bool              `quern:"force_conflicts,operational" default:"false" doc:"Whether to take over fields that other managers own, and objects that quern did not create."`
	Wait         bool              `quern:"wait,operational" default:"true" doc:"Whether to wait until the objects are ready."`
	WaitFor      map[string]string `quern:"wait_for,operational" doc:"For kinds of custom resources: the condition that must be true, such as { InferenceService = \"Ready\" }. Without it, an object that reports the condition Ready or Available must be so, and one that reports no conditions is ready at once."`
	ReadyTimeout time.Duration     `quern:"ready_timeout,operational" default:"\"5m\"" doc:"How long to wait until the objects are ready, and until they are gone."`
}

const doc = `Applies objects to a Kubernetes cluster, and waits until they are ready.

quern uses server-side apply with the field manager ` + "`quern`" + `: it owns the fields in the manifest and leaves all others alone. The plan is a dry run of the apply on the server. It shows the same differences as ` + "`kubectl diff --server-side`" + `, including those that were made outside of quern. If another manager owns a field with another value, the plan fails and names the manager; ` + "`force_conflicts`" + ` takes the field over. A field that cannot be changed, such as the template of a Job, replaces the deployment: quern deletes its objects and creates them again.

Namespaces and definitions of custom resources are applied first, and all other objects in the order of the manifest. Objects that are no longer in the manifest are deleted. quern refuses an object that exists already, unless quern applied it or ` + "`force_conflicts`" + ` is set.

After an apply, quern waits until each Deployment, StatefulSet, DaemonSet, Job, and Pod, and each object with a condition Ready or Available, is ready. If that does not happen in time, the error contains the reason, from the object's conditions, its pods, and their events, such as an image that cannot be pulled, a quota, or a pod that fits on no node. The objects remain, and the next plan shows that they are not ready.

The values are ` + "`server`" + `, ` + "`namespace`" + `, ` + "`objects`" + ` (such as ` + "`apps/v1 Deployment prod/chat`" + `), and ` + "`drift`" + ` (the objects that are missing, or empty).

` + "```hcl" + `
deploy "kubernetes" "chat" {
  manifest = templatefile("chat.yaml", {
    model = deploy.oci.registry.pinned
  })
  context    = "production"
  depends_on = [gate.ship]
}
` + "```"

var valueType = cty.Object(map[string]cty.Type{
	"server": cty.String, "namespace": cty.String, "objects": cty.List(cty.String), "drift": cty.String,
})

// deployment implements deploy "kubernetes".
type deployment struct{}

// notes is the private part of the deployment's state.
type notes struct {
	Server     string `json:"server"`
	Kubeconfig string `json:"kubeconfig,omitempty"`
	Context    string `json:"context,omitempty"`
	Namespace  string `json:"namespace"`
	// Objects are those that quern applied, in order.
	Objects []reference `json:"objects"`
	// Unready is set if the last apply did not see the objects ready.
	Unready bool `json:"unready,omitempty"`
}

// Prepare checks the arguments and declares the attributes.
func (deployment) Prepare(_ context.Context, p *plugin.Prepare[args]) error {
	if p.Known("manifest") && p.Args.Manifest.IsWhollyKnown() {
		if _, err := parse(p.Args.Manifest); err != nil {
			p.Errorf("manifest", "%s", err)
		}
	}
	if p.Known("ready_timeout") && p.Args.ReadyTimeout <= 0 {
		p.Errorf("ready_timeout", "ready_timeout must be more than 0\nUse a duration such as \"5m\".")
	}
	p.SetValueType(valueType)
	return nil
}

// Read reports which of the objects exist.
func (deployment) Read(ctx context.Context, r *plugin.DeploymentReadRequest[args]) (*plugin.DeploymentState, error) {
	n, err := notesOf(r.State)
	if err != nil {
		return nil, err
	}
	c, err := n.connect(r.Args)
	if err != nil {
		return nil, err
	}
	var missing []string
	for _, ref := range n.Objects {
		live, err := c.get(ctx, ref)
		if err != nil {
			return nil, err
		}
		if live == nil || string(live.GetUID()) != ref.UID {
			missing = append(missing, ref.String())
		}
	}
	if len(missing) == len(n.Objects) {
		return nil, nil
	}
	drift := ""
	if len(missing) > 0 {
		drift = "missing: " + strings.Join(missing, ", ")
	}
	return n.state(drift)
}

// Plan is a dry run of Apply.
func (deployment) Plan(ctx context.Context, r *plugin.DeploymentPlanRequest[args]) (*plugin.DeploymentPlan, error) {
	c, err := connect(r.Args.Kubeconfig, r.Args.Context, r.Args.Namespace)
	if err != nil {
		return nil, err
	}
	n := &notes{}
	if r.Prior != nil {
		if n, err = notesOf(r.Prior); err != nil {
			return nil, err
		}
	}
	out := &plugin.DeploymentPlan{Action: plugin.ActionNone}
	if r.Prior == nil {
		out.Action = plugin.ActionCreate
	} else if n.Server != c.server {
		out.Action = plugin.ActionReplace
		if out.Coexists, err = c.hasNone(ctx, n.Objects); err != nil {
			return nil, err
		}
		out.Changes = append(out.Changes, plugin.DeploymentChange{Argument: "context", Before: n.Server, After: c.server, ForcesReplacement: true})
		n = &notes{}
	}
	objects, err := parse(r.Args.Manifest)
	if err != nil {
		return nil, &plugin.ArgumentError{Argument: "manifest", Err: err}
	}
	changes, err := c.preview(ctx, objects, n, r.Args.Force)
	if err != nil {
		return nil, &plugin.ArgumentError{Argument: "manifest", Err: err}
	}
	if n.Unready {
		changes = append(changes, plugin.DeploymentChange{Argument: "wait", Before: "the last apply did not finish", After: "ready"})
	}
	for _, change := range changes {
		if r.Prior != nil {
			out.Action = max(out.Action, plugin.ActionUpdate)
		}
		if change.ForcesReplacement {
			out.Action = plugin.ActionReplace
		}
	}
	out.Changes = append(out.Changes, changes...)
	return out, nil
}

// hasNone reports whether a cluster has none of the objects, so that it is not the same
// cluster at another address.
func (c *cluster) hasNone(ctx context.Context, objects []reference) (bool, error) {
	for _, ref := range objects {
		live, err := c.get(ctx, ref)
		if err != nil {
			return false, err
		}
		if live != nil && string(live.GetUID()) == ref.UID {
			return false, nil
		}
	}
	return true, nil
}

// Apply applies the objects, deletes those that left the manifest, and waits.
func (deployment) Apply(ctx context.Context, r *plugin.DeploymentApplyRequest[args]) (*plugin.DeploymentState, error) {
	c, err := connect(r.Args.Kubeconfig, r.Args.Context, r.Args.Namespace)
	if err != nil {
		return nil, err
	}
	n := &notes{}
	if r.Prior != nil {
		if n, err = notesOf(r.Prior); err != nil {
			return nil, err
		}
	}
	n.Server, n.Kubeconfig, n.Context, n.Namespace, n.Unready = c.server, r.Args.Kubeconfig, r.Args.Context, c.namespace, true
	objects, err := parse(r.Args.Manifest)
	if err != nil {
		return nil, &plugin.ArgumentError{Argument: "manifest", Err: err}
	}
	if err := c.refuseForeign(ctx, objects, n, r.Args.Force); err != nil {
		return nil, &plugin.ArgumentError{Argument: "manifest", Err: err}
	}
	if err := n.apply(ctx, c, objects, r.Args); err != nil {
		if len(n.Objects) == 0 {
			return nil, err
		}
		state, stateErr := n.state("")
		return state, errors.Join(err, stateErr)
	}
	n.Unready = false
	return n.state("")
}

// apply changes the cluster, and notes at each step what exists.
func (n *notes) apply(ctx context.Context, c *cluster, objects []object, a *args) error {
	wait := waiting{cluster: c, conditions: a.WaitFor, deadline: time.Now().Add(a.ReadyTimeout)}
	var applied []reference
	for _, o := range objects {
		if err := c.served(ctx, o, objects, wait.deadline); err != nil {
			return err
		}
		ref, err := c.apply(ctx, o, a.Force)
		if err != nil {
			return &plugin.ArgumentError{Argument: "manifest", Err: err}
		}
		n.note(ref)
		applied = append(applied, ref)
		if o.GetKind() == kindCRD {
			if err := wait.ready(ctx, ref); err != nil {
				return err
			}
		}
	}
	for _, ref := range slices.Backward(slices.Clone(n.Objects)) {
		if !slices.ContainsFunc(applied, ref.is) {
			if err := c.remove(ctx, ref); err != nil {
				return err
			}
		}
	}
	n.Objects = applied
	if !a.Wait {
		return nil
	}
	for _, ref := range applied {
		if err := wait.ready(ctx, ref); err != nil {
			return err
		}
	}
	return nil
}

// note adds an object, or replaces what is known about it.
func (n *notes) note(ref reference) {
	if i := slices.IndexFunc(n.Objects, ref.is); i >= 0 {
		n.Objects[i] = ref
		return
	}
	n.Objects = append(n.Objects, ref)
}

// Delete deletes the objects that quern created, and waits until they are gone.
func (deployment) Delete(ctx context.Context, r *plugin.DeploymentDeleteRequest[args]) error {
	n, err := notesOf(r.State)
	if err != nil {
		return err
	}
	c, err := n.connect(r.Args)
	if err != nil {
		return err
	}
	for _, ref := range slices.Backward(n.Objects) {
		if err := c.remove(ctx, ref); err != nil {
			return err
		}
	}
	timeout := r.Args.ReadyTimeout
	if timeout <= 0 { // the deployment is no longer configured
		timeout = 5 * time.Minute
	}
	return c.gone(ctx, n.Objects, time.Now().Add(timeout))
}

// connect finds the cluster that the objects were applied to: by the
// configuration, if it still names that cluster, or else as it was found then.
func (n *notes) connect(a *args) (*cluster, error) {
	if c, err := connect(a.Kubeconfig, a.Context, n.Namespace); err == nil && c.server == n.Server {
		return c, nil
	}
	c, err := connect(n.Kubeconfig, n.Context, n.Namespace)
	if err == nil && c.server != n.Server {
		return nil, plugin.ArgumentErrorf("context", "The context belongs to another cluster now\nThe objects were applied to %s, but the context names %s. Correct the kubeconfig file.", n.Server, c.server)
	}
	return c, err
}

func notesOf(s *plugin.DeploymentState) (*notes, error) {
	n := &notes{}
	if err := json.Unmarshal(s.Private, n); err != nil {
		return nil, fmt.Errorf("read the notes about the deployment: %w", err)
	}
	return n, nil
}

func (n *notes) state(drift string) (*plugin.DeploymentState, error) {
	private, err := json.Marshal(n)
	if err != nil {
		return nil, fmt.Errorf("write the notes about the deployment: %w", err)
	}
	objects := cty.ListValEmpty(cty.String)
	if len(n.Objects) > 0 {
		var all []cty.Value
		for _, ref := range n.Objects {
			all = append(all, cty.StringVal(ref.String()))
		}
		objects = cty.ListVal(all)
	}
	return &plugin.DeploymentState{
		Value: cty.ObjectVal(map[string]cty.Value{
			"server": cty.StringVal(n.Server), "namespace": cty.StringVal(n.Namespace), "objects": objects, "drift": cty.StringVal(drift),
		}),
		Private: private,
	}, nil
}
