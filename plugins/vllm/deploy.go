// Package vllm deploys LoRA adapters to running replicas of vLLM, over vLLM's
// HTTP API.
package vllm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/plugins/provider"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

const doc = `Serves a LoRA adapter with running replicas of vLLM.

The artifact is a model in the format ` + "`hf-adapter`" + `. quern writes the adapter to ` + "`path`" + `, a folder that all replicas can read, and loads it on every replica under a name of its own, such as ` + "`support-q3f9a12c07b44`" + `. It asks each replica the ` + "`prompt`" + ` at temperature 0. If a replica cannot load the adapter, does not answer, or does not answer as ` + "`expect`" + ` says, quern unloads the adapter from all replicas, and the old one stays. Requests for the old adapter are answered all the time, even if quern is killed.

Clients ask for the model that the value ` + "`model`" + ` names. quern sets it when all replicas serve the adapter; pass it on with an output. The version before stays loaded for clients that still use its name, and is unloaded at the next change; see ` + "`keep`" + `.

With ` + "`alias = true`" + `, clients ask for ` + "`name`" + ` instead, which quern switches in place on each replica. An answer that is being generated at that moment continues with the new adapter. Versions of vLLM that identify cached prefixes by the adapter's name alone may reuse prefixes that the old adapter computed, so use an alias only with prefix caching turned off, or with a vLLM whose cache keys contain the adapter's path.

vLLM forgets adapters when it restarts. The next plan shows that, and the next apply loads them again.

The replicas need ` + "`--enable-lora`" + ` and the variable ` + "`VLLM_ALLOW_RUNTIME_LORA_UPDATING=True`" + `.

The values are ` + "`model`" + ` (what clients ask for), ` + "`version`" + `, ` + "`digest`" + ` (of the deployed artifact), ` + "`folder`" + ` (of the adapter, as the replicas see it), and ` + "`drift`" + ` (how the replicas differ from what was deployed, or empty if they do not).

` + "```hcl" + `
deploy "vllm" "support" {
  artifact   = train.support
  endpoints  = ["http://10.0.0.1:8000", "http://10.0.0.2:8000"]
  name       = "support"
  path       = "/mnt/adapters"
  prompt     = "Where is my order?"
  depends_on = [gate.ship]
}

output "model" {
  value = deploy.support.model
}
` + "```"

// keyVariable is the variable that vLLM itself reads its key from.
const keyVariable = "VLLM_API_KEY"

type args struct {
	Artifact  plugin.Model `quern:"artifact,required" doc:"The adapter to serve."`
	Endpoints []string     `quern:"endpoints,required" doc:"The addresses of the replicas, without /v1."`
	Name      string       `quern:"name,required" doc:"The adapter's name. Changing it replaces the deployment."`
	Path      string       `quern:"path,required" doc:"A folder that quern can write and all replicas can read. A relative path is relative to the folder of the configuration."`
	Mount     string       `quern:"mount" doc:"The path of that folder for the replicas, if it differs, as in a container."`
	Base      string       `quern:"base" doc:"The name of the base model. If it is set, all replicas must serve it."`
	Alias     bool         `quern:"alias" doc:"Whether clients ask for name instead of the version."`
	Keep      int64        `quern:"keep" default:"2" doc:"How many versions stay loaded, including the current one."`
	Drain     string       `quern:"drain,operational" default:"\"30s\"" doc:"How long requests that have begun may take before an old version is unloaded."`
	provider.Secret
	provider.Headers
	provider.Proof
}

var valueType = cty.Object(map[string]cty.Type{
	"model": cty.String, "version": cty.String, "digest": cty.String, "folder": cty.String, "drift": cty.String,
})

// notes is the private part of the deployment's state.
type notes struct {
	Name      string   `json:"name"`
	Endpoints []string `json:"endpoints"`
	Path      string   `json:"path"`
	Mount     string   `json:"mount"`
	Alias     bool     `json:"alias,omitempty"`
	Keep      int64    `json:"keep"`
	Digest    string   `json:"digest"`
	// Versions stay loaded, starting with the current one, to which clients were
	// switched at that time.
	Versions []string  `json:"versions"`
	Switched time.Time `json:"switched"`
}

func (n *notes) version() string { return n.Versions[0] }

// folder returns the folder of a version, as the replicas see it.
func (n *notes) folder(version string) string { return path.Join(n.Mount, version) }

// deployment implements deploy "vllm".
type deployment struct{ root string }

