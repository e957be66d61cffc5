// Package revision reads revisions of a Git repository. It uses the git program
// and only reads: it changes no checkout, index, or reference.
package revision

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
)

// Repository is the repository that contains a folder.
type Repository struct {
	// top is the top folder of the checkout, and prefix the path of the folder in
	// it: "" or "a/b/".
	top, prefix string
}

// Revision is a version of a folder in a repository.
type Revision struct {
	// Name is what the user wrote, such as main.
	Name string `json:"name"`
	// Commit is its full hash.
	Commit string `json:"commit"`
	// Folder is the folder's path in the repository, with slashes; empty if it is
	// the top folder.
	Folder string `json:"folder,omitempty"`
}

// String returns the name, and the commit if the name does not begin with it.
func (r Revision) String() string {
	if strings.HasPrefix(r.Commit, r.Name) {
		return r.Name
	}
	return fmt.Sprintf("%s (%.7s)", r.Name, r.Commit)
}

// Error is a problem with a repository that the user can solve.
type Error struct{ Summary, Detail string }

func (e *Error) Error() string { return e.Summary + "\n" + e.Detail }

// Diagnostic returns the summary and the detail.
func (e *Error) Diagnostic() (summary, detail string) { return e.Summary, e.Detail }

// Open finds the repository that contains a folder. If that fails, the error is
// an [*Error].
func Open(ctx context.Context, dir string) (*Repository, error) {
	if _, err := exec.LookPath("git"); err != nil {
		return nil, &Error{"Git is not available", "Revisions are read with the git program, which is not on the PATH. Install Git."}
	}
	out, err := run(ctx, dir, nil, "rev-parse", "--show-toplevel", "--show-prefix")
	if err != nil {
		return nil, &Error{"The folder is not in a Git repository", "Revisions can be read only from a checkout of a repository. Git says: " + cause(err)}
	}
	top, prefix, _ := strings.Cut(strings.TrimSuffix(out, "\n"), "\n")
	return &Repository{top: top, prefix: strings.TrimSuffix(prefix, "\n")}, nil
}

// Top returns the top folder of the checkout.
func (r *Repository) Top() string { return r.top }

// Prefix returns the path of the folder in the repository, with slashes: "" or
// "a/b/".
func (r *Repository) Prefix() string { return r.prefix }

// Files returns the files in a folder of the checkout that Git tracks, and those that
// it would add, unless their names or folders are hidden: a file with secrets often is.
// They are relative to the folder, with slashes.
func (r *Repository) Files(ctx context.Context, dir string) ([]string, error) {
	tracked, err := run(ctx, dir, nil, "ls-files", "--cached", "-z")
	if err != nil {
		return nil, fmt.Errorf("list the files that Git tracks: %w", err)
	}
	others, err := run(ctx, dir, nil, "ls-files", "--others", "--exclude-standard", "-z")
	if err != nil {
		return nil, fmt.Errorf("list the files that Git would add: %w", err)
	}
	var names []string
	for name := range strings.SplitSeq(tracked+others, "\x00") {
		hidden := strings.HasPrefix(name, ".") || strings.Contains(name, "/.")
		if name != "" && !(hidden && strings.Contains("\x00"+others, "\x00"+name+"\x00")) {
			names = append(names, name)
		}
	}
	return names, nil
}

// DefaultBranch returns the name of the branch that the remote origin has checked
// out. If that is not known, it is main.
func (r *Repository) DefaultBranch(ctx context.Context) string {
	out, err := run(ctx, r.top, nil, "symbolic-ref", "--quiet", "refs/remotes/origin/HEAD")
	name, ok := strings.CutPrefix(strings.TrimSpace(out), "refs/remotes/origin/")
	if err != nil || !ok {
		return "main"
	}
	return name
}

// Resolve returns the revision with a name: a branch, a tag, a commit, or another
// name that Git knows. REVISION:FOLDER names another folder of the repository,
// and REVISION... the point where the revision and HEAD diverged. If the revision
// does not exist, the error is an [*Error].
func (r *Repository) Resolve(ctx context.Context, name string) (Revision, error) {
	if other, diverged := strings.CutSuffix(name, "..."); diverged {
		return r.diverged(ctx, other, "HEAD")
	}
	commit, folder, given := strings.Cut(name, ":")
	if !given {
		folder = r.prefix
	}
	hash, err := r.commit(ctx, commit)
	return Revision{Name: name, Commit: hash, Folder: strings.Trim(path.Clean("/"+folder), "/")}, err
}

// Range returns the two revisions that a range names: A..B, or A...B for the
// point where A and B diverged and B. If B is missing, it is HEAD. A name that is
// not a range means the changes in the working folder since then, for which after
// is nil.
func (r *Repository) Range(ctx context.Context, name string) (before Revision, after *Revision, err error) {
	first, second, two := strings.Cut(name, "..")
	if !two {
		before, err = r.Resolve(ctx, name)
		return before, nil, err
	}
	second, diverged := strings.CutPrefix(second, ".")
	first, second = cmp.Or(first, "HEAD"), cmp.Or(second, "HEAD")
	last, err := r.Resolve(ctx, second)
	if err != nil {
		return last, nil, err
	}
	if diverged {
		before, err = r.diverged(ctx, first, second)
	} else {
		before, err = r.Resolve(ctx, first)
	}
	return before, &last, err
}

