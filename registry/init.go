package registry

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/go-version"
	"github.com/hashicorp/hcl/v2"

	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/sdk/go/host/client"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// Pinned is the choice of Init for a required plugin.
type Pinned struct {
	Name    string `json:"name"`
	Source  string `json:"source"`
	Version string `json:"version"`
	Path    string `json:"path"`
	Digest  string `json:"digest"`
	// Python is the interpreter of a plugin in Python: cpython 3.11.7.
	Python string `json:"python,omitempty"`
	// Change describes to a person what changed: "pinned", "unchanged", "from
	// 1.0.0", "digest changed", "digest added for linux_arm64".
	Change string `json:"change"`
}

// InitOptions control how Init may change the lock file.
type InitOptions struct {
	// Upgrade chooses the newest versions that the constraints allow, and
	// accepts the programs as they are now. Without it, locked entries do not
	// change.
	Upgrade bool
	// ReadOnly makes it an error if the lock file would have to change.
	ReadOnly bool
	// Progress receives a line before something that takes long. It may be nil.
	Progress func(line string)
}

// Init chooses a program for every required plugin and writes the lock file.
// Without Upgrade, locked entries do not change: a changed program, a missing
// version, and a version that the constraints no longer allow are errors. Init
// only adds plugins that are not locked yet, and missing digests for this
// platform. It starts no program with a digest that differs from the locked
// one, and asks the others for their version. If there are errors, it writes
// nothing.
func Init(ctx context.Context, options Options, how InitOptions) ([]Pinned, hcl.Diagnostics) {
	options, err := options.complete()
	if err != nil {
		return nil, hcl.Diagnostics{diag.Errorf(nil, "The quern program cannot be found", "%s.", err)}
	}
	locked, diags := ReadLock(options.Root)
	if diags.HasErrors() {
		return nil, diags
	}
	i := &initialization{
		Options: options, InitOptions: how, digests: openDigests(options.CacheDir), schemas: schemaCache{options.CacheDir},
	}
	defer i.digests.save()
	var pinned []Pinned
	next := &Lock{Plugins: map[string]*Locked{}, Modules: locked.Modules, Pins: locked.Pins}
	for _, required := range options.Required {
		found, l, d := i.pin(ctx, required, locked.Plugins[required.Name])
		diags = append(diags, d...)
		if found != nil {
			pinned = append(pinned, *found)
		}
		if l != nil {
			next.Plugins[required.Name] = l
		}
	}
	if diags.HasErrors() || (len(next.Plugins) == 0 && len(locked.Plugins) == 0) {
		return pinned, diags
	}
	if err := next.write(options.Root, how.ReadOnly); err != nil {
		diags = append(diags, diag.Errorf(nil, "Lock file cannot be written", "%s.", err))
	}
	return pinned, diags
}

// initialization is one Init.
type initialization struct {
	Options
	InitOptions
	digests *digests
	schemas schemaCache
}

// pin chooses what a required plugin is, and returns its lock entry. A plugin under
// development has none.
func (i *initialization) pin(ctx context.Context, required Requirement, was *Locked) (*Pinned, *Locked, hcl.Diagnostics) {
	if overridden, d := i.override(required); overridden != "" || d != nil {
		return nil, was, nil // its lock entry is used again when the override is removed
	}
	if required.Command != nil {
		found, diags := i.develop(ctx, required)
		return found, nil, diags
	}
	if dir := i.pythonProject(required); dir != "" {
		return i.install(ctx, required, dir, was)
	}
	found, diags := i.choose(ctx, required, was)
	if found == nil {
		return nil, nil, diags
	}
	l := i.lock(required, found, was)
	return &Pinned{
		Name: l.Name, Source: l.Source, Version: l.Version, Path: found.path, Digest: found.digest, Change: change(was, l),
	}, l, diags
}

// lock returns a lock entry for a program. It keeps the digests for other
// platforms unless the version changes.
func (i *initialization) lock(required Requirement, found *candidate, was *Locked) *Locked {
	l := &Locked{
		Name: required.Name, Source: sourceOf(required), Version: found.version.Original(), Constraints: required.Version,
		Digests: map[string][]string{},
	}
	if isDevelopment(l.Version) {
		return l
	}
	if was != nil && was.Version == l.Version && was.Source == l.Source {
		maps.Copy(l.Digests, was.Digests)
		if slices.Contains(l.Digests[""], found.digest) && !i.Upgrade {
			return l
		}
		delete(l.Digests, "")
	}
	l.Digests[Platform()] = []string{found.digest}
	return l
}

func change(was, now *Locked) string {
	switch {
	case was == nil:
		return "pinned"
	case was.Version != now.Version:
		return "from " + was.Version
	case len(was.digests(Platform())) == 0 && len(now.digests(Platform())) > 0:
		return "digest added for " + Platform()
	case !slices.Equal(was.digests(Platform()), now.digests(Platform())):
		return "digest changed"
	}
	return "unchanged"
}

