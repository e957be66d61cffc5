package huggingface

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/quern-dev/quern/plugins/files"
	"github.com/quern-dev/quern/plugins/provider"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

const sourceDoc = `Reads rows of a dataset of the Hugging Face Hub.

The branch or tag in ` + "`revision`" + ` is pinned to its commit in the lock file, so results do not change when somebody pushes, and ` + "`quern init -upgrade`" + ` moves to the newest commit. A refresh makes no request. Of a new commit, only the files whose content changed are read.

The files are those of the configuration and split, as the dataset's card lists them under ` + "`configs`" + ` or, without such a list, those whose names contain the split. Or ` + "`path`" + ` names them. They are read in place, by ranges: of Parquet files, only the footer and the columns in ` + "`columns`" + ` are transferred. Datasets that need Python code to be loaded cannot be read.

Files that are in the cache of ` + "`huggingface_hub`" + ` (` + "`HF_HUB_CACHE`, `HF_HOME`" + `) are not transferred. With ` + "`HF_HUB_OFFLINE=1`" + `, nothing else is read.

` + "```hcl" + `
source "huggingface" "questions" {
  repo    = "rajpurkar/squad"
  split   = "validation"
  columns = ["question", "answers"]
}
` + "```"

type sourceArgs struct {
	Repo     string `quern:"repo,required" doc:"The dataset: OWNER/NAME, or NAME for a dataset without an owner."`
	Revision string `quern:"revision" default:"\"main\"" doc:"A branch or tag, which the lock file pins to a commit, or a commit."`
	Config   string `quern:"config" doc:"The configuration, also called subset. The default is the dataset's only or default one."`
	Split    string `quern:"split" doc:"The split, such as 'train'. The default is the dataset's only split."`
	Path     string `quern:"path" doc:"The file, or a pattern for several files of the repository, such as 'data/*.jsonl', in place of config and split."`
	Token    string `quern:"token,sensitive,operational" doc:"The access token, from a variable with sensitive = true. Without it, the token is in the environment variable HF_TOKEN, or the dataset is read without one."`
	Endpoint string `quern:"endpoint,operational" doc:"The address of the Hub. Without it, the address is in the environment variable HF_ENDPOINT, or else https://huggingface.co."`
	files.Format

	commit string // that the revision refers to, after Prepare
}

// dataset returns the repository at the Hub, and in the cache of its client.
func (a *sourceArgs) dataset() *dataset {
	token, endpoint := cmp.Or(a.Token, os.Getenv(tokenVariable)), cmp.Or(a.Endpoint, os.Getenv(endpointVariable), publicHub)
	return &dataset{hub: &hub{endpoint: strings.TrimRight(endpoint, "/"), token: token}, repo: a.Repo}
}

// pin is the name of the revision in the lock file.
func (a *sourceArgs) pin() string { return "huggingface.co/datasets/" + a.Repo + "@" + a.Revision }

// datasets finds the files of datasets.
type datasets struct{}

// Prepare checks the arguments and pins the revision.
func (datasets) Prepare(ctx context.Context, p *plugin.Prepare[sourceArgs]) (bool, error) {
	a := p.Args
	for _, argument := range []string{"repo", "revision", "config", "split", "token", "endpoint"} {
		if !p.Known(argument) {
			p.Errorf(argument, "The %s of a source must be known when planning\nIt depends on a stage that has not been applied yet. Use a value that does not come from another stage.", argument)
			return false, nil
		}
	}
	switch {
	case !repoName.MatchString(a.Repo) && !repoName.MatchString("owner/"+a.Repo):
		p.Errorf("repo", "%q is not a dataset\nUse OWNER/NAME, such as \"rajpurkar/squad\".", a.Repo)
	case a.Revision == "":
		p.Errorf("revision", "The revision is empty\nRemove it to read the branch main.")
	case a.Path != "" && (a.Config != "" || a.Split != ""):
		p.Errorf("path", "path cannot be combined with config or split\nThey are two ways to say which files are read. Remove one of them.")
	case a.Path != "" && !doublestar.ValidatePattern(a.Path):
		p.Errorf("path", "%q is not a valid pattern\nA bracket or brace is not closed.", a.Path)
	case provider.URL(a.dataset().endpoint) == nil:
		p.Errorf("endpoint", "%q is not a valid address\nAn address begins with https:// or http://, followed by the name of a server.", a.dataset().endpoint)
	default:
		return true, pinned(ctx, p)
	}
	return false, nil
}

