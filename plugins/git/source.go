package git

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/quern-dev/quern/internal/git"
	"github.com/quern-dev/quern/plugins/files"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

const doc = `Reads files of a Git repository as they were committed.

The branch or tag in ` + "`ref`" + ` is pinned to its commit in the lock file, so results do not change when somebody pushes, and ` + "`quern init -upgrade`" + ` moves to the newest commit. Of a new commit, only the files whose content changed are transferred and read. The commit is fetched with the program ` + "`git`" + `, without history, to the store's folder ` + "`transfers`" + `; everything else works offline.

With ` + "`format = \"text\"`" + `, each file is a row with the columns ` + "`path` and `text`" + `. Otherwise, the files are read as the source of their format does. Links are left out, and the files of submodules are not read. A file that is in Git LFS cannot be read, because the repository contains only a pointer to it.

Git uses its own configuration: credential helpers, ` + "`~/.netrc`" + `, and keys of ssh. It asks no questions.

` + "```hcl" + `
source "git" "docs" {
  url     = "https://github.com/acme/handbook.git"
  path    = "content/**/*.md"
  exclude = ["content/drafts/**"]
  format  = "text"
}
` + "```"

type args struct {
	URL     string   `quern:"url,required" doc:"The repository: an address that begins with https://, ssh://, or file://, one such as git@HOST:PATH, or a folder. A relative folder is relative to that of the configuration. Of a folder, too, only what is committed is read."`
	Ref     string   `quern:"ref" doc:"A branch or tag, which the lock file pins to a commit, or a whole commit ID. The default is the default branch."`
	Path    string   `quern:"path,required,operational" doc:"The file, or a pattern for several files, such as 'data/**/*.jsonl': '*' matches any part of a name, '**' any folders."`
	Exclude []string `quern:"exclude,operational" doc:"Patterns for files that are not read, even if path matches them."`
	files.Format

	address, commit string // after Prepare
}

// pin is the name of the ref in the lock file.
func (a *args) pin() string {
	if a.Ref == "" {
		return a.URL
	}
	return a.URL + "@" + a.Ref
}

// repositories finds the files of repositories.
type repositories struct{ root func() string }

// Prepare checks the arguments, pins the ref, and fetches the commit.
func (r repositories) Prepare(ctx context.Context, p *plugin.Prepare[args]) (bool, error) {
	a := p.Args
	for _, argument := range []string{"url", "ref", "exclude"} {
		if !p.Known(argument) {
			p.Errorf(argument, "The %s of a source must be known when planning\nIt depends on a stage that has not been applied yet. Use a value that does not come from another stage.", argument)
			return false, nil
		}
	}
	if err := a.checkPatterns(); err != nil {
		return false, err
	}
	if err := r.complete(ctx, a, p.Pin); err != nil {
		return false, err
	}
	_, submodules, err := a.find(ctx)
	if err != nil {
		return false, err
	}
	if len(submodules) > 0 {
		p.Warnf("path", "The files of submodules are not read\nThe repository has submodules at %s. Read their repositories with sources of their own, or add their folders to exclude.", strings.Join(submodules, ", "))
	}
	return true, nil
}

func (a *args) checkPatterns() error {
	argument := "path"
	for _, pattern := range append([]string{a.Path}, a.Exclude...) {
		if !doublestar.ValidatePattern(pattern) {
			return plugin.ArgumentErrorf(argument, "%q is not a valid pattern\nA bracket or brace is not closed.", pattern)
		}
		argument = "exclude"
	}
	return nil
}

