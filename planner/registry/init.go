package registry

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/go-version"
	"github.com/hashicorp/hcl/v2"

	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/sdk/go/client"
)

// Pinned is what Init chose for a required plugin.
type Pinned struct {
	Name    string `json:"name"`
	Source  string `json:"source"`
	Version string `json:"version"`
	Path    string `json:"path"`
	Digest  string `json:"digest"`
	// Change says what is new, for a person: "pinned", "unchanged",
	// "from 1.0.0", "digest changed".
	Change string `json:"change"`
}

// Init chooses a program for every required plugin and writes the lock file.
// What is locked stays, and another platform's digest is added to it; with
// upgrade the newest version that fits is chosen anew. Programs are started
// to ask for their version. Nothing is written beside errors.
func Init(ctx context.Context, options Options, upgrade bool) ([]Pinned, hcl.Diagnostics) {
	options, err := options.complete()
	if err != nil {
		return nil, hcl.Diagnostics{diag.Errorf(nil, "Can't tell where quern is", "%s.", err)}
	}
	locked, diags := ReadLock(options.Root)
	if diags.HasErrors() {
		return nil, diags
	}
	digests := openDigests(options.CacheDir)
	defer digests.save()
	var pinned []Pinned
	next := map[string]*Locked{}
	for _, required := range options.Required {
		was := locked[required.Name]
		found, version, d := choose(ctx, options, digests, required, was, upgrade)
		diags = append(diags, d...)
		if found == nil {
			continue
		}
		l := lockOf(required, version, found.digest, was, upgrade)
		next[required.Name] = l
		pinned = append(pinned, Pinned{
			Name: l.Name, Source: l.Source, Version: l.Version, Path: found.path, Digest: found.digest,
			Change: change(was, l),
		})
	}
	if diags.HasErrors() || (len(next) == 0 && len(locked) == 0) {
		return pinned, diags
	}
	if err := writeLock(options.Root, next); err != nil {
		diags = append(diags, diag.Errorf(nil, "Lock file can't be written", "%s.", err))
	}
	return pinned, diags
}

// lockOf is a lock entry. Digests that were locked before for the same version
// stay: they are those of other platforms.
func lockOf(required Requirement, version, digest string, was *Locked, upgrade bool) *Locked {
	l := &Locked{Name: required.Name, Source: sourceOf(required), Version: version, Constraints: required.Version}
	if isDevelopment(version) {
		return l
	}
	l.Digests = []string{digest}
	if was != nil && was.Version == version && was.Source == l.Source && !upgrade {
		l.Digests = append(l.Digests, was.Digests...)
		slices.Sort(l.Digests)
		l.Digests = slices.Compact(l.Digests)
	}
	return l
}

func change(was, now *Locked) string {
	switch {
	case was == nil:
		return "pinned"
	case was.Version != now.Version:
		return "from " + was.Version
	case !slices.Equal(was.Digests, now.Digests):
		return "digest changed"
	}
	return "unchanged"
}

// choose finds the program for a required plugin: the locked one, or the
// newest that fits.
func choose(ctx context.Context, options Options, digests *digests, required Requirement, was *Locked, upgrade bool,
) (*candidate, string, hcl.Diagnostics) {
	at := required.Range.Ptr()
	constraints, err := parseConstraints(required.Version)
	if err != nil {
		return nil, "", hcl.Diagnostics{diag.Errorf(at, "Malformed version constraint", "%s.", err)}
	}
	var best *candidate
	var notes []string
	for _, c := range candidates(options.Search, programOf(required)) {
		if c.digest, err = digests.of(c.path); err == nil && c.version == nil {
			c.version, err = askVersion(ctx, required.Name, c)
		}
		if err != nil {
			notes = append(notes, err.Error())
			continue
		}
		if !satisfies(c.version, constraints) {
			notes = append(notes, fmt.Sprintf("%s is version %s", c.path, c.version))
			continue
		}
		if was != nil && !upgrade && was.Version == c.version.Original() && slices.Contains(was.Digests, c.digest) {
			return c, was.Version, nil
		}
		if best == nil || c.version.GreaterThan(best.version) {
			best = c
		}
	}
	if best == nil {
		return nil, "", hcl.Diagnostics{notFound(options, required, notes)}
	}
	return best, best.version.Original(), nil
}

func notFound(options Options, required Requirement, notes []string) *hcl.Diagnostic {
	program := programName(programOf(required))
	if len(notes) == 0 {
		return diag.Errorf(required.Range.Ptr(), "Plugin is missing",
			"There is no program %s in %s. Install it there, or add its folder to QUERN_PLUGIN_PATH.",
			program, strings.Join(options.Search, ", "))
	}
	if required.Version == "" {
		return diag.Errorf(required.Range.Ptr(), "Plugin can't be used", "No program that was found works as plugin %q: %s.",
			required.Name, strings.Join(notes, "; "))
	}
	return diag.Errorf(required.Range.Ptr(), "No version of the plugin fits",
		"No program that was found works as plugin %q in version %q: %s.",
		required.Name, required.Version, strings.Join(notes, "; "))
}

// askVersion starts a program to ask for its version.
func askVersion(ctx context.Context, name string, c *candidate) (*version.Version, error) {
	p, err := client.Start(ctx, client.Command{Name: name, Path: c.path, Digest: c.digest})
	if err != nil {
		return nil, err
	}
	defer p.Close()
	s, err := p.Schema(ctx)
	if err != nil {
		return nil, err
	}
	v, err := version.NewVersion(s.Version)
	if err != nil {
		return nil, fmt.Errorf("plugin %q (%s) says that it is version %q, which is no version", name, c.path, s.Version)
	}
	return v, nil
}
