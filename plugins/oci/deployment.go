package oci

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/zclconf/go-cty/cty"
	"oras.land/oras-go/v2/errdef"

	"github.com/quern-dev/quern/plugins/provenance"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

type args struct {
	Artifact    plugin.Artifact   `quern:"artifact,required" doc:"The trained model to push."`
	Reference   string            `quern:"reference,required" doc:"Where to push it: REGISTRY/REPOSITORY:TAG. Changing it replaces the deployment."`
	Name        string            `quern:"name" doc:"The model's name in its configuration. By default, it is the last part of the repository."`
	Version     string            `quern:"version" doc:"The model's version in its configuration."`
	Description string            `quern:"description" doc:"One sentence about the model."`
	Licenses    []string          `quern:"licenses" doc:"The licenses of the model, as SPDX expressions such as 'Apache-2.0'."`
	Annotations map[string]string `quern:"annotations" doc:"Annotations of the manifest, in addition to those that quern writes."`
	Username    string            `quern:"username,sensitive,operational" doc:"The user name at the registry. Without it, the credentials come from Docker's configuration, including its credential helpers."`
	Password    string            `quern:"password,sensitive,operational" doc:"The password or access token, from a variable with sensitive = true."`
	Insecure    bool              `quern:"insecure,operational" default:"false" doc:"Use plain HTTP. Registries on this machine are always reached through plain HTTP."`
}

const doc = `Pushes a trained model to an OCI registry, in the format of the CNCF's [ModelPack specification](https://github.com/modelpack/model-spec).

Each file of the model is an uncompressed layer of its own. quern pushes only the files that the repository does not have, and then writes the tag with a single request: whoever pulls it gets the old or the new model. ` + "`oras pull`" + ` and tools for ModelPack write the files under their names.

The manifest has these annotations, as far as they are known: ` + "`dev.quern.artifact`" + ` (the digest of the artifact), ` + "`dev.quern.data.NAME`" + ` (the digests of the datasets that the model was trained on), ` + "`dev.quern.base`" + ` (the base model), ` + "`org.opencontainers.image.revision`" + ` (the Git commit of the configuration), and ` + "`org.opencontainers.image.licenses`" + `.

quern never overwrites a tag that it did not push. If somebody else moves the tag later, the next plan shows it, and the next apply moves it back. Destroying the deployment deletes the tag, but only if it still points to the model that quern pushed; the registry's garbage collection removes the layers. Some registries cannot delete a tag alone. There, quern deletes the manifest.

The values are ` + "`reference`" + `, ` + "`digest`" + ` (of the manifest that the tag points to), ` + "`artifact`" + ` (the digest of the artifact), ` + "`pinned`" + ` (the reference with the digest in place of the tag, for whoever must get this model and no later one), ` + "`bytes`" + ` (the size of all layers), and ` + "`drift`" + ` (what the tag points to if quern did not push it, or empty).

` + "```hcl" + `
deploy "oci" "registry" {
  artifact   = train.student
  reference  = "registry.example.com/models/student:prod"
  licenses   = ["Apache-2.0"]
  depends_on = [gate.ship]
}
` + "```"

var valueType = cty.Object(map[string]cty.Type{
	"reference": cty.String, "digest": cty.String, "artifact": cty.String, "pinned": cty.String, "bytes": cty.Number, "drift": cty.String,
})

// deployment implements deploy "oci".
type deployment struct{}

// notes is the private part of the deployment's state: what was pushed.
type notes struct {
	Reference string   `json:"reference"`
	Insecure  bool     `json:"insecure,omitempty"`
	Digest    string   `json:"digest"` // of the manifest
	Bytes     int64    `json:"bytes"`
	Artifact  string   `json:"artifact"`
	Metadata  metadata `json:"metadata"`
}