// complete sets the address and the commit. pin pins a name that can move.
func (r repositories) complete(ctx context.Context, a *args, pin func(string, func() (string, error)) (string, error)) (err error) {
	if a.address, err = addressOf(a.URL, r.root()); err != nil {
		return &plugin.ArgumentError{Argument: "url", Err: err}
	}
	if strings.HasPrefix(a.Ref, "-") {
		return plugin.ArgumentErrorf("ref", "%q is not a branch, tag, or commit\nIt cannot begin with -.", a.Ref)
	}
	if a.commit = a.Ref; git.IsCommit(a.Ref) {
		return nil
	}
	a.commit, err = pin(a.pin(), func() (string, error) {
		refs, err := git.Refs(ctx, a.address)
		if err != nil {
			return "", plugin.ArgumentErrorf("url", "The repository cannot be read\n%w", err)
		}
		commit, err := git.Find(refs, a.Ref)
		if err != nil {
			return "", plugin.ArgumentErrorf("ref", "The repository has no such commit\nOf %s: %w.", a.URL, err)
		}
		return commit, nil
	})
	return err
}

// scp matches the address of a repository as ssh has it: git@host:path.
var scp = regexp.MustCompile(`^([A-Za-z0-9_.-]+@)?[A-Za-z0-9.-]+:[^:/]`)

// addressOf returns the address of a repository for Git.
func addressOf(text, root string) (string, error) {
	if strings.HasPrefix(text, "-") || text == "" {
		return "", fmt.Errorf("%q is not the address of a repository", text)
	}
	if !strings.Contains(text, "://") {
		if scp.MatchString(text) {
			return text, nil
		}
		if !filepath.IsAbs(text) {
			text = filepath.Join(root, text)
		}
		absolute, err := filepath.Abs(text)
		return (&url.URL{Scheme: "file", Path: absolute}).String(), err
	}
	u, err := url.Parse(text)
	if err != nil || !schemes[u.Scheme] || strings.HasPrefix(u.Host, "-") {
		return "", fmt.Errorf("it is not the address of a repository\nAn address begins with https://, ssh://, or file://, or is written as git@HOST:PATH.") // the error may contain a password
	}
	if _, secret := u.User.Password(); secret {
		return "", fmt.Errorf("the address contains a password\nRemove it, and let Git's credential helper or ~/.netrc provide it.")
	}
	return u.String(), nil
}

var schemes = map[string]bool{"https": true, "http": true, "ssh": true, "git": true, "file": true}

// List lists the files of the commit.
func (r repositories) List(ctx context.Context, a *args, _ []byte) (*files.Listing, error) {
	if a.commit == "" {
		err := r.complete(ctx, a, func(name string, resolve func() (string, error)) (string, error) {
			if commit := plugin.Pinned(ctx, name); commit != "" {
				return commit, nil
			}
			return resolve()
		})
		if err != nil {
			return nil, err
		}
	}
	found, _, err := a.find(ctx)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, plugin.ArgumentErrorf("path", "No file of %s matches %q\nThe commit that is read is %s. * matches any part of a name, and ** matches any folders.", a.URL, a.Path, a.commit)
	}
	contents := &contents{ctx: ctx, dir: repositoryOf(a.address)}
	list := &files.Listing{}
	for _, e := range found {
		list.Objects = append(list.Objects, files.Object{
			Name: e.Name, Size: e.Size, Version: "git:" + e.ID, Open: func() (files.Content, error) { return contents.open(e) },
		})
	}
	return list, nil
}

// find returns the files that are read, and the submodules that are not excluded.
func (a *args) find(ctx context.Context) (found []git.Entry, submodules []string, err error) {
	entries, err := commitOf(ctx, a.address, a.commit)
	if err != nil {
		return nil, nil, plugin.ArgumentErrorf("url", "The commit %s cannot be fetched\n%w", a.commit, err)
	}
	for _, e := range entries {
		switch {
		case a.excluded(e.Name):
		case e.Submodule():
			submodules = append(submodules, e.Name)
		case !e.Link() && matches(a.Path, e.Name):
			found = append(found, e)
		}
	}
	return found, submodules, nil
}

func (a *args) excluded(name string) bool {
	for _, pattern := range a.Exclude {
		if matches(pattern, name) {
			return true
		}
	}
	return false
}

func matches(pattern, name string) bool {
	ok, err := doublestar.Match(pattern, name)
	return pattern == name || err == nil && ok
}
