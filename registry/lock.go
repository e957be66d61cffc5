package registry

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/go-version"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/gohcl"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/limit"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/store/disk"
)

// LockFile is the name of the lock file, in the root module's folder.
const LockFile = ".quern.lock.hcl"

const lockHead = `# Written by quern init: the plugins of this pipeline and the digests of their
# programs. Keep it in version control.
`

const pinsHead = "# What names outside of the pipeline refer to, by plugin.\n"

// Locked is the entry of a plugin in the lock file.
type Locked struct {
	Name, Source, Version string
	// Constraints are the constraints in required_plugins that Version was
	// chosen by.
	Constraints string
	// Python is the implementation and series of the interpreter, such as cpython
	// 3.11, if the plugin is a Python project. Digests are then those of its parts.
	Python string
	// Digests of the program by platform, such as linux_amd64. A version under
	// development has none. Lock files of quern 0.1 contain a list of digests
	// without platforms, which is under "".
	Digests map[string][]string
}

// lockedBlock is a plugin's block in the lock file.
type lockedBlock struct {
	Name        string    `hcl:"name,label"`
	Source      string    `hcl:"source"`
	Version     string    `hcl:"version"`
	Constraints string    `hcl:"constraints,optional"`
	Python      string    `hcl:"python,optional"`
	Digests     cty.Value `hcl:"digests"`
}

func (b *lockedBlock) locked() (*Locked, error) {
	l := &Locked{Name: b.Name, Source: b.Source, Version: b.Version, Constraints: b.Constraints, Python: b.Python, Digests: map[string][]string{}}
	d := b.Digests
	if d.IsNull() || !d.IsWhollyKnown() || !d.CanIterateElements() {
		return nil, fmt.Errorf("digests must map platforms to digests")
	}
	for it := d.ElementIterator(); it.Next(); {
		key, digest := it.Element()
		if digest.IsNull() || digest.Type() != cty.String {
			return nil, fmt.Errorf("each digest must be a string")
		}
		on := ""
		if !d.Type().IsTupleType() {
			on = key.AsString()
		}
		l.Digests[on] = append(l.Digests[on], digest.AsString())
	}
	return l, nil
}

// isDevelopment reports whether a version is under development.
func isDevelopment(text string) bool {
	v, err := parseVersion(text)
	return err == nil && (v.Prerelease() == "dev" || strings.HasPrefix(v.Prerelease(), "dev.") || strings.Contains(v.Prerelease(), ".dev."))
}

// parseVersion parses a semantic version, as plugins report it.
func parseVersion(text string) (*version.Version, error) { return version.NewSemver(text) }

// digests returns the digests that a program may have on a platform.
func (l *Locked) digests(on string) []string { return slices.Concat(l.Digests[on], l.Digests[""]) }

// knows reports whether the lock file identifies the program for a platform.
func (l *Locked) knows(on string) bool { return isDevelopment(l.Version) || len(l.digests(on)) > 0 }

// fits returns an error if the configuration no longer matches the lock file.
func (l *Locked) fits(required Requirement) *hcl.Diagnostic {
	at := required.Range.Ptr()
	if l.Source != sourceOf(required) {
		return diag.Errorf(at, "Plugin source has changed",
			"%s has plugin %q from %q, but the configuration has it from %q. Run \"quern init -upgrade\".",
			LockFile, required.Name, l.Source, sourceOf(required))
	}
	constraints, err := parseConstraints(required.Version)
	if err != nil {
		return diag.Errorf(at, "Malformed version constraint", "%s.", err)
	}
	v, err := version.NewVersion(l.Version)
	if err != nil {
		return diag.Errorf(at, "Malformed lock file", "%s: plugin %q has the version %q: %s.", LockFile, l.Name, l.Version, err)
	}
	if !satisfies(v, constraints) {
		return diag.Errorf(at, "Locked plugin version is not allowed",
			"%s locks version %s of plugin %q, but the configuration requires %s. Run \"quern init -upgrade\".",
			LockFile, l.Version, required.Name, required.Version)
	}
	return nil
}

// parseConstraints parses version constraints. An empty text allows every
// version.
func parseConstraints(text string) (version.Constraints, error) {
	if text == "" {
		return nil, nil
	}
	c, err := version.NewConstraint(text)
	if err != nil {
		return nil, fmt.Errorf("version %q: %w; write it like \">= 1.2.0\" or \"~> 1.2\"", text, err)
	}
	return c, nil
}

// satisfies reports whether a version satisfies constraints. A version under
// development counts as the release that it will become.
func satisfies(v *version.Version, c version.Constraints) bool {
	return c == nil || c.Check(v) || (isDevelopment(v.String()) && c.Check(v.Core()))
}

