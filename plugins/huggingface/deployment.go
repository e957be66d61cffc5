package huggingface

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/plugins/publication"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

type args struct {
	Artifact    plugin.Artifact `quern:"artifact" doc:"The trained model to publish. Set this or dataset."`
	Dataset     plugin.Dataset  `quern:"dataset" doc:"The dataset to publish. Changing from a model to a dataset replaces the deployment."`
	Format      string          `quern:"format" default:"\"parquet\"" oneof:"parquet,jsonl,csv" doc:"The format of the files of a dataset."`
	Repo        string          `quern:"repo,required" doc:"The repository: OWNER/NAME. It is created if it does not exist. Changing it replaces the deployment."`
	Revision    string          `quern:"revision" default:"\"main\"" doc:"The branch to commit to. It is created if it does not exist. Changing it replaces the deployment."`
	Private     bool            `quern:"private" default:"true" doc:"Whether only the owner and members of the organization can see the repository."`
	License     string          `quern:"license" doc:"The license, by the Hub's name for it, such as 'apache-2.0'."`
	Description string          `quern:"description" doc:"What the card says before the facts, in Markdown."`
	Tags        []string        `quern:"tags" doc:"The card's tags, in addition to 'quern'."`
	Report      plugin.Artifact `quern:"report" doc:"The report of an evaluation, such as evaluate.test, or of a profile. The card shows it."`
	Token       string          `quern:"token,sensitive,operational" doc:"The access token, from a variable with sensitive = true. Without it, the token is in the environment variable HF_TOKEN."`
	Endpoint    string          `quern:"endpoint,operational" doc:"The address of the Hub. Without it, the address is in the environment variable HF_ENDPOINT, or else https://huggingface.co."`
}

const doc = `Publishes a trained model or a dataset in a repository of the Hugging Face Hub, with a card.

quern sends only the files that the Hub does not have, and then makes a single commit: whoever downloads the revision gets the old or the new files. If nothing has changed, it makes no commit. If somebody else commits to the branch between the plan and the commit, quern makes no commit, either: it never overwrites what it has not seen.

The card of a model, README.md, is written from facts: the base model, the method and arguments of training, the digests of the datasets, the metrics of ` + "`report`" + `, the digest of the artifact, and the Git commit of the configuration. It replaces a README.md of the model.

Of a dataset, the repository contains the rows in ` + "`data`" + `, so that ` + "`load_dataset`" + ` finds them, the SHA-256 of each file in ` + "`SHA256SUMS`" + `, and a card with the number of rows, the columns with their types, and the digest. Files whose rows have not changed since the last apply are neither written nor sent again.

quern does not take over a branch that contains files which it did not publish. If somebody commits to the branch later, the next plan shows it, and the next apply restores the files that quern published. Other files remain. Destroying the deployment deletes the repository if quern created it and nobody else has committed to the branch; otherwise, it deletes the files that quern published, with a commit.

The values are ` + "`repo`" + `, ` + "`revision`" + `, ` + "`commit`" + ` (the commit that the branch is at), ` + "`artifact`" + ` (the digest of the artifact), ` + "`url`" + `, ` + "`private`" + `, and ` + "`drift`" + ` (how the repository differs from what quern published, or empty).

` + "```hcl" + `
deploy "huggingface" "hub" {
  artifact   = train.student
  repo       = "acme/student"
  license    = "apache-2.0"
  report     = evaluate.test
  depends_on = [gate.ship]
}

deploy "huggingface" "corpus" {
  dataset = transform.training
  repo    = "acme/corpus"
  license = "cc-by-4.0"
  report  = evaluate.profile
}
` + "```"

var valueType = cty.Object(map[string]cty.Type{
	"repo": cty.String, "revision": cty.String, "commit": cty.String, "artifact": cty.String, "url": cty.String, "private": cty.Bool, "drift": cty.String,
})

const (
	tokenVariable    = "HF_TOKEN"
	endpointVariable = "HF_ENDPOINT"
	publicHub        = "https://huggingface.co"
)

// deployment implements deploy "huggingface".
type deployment struct{}

// notes is the private part of the deployment's state: what was published.
type notes struct {
	Endpoint string `json:"endpoint"`
	target
	// Created and Branched are set if quern created the repository and the branch.
	Created  bool `json:"created"`
	Branched bool `json:"branched,omitempty"`
	Private  bool `json:"private"`
	// Commit is the commit that quern made, or found to contain the files already.
	Commit   string   `json:"commit"`
	Files    []string `json:"files"`
	Artifact string   `json:"artifact"`
	Report   string   `json:"report,omitempty"`
	Card     card     `json:"card"`
	// Rows are the files of a dataset.
	Rows []publication.File `json:"rows,omitempty"`
}

// target is where a configuration publishes.
func (a *args) target() target {
	t := target{Repo: a.Repo, Revision: a.Revision}
	if a.Dataset.IsSet() {
		t.Kind = datasetKind
	}
	return t
}

// key is the argument with what is published.
func (t *target) key() string {
	if t.Kind == datasetKind {
		return datasetKind
	}
	return "artifact"
}

