package plugintest

import (
	"slices"
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/sdk/go/host/client"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// Deployed is a deployment under test. Its methods call the plugin as quern
// does and remember the state.
type Deployed struct {
	s     *session
	c     Case
	state *pluginv1.DeploymentState
	// Digests are the digests of the artifacts, by argument, for Plan.
	Digests map[string]string
}

// Deploy starts with nothing deployed.
func Deploy(t testing.TB, p plugin.Plugin, c Case) *Deployed {
	t.Helper()
	return &Deployed{s: start(t, p, c), c: c, Digests: map[string]string{}}
}

// SetArgs replaces the arguments.
func (d *Deployed) SetArgs(args map[string]any) { d.c.Args = args }

// Set changes one argument, in the map of the case or of SetArgs.
func (d *Deployed) Set(name string, value any) { d.c.Args[name] = value }

// Value returns the state's attributes, or cty.NilVal if nothing is deployed.
func (d *Deployed) Value() cty.Value {
	if d.state == nil {
		return cty.NilVal
	}
	v, err := client.DecodeValue(d.state.Value)
	if err != nil {
		d.s.t.Fatal(err)
	}
	return v
}

// Import takes over an existing deployment by its ID. It reports whether there is
// one.
func (d *Deployed) Import(id string) (bool, error) {
	d.s.t.Helper()
	resp, err := d.s.client.Service().ImportDeployment(d.s.t.Context(), &pluginv1.ImportDeploymentRequest{Instance: d.s.bind(d.c).instance, Id: id})
	if err == nil {
		err = d.failure(resp.Diagnostics)
	}
	if err != nil {
		return false, err
	}
	d.state = resp.State
	return resp.State != nil, nil
}

// Plan returns what Apply would do. The plugin gets the artifacts that have a
// digest, except for datasets.
func (d *Deployed) Plan() (*plugin.DeploymentPlan, error) {
	d.s.t.Helper()
	b := d.s.bind(d.c)
	req := &pluginv1.PlanDeploymentRequest{Instance: b.instance, Prior: d.state, Digests: d.Digests, Inputs: map[string]*pluginv1.Artifact{}}
	for key, a := range d.artifacts(b) {
		if a.Digest != "" {
			req.Inputs[key] = a
		}
	}
	resp, err := d.s.client.Service().PlanDeployment(d.s.t.Context(), req)
	if err == nil {
		err = d.failure(resp.Diagnostics)
	}
	if err != nil {
		return nil, err
	}
	out := &plugin.DeploymentPlan{Action: plugin.DeploymentAction(resp.Action), Coexists: resp.Coexists}
	for _, c := range resp.Changes {
		out.Changes = append(out.Changes, plugin.DeploymentChange{
			Argument: c.Argument, Before: c.Before, After: c.After, ForcesReplacement: c.ForcesReplacement,
		})
	}
	return out, nil
}

// Apply creates or updates the deployment.
func (d *Deployed) Apply() error {
	d.s.t.Helper()
	b := d.s.bind(d.c)
	req := &pluginv1.ApplyDeploymentRequest{
		Instance: b.instance, Prior: d.state, Inputs: d.artifacts(b), WorkDir: d.s.t.TempDir(),
	}
	for key := range b.datasets {
		req.Inputs[key] = d.s.datasetArtifact(b, key, &pluginv1.Reads{All: true})
		req.Inputs[key].Digest = d.Digests[key]
	}
	resp, err := d.s.client.Service().ApplyDeployment(d.s.t.Context(), req)
	if err != nil {
		return err
	}
	if resp.State != nil {
		d.state = resp.State
	}
	return d.failure(resp.Diagnostics)
}

// artifacts returns the models and reports by key.
func (d *Deployed) artifacts(b *bound) map[string]*pluginv1.Artifact {
	out := map[string]*pluginv1.Artifact{}
	for key, m := range b.models {
		out[key] = d.s.modelArtifact(m)
	}
	for key, r := range b.reports {
		out[key] = &pluginv1.Artifact{Kind: pluginv1.ArtifactKind_ARTIFACT_KIND_REPORT, Files: modelFiles(d.s.t, r.Dir)}
	}
	for key, a := range out {
		a.Digest = d.Digests[key]
	}
	return out
}

// Read refreshes the state. If the deployment no longer exists, Value returns
// cty.NilVal.
func (d *Deployed) Read() error {
	d.s.t.Helper()
	resp, err := d.s.client.Service().ReadDeployment(d.s.t.Context(), &pluginv1.ReadDeploymentRequest{
		Instance: d.s.bind(d.c).instance, State: d.state,
	})
	if err != nil {
		return err
	}
	if err := d.failure(resp.Diagnostics); err != nil {
		return err
	}
	d.state = resp.State
	return nil
}

// Delete deletes the deployment. It can be called again.
func (d *Deployed) Delete() error {
	d.s.t.Helper()
	resp, err := d.s.client.Service().DeleteDeployment(d.s.t.Context(), &pluginv1.DeleteDeploymentRequest{
		Instance: d.s.bind(d.c).instance, State: d.state,
	})
	if err != nil {
		return err
	}
	return d.failure(resp.Diagnostics)
}

func (d *Deployed) failure(diagnostics []*pluginv1.Diagnostic) error {
	return client.Failure(d.s.client.Name(), diagnostics)
}

// MustApply calls Apply. An error ends the test.
func (d *Deployed) MustApply() {
	d.s.t.Helper()
	if err := d.Apply(); err != nil {
		d.s.t.Fatal(err)
	}
}

// MustRead calls Read. An error ends the test.
func (d *Deployed) MustRead() {
	d.s.t.Helper()
	if err := d.Read(); err != nil {
		d.s.t.Fatal(err)
	}
}

// WantPlan plans, and checks the action and which arguments change.
func (d *Deployed) WantPlan(want plugin.DeploymentAction, arguments ...string) *plugin.DeploymentPlan {
	d.s.t.Helper()
	p, err := d.Plan()
	if err != nil {
		d.s.t.Fatal(err)
	}
	var got []string
	for _, c := range p.Changes {
		got = append(got, c.Argument)
	}
	if p.Action != want || !slices.Equal(got, arguments) {
		d.s.t.Fatalf("got action %d, %+v; want %d, %v", p.Action, p.Changes, want, arguments)
	}
	return p
}

// Planned reads the deployment, if there is one, and plans. It returns the action and
// the changes, each as "ARGUMENT: BEFORE -> AFTER", with "; " between them.
func (d *Deployed) Planned() (plugin.DeploymentAction, string) {
	d.s.t.Helper()
	if d.state != nil {
		d.MustRead()
	}
	p, err := d.Plan()
	if err != nil {
		d.s.t.Fatal(err)
	}
	var changes []string
	for _, c := range p.Changes {
		changes = append(changes, c.Argument+": "+c.Before+" -> "+c.After)
	}
	return p.Action, strings.Join(changes, "; ")
}
