package modules

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-version"
)

// repository is a Git repository. Its files are read as they were committed: no
// filter, no conversion of line ends, and no hook changes or runs anything, so that
// a commit has the same files on every machine. Submodules are not fetched.
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

var (
	commitID      = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)
	abbreviatedID = regexp.MustCompile(`^[0-9a-f]{7,63}$`)
)

func (r *repository) choose(ctx context.Context, constraints version.Constraints) (Release, error) {
	if commitID.MatchString(r.ref) {
		return Release{Pin: r.ref}, nil
	}
	refs, err := r.list(ctx)
	if err != nil {
		return Release{}, err
	}
	if constraints != nil {
		return chooseTag(refs, constraints)
	}
	name := r.ref
	if name == "" {
		name = "HEAD"
	}
	for _, full := range []string{name, "refs/tags/" + name, "refs/heads/" + name} {
		if commit := refs[full]; commit != "" {
			return Release{Pin: commit}, nil
		}
	}
	switch {
	case r.ref == "":
		return Release{}, errors.New("the repository is empty")
	case abbreviatedID.MatchString(r.ref):
		return Release{}, fmt.Errorf("it has no branch or tag %q; if that is a commit, write all 40 digits", r.ref)
	}
	return Release{}, fmt.Errorf("it has no branch or tag %q", r.ref)
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

// list returns the commits that the names of the repository refer to.
func (r *repository) list(ctx context.Context) (map[string]string, error) {
	out, err := git(ctx, "", "ls-remote", "--quiet", "--", r.url)
	if err != nil {
		return nil, err
	}
	refs := map[string]string{}
	for line := range strings.Lines(string(out)) {
		id, name, ok := strings.Cut(strings.TrimSpace(line), "\t")
		if !ok || !commitID.MatchString(id) {
			continue
		}
		// NAME^{} is the commit of the tag object NAME, and follows it.
		refs[strings.TrimSuffix(name, "^{}")] = id
	}
	return refs, nil
}

func (r *repository) fetch(ctx context.Context, release Release, to *writer) error {
	dir, err := os.MkdirTemp("", "quern-git-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	format := "sha1"
	if len(release.Pin) == 64 {
		format = "sha256"
	}
	if _, err := git(ctx, dir, "init", "--quiet", "--bare", "--template=", "--object-format="+format); err != nil {
		return err
	}
	if err := r.download(ctx, dir, release.Pin); err != nil {
		return err
	}
	return export(ctx, dir, release.Pin, to)
}

// download fetches a commit: alone, or, from a server that does not allow that,
// with everything that branches and tags refer to.
func (r *repository) download(ctx context.Context, dir, commit string) error {
	options := []string{"fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head"}
	_, err := git(ctx, dir, append(options, "--depth=1", "--", r.url, commit)...)
	if err == nil || ctx.Err() != nil {
		return err
	}
	if _, err := git(ctx, dir, append(options, "--", r.url, "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")...); err != nil {
		return err
	}
	if _, err := git(ctx, dir, "cat-file", "-e", commit+"^{commit}"); err != nil {
		return fmt.Errorf("the commit %s no longer exists in the repository", commit)
	}
	return nil
}

// blob is a file or a link of a commit.
type blob struct{ mode, id, name string }

// export writes the files of a commit.
func export(ctx context.Context, dir, commit string, to *writer) error {
	listing, err := git(ctx, dir, "ls-tree", "-r", "-z", "--full-tree", "--long", commit)
	if err != nil {
		return err
	}
	blobs, err := parseTree(listing)
	if err != nil {
		return err
	}
	var ids bytes.Buffer
	for _, b := range blobs {
		ids.WriteString(b.id + "\n")
	}
	read, write := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := runGit(ctx, dir, &ids, write, "cat-file", "--batch")
		write.CloseWithError(err)
		done <- err
	}()
	err = writeBlobs(blobs, bufio.NewReaderSize(read, 1<<16), to)
	read.CloseWithError(err)
	if failed := <-done; err == nil {
		err = failed
	}
	return err
}

// parseTree parses the output of git ls-tree -r -z --long: "MODE TYPE ID SIZE\tNAME"
// with NUL between the entries. It leaves submodules out.
func parseTree(listing []byte) ([]blob, error) {
	var blobs []blob
	var total int64
	for entry := range strings.SplitSeq(strings.TrimSuffix(string(listing), "\x00"), "\x00") {
		about, name, ok := strings.Cut(entry, "\t")
		fields := strings.Fields(about)
		if !ok || len(fields) != 4 {
			return nil, fmt.Errorf("git ls-tree printed %q", entry)
		}
		if fields[1] != "blob" {
			continue
		}
		size, err := strconv.ParseInt(fields[3], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("git ls-tree printed %q", entry)
		}
		if total += size; total > maxBytes {
			return nil, errTooLarge
		}
		blobs = append(blobs, blob{fields[0], fields[2], name})
	}
	return blobs, nil
}

// writeBlobs writes blobs from the output of git cat-file --batch: for each one
// "ID TYPE SIZE\n", its content, and "\n".
func writeBlobs(blobs []blob, from *bufio.Reader, to *writer) error {
	for _, b := range blobs {
		head, err := from.ReadString('\n')
		if err != nil {
			return fmt.Errorf("read %q: %w", b.name, err)
		}
		fields := strings.Fields(head)
		if len(fields) != 3 || fields[0] != b.id {
			return fmt.Errorf("read %q: git cat-file printed %q", b.name, head)
		}
		size, err := strconv.ParseInt(fields[2], 10, 64)
		if err != nil {
			return fmt.Errorf("read %q: git cat-file printed %q", b.name, head)
		}
		content := io.LimitReader(from, size)
		if b.mode == "120000" {
			target, failed := io.ReadAll(content)
			if err = failed; err == nil {
				err = to.link(b.name, string(target))
			}
		} else {
			err = to.file(b.name, b.mode == "100755", content)
		}
		if err != nil {
			return err
		}
		if _, err := from.Discard(1); err != nil {
			return fmt.Errorf("read %q: %w", b.name, err)
		}
	}
	return nil
}

// git runs Git in a folder and returns what it prints.
func git(ctx context.Context, dir string, args ...string) ([]byte, error) {
	var out bytes.Buffer
	err := runGit(ctx, dir, nil, &out, args...)
	return out.Bytes(), err
}

// runGit runs Git so that it asks no questions, runs no hooks, and starts no
// programs other than its own, those of ssh, and credential helpers.
func runGit(ctx context.Context, dir string, in io.Reader, out io.Writer, args ...string) error {
	settings := []string{
		"-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "gc.auto=0", "-c", "maintenance.auto=false",
		"-c", "credential.interactive=false", "-c", "advice.detachedHead=false",
	}
	var messages bytes.Buffer
	cmd := exec.CommandContext(ctx, "git", append(settings, args...)...)
	cmd.Dir, cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = dir, gitEnvironment(os.Environ()), in, out, &messages
	cmd.WaitDelay = 5 * time.Second // for what Git has started
	err := cmd.Run()
	switch {
	case err == nil:
		return nil
	case errors.Is(err, exec.ErrNotFound):
		return errors.New("the program git was not found; install it, or use an archive or an OCI artifact as the source")
	case ctx.Err() != nil:
		return ctx.Err()
	}
	if text := strings.TrimSpace(messages.String()); text != "" {
		return fmt.Errorf("git %s failed: %s", args[0], text)
	}
	return fmt.Errorf("git %s failed: %w", args[0], err)
}

// gitEnvironment returns an environment for Git without what describes the
// repository that quern itself may have been started from, such as by a hook.
func gitEnvironment(env []string) []string {
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