// metadata is what the configuration says about the model.
type metadata struct {
	Name        string            `json:"name,omitempty"`
	Version     string            `json:"version,omitempty"`
	Description string            `json:"description,omitempty"`
	Licenses    []string          `json:"licenses,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

func (a *args) metadata() metadata {
	return metadata{a.Name, a.Version, a.Description, a.Licenses, a.Annotations}
}

// Prepare checks the arguments and declares the attributes.
func (deployment) Prepare(_ context.Context, p *plugin.Prepare[args]) error {
	if p.Known("reference") {
		if _, err := parseReference(p.Args.Reference); err != nil {
			p.Errorf("reference", "%s", err)
		}
	}
	if in := p.Input("artifact"); in != nil && (in.Kind != plugin.KindModel || in.Format == "") {
		p.Errorf("artifact", "Only a trained model can be pushed\nUse a model that a stage trained. deploy \"directory\" writes other artifacts to a folder.")
	}
	if p.Known("username") && p.Known("password") && (p.Args.Username == "") != (p.Args.Password == "") {
		p.Errorf("username", "username and password belong together\nSet both, or neither to use Docker's credentials.")
	}
	if p.Known("annotations") {
		for _, name := range slices.Sorted(maps.Keys(p.Args.Annotations)) {
			if strings.HasPrefix(name, ownPrefix) {
				p.Errorf("annotations", "The annotation %q is reserved\nquern writes the annotations that begin with %q.", name, ownPrefix)
			}
		}
	}
	p.SetValueType(valueType)
	return nil
}

// Read reports what the tag points to.
func (deployment) Read(ctx context.Context, r *plugin.DeploymentReadRequest[args]) (*plugin.DeploymentState, error) {
	n, err := notesOf(r.State)
	if err != nil {
		return nil, err
	}
	repo, err := n.open(r.Args)
	if err != nil {
		return nil, err
	}
	found, err := repo.Resolve(ctx, repo.Reference.Reference)
	if errors.Is(err, errdef.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look up %s: %w", n.Reference, err)
	}
	return n.state(found.Digest.String())
}

// Plan compares what was pushed with the configuration.
func (deployment) Plan(ctx context.Context, r *plugin.DeploymentPlanRequest[args]) (*plugin.DeploymentPlan, error) {
	if r.Prior == nil {
		return planCreate(ctx, r)
	}
	n, err := notesOf(r.Prior)
	if err != nil {
		return nil, err
	}
	out := &plugin.DeploymentPlan{Action: plugin.ActionNone}
	change := func(action plugin.DeploymentAction, argument, before, after string) {
		out.Action = max(out.Action, action)
		out.Changes = append(out.Changes, plugin.DeploymentChange{
			Argument: argument, Before: before, After: after, ForcesReplacement: action == plugin.ActionReplace,
		})
	}
	if r.Known("reference") && r.Args.Reference != n.Reference {
		out.Coexists = true
		change(plugin.ActionReplace, "reference", n.Reference, r.Args.Reference)
	}
	if digest, known := r.Digest("artifact"); known && digest != n.Artifact {
		change(plugin.ActionUpdate, "artifact", n.Artifact, digest)
	}
	if drift := r.Prior.Text("drift"); drift != "" {
		change(plugin.ActionUpdate, "reference", drift, n.Digest)
	}
	is, was := r.Args.metadata(), n.Metadata
	for _, c := range []struct {
		argument      string
		before, after any
	}{
		{"name", was.Name, is.Name}, {"version", was.Version, is.Version}, {"description", was.Description, is.Description},
		{"licenses", was.Licenses, is.Licenses}, {"annotations", was.Annotations, is.Annotations},
	} {
		if r.Known(c.argument) && !same(c.before, c.after) {
			change(plugin.ActionUpdate, c.argument, text(c.before), text(c.after))
		}
	}
	return out, nil
}

// planCreate refuses a tag that quern must not overwrite, so that nobody trains
// for hours before finding out.
func planCreate(ctx context.Context, r *plugin.DeploymentPlanRequest[args]) (*plugin.DeploymentPlan, error) {
	out := &plugin.DeploymentPlan{Action: plugin.ActionCreate}
	if !r.Known("reference") {
		return out, nil
	}
	repo, err := open(r.Args.Reference, r.Args)
	if err != nil {
		return nil, &plugin.ArgumentError{Argument: "reference", Err: err}
	}
	found, err := repo.owner(ctx)
	switch {
	case err != nil:
		return nil, fmt.Errorf("look up %s: %w", r.Args.Reference, err)
	case !found.exists:
	case found.artifact == "":
		return nil, plugin.ArgumentErrorf("reference", "%s", foreign(r.Args.Reference))
	default:
		out.Changes = append(out.Changes, plugin.DeploymentChange{
			Argument: "reference", Before: r.Args.Reference + " (pushed by another deployment of quern, which loses it)", After: r.Args.Reference,
		})
	}
	return out, nil
}

// Apply pushes what is missing, and then moves the tag.
func (deployment) Apply(ctx context.Context, r *plugin.DeploymentApplyRequest[args]) (*plugin.DeploymentState, error) {
	repo, err := open(r.Args.Reference, r.Args)
	if err != nil {
		return nil, &plugin.ArgumentError{Argument: "reference", Err: err}
	}
	in := r.Artifact(r.Args.Artifact)
	if in.Model == nil || len(in.Files) == 0 {
		return nil, plugin.ArgumentErrorf("artifact", "The artifact has no files\nOnly a trained model can be pushed.")
	}
	found, err := repo.owner(ctx)
	if err != nil {
		return nil, fmt.Errorf("look up %s: %w", r.Args.Reference, err)
	}
	if r.Prior == nil && found.exists && found.artifact == "" {
		return nil, plugin.ArgumentErrorf("reference", "%s", foreign(r.Args.Reference))
	}
	model, err := provenance.Read(in.Files)
	if err != nil {
		return nil, &plugin.ArgumentError{Argument: "artifact", Err: err}
	}
	p, err := pack(in.Model, model, r.Args, repo.Reference, provenance.Commit(ctx))
	if err != nil {
		return nil, err
	}
	if err := repo.push(ctx, p); err != nil {
		return nil, fmt.Errorf("push %s: %w", r.Args.Reference, err)
	}
	n := notes{
		Reference: r.Args.Reference, Insecure: r.Args.Insecure, Digest: p.manifest.Digest.String(), Bytes: p.size(),
		Artifact: in.Digest, Metadata: r.Args.metadata(),
	}
	return n.state(n.Digest)
}

// Delete deletes the tag, unless it points to something else by now.
func (deployment) Delete(ctx context.Context, r *plugin.DeploymentDeleteRequest[args]) error {
	n, err := notesOf(r.State)
	if err != nil {
		return err
	}
	repo, err := n.open(r.Args)
	if err != nil {
		return err
	}
	found, err := repo.Resolve(ctx, repo.Reference.Reference)
	if errors.Is(err, errdef.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look up %s: %w", n.Reference, err)
	}
	if found.Digest.String() != n.Digest {
		r.Warnf("The tag was not deleted\n%s points to %s, which this deployment did not push.", n.Reference, found.Digest)
		return nil
	}
	if err := repo.untag(ctx, found); errors.Is(err, errShared) {
		r.Warnf("The tag was not deleted\nThe registry of %s cannot delete single tags, and other tags point to the same manifest, which would no longer exist.", n.Reference)
		return nil
	} else if err != nil {
		return fmt.Errorf("delete %s: %w", n.Reference, err)
	}
	return nil
}

// foreign says that quern must not move a tag.
func foreign(reference string) string {
	return fmt.Sprintf("%s exists, and quern did not push it\nquern does not overwrite it. Use another tag, or delete this one.", reference)
}

// open returns the repository that a model was pushed to. The configuration says
// how to reach it. If the deployment is no longer configured, it only has the
// credentials.
func (n *notes) open(a *args) (*repository, error) {
	insecure := n.Insecure
	if a.Reference == n.Reference {
		insecure = a.Insecure
	}
	return open(n.Reference, &args{Username: a.Username, Password: a.Password, Insecure: insecure})
}

// state returns the state of the deployment if its tag points to found.
func (n *notes) state(found string) (*plugin.DeploymentState, error) {
	private, err := json.Marshal(n)
	if err != nil {
		return nil, fmt.Errorf("write the notes about the deployment: %w", err)
	}
	drift := ""
	if found != n.Digest {
		drift = "the tag points to " + found
	}
	name := strings.TrimSuffix(n.Reference, n.Reference[strings.LastIndex(n.Reference, ":"):])
	return &plugin.DeploymentState{
		Value: cty.ObjectVal(map[string]cty.Value{
			"reference": cty.StringVal(n.Reference), "digest": cty.StringVal(found), "artifact": cty.StringVal(n.Artifact),
			"pinned": cty.StringVal(name + "@" + n.Digest), "bytes": cty.NumberIntVal(n.Bytes), "drift": cty.StringVal(drift),
		}),
		Private: private,
	}, nil
}

func notesOf(s *plugin.DeploymentState) (*notes, error) {
	n := &notes{}
	if err := json.Unmarshal(s.Private, n); err != nil {
		return nil, fmt.Errorf("read the notes about the deployment: %w", err)
	}
	return n, nil
}

// same compares the values of an argument. An empty list or map is one that is
// not set.
func same(a, b any) bool {
	x, y := reflect.ValueOf(a), reflect.ValueOf(b)
	return x.Len() == 0 && y.Len() == 0 || reflect.DeepEqual(a, b)
}

// text shows the value of an argument.
func text(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	if reflect.ValueOf(v).Len() == 0 {
		return ""
	}
	b, err := json.Marshal(v)
	if err != nil { // strings can always be encoded
		return fmt.Sprint(v)
	}
	return string(b)
}

// size returns the size of all layers, in bytes.
func (p *pushed) size() int64 {
	var sum int64
	for _, l := range p.layers {
		sum += l.descriptor.Size
	}
	return sum
}

// descriptors returns the descriptors of the layers.
func (p *pushed) descriptors() []ocispec.Descriptor {
	out := make([]ocispec.Descriptor, len(p.layers))
	for i, l := range p.layers {
		out[i] = l.descriptor
	}
	return out
}
