package ollama

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"

	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/quern-dev/quern/plugins/provider"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

const deployDoc = `Serves a model with a running Ollama.

The artifact is a model in the format ` + "`gguf`" + `, in the format ` + "`hf`" + ` with an architecture that Ollama imports, or in the format ` + "`hf-adapter`" + `, a LoRA adapter with its base model. With ` + "`from`" + `, only the adapter is uploaded, and it is put on a model that Ollama has already. What Ollama cannot import is an error while planning, as soon as the artifact exists. Recent versions of Ollama import no adapters, and only with MLX the format ` + "`hf`" + `: they refuse the new version with their own message, and the old one stays. Use ` + "`gguf`" + ` with them.

quern uploads only files that Ollama does not have, creates the model under a name of its own, such as ` + "`support:latest-q3f9a12c07b44`" + `, and asks it the ` + "`prompt`" + ` at temperature 0. Only if it answers, and as ` + "`expect`" + ` says, does ` + "`name`" + ` become a copy of it. Clients that use ` + "`name`" + ` therefore get the old model or the new one at any time, even if quern is killed.

quern never overwrites a model that it did not create. If someone changes or deletes the model, the next plan shows it and the next apply restores it.

The values are ` + "`name`" + `, ` + "`url`" + `, ` + "`version`" + ` (the name that stays the same until the next change), ` + "`digest`" + ` (of the deployed artifact), ` + "`served`" + ` (Ollama's digest of the model), and ` + "`drift`" + ` (how the server differs from what was deployed, or empty if it does not).

` + "```hcl" + `
deploy "ollama" "support" {
  artifact   = train.support
  name       = "support"
  system     = "You answer questions about orders."
  parameters = { num_ctx = 8192, stop = ["<|im_end|>"] }
  prompt     = "Where is my order?"
  depends_on = [gate.ship]
}
` + "```"

type deployArgs struct {
	Artifact plugin.Model `quern:"artifact,required" doc:"The model to serve."`
	Name     string       `quern:"name,required" doc:"The model's name in Ollama, such as \"support\" or \"team/support:small\". Changing it replaces the deployment."`
	BaseURL  string       `quern:"base_url" doc:"The server's address. The default is the variable OLLAMA_HOST, or else this machine. Changing it replaces the deployment."`
	provider.Moved
	provider.Secret
	provider.Headers
	From       string    `quern:"from" doc:"A model on the server that the adapter of the artifact is put on, such as \"llama3.2:1b\". The default is the base model in the artifact."`
	Template   string    `quern:"template" doc:"The prompt template in Ollama's language. The default is the template that Ollama derives from the model's chat template."`
	System     string    `quern:"system" doc:"The system message for requests without one."`
	Parameters cty.Value `quern:"parameters" doc:"Parameters for requests that do not set them, such as { num_ctx = 8192 }."`
	License    string    `quern:"license" doc:"The text of the model's license."`
	Quantize   string    `quern:"quantize" oneof:"q4_K_M,q4_K_S,q8_0" doc:"How Ollama quantizes the weights. By default, it keeps them as they are."`
	Keep       int64     `quern:"keep" default:"1" doc:"How many versions Ollama keeps, including the current one. Going back to a version that it keeps uploads nothing."`
	provider.Proof
}

var deployedType = cty.Object(map[string]cty.Type{
	"name": cty.String, "url": cty.String, "version": cty.String, "digest": cty.String, "served": cty.String, "drift": cty.String,
})

// options are the arguments that Ollama stores with a model.
type options struct {
	From       string          `json:"from,omitempty"`
	Template   string          `json:"template,omitempty"`
	System     string          `json:"system,omitempty"`
	Parameters json.RawMessage `json:"parameters,omitempty"`
	License    string          `json:"license,omitempty"`
	Quantize   string          `json:"quantize,omitempty"`
}