// repoName is a repository with its owner.
var repoName = regexp.MustCompile(`^[\w.-]+/[\w.-]+$`)

// Prepare checks the arguments and declares the attributes.
func (deployment) Prepare(_ context.Context, p *plugin.Prepare[args]) error {
	if p.Known("repo") && !repoName.MatchString(p.Args.Repo) {
		p.Errorf("repo", "%q is not a repository\nUse OWNER/NAME, such as \"acme/student\".", p.Args.Repo)
	}
	if p.Known("revision") && (p.Args.Revision == "" || isCommit(p.Args.Revision)) {
		p.Errorf("revision", "%q is not a branch\nUse the name of a branch, such as \"main\".", p.Args.Revision)
	}
	if p.Args.Artifact.IsSet() == p.Args.Dataset.IsSet() {
		p.Errorf("artifact", "Set either artifact or dataset\nA deployment publishes a trained model or a dataset.")
	}
	if in := p.Input(datasetKind); in != nil && p.Known("format") {
		if problem := cardOf(p.Args).publication().Problem(in.Schema); problem != "" {
			p.Errorf("format", "%s", problem)
		}
	}
	if in := p.Input("artifact"); in != nil && (in.Kind != plugin.KindModel || in.Format == "") {
		p.Errorf("artifact", "Only a trained model can be published\nUse a model that a stage trained.")
	}
	if in := p.Input("report"); in != nil && in.Kind != plugin.KindReport {
		p.Errorf("report", "This is not a report\nUse an evaluation, such as evaluate.test.")
	}
	p.SetValueType(valueType)
	return nil
}

func isCommit(revision string) bool {
	return len(revision) == 40 && strings.Trim(revision, "0123456789abcdef") == ""
}

// hubOf returns the Hub of a configuration; endpoint is that of an existing
// deployment, or empty.
func hubOf(a *args, endpoint string) (*hub, error) {
	token := cmp.Or(a.Token, os.Getenv(tokenVariable))
	if token == "" {
		return nil, plugin.ArgumentErrorf("token", "There is no token for the Hugging Face Hub\nSet the environment variable %s, or token.", tokenVariable)
	}
	address := cmp.Or(endpoint, a.Endpoint, os.Getenv(endpointVariable), publicHub)
	return &hub{endpoint: strings.TrimSuffix(address, "/"), token: token}, nil
}

// Read reports what the branch contains.
func (deployment) Read(ctx context.Context, r *plugin.DeploymentReadRequest[args]) (*plugin.DeploymentState, error) {
	n, err := notesOf(r.State)
	if err != nil {
		return nil, err
	}
	h, err := hubOf(r.Args, n.Endpoint)
	if err != nil {
		return nil, err
	}
	found, err := h.repo(ctx, &n.target)
	if isMissing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return n.state(found)
}

// Plan compares what was published with the configuration.
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
		if before == after {
			return
		}
		out.Action = max(out.Action, action)
		out.Changes = append(out.Changes, plugin.DeploymentChange{
			Argument: argument, Before: before, After: after, ForcesReplacement: action == plugin.ActionReplace,
		})
	}
	if r.Known("repo") {
		change(plugin.ActionReplace, "repo", n.Repo, r.Args.Repo)
	}
	if r.Known("revision") {
		change(plugin.ActionReplace, "revision", n.Revision, r.Args.Revision)
	}
	to := r.Args.target()
	// Deleting a repository that quern created also deletes its other branches.
	other := to.Kind != n.Kind || !strings.EqualFold(to.Repo, n.Repo)
	out.Coexists = r.Known("repo") && (other || r.Known("revision") && to.Revision != n.Revision && !n.Created)
	if to.Kind != n.Kind {
		change(plugin.ActionReplace, to.key(), n.kind(), to.kind())
	} else if digest, known := r.Digest(to.key()); known {
		change(plugin.ActionUpdate, to.key(), n.Artifact, digest)
	}
	if digest, known := r.Digest("report"); known || !r.Args.Report.IsSet() {
		change(plugin.ActionUpdate, "report", n.Report, digest)
	}
	if drift := r.Prior.Text("drift"); drift != "" {
		change(plugin.ActionUpdate, to.key(), drift, "commit "+n.Commit)
	}
	if private := r.Prior.Value.GetAttr("private"); r.Known("private") && private.IsKnown() && !private.IsNull() {
		change(plugin.ActionUpdate, "private", fmt.Sprint(private.True()), fmt.Sprint(r.Args.Private))
	}
	is := cardOf(r.Args)
	for _, c := range []struct{ argument, before, after string }{
		{"license", n.Card.License, is.License}, {"description", n.Card.Description, is.Description},
		{"tags", strings.Join(n.Card.Tags, ", "), strings.Join(is.Tags, ", ")}, {"format", n.Card.Format, is.Format},
	} {
		if r.Known(c.argument) {
			change(plugin.ActionUpdate, c.argument, c.before, c.after)
		}
	}
	return out, nil
}

