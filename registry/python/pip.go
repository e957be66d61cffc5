package python

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// pip installs with the modules venv and pip of a Python. pip has no mode in which
// it uses its cache alone, so it downloads wheels into a folder of quern's cache,
// and installs from there.
type pip struct {
	*runner
	cache string
	// series of the Python, as lock files have it.
	series string
}

func (p *pip) name() string { return "pip" }

func (p *pip) pip(ctx context.Context, step, venv string, argv ...string) error {
	_, err := p.run(ctx, step, p.temp, append([]string{pythonIn(venv), "-I", p.program()}, argv...)...)
	return err
}

// program returns the pip that installs. It is not in the virtual environment,
// which contains only what the plugin depends on.
func (p *pip) program() string { return filepath.Join(p.temp, "pip", "pip") }

// bundled prints the path of the wheel of pip that comes with a Python.
// Distributions have it in a folder of their own.
const bundled = `
import ensurepip, glob, os, sysconfig
for folder in (os.path.join(os.path.dirname(ensurepip.__file__), "_bundled"), sysconfig.get_config_var("WHEEL_PKG_DIR") or "", "/usr/share/python-wheels"):
    for wheel in sorted(glob.glob(os.path.join(folder, "pip-*.whl"))):
        print(wheel)
`

func (p *pip) create(ctx context.Context, venv string, i *interpreter) error {
	p.series = i.series
	const step = "Creating a virtual environment with venv"
	if _, err := p.run(ctx, step, filepath.Dir(venv), i.path, "-I", "-m", "venv", "--without-pip", venv); err != nil {
		return err
	}
	found, err := p.run(ctx, "Looking for the pip of "+i.path, filepath.Dir(venv), i.path, "-I", "-c", bundled)
	if err != nil {
		return err
	}
	wheel, _, _ := strings.Cut(string(found), "\n")
	if wheel == "" {
		return fmt.Errorf("%s comes without pip; on Debian and Ubuntu, install the package python3-venv, or install uv", i.path)
	}
	return unpack(wheel, filepath.Join(p.temp, "pip"))
}

// unpack writes the files of a wheel into a folder.
func unpack(wheel, dir string) error {
	archive, err := zip.OpenReader(wheel)
	if err != nil {
		return fmt.Errorf("read %s: %w", wheel, err)
	}
	defer func() { _ = archive.Close() }()
	return os.CopyFS(dir, archive)
}

func (p *pip) resolve(ctx context.Context, venv string, project *Project) ([]byte, error) {
	out := filepath.Join(p.temp, "report.json")
	err := p.pip(ctx, "Resolving the dependencies with pip", venv, "install", "--dry-run", "--ignore-installed", "--only-binary", ":all:", "--report", out, project.Dir)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(out)
	if err != nil {
		return nil, err
	}
	var report struct {
		Install []reported `json:"install"`
	}
	if err := json.Unmarshal(text, &report); err != nil {
		return nil, fmt.Errorf("read the report of pip: %w", err)
	}
	var packages []reported
	for _, r := range report.Install {
		if normalized(r.Metadata.Name) != normalized(project.Name) {
			packages = append(packages, r)
		}
	}
	return writePylock(project.RequiresPython, packages)
}

func (p *pip) dependencies(ctx context.Context, venv, requirements string, _ *Project) error {
	text, err := os.ReadFile(requirements)
	if err != nil {
		return err
	}
	strict := []string{"--require-hashes", "--no-deps", "--only-binary", ":all:", "-r", requirements}
	wheels, err := p.wheels(ctx, "Downloading the dependencies with pip", venv, string(text), strict)
	if err != nil {
		return err
	}
	return p.pip(ctx, "Installing the dependencies with pip", venv, append([]string{"install", "--no-index", "--find-links", wheels}, strict...)...)
}

// project builds the plugin without the network if what builds it is in the cache.
func (p *pip) project(ctx context.Context, venv string, project *Project, editable bool) error {
	const step = "Building the plugin with pip"
	what := []string{project.Dir}
	if editable {
		what = []string{"-e", project.Dir}
	}
	from, err := p.backend(ctx, venv, project)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err == nil {
		err = p.pip(ctx, step, venv, slices.Concat([]string{"install", "--no-deps", "--no-index"}, from, what)...)
		if err == nil || ctx.Err() != nil {
			return err
		}
	}
	return p.pip(ctx, step, venv, slices.Concat([]string{"install", "--no-deps"}, from, what)...)
}

// backend returns options that make pip find the packages that build a project.
func (p *pip) backend(ctx context.Context, venv string, project *Project) ([]string, error) {
	if len(project.BuildRequires) == 0 {
		return nil, nil
	}
	// Backends ask for the first two when they are started.
	download := append([]string{"--only-binary", ":all:", "wheel", "editables"}, project.BuildRequires...)
	wheels, err := p.wheels(ctx, "Downloading the build backend with pip", venv, strings.Join(download, "\n"), download)
	if err != nil {
		return nil, err
	}
	return []string{"--find-links", wheels}, nil
}

func (p *pip) check(ctx context.Context, venv string) error {
	return p.pip(ctx, "Checking the installed packages with pip", venv, "check")
}

// wheels returns a folder with the wheels that pip download chooses. name
// identifies them; once they are downloaded, the network is not used again.
func (p *pip) wheels(ctx context.Context, step, venv, name string, download []string) (string, error) {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%s_%s\n%s", p.series, runtime.GOOS, runtime.GOARCH, name))
	dir := filepath.Join(p.cache, "wheels", hex.EncodeToString(sum[:16]))
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return dir, nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", err
	}
	temp, err := os.MkdirTemp(filepath.Dir(dir), ".tmp-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(temp)
	if err := p.pip(ctx, step, venv, append([]string{"download", "-d", temp}, download...)...); err != nil {
		return "", err
	}
	if err := os.Rename(temp, dir); err != nil && !isDir(dir) { // another process was faster
		return "", err
	}
	return dir, nil
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
