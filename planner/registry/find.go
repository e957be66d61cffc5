package registry

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/hashicorp/go-version"
	"github.com/hashicorp/hcl/v2"

	"github.com/quern-dev/quern/lang/diag"
)

// SearchPath is where required plugins are looked for: the folders of
// QUERN_PLUGIN_PATH, the module's .quern/plugins, the user's ~/.quern/plugins,
// and the folder of the quern program.
func SearchPath(dir, program string) []string {
	out := filepath.SplitList(os.Getenv("QUERN_PLUGIN_PATH"))
	out = append(out, filepath.Join(dir, ".quern", "plugins"))
	if home, err := os.UserHomeDir(); err == nil {
		out = append(out, filepath.Join(home, ".quern", "plugins"))
	}
	return unique(append(out, filepath.Dir(program)))
}

// unique keeps the first of equal folders.
func unique(dirs []string) []string {
	var out []string
	for _, dir := range dirs {
		if dir = filepath.Clean(dir); !slices.Contains(out, dir) {
			out = append(out, dir)
		}
	}
	return out
}

// programName is what a plugin's program is called.
func programName(plugin string) string {
	name := "quern-plugin-" + plugin
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	return name
}

// sourceOf is where a plugin comes from; the local name where nothing is said.
func sourceOf(r Requirement) string {
	if r.Source == "" {
		return r.Name
	}
	return r.Source
}

// programOf is the name of the program that a source gives:
// github.com/acme/quern-plugin-ocr and acme/ocr both give ocr.
func programOf(r Requirement) string {
	return strings.TrimPrefix(path.Base(sourceOf(r)), "quern-plugin-")
}

func isProgram(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && (runtime.GOOS == "windows" || info.Mode()&0o111 != 0)
}

// candidate is a program that may be the plugin looked for.
type candidate struct {
	path   string
	digest string
	// version is what its folder's name says; nil: only the program knows.
	version *version.Version
}

// candidates returns the programs of a plugin in the order of the folders:
// DIR/quern-plugin-NAME and DIR/NAME_VERSION/quern-plugin-NAME.
func candidates(search []string, name string) []*candidate {
	var out []*candidate
	for _, dir := range search {
		if p := filepath.Join(dir, programName(name)); isProgram(p) {
			out = append(out, &candidate{path: p})
		}
		versioned, _ := filepath.Glob(filepath.Join(dir, name+"_*", programName(name)))
		for _, p := range versioned {
			text := strings.TrimPrefix(filepath.Base(filepath.Dir(p)), name+"_")
			if v, err := version.NewVersion(text); err == nil && isProgram(p) {
				out = append(out, &candidate{path: p, version: v})
			}
		}
	}
	return out
}

// lockedProgram finds the program that the lock file names: the one that has
// its digest. A version under development is held to no digest.
func (r *Registry) lockedProgram(required Requirement, lock *Locked) (*candidate, hcl.Diagnostics) {
	at := required.Range.Ptr()
	if lock == nil {
		return nil, hcl.Diagnostics{diag.Errorf(at, "Plugin is not initialised",
			"Plugin %q is not in %s. Run quern init.", required.Name, LockFile)}
	}
	if d := lock.fits(required); d != nil {
		return nil, hcl.Diagnostics{d}
	}
	found := candidates(r.options.Search, programOf(required))
	var others []string
	for _, c := range found {
		digest, err := r.digests.of(c.path)
		if err != nil {
			others = append(others, fmt.Sprintf("%s can't be read: %s", c.path, err))
			continue
		}
		c.digest = digest
		if lock.allows(digest) {
			return c, nil
		}
		others = append(others, fmt.Sprintf("%s has %s", c.path, digest))
	}
	if len(others) == 0 {
		return nil, hcl.Diagnostics{diag.Errorf(at, "Plugin is missing",
			"There is no program %s in %s. Install it there, or add its folder to QUERN_PLUGIN_PATH.",
			programName(programOf(required)), strings.Join(r.options.Search, ", "))}
	}
	return nil, hcl.Diagnostics{diag.Errorf(at, "Plugin is not the one that was locked",
		"%s names version %s of plugin %q by the digest %s, but %s. If the program was exchanged on purpose, run quern init -upgrade; if not, don't run it.",
		LockFile, lock.Version, required.Name, strings.Join(lock.Digests, " or "), strings.Join(others, ", and "))}
}