// planCreate refuses a branch that quern must not take over, so that nobody
// trains for hours before finding out.
func planCreate(ctx context.Context, r *plugin.DeploymentPlanRequest[args]) (*plugin.DeploymentPlan, error) {
	out := &plugin.DeploymentPlan{Action: plugin.ActionCreate}
	if !r.Known("repo") || !r.Known("revision") {
		return out, nil
	}
	h, err := hubOf(r.Args, "")
	if err != nil {
		return nil, err
	}
	to := r.Args.target()
	found, err := h.repo(ctx, &to)
	if isMissing(err) {
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	switch {
	case found.isForeign():
		return nil, foreign(r.Args)
	case found.Card.Artifact != "":
		out.Changes = append(out.Changes, plugin.DeploymentChange{
			Argument: "repo", Before: r.Args.Repo + " (published by another deployment of quern, which loses it)", After: r.Args.Repo,
		})
	}
	return out, nil
}

func foreign(a *args) error {
	return plugin.ArgumentErrorf("repo", "The branch %q of %s contains files that quern did not publish\nquern does not take it over. Use another repository or revision, or delete these files.", a.Revision, a.Repo)
}

// Apply sends what is missing, and then makes the commit.
func (deployment) Apply(ctx context.Context, r *plugin.DeploymentApplyRequest[args]) (*plugin.DeploymentState, error) {
	h, err := hubOf(r.Args, "")
	if err != nil {
		return nil, err
	}
	n := &notes{Endpoint: h.endpoint, target: r.Args.target()}
	seen := "" // the commit that the user has seen in the plan
	if r.Prior != nil {
		if n, err = notesOf(r.Prior); err != nil {
			return nil, err
		}
		h.endpoint, seen = n.Endpoint, r.Prior.Text("commit")
	}
	was := n.Files
	files, err := n.content(ctx, r)
	if err != nil {
		return r.Prior, err
	}
	found, err := h.ensure(ctx, n, r.Args.Private)
	if err != nil {
		return nil, err
	}
	if r.Prior == nil && found.isForeign() {
		return nil, foreign(r.Args)
	}
	if r.Prior != nil && found.Commit != n.Commit && found.Commit != seen {
		return nil, plugin.ArgumentErrorf("revision", "Somebody committed to %s since the plan\nThe branch %q is now at %s. Make a new plan, which shows what would be replaced.", n.Repo, n.Revision, found.Commit)
	}
	commit, err := h.publish(ctx, n, found.Commit, files, was)
	if err != nil {
		// Nothing was committed, but the repository may have been created.
		return r.Prior, err
	}
	n.Commit = commit
	found.Commit = commit
	if found.Private != r.Args.Private {
		if err := h.setVisibility(ctx, &n.target, r.Args.Private); err != nil {
			state, stateErr := n.state(found)
			return state, errors.Join(err, stateErr)
		}
		found.Private = r.Args.Private
	}
	n.Private = found.Private
	return n.state(found)
}

// Delete deletes the repository if it is quern's alone, and otherwise the files
// that quern published.
func (deployment) Delete(ctx context.Context, r *plugin.DeploymentDeleteRequest[args]) error {
	n, err := notesOf(r.State)
	if err != nil {
		return err
	}
	h, err := hubOf(r.Args, n.Endpoint)
	if err != nil {
		return err
	}
	found, err := h.repo(ctx, &n.target)
	if isMissing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	own := found.Commit == n.Commit
	switch {
	case own && n.Created:
		return h.deleteRepo(ctx, &n.target)
	case own && n.Branched:
		return h.deleteBranch(ctx, &n.target)
	}
	if n.Created || n.Branched {
		r.Warnf("The repository was not deleted\nSomebody else has committed to the branch %q of %s. Only the files that quern published were deleted.", n.Revision, n.Repo)
	}
	_, err = h.publish(ctx, n, found.Commit, nil, n.Files)
	return err
}

func notesOf(s *plugin.DeploymentState) (*notes, error) {
	n := &notes{}
	if err := json.Unmarshal(s.Private, n); err != nil {
		return nil, fmt.Errorf("read the notes about the deployment: %w", err)
	}
	return n, nil
}

// state returns the state of the deployment for what was found.
func (n *notes) state(found *repo) (*plugin.DeploymentState, error) {
	private, err := json.Marshal(n)
	if err != nil {
		return nil, fmt.Errorf("write the notes about the deployment: %w", err)
	}
	drift := ""
	if found.Commit != n.Commit {
		drift = fmt.Sprintf("commit %s, which quern did not make", found.Commit)
	}
	return &plugin.DeploymentState{
		Value: cty.ObjectVal(map[string]cty.Value{
			"repo": cty.StringVal(n.Repo), "revision": cty.StringVal(n.Revision), "commit": cty.StringVal(found.Commit),
			"artifact": cty.StringVal(n.Artifact), "url": cty.StringVal(n.Endpoint + n.page()), "private": cty.BoolVal(found.Private),
			"drift": cty.StringVal(drift),
		}),
		Private: private,
	}, nil
}
