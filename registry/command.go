package registry

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/registry/tree"
)

// commandTimeout is how long a command may take to start a plugin: it may compile
// the plugin or install its dependencies first.
const commandTimeout = 2 * time.Minute

// tools are variables without credentials that configure what commands often
// start with: uv and Python.
var tools = []string{"UV_CACHE_DIR", "UV_OFFLINE", "UV_PYTHON", "UV_PYTHON_DOWNLOADS", "UV_PYTHON_INSTALL_DIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"}

// commandEntry returns the entry of a plugin that a command starts. Its digest
// covers the command, its program, and the files of its folder.
func (o *Options) commandEntry(digests *digests, required Requirement) (*entry, *hcl.Diagnostic) {
	at, name := required.Range.Ptr(), required.Command[0]
	isPath, program := strings.Contains(name, "/"), name
	if isPath {
		program = o.absolute(name)
	}
	program, err := exec.LookPath(program)
	switch {
	case err != nil && isPath:
		return nil, diag.Errorf(at, "Program not found",
			"The command of plugin %q starts the program %s, which does not exist or is not executable. Relative paths start from the folder of the configuration, %s.", required.Name, name, o.Root)
	case err != nil:
		return nil, diag.Errorf(at, "Program not found",
			"The command of plugin %q starts the program %q, which is in no folder of PATH. Install it, or correct the command.", required.Name, name)
	}
	digest, err := o.commandDigest(digests, required.Command, program)
	if err != nil {
		return nil, diag.Errorf(at, "Plugin cannot be read", "The files of plugin %q cannot be read: %s.", required.Name, err)
	}
	return &entry{
		name: required.Name, source: sourceOf(required), required: true, development: true,
		program: program, args: required.Command[1:], digest: digest,
		always: slices.Concat(network, tools), timeout: commandTimeout,
	}, nil
}

func (o *Options) commandDigest(digests *digests, command []string, program string) (string, error) {
	own, err := digests.of(program)
	if err != nil {
		return "", err
	}
	folder := o.commandFolder(command)
	var keep func(string) bool
	if o.inside(folder) {
		keep = o.isSource(folder, command)
	}
	files, err := tree.Files(folder, keep)
	if err != nil {
		return "", err
	}
	content, err := tree.Digest(folder, files, digests.of)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%q\n%s\n%s\n", command, own, content))
	return "sha256:" + hex.EncodeToString(sum[:]), nil
}

// commandFolder returns the folder of the plugin that a command starts: the one
// of the first argument that is the path of a file or folder, up to the project
// that contains it. Without such an argument, it is the configuration's folder.
func (o *Options) commandFolder(command []string) string {
	for i, arg := range command {
		if i == 0 && !strings.Contains(arg, "/") || i == 0 && filepath.IsAbs(arg) || strings.HasPrefix(arg, "-") {
			continue // an interpreter, or an option
		}
		place := o.absolute(arg)
		info, err := os.Stat(place)
		if err != nil {
			continue
		}
		if !info.IsDir() {
			place = filepath.Dir(place)
		}
		if exists(filepath.Join(filepath.Dir(place), "pyvenv.cfg")) {
			continue // the interpreter of a virtual environment
		}
		return o.project(place)
	}
	return o.Root
}

// project returns the nearest folder at or above dir that contains a
// pyproject.toml, up to the configuration's folder, or dir.
func (o *Options) project(dir string) string {
	for at := dir; ; at = filepath.Dir(at) {
		isProject, aboveRoot := exists(filepath.Join(at, "pyproject.toml")), o.inside(at)
		switch {
		case isProject && (at == dir || at == o.Root || !aboveRoot):
			return at
		case aboveRoot:
			return dir
		}
	}
}

// inside reports whether a folder is or contains the configuration's.
func (o *Options) inside(folder string) bool {
	rel, err := filepath.Rel(folder, o.Root)
	return err == nil && filepath.IsLocal(rel)
}

// isSource tells the files of a plugin from the data next to it, in a folder that
// contains the configuration.
func (o *Options) isSource(folder string, command []string) func(name string) bool {
	return func(name string) bool {
		base := path.Base(name)
		if slices.Contains([]string{".py", ".pyi", ".toml", ".lock"}, path.Ext(name)) ||
			strings.HasPrefix(base, "requirements") && path.Ext(name) == ".txt" {
			return true
		}
		full := filepath.Join(folder, filepath.FromSlash(name))
		return slices.ContainsFunc(command, func(arg string) bool { return o.absolute(arg) == full })
	}
}

// absolute returns a path in the configuration as an absolute one.
func (o *Options) absolute(name string) string {
	if filepath.IsAbs(name) {
		return filepath.Clean(name)
	}
	return filepath.Join(o.Root, filepath.FromSlash(name))
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

func diagnostics(d *hcl.Diagnostic) hcl.Diagnostics {
	if d == nil {
		return nil
	}
	return hcl.Diagnostics{d}
}
