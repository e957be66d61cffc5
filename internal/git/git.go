// Package git reads repositories with the program git, as sources and modules need
// it: the names and commits of a repository elsewhere, and the files of a commit as
// they were committed. No filter, no conversion of line ends, and no hook changes or
// runs anything, so that a commit has the same files on every machine. Nothing asks
// questions, and credentials are those of Git's own configuration and helpers.
package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"time"
)

// ErrNotFound says that the program git is not installed.
var ErrNotFound = errors.New("the program git was not found; install it")

var (
	commitID      = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`) })
	abbreviatedID = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[0-9a-f]{7,63}$`) })
)

// IsCommit reports whether a ref is the whole ID of a commit.
func IsCommit(ref string) bool { return commitID().MatchString(ref) }

// Refs returns the commits that the names of a repository refer to, such as HEAD and
// refs/heads/main. Tags are resolved to their commits.
func Refs(ctx context.Context, url string) (map[string]string, error) {
	out, err := Output(ctx, "", "ls-remote", "--quiet", "--", url)
	if err != nil {
		return nil, err
	}
	refs := map[string]string{}
	for line := range strings.Lines(string(out)) {
		id, name, ok := strings.Cut(strings.TrimSpace(line), "\t")
		if !ok || !commitID().MatchString(id) {
			continue
		}
		// NAME^{} is the commit of the tag object NAME, and follows it.
		refs[strings.TrimSuffix(name, "^{}")] = id
	}
	return refs, nil
}

// Find returns the commit of a branch, tag, or full name among refs. An empty ref
// means the default branch.
func Find(refs map[string]string, ref string) (string, error) {
	name := ref
	if name == "" {
		name = "HEAD"
	}
	for _, full := range []string{name, "refs/tags/" + name, "refs/heads/" + name} {
		if commit := refs[full]; commit != "" {
			return commit, nil
		}
	}
	switch {
	case ref == "":
		return "", errors.New("the repository is empty")
	case abbreviatedID().MatchString(ref):
		return "", fmt.Errorf("it has no branch or tag %q; if that is a commit, write all 40 digits", ref)
	}
	return "", fmt.Errorf("it has no branch or tag %q", ref)
}

// Init makes a folder an empty bare repository for a commit.
func Init(ctx context.Context, dir, commit string) error {
	format := "sha1"
	if len(commit) == 64 {
		format = "sha256"
	}
	_, err := Output(ctx, dir, "init", "--quiet", "--bare", "--template=", "--object-format="+format)
	return err
}

// Fetch transfers a commit to the bare repository in a folder: alone, or, from a server
// that does not allow that, with everything that branches and tags refer to. What the
// repository has from earlier commits is not transferred again.
func Fetch(ctx context.Context, dir, url, commit string) error {
	options := []string{"fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head"}
	_, err := Output(ctx, dir, append(options, "--depth=1", "--", url, commit)...)
	if err == nil || ctx.Err() != nil {
		return err
	}
	if _, err := Output(ctx, dir, append(options, "--", url, "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")...); err != nil {
		return err
	}
	if !Has(ctx, dir, commit) {
		return fmt.Errorf("the commit %s no longer exists in the repository", commit)
	}
	return nil
}

// Has reports whether the repository in a folder has a commit.
func Has(ctx context.Context, dir, commit string) bool {
	_, err := Output(ctx, dir, "cat-file", "-e", commit+"^{commit}")
	return err == nil
}

// Output runs Git in a folder and returns what it prints.
func Output(ctx context.Context, dir string, args ...string) ([]byte, error) {
	var out, messages bytes.Buffer
	cmd := command(ctx, dir, args...)
	cmd.Stdout, cmd.Stderr = &out, &messages
	err := cmd.Run()
	switch {
	case err == nil:
		return out.Bytes(), nil
	case errors.Is(err, exec.ErrNotFound):
		return nil, ErrNotFound
	case ctx.Err() != nil:
		return nil, ctx.Err()
	}
	if text := strings.TrimSpace(messages.String()); text != "" {
		return nil, fmt.Errorf("git %s failed: %s", args[0], text)
	}
	return nil, fmt.Errorf("git %s failed: %w", args[0], err)
}

// command returns a command that asks no questions, runs no hooks, and starts no
// programs other than Git's own, those of ssh, and credential helpers.
func command(ctx context.Context, dir string, args ...string) *exec.Cmd {
	settings := []string{
		"-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "gc.auto=0", "-c", "maintenance.auto=false",
		"-c", "credential.interactive=false", "-c", "advice.detachedHead=false",
	}
	cmd := exec.CommandContext(ctx, "git", append(settings, args...)...)
	cmd.Dir, cmd.Env = dir, environment(os.Environ())
	cmd.WaitDelay = 5 * time.Second // for what Git has started
	return cmd
}

// environment returns an environment for Git without what describes the repository
// that quern itself may have been started from, such as by a hook.
func environment(env []string) []string {
	var out []string
	given := map[string]bool{}
	for _, e := range env {
		name, _, _ := strings.Cut(e, "=")
		given[name] = true
		if !local[name] {
			out = append(out, e)
		}
	}
	out = append(out, "LC_ALL=C", "GIT_TERMINAL_PROMPT=0", "GCM_INTERACTIVE=never", "SSH_ASKPASS_REQUIRE=never",
		"GIT_ALLOW_PROTOCOL=file:git:http:https:ssh", "GIT_NO_REPLACE_OBJECTS=1")
	if !given["GIT_SSH"] && !given["GIT_SSH_COMMAND"] {
		out = append(out, "GIT_SSH_COMMAND=ssh -o ControlMaster=no -o BatchMode=yes")
	}
	return out
}

// local are the variables that git rev-parse --local-env-vars lists, but for those
// with configuration.
var local = map[string]bool{
	"GIT_DIR": true, "GIT_WORK_TREE": true, "GIT_INDEX_FILE": true, "GIT_OBJECT_DIRECTORY": true, "GIT_COMMON_DIR": true,
	"GIT_ALTERNATE_OBJECT_DIRECTORIES": true, "GIT_GRAFT_FILE": true, "GIT_SHALLOW_FILE": true, "GIT_PREFIX": true,
	"GIT_IMPLICIT_WORK_TREE": true, "GIT_NAMESPACE": true, "GIT_TEMPLATE_DIR": true,
}
