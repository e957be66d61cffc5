package registry

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/registry/modules"
)

// InstalledModule is a package that a pipeline's modules come from.
type InstalledModule struct {
	Source  string `json:"source"`
	Version string `json:"version,omitempty"`
	Pin     string `json:"pin,omitempty"`
	Digest  string `json:"digest"`
	Path    string `json:"path"`
	// Change describes to a person what changed: "pinned", "unchanged", "from 1.0.0".
	Change string `json:"change"`
}

// Release names the package and its version for people.
func (m *InstalledModule) Release() string {
	return strings.TrimSpace(modules.Redact(m.Source) + " " + m.Version)
}

// ModuleInstallation installs the packages of modules while a pipeline is loaded,
// and then writes the lock file. Without Upgrade, it installs the locked releases
// and downloads only what is missing.
type ModuleInstallation struct {
	*Modules
	InitOptions
	ctx       context.Context
	next      []*LockedModule
	installed []InstalledModule
}

// InstallModules begins to install the modules of a root module. With vendor, it
// installs them, from now on, in the root module's folder VendorDir.
func InstallModules(ctx context.Context, root string, vendor bool, how InitOptions) (*ModuleInstallation, error) {
	if vendor {
		if err := os.MkdirAll(filepath.Join(root, VendorDir), 0o755); err != nil {
			return nil, err
		}
	}
	return &ModuleInstallation{Modules: OpenModules(root), InitOptions: how, ctx: ctx}, nil
}

// Find returns the folder of a called module, after it has installed its package.
func (i *ModuleInstallation) Find(call ModuleCall) (string, hcl.Diagnostics) {
	source, diags := i.parse(call)
	if diags.HasErrors() || source.Local() {
		return i.local(call, source), diags
	}
	if diags := i.readLock(); diags.HasErrors() {
		return "", diags
	}
	done := Lock{Modules: i.next}
	locked := done.module(source.Package, call.Version)
	if locked == nil {
		was := i.lock.module(source.Package, call.Version)
		if was == nil && i.ReadOnly {
			return "", failedCall(call, "Module is not locked", "%s is not in %s, and -lockfile=readonly does not allow to add it. Run \"quern init\" without it and commit the file.", described(source, call.Version), LockFile)
		}
		var err error
		if locked, err = i.install(source, call.Version, was); err != nil {
			return "", failedCall(call, "Module cannot be installed", "%s.", diag.Capital(err.Error()))
		}
	}
	return within(call, i.folder(source, locked.Digest), source)
}

// install installs a package and returns its lock entry. was is the present one,
// or nil.
func (i *ModuleInstallation) install(source *modules.Source, constraints string, was *LockedModule) (*LockedModule, error) {
	now, err := i.choose(source, constraints, was)
	if err != nil {
		return nil, err
	}
	if err := i.fetchMissing(source, now); err != nil {
		return nil, err
	}
	i.next = append(i.next, now)
	i.installed = append(i.installed, InstalledModule{
		Source: source.Package, Version: now.Version, Pin: now.Pin, Digest: now.Digest, Path: i.folder(source, now.Digest), Change: moduleChange(was, now),
	})
	return now, nil
}

// choose returns the lock entry of the release to install. Its digest is empty if
// it is not known yet.
func (i *ModuleInstallation) choose(source *modules.Source, constraints string, was *LockedModule) (*LockedModule, error) {
	if was != nil && !i.Upgrade {
		return was, nil
	}
	c, err := parseConstraints(constraints)
	if err != nil {
		return nil, err
	}
	i.say("Looking for " + described(source, constraints) + " ...")
	release, err := modules.Choose(i.ctx, source, c)
	if err != nil {
		return nil, err
	}
	now := &LockedModule{Source: source.Package, Constraints: constraints, Version: release.Version, Pin: release.Pin}
	if was != nil && was.Pin != "" && was.Pin == now.Pin && was.Version == now.Version {
		return was, nil
	}
	return now, nil
}