// Plugin returns the plugin, which has a process of its own: it alone sees the
// replicas' key. Relative paths start from the root that it is configured with.
func Plugin(version string) plugin.Plugin {
	d := &deployment{root: "."}
	return plugin.Plugin{
		Name: "vllm", Version: version,
		Configure: func(_ context.Context, root string) error {
			d.root = root
			return nil
		},
		Types: []plugin.Type{plugin.NewDeployment(plugin.Info{Kind: plugin.KindDeploy, Name: "vllm", Doc: doc, BehaviorVersion: 1}, d)},
	}
}

var validName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`)

// Prepare checks the arguments.
func (*deployment) Prepare(_ context.Context, p *plugin.Prepare[args]) error {
	a := p.Args
	if p.Known("name") && !validName.MatchString(a.Name) {
		p.Errorf("name", "%q is not a valid name for an adapter\nUse letters, digits, dots, dashes, and underscores.", a.Name)
	}
	if p.Known("path") && a.Path == "" {
		p.Errorf("path", "The path is empty\nUse a folder that quern and all replicas share.")
	}
	if p.Known("mount") && a.Mount != "" && !path.IsAbs(a.Mount) {
		p.Errorf("mount", "%q is not an absolute path", a.Mount)
	}
	if p.Known("keep") && a.Keep < 1 {
		p.Errorf("keep", "Cannot keep %d versions\nkeep must be at least 1, because the current version is always kept.", a.Keep)
	}
	if _, err := time.ParseDuration(a.Drain); p.Known("drain") && err != nil {
		p.Errorf("drain", "%q is not a duration\nUse a duration such as \"30s\".", a.Drain)
	}
	if problem := a.Headers.Problem(); problem != "" && p.Known("headers") {
		p.Errorf("headers", "%s", problem)
	}
	checkEndpoints(p)
	a.Proof.Check(p)
	p.SetValueType(valueType)
	return nil
}

func checkEndpoints(p *plugin.Prepare[args]) {
	if !p.Known("endpoints") {
		return
	}
	if len(p.Args.Endpoints) == 0 {
		p.Errorf("endpoints", "There are no replicas\nList at least one address.")
	}
	for i, address := range p.Args.Endpoints {
		u := provider.URL(address)
		switch {
		case u == nil:
			p.Errorf("endpoints", "%q is not a valid address\nStart it with http:// or https://, such as \"http://10.0.0.1:8000\".", address)
		case provider.Misplaced(u, "/v1", "/v1/models", "/v1/chat/completions") != "":
			p.Errorf("endpoints", "%q ends in a path\nRemove that: quern adds the path that each call needs.", address)
		case slices.Contains(p.Args.Endpoints[:i], address):
			p.Errorf("endpoints", "%q is listed twice", address)
		}
	}
}

// wanted returns the notes about what is to be deployed, before anything else
// is known about it.
func (d *deployment) wanted(a *args, digest string) *notes {
	place := a.Path
	if !filepath.IsAbs(place) {
		place = filepath.Join(d.root, place)
	}
	n := &notes{Name: a.Name, Path: a.Path, Mount: a.Mount, Alias: a.Alias, Keep: a.Keep, Digest: digest}
	if n.Mount == "" {
		n.Mount = filepath.ToSlash(filepath.Clean(place))
	}
	for _, address := range a.Endpoints {
		n.Endpoints = append(n.Endpoints, strings.TrimRight(address, "/"))
	}
	sum := sha256.Sum256([]byte(digest + "\n" + n.Mount))
	n.Versions = []string{n.Name + versionMark + hex.EncodeToString(sum[:versionDigits/2])}
	return n
}

// A version's name is the adapter's name, the mark, and hexadecimal digits.
const (
	versionMark   = "-q"
	versionDigits = 12
)

// isVersion reports whether a name is a version of the adapter.
func (n *notes) isVersion(name string) bool {
	digits, ok := strings.CutPrefix(name, n.Name+versionMark)
	return ok && len(digits) == versionDigits && strings.Trim(digits, "0123456789abcdef") == ""
}

// Read reports what the replicas serve.
func (d *deployment) Read(ctx context.Context, r *plugin.DeploymentReadRequest[args]) (*plugin.DeploymentState, error) {
	n, err := notesOf(r.State)
	if err != nil {
		return nil, err
	}
	var drift []string
	lost := 0
	place := d.place(n)
	if !place.has(n.version()) {
		drift = append(drift, "the folder "+n.version()+" was deleted")
	}
	for _, rep := range replicas(r.Args, n.Endpoints) {
		problem, gone := n.differs(ctx, rep)
		if problem != "" {
			drift = append(drift, rep.URL+" "+problem)
		}
		if gone {
			lost++
		}
	}
	if lost == len(n.Endpoints) && !place.has(n.version()) {
		return nil, nil
	}
	return n.state(strings.Join(drift, "; "))
}

// differs returns how a replica differs from what was deployed, or "", and
// whether it serves nothing of it.
func (n *notes) differs(ctx context.Context, rep *replica) (problem string, gone bool) {
	models, err := rep.models(ctx)
	if err != nil {
		return "does not answer", false
	}
	version, alias := models[n.version()], models[n.Name]
	switch {
	case version == nil:
		return "does not serve " + n.version(), alias == nil
	case version.Root != n.folder(n.version()):
		return "serves another adapter as " + n.version(), false
	case n.Alias && (alias == nil || alias.Root != version.Root):
		return "serves another adapter as " + n.Name, false
	}
	return "", false
}

// Plan compares what is deployed with the configuration.
func (d *deployment) Plan(ctx context.Context, r *plugin.DeploymentPlanRequest[args]) (*plugin.DeploymentPlan, error) {
	if m := r.Model(r.Args.Artifact); m != nil {
		if _, err := adapterOf(m); err != nil {
			return nil, err
		}
	}
	if r.Known("base") && r.Known("endpoints") {
		if err := checkBase(ctx, r.Args); err != nil {
			return nil, err
		}
	}
	if r.Prior == nil {
		return &plugin.DeploymentPlan{Action: plugin.ActionCreate}, d.inTheWay(ctx, r)
	}
	n, err := notesOf(r.Prior)
	if err != nil {
		return nil, err
	}
	digest, known := r.Digest("artifact")
	if !known {
		digest = n.Digest
	}
	wanted := d.wanted(r.Args, digest)
	plan := &plugin.DeploymentPlan{Action: plugin.ActionNone, Coexists: r.Known("name") && n.Name != wanted.Name}
	change := func(argument, before, after string, action plugin.DeploymentAction) {
		if before == after || !r.Known(argument) {
			return
		}
		plan.Action = max(plan.Action, action)
		plan.Changes = append(plan.Changes, plugin.DeploymentChange{
			Argument: argument, Before: before, After: after, ForcesReplacement: action == plugin.ActionReplace,
		})
	}
	present := n.Digest
	if drift := r.Prior.Text("drift"); drift != "" {
		present = fmt.Sprintf("%s (%s)", n.Digest, drift)
	}
	change("name", n.Name, wanted.Name, plugin.ActionReplace)
	change("artifact", present, digest, plugin.ActionUpdate)
	change("endpoints", strings.Join(n.Endpoints, ", "), strings.Join(wanted.Endpoints, ", "), plugin.ActionUpdate)
	change("path", n.Path, wanted.Path, plugin.ActionUpdate)
	if r.Known("path") {
		change("mount", n.Mount, wanted.Mount, plugin.ActionUpdate)
	}
	change("alias", fmt.Sprint(n.Alias), fmt.Sprint(wanted.Alias), plugin.ActionUpdate)
	change("keep", fmt.Sprint(n.Keep), fmt.Sprint(wanted.Keep), plugin.ActionUpdate)
	return plan, nil
}

// inTheWay returns an error if a replica serves someone else's adapter under
// the name. A replica that does not run yet serves none.
func (d *deployment) inTheWay(ctx context.Context, r *plugin.DeploymentPlanRequest[args]) error {
	if !r.Known("name") || !r.Known("endpoints") || !r.Known("alias") {
		return nil
	}
	n := d.wanted(r.Args, "")
	for _, rep := range replicas(r.Args, n.Endpoints) {
		if found, err := rep.models(ctx); err == nil {
			if err := n.free(rep, found); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkBase returns an error if a replica serves another base model.
func checkBase(ctx context.Context, a *args) error {
	if a.Base == "" {
		return nil
	}
	for _, rep := range replicas(a, a.Endpoints) {
		models, err := rep.models(ctx)
		if err != nil {
			return err
		}
		if m := models[a.Base]; m == nil || m.Parent != "" {
			return &plugin.ArgumentError{Argument: "base", Err: fmt.Errorf(
				"%s does not serve the base model %s\nIt serves %s.", rep.URL, a.Base, strings.Join(models.bases(), ", "))}
		}
	}
	return nil
}

// Apply loads the adapter on all replicas, and switches to it if all of them
// serve it.
func (d *deployment) Apply(ctx context.Context, r *plugin.DeploymentApplyRequest[args]) (*plugin.DeploymentState, error) {
	a, m := r.Args, r.Model(r.Args.Artifact)
	files, err := adapterOf(m)
	if err != nil {
		return nil, err
	}
	if err := checkBase(ctx, a); err != nil {
		return nil, err
	}
	n, prior := d.wanted(a, m.Digest), (*notes)(nil)
	if r.Prior != nil {
		if prior, err = notesOf(r.Prior); err != nil {
			return nil, err
		}
		n.Versions = keep(append(n.Versions, prior.Versions...), n.Keep)
	}
	n.Switched = time.Now().UTC()
	place := d.place(n)
	had := place.has(n.version())
	if err := place.write(ctx, n.version(), files); err != nil {
		return nil, err
	}
	rollout := &rollout{notes: n, replicas: replicas(a, n.Endpoints), proof: &a.Proof}
	if undone, err := rollout.do(ctx); err != nil {
		if undone && !had {
			err = errors.Join(err, os.RemoveAll(place.folder(n.version())))
		}
		return nil, err
	}
	if prior != nil && prior.version() == n.version() {
		n.Switched = prior.Switched
	}
	state, err := n.state("")
	if left := d.retire(ctx, a, n, prior); left != nil {
		r.Warnf("keep", "Some old versions are still loaded\n%s", left)
	}
	return state, err
}

// keep returns the first distinct versions.
func keep(versions []string, most int64) []string {
	var kept []string
	for _, v := range versions {
		if !slices.Contains(kept, v) && int64(len(kept)) < most {
			kept = append(kept, v)
		}
	}
	return kept
}

// retire unloads versions that are not kept, from replicas that are no longer
// listed all, and then deletes their folders.
func (d *deployment) retire(ctx context.Context, a *args, n, prior *notes) error {
	if err := n.drain(ctx, a, prior); err != nil {
		return err
	}
	var errs []error
	for _, rep := range replicas(a, n.Endpoints) {
		errs = append(errs, n.unloadFrom(ctx, rep, n.Versions, n.Alias))
	}
	places := []place{d.place(n)}
	if prior != nil {
		for _, rep := range replicas(a, prior.Endpoints) {
			if !slices.Contains(n.Endpoints, rep.URL) {
				errs = append(errs, ignoreUnreachable(prior.unloadFrom(ctx, rep, nil, false)))
			}
		}
		if prior.Path != n.Path {
			places = append(places, d.place(prior))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for i, p := range places {
		kept := n.Versions
		if i > 0 {
			kept = nil
		}
		errs = append(errs, p.sweep(n, kept))
	}
	return errors.Join(errs...)
}

// drain waits for requests to versions that are going to be unloaded.
func (n *notes) drain(ctx context.Context, a *args, prior *notes) error {
	old := func(v string) bool { return !slices.Contains(n.Versions, v) }
	if prior == nil || !slices.ContainsFunc(prior.Versions, old) {
		return nil
	}
	patience, err := time.ParseDuration(a.Drain)
	if err != nil {
		return err
	}
	since := n.Switched
	if !old(prior.version()) {
		since = prior.Switched
	}
	select {
	case <-time.After(patience - time.Since(since)):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Delete unloads the adapter from all replicas and deletes its folders.
func (d *deployment) Delete(ctx context.Context, r *plugin.DeploymentDeleteRequest[args]) error {
	n, err := notesOf(r.State)
	if err != nil {
		return err
	}
	for _, rep := range replicas(r.Args, n.Endpoints) {
		err := n.unloadFrom(ctx, rep, nil, false)
		if err != nil && ignoreUnreachable(err) == nil {
			r.Warnf("%s does not answer\nIf it still runs, it serves %s until it restarts.", rep.URL, n.version())
		} else if err != nil {
			return err
		}
	}
	return d.place(n).sweep(n, nil)
}

func notesOf(s *plugin.DeploymentState) (*notes, error) {
	n := &notes{}
	if err := json.Unmarshal(s.Private, n); err != nil {
		return nil, fmt.Errorf("read the notes about the deployment: %w", err)
	}
	if len(n.Versions) == 0 {
		return nil, errors.New("the notes about the deployment name no version")
	}
	return n, nil
}

func (n *notes) state(drift string) (*plugin.DeploymentState, error) {
	private, err := json.Marshal(n)
	if err != nil {
		return nil, fmt.Errorf("write the notes about the deployment: %w", err)
	}
	model := n.version()
	if n.Alias {
		model = n.Name
	}
	return &plugin.DeploymentState{Private: private, Value: cty.ObjectVal(map[string]cty.Value{
		"model": cty.StringVal(model), "version": cty.StringVal(n.version()), "digest": cty.StringVal(n.Digest),
		"folder": cty.StringVal(n.folder(n.version())), "drift": cty.StringVal(drift),
	})}, nil
}
