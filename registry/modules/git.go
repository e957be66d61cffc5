package modules

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"

	"github.com/hashicorp/go-version"

	"github.com/quern-dev/quern/internal/git"
)

// repository is a Git repository. Submodules are not fetched.
type repository struct {
	url string
	// ref is a branch, a tag, or a commit. If it is empty, the default branch is used.
	ref string
}

var schemes = map[string]bool{"https": true, "http": true, "ssh": true, "git": true, "file": true}

func newRepository(u *url.URL, query url.Values) (origin, error) {
	given, err := take(query, "the source of a Git repository", "ref")
	if err != nil {
		return nil, err
	}
	if !schemes[u.Scheme] {
		return nil, fmt.Errorf("the address of a Git repository begins with https://, ssh://, or file://, or is written as git@HOST:PATH")
	}
	if strings.HasPrefix(u.Host, "-") || strings.HasPrefix(u.Path, "-") || strings.HasPrefix(given["ref"], "-") {
		return nil, fmt.Errorf("neither the address of a repository nor a ref can begin with -")
	}
	return &repository{url: u.String(), ref: given["ref"]}, nil
}

func (r *repository) address() string { return r.url }

func (r *repository) versioned() error {
	if r.ref != "" {
		return fmt.Errorf("the source names the ref %q, so a version cannot be chosen; remove one of the two", r.ref)
	}
	return nil
}

func (r *repository) choose(ctx context.Context, constraints version.Constraints) (Release, error) {
	if git.IsCommit(r.ref) {
		return Release{Pin: r.ref}, nil
	}
	refs, err := git.Refs(ctx, r.url)
	if err != nil {
		return Release{}, explained(err)
	}
	if constraints != nil {
		return chooseTag(refs, constraints)
	}
	commit, err := git.Find(refs, r.ref)
	return Release{Pin: commit}, err
}

func chooseTag(refs map[string]string, constraints version.Constraints) (Release, error) {
	var versions []*version.Version
	var commits []string
	for name, commit := range refs {
		if tag, ok := strings.CutPrefix(name, "refs/tags/"); ok {
			if v := versionOf(tag); v != nil {
				versions, commits = append(versions, v), append(commits, commit)
			}
		}
	}
	i := newest(versions, constraints)
	if i < 0 {
		return Release{}, noVersion(versions, constraints)
	}
	return Release{Version: versions[i].String(), Pin: commits[i]}, nil
}

func (r *repository) fetch(ctx context.Context, release Release, to *writer) error {
	dir, err := os.MkdirTemp("", "quern-git-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := git.Init(ctx, dir, release.Pin); err != nil {
		return explained(err)
	}
	if err := git.Fetch(ctx, dir, r.url, release.Pin); err != nil {
		return err
	}
	return export(ctx, dir, release.Pin, to)
}

// explained adds what to do without Git.
func explained(err error) error {
	if errors.Is(err, git.ErrNotFound) {
		return fmt.Errorf("%w, or use an archive or an OCI artifact as the source", err)
	}
	return err
}

// export writes the files of a commit. It leaves submodules out.
func export(ctx context.Context, dir, commit string, to *writer) error {
	entries, err := git.Tree(ctx, dir, commit)
	if err != nil {
		return err
	}
	var total int64
	for _, e := range entries {
		if total += e.Size; total > maxBytes {
			return errTooLarge
		}
	}
	blobs, err := git.OpenBlobs(ctx, dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Submodule() {
			continue
		}
		err = blobs.Read(e.ID, func(content io.Reader, _ int64) error { return writeEntry(&e, content, to) })
		if err != nil {
			err = fmt.Errorf("read %q: %w", e.Name, err)
			break
		}
	}
	if failed := blobs.Close(); err == nil {
		err = failed
	}
	return err
}

func writeEntry(e *git.Entry, content io.Reader, to *writer) error {
	if !e.Link() {
		return to.file(e.Name, e.Mode == "100755", content)
	}
	target, err := io.ReadAll(content)
	if err != nil {
		return err
	}
	return to.link(e.Name, string(target))
}