// fetchMissing downloads a package unless its files are already there. It sets the
// digest of a release that was not known.
func (i *ModuleInstallation) fetchMissing(source *modules.Source, locked *LockedModule) error {
	if locked.Digest != "" {
		found, err := i.digest(i.folder(source, locked.Digest))
		if err != nil || found == locked.Digest {
			return err
		}
	}
	if err := os.MkdirAll(i.dir, 0o755); err != nil {
		return err
	}
	temporary, err := os.MkdirTemp(i.dir, ".fetch-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temporary)
	i.say("Fetching " + described(source, locked.Version) + " ...")
	tree := filepath.Join(temporary, "package")
	digest, err := modules.Fetch(i.ctx, source, modules.Release{Version: locked.Version, Pin: locked.Pin}, tree)
	if err != nil {
		return err
	}
	if locked.Digest == "" {
		locked.Digest = digest
	}
	if digest != locked.Digest {
		return fmt.Errorf("%s has the digest %s, but %s has %s: somebody changed what was published under this address. If you trust the change, run \"quern init -upgrade\"",
			described(source, locked.Version), digest, LockFile, locked.Digest)
	}
	return i.replace(i.folder(source, digest), tree, temporary)
}

// replace puts a package in the place of what is there, if anything.
func (i *ModuleInstallation) replace(dir, tree, temporary string) error {
	if _, err := os.Lstat(dir); err == nil {
		if err := os.Rename(dir, filepath.Join(temporary, "old")); err != nil {
			return err
		}
	}
	delete(i.checked, dir)
	return os.Rename(tree, dir)
}

func (i *ModuleInstallation) say(line string) {
	if i.Progress != nil {
		i.Progress(line)
	}
}

// Finish writes the lock file, and removes vendored packages that are no longer
// used.
func (i *ModuleInstallation) Finish() ([]InstalledModule, hcl.Diagnostics) {
	if diags := i.readLock(); diags.HasErrors() {
		return nil, diags
	}
	if len(i.next) > 0 || len(i.lock.Modules) > 0 {
		i.lock.Modules = i.next
		if err := i.lock.write(i.root, i.ReadOnly); err != nil {
			return nil, hcl.Diagnostics{diag.Errorf(nil, "Lock file cannot be written", "%s.", err)}
		}
	}
	return i.installed, i.sweep()
}

// ours matches the names of folders that an installation creates.
var ours = regexp.MustCompile(`-[0-9a-f]{16}$|^\.fetch-`)

// sweep removes packages that are no longer used from a vendored folder. Others
// remain installed for other revisions of the pipeline.
func (i *ModuleInstallation) sweep() hcl.Diagnostics {
	if filepath.Base(i.dir) != VendorDir {
		return nil
	}
	entries, err := os.ReadDir(i.dir)
	for _, e := range entries {
		dir := filepath.Join(i.dir, e.Name())
		used := slices.ContainsFunc(i.installed, func(m InstalledModule) bool { return m.Path == dir })
		if err == nil && !used && e.IsDir() && ours.MatchString(e.Name()) {
			err = os.RemoveAll(dir)
		}
	}
	if err != nil {
		return hcl.Diagnostics{diag.Warningf(nil, "Packages cannot be removed", "%s.", diag.Capital(err.Error()))}
	}
	return nil
}

// moduleChange says what changed in a lock entry.
func moduleChange(was, now *LockedModule) string {
	switch {
	case was == nil:
		return "pinned"
	case was.Version != now.Version:
		return "from " + was.Version
	case was.Pin != now.Pin:
		return "from " + short(was.Pin)
	case was.Digest != now.Digest:
		return "files changed"
	}
	return "unchanged"
}

// short returns the beginning of a commit or digest.
func short(pin string) string {
	if n := len("sha256:") + 12; len(pin) > n {
		return pin[:n]
	}
	return pin
}
