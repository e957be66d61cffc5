package registry

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/go-version"
	"github.com/hashicorp/hcl/v2"

	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/sdk/go/client"
)

// Chosen is what Init chose for a required plugin.
type Chosen struct {
	Name, Source, Version, Path, Digest string
	// Before is the version that was locked; empty: none was.
	Before string
}

// Init chooses a program for every required plugin and writes the lock file.
// What is locked stays, and another platform's digest is added to it; with
// upgrade the newest version that fits is chosen anew. Programs are started
// to ask for their version. Changed is set when the lock file was written.
func Init(ctx context.Context, options Options, upgrade bool) (chosen []Chosen, changed bool, diags hcl.Diagnostics) {
	options, err := options.complete()
	if err != nil {
		return nil, false, hcl.Diagnostics{diag.Errorf(nil, "Can't tell where quern is", "%s.", err)}
	}
	locked, diags := ReadLock(options.Dir)
	if diags.HasErrors() {
		return nil, false, diags
	}
	digests := openDigests(options.Cache)
	defer digests.save()
	next := map[string]*Locked{}
	for _, name := range sortedKeys(options.Required) {
		was := locked[name]
		required := options.Required[name]
		required.Name = name
		found, version, d := choose(ctx, options, digests, required, was, upgrade)
		diags = append(diags, d...)
		if found == nil {
			continue
		}
		l := &Locked{Name: name, Source: sourceOf(required), Version: version, Constraints: required.Version}
		if !isDevelopment(version) {
			l.Digests = []string{found.digest}
			if was != nil && was.Version == version && was.Source == l.Source && !upgrade {
				l.Digests = append(l.Digests, was.Digests...)
				slices.Sort(l.Digests)
				l.Digests = slices.Compact(l.Digests)
			}
		}
		c := Chosen{Name: name, Source: l.Source, Version: version, Path: found.path, Digest: found.digest}
		if was != nil {
			c.Before = was.Version
		}
		chosen, next[name] = append(chosen, c), l
	}
	if diags.HasErrors() || (len(next) == 0 && len(locked) == 0) {
		return chosen, false, diags
	}
	changed, err = writeLock(options.Dir, next)
	if err != nil {
		diags = append(diags, diag.Errorf(nil, "Lock file can't be written", "%s.", err))
	}
	return chosen, changed, diags
}

// choose finds the program for a required plugin: the locked one, or the
// newest that fits.
func choose(ctx context.Context, options Options, digests *digests, required config.RequiredPlugin, was *Locked, upgrade bool,
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

func notFound(options Options, required config.RequiredPlugin, notes []string) *hcl.Diagnostic {
	program := programName(programOf(required))
	if len(notes) == 0 {
		return diag.Errorf(required.Range.Ptr(), "Plugin is missing",
			"There is no program %s in %s. Install it there, or add its folder to QUERN_PLUGIN_PATH.",
			program, strings.Join(options.Search, ", "))
	}
	return diag.Errorf(required.Range.Ptr(), "No version of the plugin fits",
		"Plugin %q is asked for in version %q. What was found does not do: %s.",
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
