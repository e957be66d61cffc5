// Package python installs plugins that are written in Python: each into a virtual
// environment of its own, from its pyproject.toml and its lock file, with uv if it
// is installed, or else with Python's venv and pip.
//
// A virtual environment is built in a temporary folder and renamed when it is
// complete, so it exists completely or not at all. Its name is the digest of what
// it contains, so it never changes afterward. Neither the user's Python nor its
// packages are touched, and the user's own variables for Python and pip have no
// effect, except those that say where packages come from.
package python

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/registry/tree"
	"github.com/quern-dev/quern/store/disk"
)

// Format is the version of the record in a virtual environment.
const Format = "quern.venv/v1"

// Modules is the key of the digest of a plugin's own files in Pins.
const Modules = "modules"

const recordFile, lockedFileName, usedFile, rootsFolder = "quern.json", "quern.lock", "quern.used", "quern.roots"

// tempPrefix begins the names of virtual environments that are not complete.
const tempPrefix = ".tmp-"

// Pins identify the content of a virtual environment.
type Pins struct {
	// Python is the implementation and the series of the interpreter: cpython 3.11.
	Python string
	// Version is the plugin's, as a semantic version.
	Version string
	// Digests of the plugin's own files (Modules), and of the lock file under its
	// name. The files of a version under development may change, so only its
	// pyproject.toml is identified, under its name.
	Digests map[string]string
}

// Name returns the name of the virtual environment of a plugin in a folder.
func (p Pins) Name(dir string) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%s_%s\n%s\n%s\n", Format, runtime.GOOS, runtime.GOARCH, p.Python, p.Version)
	for _, key := range ordered.Keys(p.Digests) {
		fmt.Fprintf(h, "%s %s\n", key, p.Digests[key])
	}
	if p.Digests[Modules] == "" {
		fmt.Fprintf(h, "%s\n", dir) // the plugin runs from there
	}
	// Scripts begin with a path that Linux limits, so the name is short.
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// Venv is a complete virtual environment.
type Venv struct {
	Dir string
	record
}

// record describes a virtual environment, in its file quern.json.
type record struct {
	Format string `json:"format"`
	// Package is the name of the plugin's package, and Version its version as the
	// package has it.
	Package string `json:"package"`
	Version string `json:"version"`
	// Python is the interpreter's version when it was installed: cpython 3.11.7.
	Python    string `json:"python"`
	Installer string `json:"installer"`
	// Arguments of the interpreter that start the plugin. A path is relative to the
	// virtual environment.
	Script  string            `json:"script,omitempty"`
	Module  string            `json:"module,omitempty"`
	Digests map[string]string `json:"digests"`
}

// Open returns a complete virtual environment, or an error that is fs.ErrNotExist.
func Open(dir string) (*Venv, error) {
	text, err := os.ReadFile(filepath.Join(dir, recordFile))
	if err != nil {
		return nil, err
	}
	v := &Venv{Dir: dir}
	if err := json.Unmarshal(text, &v.record); err != nil {
		return nil, fmt.Errorf("read %s: %w", filepath.Join(dir, recordFile), err)
	}
	if v.Format != Format {
		return nil, fmt.Errorf("%s has the format %q, but this version of quern supports %q", dir, v.Format, Format)
	}
	return v, nil
}

// Works reports whether the interpreter that a virtual environment was made with
// still exists.
func (v *Venv) Works() bool { return isFile(v.Program()) }

// Program returns the interpreter.
func (v *Venv) Program() string { return pythonIn(v.Dir) }

// Args returns the interpreter's arguments that start the plugin.
func (v *Venv) Args() []string {
	if v.Script != "" {
		return []string{"-I", filepath.Join(v.Dir, v.Script)}
	}
	return []string{"-I", "-m", v.Module}
}

// Env returns the variables that activate a virtual environment.
func (v *Venv) Env() []string {
	return []string{"VIRTUAL_ENV=" + v.Dir, "PATH=" + filepath.Join(v.Dir, "bin") + string(os.PathListSeparator) + os.Getenv("PATH"), "PYTHONNOUSERSITE=1"}
}

// Use keeps a virtual environment from being removed until done is called or the
// process ends, and notes that the pipeline in root uses it.
func (v *Venv) Use(root string) (done func(), err error) {
	done, err = disk.LockShared(filepath.Join(v.Dir, lockedFileName))
	if err != nil {
		return nil, err
	}
	v.note(root)
	return done, nil
}

