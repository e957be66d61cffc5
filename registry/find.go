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

// SearchPath returns the folders in which required plugins are searched for:
// the folders in QUERN_PLUGIN_PATH, the module's .quern/plugins, the user's
// ~/.quern/plugins, and the folder of the quern program.
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

// programName returns the name of a plugin's program.
func programName(plugin string) string {
	return "quern-plugin-" + plugin
}

// sourceOf returns where a plugin comes from, or its local name if it has no
// source.
func sourceOf(r Requirement) string {
	if r.Source == "" {
		return r.Name
	}
	return r.Source
}

// programOf returns the name of the program that a source implies:
// github.com/acme/quern-plugin-ocr and acme/ocr both give ocr.
func programOf(r Requirement) string {
	return strings.TrimPrefix(path.Base(sourceOf(r)), "quern-plugin-")
}

func isProgram(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// candidate is a program that may be the plugin.
type candidate struct {
	path   string
	digest string
	// folder is the version in its folder's name, or nil.
	folder *version.Version
	// version is the one that the program itself reports, or nil if it was not
	// asked.
	version *version.Version
}

// namesakes returns the required plugins whose programs have the same name
// although their sources differ, such as acme/ocr and other/ocr. Only a folder
// named after the source distinguishes their programs.
func namesakes(all []Requirement) map[string]bool {
	sources := map[string]string{}
	out := map[string]bool{}
	for _, r := range all {
		name := programOf(r)
		if other, ok := sources[name]; ok && other != sourceOf(r) {
			out[name] = true
		}
		sources[name] = sourceOf(r)
	}
	return out
}

// candidates returns the programs of a plugin in the order of the folders. In
// each folder DIR, these come first, in a folder named after the source:
//
//	DIR/SOURCE/quern-plugin-NAME
//	DIR/SOURCE/VERSION/quern-plugin-NAME
//	DIR/SOURCE/VERSION/OS_ARCH/quern-plugin-NAME
//
// Unless a plugin from another source has the same NAME, these follow:
//
//	DIR/quern-plugin-NAME
//	DIR/NAME_VERSION/quern-plugin-NAME
func (o *Options) candidates(r Requirement) []*candidate {
	name := programOf(r)
	program := programName(name)
	var out []*candidate
	add := func(path, version string) {
		c := &candidate{path: path}
		if version != "" {
			v, err := parseVersion(version)
			if err != nil {
				return
			}
			c.folder = v
		}
		if isProgram(path) {
			out = append(out, c)
		}
	}
	for _, dir := range o.Search {
		for _, base := range sourceFolders(dir, r) {
			add(filepath.Join(base, program), "")
			for _, at := range []string{"*", filepath.Join("*", Platform())} {
				found, _ := filepath.Glob(filepath.Join(base, at, program))
				for _, p := range found {
					first, _, _ := strings.Cut(strings.TrimPrefix(p, base+string(filepath.Separator)), string(filepath.Separator))
					add(p, first)
				}
			}
		}
		if namesakes(o.Required)[name] {
			continue
		}
		add(filepath.Join(dir, program), "")
		versioned, _ := filepath.Glob(filepath.Join(dir, name+"_*", program))
		for _, p := range versioned {
			add(p, strings.TrimPrefix(filepath.Base(filepath.Dir(p)), name+"_"))
		}
	}
	return out
}

// sourceFolders returns the folders in dir that are named after a source with a
// namespace: for github.com/acme/quern-plugin-ocr, the full name and acme/ocr.
func sourceFolders(dir string, r Requirement) []string {
	source := sourceOf(r)
	if !strings.Contains(source, "/") || !filepath.IsLocal(filepath.FromSlash(source)) {
		return nil
	}
	full := filepath.Join(dir, filepath.FromSlash(source))
	return unique([]string{full, filepath.Join(filepath.Dir(full), programOf(r))})
}

// Platform names this operating system and architecture, as lock files do.
func Platform() string { return runtime.GOOS + "_" + runtime.GOARCH }

// reserved reports a required plugin with the name of one that comes with
// quern.
func (o *Options) reserved(r Requirement) *hcl.Diagnostic {
	if _, bundled := o.Bundled[r.Name]; r.Name != Builtin && !slices.Contains(o.Vendors, r.Name) && !bundled {
		return nil
	}
	return diag.Errorf(r.Range.Ptr(), "Reserved plugin name",
		"The plugin %q comes with quern and must not be listed in required_plugins. Remove this entry, or, for a plugin of your own, choose another local name.", r.Name)
}

// override returns the program that the CLI configuration substitutes for a
// required plugin, by its source or local name, or "" if there is none.
func (o *Options) override(r Requirement) (string, *hcl.Diagnostic) {
	place, ok := o.DevOverrides[sourceOf(r)]
	if !ok {
		place, ok = o.DevOverrides[r.Name]
	}
	if !ok {
		return "", nil
	}
	if isProgram(place) {
		return place, nil
	}
	program := filepath.Join(place, programName(programOf(r)))
	if !isProgram(program) {
		return "", diag.Errorf(r.Range.Ptr(), "Development override not found",
			"The CLI configuration overrides plugin %q with %s, but %s is not a program. Build the plugin there, or remove the override.",
			r.Name, place, program)
	}
	return program, nil
}

// lockedProgram returns the program with the digest in the lock file. A version
// under development may have any digest.
func (r *Registry) lockedProgram(required Requirement, lock *Locked) (*candidate, hcl.Diagnostics) {
	at := required.Range.Ptr()
	if lock == nil {
		return nil, hcl.Diagnostics{diag.Errorf(at, "Plugin is not initialized",
			"Plugin %q is not in %s. Run \"quern init\".", required.Name, LockFile)}
	}
	if d := lock.fits(required); d != nil {
		return nil, hcl.Diagnostics{d}
	}
	if !lock.knows(Platform()) {
		return nil, hcl.Diagnostics{diag.Errorf(at, "Plugin is not initialized on this platform",
			"%s has no digest of plugin %q for %s. Run \"quern init\" here.", LockFile, required.Name, Platform())}
	}
	return r.options.locked(r.digests, required, lock)
}

// locked finds the program with a digest that the lock file lists for this
// platform. It starts no program.
func (o *Options) locked(digests *digests, required Requirement, lock *Locked) (*candidate, hcl.Diagnostics) {
	at := required.Range.Ptr()
	var changed, others []string
	for _, c := range o.candidates(required) {
		digest, err := digests.of(c.path)
		if err != nil {
			others = append(others, fmt.Sprintf("%s cannot be read: %s", c.path, err))
			continue
		}
		c.digest = digest
		switch {
		case isDevelopment(lock.Version) && (c.folder == nil || c.folder.Original() == lock.Version):
			return c, nil
		case slices.Contains(lock.digests(Platform()), digest):
			return c, nil
		case c.folder == nil || c.folder.Original() == lock.Version:
			changed = append(changed, fmt.Sprintf("%s has %s", c.path, digest))
		default:
			others = append(others, fmt.Sprintf("%s is version %s", c.path, c.folder.Original()))
		}
	}
	switch {
	case len(changed) > 0:
		return nil, hcl.Diagnostics{diag.Errorf(at, "Plugin does not match the lock file",
			"%s locks version %s of plugin %q with the digest %s, but %s. quern starts only the locked program. If you replaced it on purpose, run \"quern init -upgrade\". Otherwise, install the locked program again.",
			LockFile, lock.Version, required.Name, strings.Join(lock.digests(Platform()), " or "), strings.Join(changed, ", and "))}
	case len(others) > 0:
		return nil, hcl.Diagnostics{diag.Errorf(at, "Locked plugin version is missing",
			"%s locks version %s of plugin %q, which is not installed: %s. Install version %s, or run \"quern init -upgrade\" to choose another one.",
			LockFile, lock.Version, required.Name, strings.Join(others, "; "), lock.Version)}
	}
	return nil, hcl.Diagnostics{o.missing(required)}
}

// missing reports that no program was found, and where it was searched for.
func (o *Options) missing(required Requirement) *hcl.Diagnostic {
	program := programName(programOf(required))
	if namesakes(o.Required)[programOf(required)] {
		return diag.Errorf(required.Range.Ptr(), "Plugin is missing",
			"Several required plugins have programs named %s, so quern looks for each one only in a folder named after its source: %s in %s. Install it there.",
			program, filepath.Join(filepath.FromSlash(sourceOf(required)), program), strings.Join(o.Search, ", "))
	}
	return diag.Errorf(required.Range.Ptr(), "Plugin is missing",
		"The program %s is not in %s. Install it there, or add its folder to QUERN_PLUGIN_PATH.",
		program, strings.Join(o.Search, ", "))
}
