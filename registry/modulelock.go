package registry

import (
	"cmp"
	"regexp"
	"slices"
	"sync"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/diag"
)

const modulesHead = "# The packages that modules come from, and the digests of their files.\n"

// LockedModule is the entry of a package in the lock file. Its source and its
// constraints identify it: module blocks with the same ones use the same release.
type LockedModule struct {
	// Source is the source of a module block without the folder in the package.
	Source string `hcl:"source,label"`
	// Constraints are the version of the module block that Version was chosen by.
	Constraints string `hcl:"constraints,optional"`
	Version     string `hcl:"version,optional"`
	// Pin is the commit of a Git repository or the digest of an OCI artifact.
	Pin string `hcl:"pin,optional"`
	// Digest of the package's files.
	Digest string `hcl:"digest"`
}

// module returns the entry of a package, or nil.
func (l *Lock) module(source, constraints string) *LockedModule {
	i := slices.IndexFunc(l.Modules, func(m *LockedModule) bool { return m.Source == source && m.Constraints == constraints })
	if i < 0 {
		return nil
	}
	return l.Modules[i]
}

var treeDigest = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^sha256:[0-9a-f]{64}$`) })

// checkModules refuses digests that are not digests, because folders have their
// names.
func checkModules(all []*LockedModule) hcl.Diagnostics {
	for _, m := range all {
		if !treeDigest().MatchString(m.Digest) {
			return hcl.Diagnostics{diag.Errorf(nil, "Malformed lock file", "%s: module %q: digest must be sha256: and 64 hexadecimal digits.", LockFile, m.Source)}
		}
	}
	return nil
}

func writeModules(body *hclwrite.Body, all []*LockedModule) {
	for i, m := range slices.SortedFunc(slices.Values(all), compareModules) {
		body.AppendNewline()
		if i == 0 {
			body.AppendUnstructuredTokens(comment(modulesHead))
		}
		m.write(body.AppendNewBlock("module", []string{m.Source}).Body())
	}
}

func compareModules(a, b *LockedModule) int {
	return cmp.Or(cmp.Compare(a.Source, b.Source), cmp.Compare(a.Constraints, b.Constraints))
}

func (m *LockedModule) write(b *hclwrite.Body) {
	for _, a := range []struct{ name, value string }{
		{"constraints", m.Constraints}, {"version", m.Version}, {"pin", m.Pin}, {"digest", m.Digest},
	} {
		if a.value != "" {
			b.SetAttributeValue(a.name, cty.StringVal(a.value))
		}
	}
}