func pinned(ctx context.Context, p *plugin.Prepare[sourceArgs]) (err error) {
	a := p.Args
	if a.commit = a.Revision; isCommit(a.Revision) {
		return nil
	}
	a.commit, err = p.Pin(a.pin(), func() (string, error) { return a.dataset().commitOf(ctx, a.Revision) })
	return err
}

// List lists the files of the commit that was pinned. It makes requests only if
// the commit was not listed before.
func (datasets) List(ctx context.Context, a *sourceArgs, _ []byte) (*files.Listing, error) {
	d := a.dataset()
	commit, err := a.at(ctx, d)
	if err != nil {
		return nil, err
	}
	list, err := d.list(ctx, commit)
	if err != nil {
		return nil, err
	}
	chosen, err := a.choose(list)
	if err != nil {
		return nil, err
	}
	out := &files.Listing{}
	for _, f := range chosen {
		out.Objects = append(out.Objects, files.Object{
			Name: f.Path, Size: f.Size, Version: f.version(),
			Open: func() (files.Content, error) { return d.open(ctx, commit, f) },
		})
	}
	return out, nil
}

// at returns the commit that is read.
func (a *sourceArgs) at(ctx context.Context, d *dataset) (string, error) {
	switch {
	case a.commit != "":
		return a.commit, nil
	case isCommit(a.Revision):
		return a.Revision, nil
	}
	if commit := plugin.Pinned(ctx, a.pin()); commit != "" {
		return commit, nil
	}
	return d.commitOf(ctx, a.Revision)
}

// choose returns the files that the arguments mean.
func (a *sourceArgs) choose(list *listed) ([]datasetFile, error) {
	if a.Path == "" {
		return a.chooseSplit(list)
	}
	chosen := matching(list.Files, a.Path)
	if len(chosen) == 0 {
		return nil, plugin.ArgumentErrorf("path", "No file of %s matches %q\nIts files are %s.", a.Repo, a.Path, enumerate(paths(list.Files)))
	}
	return chosen, nil
}

// matching returns the files that a pattern matches, by name.
func matching(all []datasetFile, pattern string) []datasetFile {
	var out []datasetFile
	for _, f := range all {
		if ok, err := doublestar.Match(pattern, f.Path); f.Path == pattern || err == nil && ok {
			out = append(out, f)
		}
	}
	return out
}

// chooseSplit returns the files of the configuration and split.
func (a *sourceArgs) chooseSplit(list *listed) ([]datasetFile, error) {
	configs, err := list.configurations()
	if err != nil {
		return nil, err
	}
	if len(configs) == 0 {
		return nil, fmt.Errorf("%s has no files that quern can read\nIts files are %s. quern reads CSV, JSON, and Parquet, and runs no code of a dataset. Many datasets have Parquet files in the branch refs/convert/parquet: set revision to it.", a.Repo, enumerate(paths(list.Files)))
	}
	config, err := a.chooseConfig(configs)
	if err != nil {
		return nil, err
	}
	split := a.Split
	if split == "" && len(config.splits) == 1 {
		split = config.splits[0].name
	}
	i := slices.IndexFunc(config.splits, func(s splitFiles) bool { return s.name == split })
	if i < 0 {
		problem := fmt.Sprintf("%s has no split %q", a.Repo, split)
		if split == "" {
			problem = a.Repo + " has several splits"
		}
		return nil, plugin.ArgumentErrorf("split", "%s\nSet split to one of %s.", problem, enumerate(config.splitNames()))
	}
	chosen := config.splits[i].files
	if len(chosen) == 0 {
		return nil, plugin.ArgumentErrorf("split", "The split %q of %s has no files\nThe card of the dataset lists it, but no file matches.", split, a.Repo)
	}
	return chosen, nil
}

func (a *sourceArgs) chooseConfig(configs []configuration) (*configuration, error) {
	var names []string
	for i := range configs {
		c := &configs[i]
		if c.name == a.Config || a.Config == "" && (len(configs) == 1 || c.standard) {
			return c, nil
		}
		names = append(names, c.name)
	}
	problem := fmt.Sprintf("%s has no configuration %q", a.Repo, a.Config)
	if a.Config == "" {
		problem = a.Repo + " has several configurations"
	}
	return nil, plugin.ArgumentErrorf("config", "%s\nSet config to one of %s.", problem, enumerate(names))
}

func paths(all []datasetFile) []string {
	var out []string
	for _, f := range all {
		out = append(out, f.Path)
	}
	return out
}

// enumerate lists some names.
func enumerate(names []string) string {
	const most = 10
	if len(names) > most {
		return fmt.Sprintf("%s, and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}

// errOffline says that something is not in the cache.
var errOffline = errors.New("it is not in the cache, and HF_HUB_OFFLINE is set")