// develop starts a plugin by its command, to find mistakes early. Nothing is
// pinned.
func (i *initialization) develop(ctx context.Context, required Requirement) (*Pinned, hcl.Diagnostics) {
	if d := i.reserved(required); d != nil {
		return nil, hcl.Diagnostics{d}
	}
	e, d := i.commandEntry(i.digests, required)
	if d != nil {
		return nil, hcl.Diagnostics{d}
	}
	schema, err := i.schemaOf(ctx, i.launch(e, e.digest))
	if err != nil {
		return nil, hcl.Diagnostics{diag.Errorf(required.Range.Ptr(), "Plugin cannot be used", "%s.", diag.Capital(err.Error()))}
	}
	return &Pinned{
		Name: e.name, Source: e.source, Version: schema.Version, Path: e.program, Digest: e.digest,
		Change: "under development: " + strings.Join(required.Command, " "),
	}, nil
}

// choose returns the program for a required plugin: the locked one, or the
// newest that satisfies the constraints.
func (i *initialization) choose(ctx context.Context, required Requirement, was *Locked) (*candidate, hcl.Diagnostics) {
	at := required.Range.Ptr()
	if d := i.reserved(required); d != nil {
		return nil, hcl.Diagnostics{d}
	}
	constraints, err := parseConstraints(required.Version)
	if err != nil {
		return nil, hcl.Diagnostics{diag.Errorf(at, "Malformed version constraint", "%s.", err)}
	}
	if was == nil || i.Upgrade {
		return i.newest(ctx, required, constraints)
	}
	if d := was.fits(required); d != nil {
		return nil, hcl.Diagnostics{d}
	}
	if !was.knows(Platform()) {
		exact, err := version.NewConstraint("= " + was.Version)
		if err != nil {
			return nil, hcl.Diagnostics{diag.Errorf(at, "Malformed lock file", "%s: plugin %q: %s.", LockFile, was.Name, err)}
		}
		return i.newest(ctx, required, exact)
	}
	c, diags := i.locked(i.digests, required, was)
	if c == nil {
		return nil, diags
	}
	if err := i.ask(ctx, required.Name, c); err != nil {
		return nil, hcl.Diagnostics{diag.Errorf(at, "Plugin cannot be used", "%s.", diag.Capital(err.Error()))}
	}
	if c.version.Original() != was.Version {
		return nil, hcl.Diagnostics{diag.Errorf(at, "Plugin version differs from the lock file",
			"%s locks version %s of plugin %q, but %s reports version %s. Run \"quern init -upgrade\" to choose a version again.",
			LockFile, was.Version, required.Name, c.path, c.version.Original())}
	}
	return c, nil
}

// newest returns the newest version that satisfies the constraints. The program
// itself reports its version; if its folder's name contradicts it, the program
// is not used.
func (i *initialization) newest(ctx context.Context, required Requirement, constraints version.Constraints) (*candidate, hcl.Diagnostics) {
	var best *candidate
	var notes []string
	for _, c := range i.candidates(required) {
		if c.folder != nil && !satisfies(c.folder, constraints) {
			notes = append(notes, fmt.Sprintf("%s is version %s", c.path, c.folder.Original()))
			continue
		}
		var err error
		if c.digest, err = i.digests.of(c.path); err == nil {
			err = i.ask(ctx, required.Name, c)
		}
		switch {
		case err != nil:
			notes = append(notes, err.Error())
		case !satisfies(c.version, constraints):
			notes = append(notes, fmt.Sprintf("%s is version %s", c.path, c.version.Original()))
		case best == nil || c.version.GreaterThan(best.version):
			best = c
		}
	}
	if best == nil {
		return nil, hcl.Diagnostics{i.notFound(required, notes)}
	}
	return best, nil
}

func (i *initialization) notFound(required Requirement, notes []string) *hcl.Diagnostic {
	if len(notes) == 0 {
		return i.missing(required)
	}
	if required.Version == "" {
		return diag.Errorf(required.Range.Ptr(), "Plugin cannot be used", "quern found no program that works as plugin %q: %s.",
			required.Name, strings.Join(notes, "; "))
	}
	return diag.Errorf(required.Range.Ptr(), "No version of the plugin is suitable",
		"quern found no program that works as plugin %q in version %q: %s.",
		required.Name, required.Version, strings.Join(notes, "; "))
}

// ask asks a program for its version, and compares it with its folder's name.
// The program's schema is cached by its digest, so the program is started only
// once.
func (i *initialization) ask(ctx context.Context, name string, c *candidate) error {
	s, err := i.schemaOf(ctx, i.command(name, c.path, c.digest))
	if err != nil {
		return err
	}
	v, err := parseVersion(s.Version)
	if err != nil {
		return fmt.Errorf("plugin %q (%s) reports version %q, which is not a semantic version", name, c.path, s.Version)
	}
	if c.folder != nil && !c.folder.Equal(v) {
		return fmt.Errorf("%s reports version %s, but its folder is named after version %s", c.path, s.Version, c.folder.Original())
	}
	c.version = v
	return nil
}

// schemaOf returns the schema of a program, from the cache if it has it.
func (i *initialization) schemaOf(ctx context.Context, command client.Command) (*pluginv1.GetSchemaResponse, error) {
	if s := i.schemas.get(command.Digest, nil); s != nil {
		return s, nil
	}
	p, err := client.Start(ctx, command)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	s, err := p.Schema(ctx)
	if err != nil {
		return nil, err
	}
	i.schemas.put(command.Digest, nil, s)
	return s, nil
}