func (r *Repository) commit(ctx context.Context, name string) (string, error) {
	if name == "" || strings.HasPrefix(name, "-") {
		return "", &Error{fmt.Sprintf("%q is not a revision", name), "Write the name of a branch or tag, or a commit, such as origin/main."}
	}
	out, err := run(ctx, r.top, nil, "rev-parse", "--verify", "--quiet", name+"^{commit}")
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case err != nil:
		return "", &Error{fmt.Sprintf("Revision %q does not exist", name), r.missing(ctx, name)}
	}
	return strings.TrimSpace(out), nil
}

// missing says what to do about a revision that does not exist.
func (r *Repository) missing(ctx context.Context, name string) string {
	if r.shallow(ctx) {
		return "This is a shallow clone, which contains only a part of the history. " + deepen
	}
	if remote, branch, ok := strings.Cut(name, "/"); ok {
		if _, err := run(ctx, r.top, nil, "remote", "get-url", remote); err == nil {
			return fmt.Sprintf("Run \"git fetch %s %s\" to get the branch.", remote, branch)
		}
	}
	if _, err := run(ctx, r.top, nil, "rev-parse", "--verify", "--quiet", "origin/"+name+"^{commit}"); err == nil {
		return fmt.Sprintf("Did you mean origin/%s?", name)
	}
	return "Run \"git branch -a\" and \"git tag\" to see the names, or name a commit."
}

const deepen = `Run "git fetch --unshallow", or clone with the whole history: in GitHub Actions, set fetch-depth: 0 for actions/checkout; in GitLab CI, set GIT_DEPTH: "0".`

func (r *Repository) shallow(ctx context.Context) bool {
	out, err := run(ctx, r.top, nil, "rev-parse", "--is-shallow-repository")
	return err == nil && strings.TrimSpace(out) == "true"
}

// diverged returns the revision at which two others diverged, in the folder of
// the first.
func (r *Repository) diverged(ctx context.Context, a, b string) (Revision, error) {
	first, err := r.Resolve(ctx, a)
	if err != nil {
		return first, err
	}
	second, err := r.Resolve(ctx, b)
	if err != nil {
		return second, err
	}
	out, err := run(ctx, r.top, nil, "merge-base", first.Commit, second.Commit)
	switch {
	case ctx.Err() != nil:
		return first, ctx.Err()
	case err != nil && r.shallow(ctx):
		return first, &Error{fmt.Sprintf("It is not known where %s and %s diverged", a, b), "This is a shallow clone, which contains only a part of the history. " + deepen}
	case err != nil:
		return first, &Error{fmt.Sprintf("%s and %s have no common history", a, b), "Write two dots instead of three to compare the revisions themselves."}
	}
	first.Commit = strings.TrimSpace(out)
	return first, nil
}

// Export writes the files of a revision into an empty folder, as a checkout
// would, and returns the folder in it that the revision is about. Files that Git
// ignores, such as data and credentials, belong to no revision: they are linked
// from the working folder. So is the folder named local next to the
// configuration, such as .quern. If the revision does not have the folder, the
// error is [ErrNoFolder].
func (r *Repository) Export(ctx context.Context, v Revision, to, local string) (string, error) {
	here := filepath.Join(to, filepath.FromSlash(v.Folder))
	index := filepath.Join(to, ".index")
	env := []string{"GIT_INDEX_FILE=" + index}
	if _, err := run(ctx, r.top, env, "read-tree", v.Commit); err != nil {
		return "", fmt.Errorf("read %s: %w", v, err)
	}
	_, err := run(ctx, r.top, env, "checkout-index", "--all", "--quiet", "--prefix="+to+"/")
	if err != nil {
		return "", fmt.Errorf("write the files of %s: %w", v, err)
	}
	if err := os.Remove(index); err != nil {
		return "", err
	}
	if info, err := os.Stat(here); err != nil || !info.IsDir() {
		return "", ErrNoFolder
	}
	if err := r.linkIgnored(ctx, to); err != nil {
		return "", err
	}
	return here, link(filepath.Join(r.top, r.prefix, local), filepath.Join(here, local))
}

// ErrNoFolder is the error for a revision without the folder.
var ErrNoFolder = errors.New("the revision does not have the folder")

func (r *Repository) linkIgnored(ctx context.Context, to string) error {
	out, err := run(ctx, r.top, nil, "ls-files", "--others", "--ignored", "--exclude-standard", "--directory", "-z")
	if err != nil {
		return fmt.Errorf("list the files that Git ignores: %w", err)
	}
	for name := range strings.SplitSeq(out, "\x00") {
		if name == "" {
			continue
		}
		name = filepath.FromSlash(strings.TrimSuffix(name, "/"))
		if err := link(filepath.Join(r.top, name), filepath.Join(to, name)); err != nil {
			return err
		}
	}
	return nil
}

// link makes a file or folder available under another path. What exists there is
// kept, and a folder that exists there gets what it lacks.
func link(from, to string) error {
	source, err := os.Stat(from)
	if err != nil {
		return nil // it does not exist, or is a broken link
	}
	there, err := os.Lstat(to)
	switch {
	case err != nil:
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return err
		}
		return os.Symlink(from, to)
	case !there.IsDir() || !source.IsDir():
		return nil
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := link(filepath.Join(from, e.Name()), filepath.Join(to, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// run runs git in a folder and returns what it printed. It never asks anything.
func run(ctx context.Context, dir string, env []string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), "LC_ALL=C", "GIT_TERMINAL_PROMPT=0", "GIT_OPTIONAL_LOCKS=0"), env...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if text := strings.TrimSpace(errs.String()); err != nil && text != "" {
		err = errors.New(text)
	}
	return out.String(), err
}

// cause returns what Git said, without its prefix.
func cause(err error) string {
	return strings.TrimSuffix(strings.TrimPrefix(err.Error(), "fatal: "), ".") + "."
}