// Lock is the content of a lock file.
type Lock struct {
	Plugins map[string]*Locked
	// Modules are the packages that modules come from.
	Modules []*LockedModule
	// Pins are what the names that plugins pinned refer to.
	Pins plan.Pins
}

// ReadLock reads the lock file of a root module. Without a lock file, nothing
// is locked.
func ReadLock(dir string) (*Lock, hcl.Diagnostics) {
	path := filepath.Join(dir, LockFile)
	src, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return &Lock{}, nil
	}
	if err != nil {
		return nil, hcl.Diagnostics{diag.Errorf(nil, "Lock file cannot be read", "%s.", err)}
	}
	if d := limit.Config(src, LockFile); d != nil {
		return nil, hcl.Diagnostics{d}
	}
	file, diags := hclparse.NewParser().ParseHCL(src, LockFile)
	if diags.HasErrors() {
		return nil, diags
	}
	var content struct {
		Plugins []*lockedBlock               `hcl:"plugin,block"`
		Modules []*LockedModule              `hcl:"module,block"`
		Pins    map[string]map[string]string `hcl:"pins,optional"`
	}
	if diags := gohcl.DecodeBody(file.Body, nil, &content); diags.HasErrors() {
		return nil, diags
	}
	out := &Lock{Plugins: map[string]*Locked{}, Modules: content.Modules, Pins: content.Pins}
	for _, b := range content.Plugins {
		l, err := b.locked()
		if err != nil {
			return nil, hcl.Diagnostics{diag.Errorf(nil, "Malformed lock file", "%s: plugin %q: %s.", LockFile, b.Name, err)}
		}
		out.Plugins[l.Name] = l
	}
	return out, checkModules(out.Modules)
}

// digestsValue returns the map of platforms to digests, or the list in a lock
// file of quern 0.1 that is still valid.
func (l *Locked) digestsValue() cty.Value {
	if old := l.Digests[""]; len(old) > 0 {
		values := make([]cty.Value, len(old))
		for i, d := range old {
			values[i] = cty.StringVal(d)
		}
		return cty.ListVal(values)
	}
	values := map[string]cty.Value{}
	for on, digests := range l.Digests {
		values[on] = cty.StringVal(digests[0])
	}
	return cty.ObjectVal(values)
}

// write writes the lock file atomically, if it differs. With readonly, a lock file
// that would change is an error.
func (l *Lock) write(dir string, readonly bool) error {
	f := hclwrite.NewEmptyFile()
	for _, name := range ordered.Keys(l.Plugins) {
		f.Body().AppendNewline()
		l.Plugins[name].write(f.Body().AppendNewBlock("plugin", []string{name}).Body())
	}
	writeModules(f.Body(), l.Modules)
	if pins := pinsValue(l.Pins); pins.LengthInt() > 0 {
		f.Body().AppendNewline()
		f.Body().AppendUnstructuredTokens(comment(pinsHead))
		f.Body().SetAttributeValue("pins", pins)
	}
	text := append([]byte(lockHead), hclwrite.Format(f.Bytes())...)
	path := filepath.Join(dir, LockFile)
	if was, err := os.ReadFile(path); err == nil && bytes.Equal(was, text) {
		return nil
	}
	if readonly {
		return fmt.Errorf("%s would change, and -lockfile=readonly does not allow that; run \"quern init\" without it and commit the file", LockFile)
	}
	return disk.Replace(path, bytes.NewReader(text), 0o644)
}

func (l *Locked) write(b *hclwrite.Body) {
	b.SetAttributeValue("source", cty.StringVal(l.Source))
	b.SetAttributeValue("version", cty.StringVal(l.Version))
	if l.Constraints != "" {
		b.SetAttributeValue("constraints", cty.StringVal(l.Constraints))
	}
	if l.Python != "" {
		b.SetAttributeValue("python", cty.StringVal(l.Python))
	}
	b.SetAttributeValue("digests", l.digestsValue())
}

// pinsValue returns the pins as an object of objects.
func pinsValue(pins plan.Pins) cty.Value {
	plugins := map[string]cty.Value{}
	for plugin, names := range pins {
		values := map[string]cty.Value{}
		for name, value := range names {
			values[name] = cty.StringVal(value)
		}
		if len(values) > 0 {
			plugins[plugin] = cty.ObjectVal(values)
		}
	}
	return cty.ObjectVal(plugins)
}

func comment(text string) hclwrite.Tokens {
	return hclwrite.Tokens{{Type: hclsyntax.TokenComment, Bytes: []byte(text)}}
}
