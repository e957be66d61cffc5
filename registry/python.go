package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/registry/python"
)

// pythonProject returns the folder of a required plugin that is written in Python, or
// "" if the plugin is a program. The source of a plugin in Python is the path of a
// folder with a pyproject.toml.
func (o *Options) pythonProject(required Requirement) string {
	source := required.Source
	if !filepath.IsAbs(source) && !strings.HasPrefix(source, "./") && !strings.HasPrefix(source, "../") {
		return ""
	}
	if dir := o.absolute(source); python.IsProject(dir) {
		return dir
	}
	return ""
}

// pins returns what identifies the virtual environment of a locked plugin.
func (l *Locked) pins() python.Pins {
	digests := map[string]string{}
	for key, d := range l.Digests {
		digests[key] = d[0]
	}
	return python.Pins{Python: l.Python, Version: l.Version, Digests: digests}
}

// pythonEntry returns the entry of a locked plugin in Python. It starts nothing.
func (r *Registry) pythonEntry(required Requirement, dir string, lock *Locked) (*entry, hcl.Diagnostics) {
	at := required.Range.Ptr()
	if lock == nil || lock.Python == "" {
		return nil, hcl.Diagnostics{diag.Errorf(at, "Plugin is not initialized",
			"Plugin %q is not in %s as a plugin in Python. Run \"quern init\".", required.Name, LockFile)}
	}
	if d := lock.fits(required); d != nil {
		return nil, hcl.Diagnostics{d}
	}
	if d := r.options.unchanged(required, dir, lock, r.digests.of); d != nil {
		return nil, hcl.Diagnostics{d}
	}
	v, err := python.Open(filepath.Join(r.options.VenvDir, lock.pins().Name(dir)))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, hcl.Diagnostics{diag.Errorf(at, "Plugin is not installed",
			"Plugin %q is locked, but it is not installed here. Run \"quern init\".", required.Name)}
	case err != nil:
		return nil, hcl.Diagnostics{diag.Errorf(at, "Plugin cannot be used", "%s.", err)}
	case !v.Works():
		return nil, hcl.Diagnostics{diag.Errorf(at, "Python is missing",
			"Plugin %q was installed with %s, which no longer exists. Run \"quern init\".", required.Name, v.Python)}
	}
	e, err := r.options.venvEntry(required, dir, lock.pins(), v, r.digests)
	if err != nil {
		return nil, hcl.Diagnostics{diag.Errorf(at, "Plugin cannot be read", "%s.", err)}
	}
	return e, nil
}

// venvEntry returns the entry of an installed plugin. Its digest is that of its
// pins and, for a version under development, of its present files.
func (o *Options) venvEntry(required Requirement, dir string, pins python.Pins, v *python.Venv, digests *digests) (*entry, error) {
	text := pins.Name(dir)
	if isDevelopment(pins.Version) {
		modules, _, err := python.ModulesOf(dir, digests.of)
		if err != nil {
			return nil, err
		}
		text += "\n" + modules
	}
	sum := sha256.Sum256([]byte(text))
	return &entry{
		name: required.Name, source: sourceOf(required), required: true, version: pins.Version, venv: v,
		program: v.Program(), args: v.Args(), digest: "sha256:" + hex.EncodeToString(sum[:]), always: v.Env(),
	}, nil
}

// unchanged returns an error if a plugin's files are not the locked ones.
func (o *Options) unchanged(required Requirement, dir string, lock *Locked, of func(string) (string, error)) *hcl.Diagnostic {
	at := required.Range.Ptr()
	now, err := python.DigestsOf(dir, lock.Version, of)
	if err != nil {
		return diag.Errorf(at, "Plugin cannot be read", "The files of plugin %q cannot be read: %s.", required.Name, err)
	}
	was := lock.pins().Digests
	if maps.Equal(was, now) {
		return nil
	}
	changes := strings.Join(changedParts(was, now), ", and ")
	if isDevelopment(lock.Version) {
		return diag.Errorf(at, "Plugin is not installed", "Plugin %q was initialized with other dependencies or settings: %s. Run \"quern init\".", required.Name, changes)
	}
	return diag.Errorf(at, "Plugin does not match the lock file",
		"%s locks version %s of plugin %q, but %s. quern starts only the locked plugin. If you changed it on purpose, run \"quern init -upgrade\". Otherwise, restore the locked files in %s.",
		LockFile, lock.Version, required.Name, changes, required.Source)
}

// changedParts says which parts of a plugin have which digest instead of the locked
// one.
func changedParts(was, now map[string]string) []string {
	var out []string
	keys := slices.Compact(slices.Sorted(slices.Values(slices.Concat(ordered.Keys(was), ordered.Keys(now)))))
	for _, key := range keys {
		what := key
		if key == python.Modules {
			what = "the package's own files"
		}
		switch {
		case was[key] == now[key]:
		case now[key] == "":
			out = append(out, fmt.Sprintf("%s is missing", what))
		case was[key] == "":
			out = append(out, fmt.Sprintf("%s is new", what))
		default:
			out = append(out, fmt.Sprintf("the digest of %s is %s instead of %s", what, now[key], was[key]))
		}
	}
	return out
}

