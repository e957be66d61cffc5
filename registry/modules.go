package registry

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/registry/modules"
)

// VendorDir is the folder in the root module's folder that contains the packages
// of modules if the project keeps them in version control.
const VendorDir = "quern_modules"

// installDir is where they are otherwise.
var installDir = filepath.Join(".quern", "modules")

// ModuleCall is what a module block says about where its module is.
type ModuleCall struct {
	Source  string
	Version string // a constraint, or empty
	// Parent is the folder of the module that contains the block.
	Parent string
	Range  hcl.Range // of the source
}

// Modules finds the folders of modules without network: local ones, and those in
// packages that are locked and installed. It is not safe for concurrent use.
type Modules struct {
	root string
	// dir is where packages are installed.
	dir  string
	lock *Lock
	// checked are the digests of the packages that were looked at, by folder.
	checked map[string]string
}

// OpenModules returns what finds the modules of a root module.
func OpenModules(root string) *Modules {
	m := &Modules{root: root, dir: filepath.Join(root, installDir), checked: map[string]string{}}
	if info, err := os.Stat(filepath.Join(root, VendorDir)); err == nil && info.IsDir() {
		m.dir = filepath.Join(root, VendorDir)
	}
	return m
}

// Find returns the folder of a called module.
func (m *Modules) Find(call ModuleCall) (string, hcl.Diagnostics) {
	source, diags := m.parse(call)
	if diags.HasErrors() || source.Local() {
		return m.local(call, source), diags
	}
	if diags := m.readLock(); diags.HasErrors() {
		return "", diags
	}
	locked := m.lock.module(source.Package, call.Version)
	if locked == nil {
		return "", moduleMissing(call, "%s is not in %s.", described(source, call.Version), LockFile)
	}
	dir := m.folder(source, locked.Digest)
	switch found, err := m.digest(dir); {
	case err != nil:
		return "", failedCall(call, "Module cannot be read", "%s.", diag.Capital(err.Error()))
	case found == "":
		return "", moduleMissing(call, "%s is not in %s.", described(source, locked.Version), m.dir)
	case found != locked.Digest:
		return "", failedCall(call, "Files of a module have changed",
			"The files in %s have the digest %s, but %s has %s. To install the files again, run \"quern init\". To change a module, copy it to another folder, and use that as the source.",
			dir, found, LockFile, locked.Digest)
	}
	return within(call, dir, source)
}

// parse parses the source of a call and checks what can be checked without looking
// for it.
func (m *Modules) parse(call ModuleCall) (*modules.Source, hcl.Diagnostics) {
	source, err := modules.Parse(call.Source)
	if err != nil {
		return nil, failedCall(call, "Invalid source of a module", "%s.", strings.TrimSuffix(diag.Capital(err.Error()), "."))
	}
	if call.Version != "" {
		if err := source.Versioned(); err != nil {
			return nil, failedCall(call, "Module has no versions", "%s.", diag.Capital(err.Error()))
		}
		if _, err := parseConstraints(call.Version); err != nil {
			return nil, failedCall(call, "Malformed version constraint", "%s.", diag.Capital(err.Error()))
		}
	}
	if !source.Local() {
		return source, nil
	}
	dir := m.local(call, source)
	if top := m.Package(call.Parent); top != "" && m.Package(dir) != top {
		return nil, failedCall(call, "Source is outside of the package", "%q leads out of the package that the calling module comes from, %s. A module can call only modules of its own package, and those with an address.", call.Source, top)
	}
	return source, nil
}

// local returns the folder of a local source.
func (m *Modules) local(call ModuleCall, source *modules.Source) string {
	if source == nil {
		return ""
	}
	return filepath.Join(call.Parent, filepath.FromSlash(source.Folder))
}

// Package returns the folder of the package that contains a folder, or "" if it
// is not in one.
func (m *Modules) Package(dir string) string {
	rel, err := filepath.Rel(m.dir, dir)
	if err != nil || !filepath.IsLocal(rel) || rel == "." {
		return ""
	}
	first, _, _ := strings.Cut(rel, string(filepath.Separator))
	return filepath.Join(m.dir, first)
}

func (m *Modules) readLock() hcl.Diagnostics {
	if m.lock != nil {
		return nil
	}
	lock, diags := ReadLock(m.root)
	if !diags.HasErrors() {
		m.lock = lock
	}
	return diags
}

// folder returns the folder of a package, whose name tells people what it is.
func (m *Modules) folder(source *modules.Source, digest string) string {
	return filepath.Join(m.dir, source.Name()+"-"+strings.TrimPrefix(digest, "sha256:")[:16])
}

// digest returns the digest of an installed package, or "" if it is not installed.
func (m *Modules) digest(dir string) (string, error) {
	if digest := m.checked[dir]; digest != "" {
		return digest, nil
	}
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	digest, err := modules.Digest(dir)
	if err == nil {
		m.checked[dir] = digest
	}
	return digest, err
}

// within returns the folder of a module in its package.
func within(call ModuleCall, dir string, source *modules.Source) (string, hcl.Diagnostics) {
	dir, err := modules.Within(dir, source.Folder)
	if err != nil {
		return "", failedCall(call, "Module cannot be found", "%s.", diag.Capital(err.Error()))
	}
	return dir, nil
}

// described names a release of a package for people.
func described(source *modules.Source, version string) string {
	return strings.TrimSpace(modules.Redact(source.Package) + " " + version)
}

// NotInstalled is the Extra of the error for a module that "quern init" installs. It
// says why there is no such module.
type NotInstalled string

func moduleMissing(call ModuleCall, format string, args ...any) hcl.Diagnostics {
	why := fmt.Sprintf(format, args...)
	diags := failedCall(call, "Module is not installed", "%s Run \"quern init\".", why)
	diags[0].Extra = NotInstalled(why)
	return diags
}

func failedCall(call ModuleCall, summary, format string, args ...any) hcl.Diagnostics {
	return hcl.Diagnostics{diag.Errorf(call.Range.Ptr(), summary, format, args...)}
}