// notes is the private part of the deployment's state.
type notes struct {
	URL     string  `json:"url"`
	Name    string  `json:"name"`
	Version string  `json:"version"`
	Served  string  `json:"served"` // Ollama's digest of the version
	Digest  string  `json:"digest"` // of the artifact
	Options options `json:"options"`
	Keep    int64   `json:"keep"`
}

// deployment implements deploy "ollama".
type deployment struct{}

// validName matches [HOST/][NAMESPACE/]MODEL[:TAG].
var validName = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^([\w.-]+(:\d+)?/)?([\w-]+/)?\w[\w.-]{0,79}(:\w[\w.-]{0,63})?$`)
})

// Prepare checks the arguments.
func (deployment) Prepare(_ context.Context, p *plugin.Prepare[deployArgs]) error {
	a := p.Args
	if p.Known("name") && !validName().MatchString(a.Name) {
		p.Errorf("name", "%q is not a valid name for a model in Ollama\nUse a name such as \"support\" or \"team/support:small\".", a.Name)
	}
	if p.Known("base_url") && p.Known("address") && a.url() == "" {
		p.Errorf(a.Argument(), "%s is not a valid address\nStart it with http:// or https://, such as %q.", a.Argument(), defaultAddress)
	}
	if problem := a.Headers.Problem(); problem != "" && p.Known("headers") {
		p.Errorf("headers", "%s", problem)
	}
	if t := a.Parameters.Type(); p.Known("parameters") && !a.Parameters.IsNull() && !t.IsObjectType() && !t.IsMapType() {
		p.Errorf("parameters", "parameters is not an object\nWrite it as { num_ctx = 8192 }.")
	}
	if p.Known("keep") && a.Keep < 1 {
		p.Errorf("keep", "Cannot keep %d versions\nkeep must be at least 1, because the current version is always kept.", a.Keep)
	}
	a.Proof.Check(p)
	p.SetValueType(deployedType)
	return nil
}

// url returns the server's address, or "" if the configured one is invalid.
func (a *deployArgs) url() string { return resolve(a.BaseURL) }

// server returns the server at the address that identifies it.
func (a *deployArgs) server(url string) *ollama {
	return &ollama{provider.NewServer(resolve(a.Endpoint(url)), a.Headers, a.Key(""))}
}

// name returns the model's name with its tag, as Ollama lists it.
func (a *deployArgs) name() string {
	last := a.Name[strings.LastIndex(a.Name, "/")+1:]
	if strings.Contains(last, ":") {
		return a.Name
	}
	return a.Name + ":latest"
}

func (a *deployArgs) options() (options, error) {
	o := options{From: a.From, Template: a.Template, System: a.System, License: a.License, Quantize: a.Quantize}
	if a.Parameters == cty.NilVal || a.Parameters.IsNull() {
		return o, nil
	}
	text, err := ctyjson.Marshal(a.Parameters, a.Parameters.Type())
	o.Parameters = text
	return o, err
}

// version returns the name of an artifact with its options.
func version(name, digest string, o options) string {
	text, err := json.Marshal(struct {
		Digest  string
		Options options
	}{digest, o})
	if err != nil {
		panic(err) // The parameters were encoded before.
	}
	sum := sha256.Sum256(text)
	return name + versionMark + hex.EncodeToString(sum[:versionDigits/2])
}

// A version's name is the model's name, the mark, and hexadecimal digits.
const (
	versionMark   = "-q"
	versionDigits = 12
)

// isVersion reports whether a model is a version of another one.
func isVersion(of, name string) bool {
	digits, ok := strings.CutPrefix(name, of+versionMark)
	return ok && len(digits) == versionDigits && strings.Trim(digits, "0123456789abcdef") == ""
}

// Read reports what the server has.
func (deployment) Read(ctx context.Context, r *plugin.DeploymentReadRequest[deployArgs]) (*plugin.DeploymentState, error) {
	n, err := notesOf(r.State)
	if err != nil {
		return nil, err
	}
	models, err := r.Args.server(n.URL).models(ctx)
	if err != nil {
		return nil, err
	}
	current, version := models[n.Name], models[n.Version]
	switch {
	case current == nil && version == nil:
		return nil, nil
	case current == nil:
		return n.state(n.Name + " was deleted")
	case current.Digest != n.Served:
		return n.state(n.Name + " was changed by someone else")
	case version == nil:
		return n.state(n.Version + " was deleted")
	}
	return n.state("")
}

// Plan compares what is deployed with the configuration.
func (deployment) Plan(ctx context.Context, r *plugin.DeploymentPlanRequest[deployArgs]) (*plugin.DeploymentPlan, error) {
	if err := planCheck(ctx, r); err != nil {
		return nil, err
	}
	a := r.Args
	if r.Prior == nil {
		if r.Known("name") && r.Known("base_url") && r.Known("address") {
			// A server that does not run yet has no models.
			if models, err := a.server(a.url()).models(ctx); err == nil && models.foreign(a.name()) {
				return nil, inTheWay(a.url(), a.name())
			}
		}
		return &plugin.DeploymentPlan{Action: plugin.ActionCreate}, nil
	}
	n, err := notesOf(r.Prior)
	if err != nil {
		return nil, err
	}
	plan := &plugin.DeploymentPlan{Action: plugin.ActionNone, Coexists: coexists(ctx, r, &n)}
	change := func(argument, before, after string, action plugin.DeploymentAction) {
		if before == after || !r.Known(argument) {
			return
		}
		plan.Action = max(plan.Action, action)
		plan.Changes = append(plan.Changes, plugin.DeploymentChange{
			Argument: argument, Before: before, After: after, ForcesReplacement: action == plugin.ActionReplace,
		})
	}
	change("name", n.Name, a.name(), plugin.ActionReplace)
	change("base_url", n.URL, a.url(), plugin.ActionReplace)
	wanted, known := r.Digest("artifact")
	if !known {
		wanted = n.Digest
	}
	present := n.Digest
	if drift := r.Prior.Text("drift"); drift != "" {
		present = fmt.Sprintf("%s (%s)", n.Digest, drift)
	}
	change("artifact", present, wanted, plugin.ActionUpdate)
	o, err := a.options()
	if err != nil {
		return nil, err
	}
	change("from", n.Options.From, o.From, plugin.ActionUpdate)
	change("template", n.Options.Template, o.Template, plugin.ActionUpdate)
	change("system", n.Options.System, o.System, plugin.ActionUpdate)
	change("parameters", shown(n.Options.Parameters), shown(o.Parameters), plugin.ActionUpdate)
	change("license", n.Options.License, o.License, plugin.ActionUpdate)
	change("quantize", n.Options.Quantize, o.Quantize, plugin.ActionUpdate)
	change("keep", fmt.Sprint(n.Keep), fmt.Sprint(a.Keep), plugin.ActionUpdate)
	return plan, nil
}

// coexists reports whether the configured model is another one than the deployed model.
// One with the same name at another address may be the same, if the address is only
// another one of the same server.
func coexists(ctx context.Context, r *plugin.DeploymentPlanRequest[deployArgs], n *notes) bool {
	a := r.Args
	if !r.Known("name") || !r.Known("base_url") || !r.Known("address") {
		return false
	}
	if !strings.EqualFold(n.Name, a.name()) {
		return true
	}
	if n.URL == a.url() {
		return false
	}
	models, err := a.server(a.url()).models(ctx)
	return err == nil && models[n.Name] == nil
}

// shown returns JSON as people write it.
func shown(text json.RawMessage) string {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var v any
	if dec.Decode(&v) != nil {
		return ""
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if enc.Encode(v) != nil {
		return ""
	}
	return strings.TrimSpace(b.String())
}

// planCheck refuses a model that exists already and that Ollama cannot take.
func planCheck(ctx context.Context, r *plugin.DeploymentPlanRequest[deployArgs]) error {
	m := r.Model(r.Args.Artifact)
	if m == nil || !r.Known("from") {
		return nil
	}
	i, err := importable(m, r.Args.From)
	if err != nil {
		return err
	}
	if !r.Known("base_url") || !r.Known("address") {
		return nil
	}
	return i.fits(ctx, r.Args.server(r.Args.url()), r.Args.From)
}

// Apply creates a version of the model, unless the server has it, and makes the
// name a copy of it.
func (deployment) Apply(ctx context.Context, r *plugin.DeploymentApplyRequest[deployArgs]) (*plugin.DeploymentState, error) {
	a, m := r.Args, r.Model(r.Args.Artifact)
	o, err := a.options()
	if err != nil {
		return nil, err
	}
	n := notes{URL: a.url(), Name: a.name(), Version: version(a.name(), m.Digest, o), Digest: m.Digest, Options: o, Keep: a.Keep}
	i, err := importable(m, a.From)
	if err != nil {
		return nil, err
	}
	s := a.server(n.URL)
	if err := i.fits(ctx, s, a.From); err != nil {
		return nil, err
	}
	models, err := s.models(ctx)
	if err != nil {
		return nil, err
	}
	if r.Prior == nil && models.foreign(n.Name) {
		return nil, inTheWay(n.URL, n.Name)
	}
	if n.Served, err = s.ensure(ctx, n, i, models); err != nil {
		return nil, err
	}
	if err := s.prove(ctx, n.Version, &a.Proof); err != nil {
		if models[n.Version] == nil {
			// The old model is still served, and nothing else is left.
			err = errors.Join(err, s.remove(ctx, n.Version))
		}
		return nil, err
	}
	if err := s.point(ctx, n); err != nil {
		return nil, err
	}
	state, err := n.state("")
	if left := s.prune(ctx, n); left != nil {
		r.Warnf("keep", "Some old versions were not deleted\n%s", left)
	}
	return state, err
}

// inTheWay is the error for a model that has the name and is someone else's.
func inTheWay(url, name string) error {
	return &plugin.ArgumentError{Argument: "name", Err: fmt.Errorf(
		"%s has a model %s that quern did not create\nDelete it with \"ollama rm %s\", or choose another name. quern never overwrites what it did not create.", url, name, name)}
}

// Delete deletes the model and its versions, unless someone else has changed it.
func (deployment) Delete(ctx context.Context, r *plugin.DeploymentDeleteRequest[deployArgs]) error {
	n, err := notesOf(r.State)
	if err != nil {
		return err
	}
	s := r.Args.server(n.URL)
	models, err := s.models(ctx)
	if err != nil {
		return err
	}
	current := models[n.Name]
	own := current != nil && (current.Digest == n.Served || !models.foreign(n.Name))
	if own {
		if err := s.remove(ctx, n.Name); err != nil {
			return err
		}
	} else if current != nil {
		r.Warnf("%s was not deleted\nSomeone else has changed it on %s since quern deployed it.", n.Name, n.URL)
	}
	for _, v := range models.versions(n.Name) {
		if err := s.remove(ctx, v.Name); err != nil {
			return err
		}
	}
	return nil
}

func notesOf(s *plugin.DeploymentState) (notes, error) {
	var n notes
	if err := json.Unmarshal(s.Private, &n); err != nil {
		return n, fmt.Errorf("read the notes about the deployment: %w", err)
	}
	return n, nil
}

func (n notes) state(drift string) (*plugin.DeploymentState, error) {
	private, err := json.Marshal(n)
	if err != nil {
		return nil, fmt.Errorf("write the notes about the deployment: %w", err)
	}
	return &plugin.DeploymentState{Private: private, Value: cty.ObjectVal(map[string]cty.Value{
		"name": cty.StringVal(n.Name), "url": cty.StringVal(n.URL), "version": cty.StringVal(n.Version),
		"digest": cty.StringVal(n.Digest), "served": cty.StringVal(n.Served), "drift": cty.StringVal(drift),
	})}, nil
}