// note records the use. In a read-only folder, gc sees older uses only.
func (v *Venv) note(root string) {
	used, now := filepath.Join(v.Dir, usedFile), time.Now()
	if os.Chtimes(used, now, now) != nil {
		_ = os.WriteFile(used, nil, 0o644)
	}
	sum := sha256.Sum256([]byte(root))
	roots := filepath.Join(v.Dir, rootsFolder)
	if path := filepath.Join(roots, hex.EncodeToString(sum[:16])); !isFile(path) {
		_ = os.MkdirAll(roots, 0o755)
		_ = os.WriteFile(path, []byte(root), 0o644)
	}
}

// Roots returns the folders of the pipelines that have used a virtual environment.
func Roots(dir string) []string {
	entries, _ := os.ReadDir(filepath.Join(dir, rootsFolder))
	var out []string
	for _, e := range entries {
		if root, err := os.ReadFile(filepath.Join(dir, rootsFolder, e.Name())); err == nil {
			out = append(out, string(root))
		}
	}
	return out
}

// Request says what to install.
type Request struct {
	Project *Project
	// Python is the series that must be used, or empty for any suitable one.
	Python string
	// Script is the console script that starts the plugin, if the package has
	// several for plugins.
	Script string
	// Dir is the folder of the virtual environments, Cache one for downloads.
	Dir, Cache string
	// WriteLock allows a lock file to be written into the project's folder, if it
	// has none. Upgrade replaces one that was written so.
	WriteLock, Upgrade bool
	// Progress receives a line before something that takes long, and Log what
	// installers print. Both may be nil.
	Progress, Log func(string)
}

// Install returns the virtual environment of a plugin, and what identifies it. It
// builds the environment unless it exists. An error of an installer is *Failure.
func Install(ctx context.Context, r *Request) (*Venv, Pins, error) {
	if err := os.MkdirAll(r.Dir, 0o755); err != nil {
		return nil, Pins{}, disk.Explain(err)
	}
	sweep(r.Dir)
	b := &build{Request: r}
	defer b.close()
	if err := b.begin(ctx); err != nil {
		return nil, Pins{}, err
	}
	if v := b.existing(); v != nil {
		return v, b.pins, nil
	}
	for _, step := range []func(context.Context) error{b.create, b.lockDependencies, b.installDependencies, b.installProject, b.check} {
		if err := step(ctx); err != nil {
			return nil, Pins{}, disk.Explain(err)
		}
	}
	v, err := b.publish()
	return v, b.pins, err
}

// sweep removes what processes that were killed have left.
func sweep(dir string) {
	left, _ := filepath.Glob(filepath.Join(dir, tempPrefix+"*"))
	for _, path := range left {
		info, err := os.Stat(path)
		if err != nil || time.Since(info.ModTime()) < time.Minute {
			continue // its owner may not have locked it yet
		}
		if unlock, err := disk.TryLock(filepath.Join(path, lockedFileName)); err == nil && unlock != nil {
			_ = os.RemoveAll(path)
			unlock()
		}
	}
}

// tempFolder creates a folder for a virtual environment that is not complete, and
// locks it.
func tempFolder(dir string) (path string, unlock func(), err error) {
	path = filepath.Join(dir, tempPrefix+strings.ToLower(rand.Text())[:26]) // about as long as a final name
	if err := os.Mkdir(path, 0o755); err != nil {
		return "", nil, err
	}
	unlock, err = disk.TryLock(filepath.Join(path, lockedFileName))
	if err == nil && unlock == nil {
		err = errors.New("another process has locked it")
	}
	if err != nil {
		return "", nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return path, unlock, nil
}

// ModulesOf returns the digest of a project's own files, and their names: those of
// its folder that belong to a plugin, except lock files. of returns the digest of
// a file.
func ModulesOf(dir string, of func(string) (string, error)) (digest string, files []string, err error) {
	files, err = tree.Files(dir, func(name string) bool { return !IsLockFile(name) })
	if err != nil {
		return "", nil, err
	}
	digest, err = tree.Digest(dir, files, of)
	return digest, files, err
}

// DigestsOf returns the present digests of what Pins identify of a version, by the
// same keys. of returns the digest of a file.
func DigestsOf(dir, version string, of func(string) (string, error)) (map[string]string, error) {
	out := map[string]string{}
	if lock, err := FindLock(dir); err != nil {
		return nil, err
	} else if lock != nil {
		out[lock.Name] = lock.Digest
	}
	var err error
	if pre, _, _ := strings.Cut(version, "+"); strings.Contains(pre, "-dev.") || strings.Contains(pre, ".dev.") {
		out[ProjectFile], err = of(filepath.Join(dir, ProjectFile))
	} else {
		out[Modules], _, err = ModulesOf(dir, of)
	}
	return out, err
}
