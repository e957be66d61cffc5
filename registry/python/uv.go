package python

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// uv installs with Astral's uv.
type uv struct {
	*runner
	path string
}

// findUV returns uv, or nil if it is not installed.
func findUV(r *runner) *uv {
	path, err := exec.LookPath("uv")
	if err != nil {
		return nil
	}
	return &uv{r, path}
}

func (u *uv) name() string { return "uv" }

func (u *uv) create(ctx context.Context, venv string, i *interpreter) error {
	python := i.path
	if python == "" {
		python = i.request
	}
	_, err := u.run(ctx, "Creating a virtual environment with uv", filepath.Dir(venv), u.path, "venv", "--no-project", "--allow-existing", "--python", python, venv)
	return err
}

func (u *uv) export(ctx context.Context, dir string) ([]byte, error) {
	return u.run(ctx, "Reading uv.lock with uv", dir, u.path, "export", "--frozen", "--no-dev", "--no-emit-project", "--no-header", "--no-annotate", "--format", "requirements.txt")
}

func (u *uv) resolve(ctx context.Context, venv string, p *Project) ([]byte, error) {
	out := filepath.Join(u.temp, pylock)
	_, err := u.run(ctx, "Resolving the dependencies with uv", p.Dir, u.path, "pip", "compile", "--python", pythonIn(venv), "--universal", "--generate-hashes",
		"--custom-compile-command", generatedBy, "--format", pylock, "-o", out, ProjectFile)
	if err != nil {
		return nil, err
	}
	return os.ReadFile(out)
}

func (u *uv) dependencies(ctx context.Context, venv, requirements string, p *Project) error {
	return u.offlineFirst(ctx, "Installing the dependencies with uv", p.Dir, u.path, "pip", "install", "--python", pythonIn(venv),
		"--require-hashes", "--no-deps", "--no-build", "--compile-bytecode", "-r", requirements)
}

func (u *uv) project(ctx context.Context, venv string, p *Project, editable bool) error {
	argv := []string{u.path, "pip", "install", "--python", pythonIn(venv), "--no-deps", "--compile-bytecode"}
	if editable {
		argv = append(argv, "-e")
	}
	return u.offlineFirst(ctx, "Building the plugin with uv", p.Dir, append(argv, p.Dir)...)
}

func (u *uv) check(ctx context.Context, venv string) error {
	_, err := u.run(ctx, "Checking the installed packages with uv", filepath.Dir(venv), u.path, "pip", "check", "--python", pythonIn(venv))
	return err
}

// offlineFirst runs uv without the network, and with it if something is not in its
// cache.
func (u *uv) offlineFirst(ctx context.Context, step, dir string, argv ...string) error {
	_, err := u.run(ctx, step, dir, append(argv, "--offline")...)
	if failed := (*Failure)(nil); errors.As(err, &failed) && !strings.Contains(failed.Advice, "disk is full") {
		_, err = u.run(ctx, step, dir, argv...)
	}
	return err
}