// install installs a plugin in Python, and returns its lock entry.
func (i *initialization) install(ctx context.Context, required Requirement, dir string, was *Locked) (*Pinned, *Locked, hcl.Diagnostics) {
	at := required.Range.Ptr()
	if d := i.reserved(required); d != nil {
		return nil, nil, hcl.Diagnostics{d}
	}
	constraints, err := parseConstraints(required.Version)
	if err != nil {
		return nil, nil, hcl.Diagnostics{diag.Errorf(at, "Malformed version constraint", "%s.", err)}
	}
	project, err := python.ReadProject(dir)
	if err != nil {
		return nil, nil, hcl.Diagnostics{diag.Errorf(at, "Malformed Python project", "%s.", diag.Capital(err.Error()))}
	}
	request := &python.Request{
		Project: project, Script: programName(programOf(required)), Dir: i.VenvDir, Cache: i.CacheDir,
		WriteLock: !i.ReadOnly, Upgrade: i.Upgrade, Progress: i.Progress, Log: i.installerLog(required.Name),
	}
	if was != nil && !i.Upgrade {
		if d := i.pinned(required, dir, was); d != nil {
			return nil, nil, hcl.Diagnostics{d}
		}
		request.Python = was.Python
	}
	v, pins, err := python.Install(ctx, request)
	if err != nil {
		return nil, nil, hcl.Diagnostics{notInstalled(ctx, required, err)}
	}
	if parsed, err := parseVersion(pins.Version); err != nil || !satisfies(parsed, constraints) {
		return nil, nil, hcl.Diagnostics{diag.Errorf(at, "No version of the plugin is suitable",
			"%s contains version %s of plugin %q, but the configuration requires %s.", required.Source, pins.Version, required.Name, required.Version)}
	}
	e, err := i.venvEntry(required, dir, pins, v, i.digests)
	if err == nil {
		err = i.serves(ctx, e)
	}
	if err != nil {
		return nil, nil, hcl.Diagnostics{diag.Errorf(at, "Plugin cannot be used", "%s.", diag.Capital(err.Error()))}
	}
	l := &Locked{Name: required.Name, Source: sourceOf(required), Version: pins.Version, Constraints: required.Version, Python: pins.Python, Digests: map[string][]string{}}
	for key, digest := range pins.Digests {
		l.Digests[key] = []string{digest}
	}
	return &Pinned{
		Name: l.Name, Source: l.Source, Version: l.Version, Path: e.program, Digest: e.digest, Python: v.Python, Change: pythonChange(was, l),
	}, l, nil
}

// pinned returns an error if a lock entry may not be used as it is.
func (i *initialization) pinned(required Requirement, dir string, was *Locked) *hcl.Diagnostic {
	if d := was.fits(required); d != nil {
		return d
	}
	if was.Python == "" {
		return diag.Errorf(required.Range.Ptr(), "Plugin has changed",
			"%s has plugin %q as a program, but %s is a Python project. Run \"quern init -upgrade\".", LockFile, required.Name, required.Source)
	}
	if isDevelopment(was.Version) {
		return nil // it may change
	}
	return i.unchanged(required, dir, was, i.digests.of)
}

// serves starts a plugin, and checks that it reports the version of its package.
func (i *initialization) serves(ctx context.Context, e *entry) error {
	done, err := e.venv.Use(i.Root)
	if err != nil {
		return err
	}
	defer done()
	schema, err := i.schemaOf(ctx, i.launch(e, e.digest))
	if err != nil {
		return err
	}
	_, err = e.take(schema)
	return err
}

func (i *initialization) installerLog(plugin string) func(string) {
	if i.Log == nil {
		return nil
	}
	log := i.Log.Named("init." + plugin)
	return func(line string) { log.Debug(line) }
}

// notInstalled describes why a plugin could not be installed.
func notInstalled(ctx context.Context, required Requirement, err error) *hcl.Diagnostic {
	at := required.Range.Ptr()
	if ctx.Err() != nil {
		return diag.Errorf(at, "Installation was interrupted", "Plugin %q is not installed. Run \"quern init\" again.", required.Name)
	}
	failed, ok := errors.AsType[*python.Failure](err)
	if !ok {
		return diag.Errorf(at, "Plugin cannot be installed", "%s.", diag.Capital(err.Error()))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s failed (%s)", failed.Step, failed.Err)
	if len(failed.Lines) > 0 {
		b.WriteString(". It printed:\n")
	}
	for _, line := range failed.Lines {
		fmt.Fprintf(&b, "\n  %s", line)
	}
	if failed.Advice != "" {
		fmt.Fprintf(&b, "\n\n%s", failed.Advice)
	}
	return diag.Errorf(at, "Plugin cannot be installed", "%s", b.String())
}

func pythonChange(was, now *Locked) string {
	switch {
	case was == nil:
		return "pinned"
	case was.Version != now.Version:
		return "from " + was.Version
	case was.Python != now.Python:
		return "from " + was.Python
	case !maps.Equal(was.pins().Digests, now.pins().Digests):
		return "digest changed"
	}
	return "unchanged"
}

// UsedVenvs returns the names of the virtual environments in a folder that are
// pinned: by the lock file in root, and by those of the other pipelines that have
// used them. Lock files that cannot be read are an error, because they may refer
// to any.
func UsedVenvs(dir, root string) (map[string]bool, error) {
	roots := []string{root}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return map[string]bool{}, nil
	}
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		roots = append(roots, python.Roots(filepath.Join(dir, e.Name()))...)
	}
	slices.Sort(roots)
	used := map[string]bool{}
	for _, root := range slices.Compact(roots) {
		locked, diags := ReadLock(root)
		if diags.HasErrors() {
			return nil, fmt.Errorf("read the lock file in %s: %w", root, diags)
		}
		o := Options{Root: root}
		for _, l := range locked.Plugins {
			if l.Python != "" {
				used[l.pins().Name(o.absolute(l.Source))] = true
			}
		}
	}
	return used, nil
}
