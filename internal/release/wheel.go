package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"text/template"

	"github.com/quern-dev/quern/internal/version"
)

// wheelTag returns the tag of the wheels for a platform. The programs do not
// depend on the version of Python.
func wheelTag(t target) string {
	tag := "py3-none-"
	if t.os == "darwin" {
		return tag + "macosx_" + strings.ReplaceAll(oldestMacOS, ".", "_") + "_" + map[string]string{"amd64": "x86_64", "arm64": "arm64"}[t.arch]
	}
	return tag + "manylinux_" + strings.ReplaceAll(oldestGlibc, ".", "_") + "_" + map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[t.arch]
}

// wheelCommand packs the programs of an archive into wheels, quern itself together
// with the Python SDK. sdk/python/hatch_build.py adds the programs.
func wheelCommand(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("wheel", flag.ContinueOnError)
	platform := flags.String("target", runtime.GOOS+"/"+runtime.GOARCH, "the platform, such as linux/arm64")
	dir := flags.String("dir", "dist", "the folder that has the archive, and to write the wheels to")
	if err := parse(flags, args); err != nil {
		return err
	}
	t, err := parseTarget(*platform)
	if err != nil {
		return err
	}
	python := os.Getenv("QUERN_RELEASE_PYTHON")
	if python == "" {
		return errors.New("QUERN_RELEASE_PYTHON does not name a Python with hatchling; run \"make wheels\"")
	}
	out, err := filepath.Abs(*dir)
	if err != nil {
		return err
	}
	at, err := commitTime(ctx, ".")
	if err != nil {
		return err
	}
	stage, err := os.MkdirTemp("", "quern-release-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(stage)
	if err := unpackFile(stage, filepath.Join(out, archiveName(t)+".tar.gz")); err != nil {
		return fmt.Errorf("%w; run \"make release TARGET=%s\"", err, t)
	}
	env := []string{"QUERN_RELEASE=" + stage, "QUERN_WHEEL_TAG=" + wheelTag(t), "SOURCE_DATE_EPOCH=" + strconv.FormatInt(at.Unix(), 10)}
	var required []string
	for _, p := range programs[1:] {
		required = append(required, p.name+"=="+version.Number)
	}
	for i, p := range programs {
		project, env := filepath.Join("sdk", "python"), append(slices.Clone(env), "QUERN_WHEEL_PROGRAM="+p.name)
		if i == 0 {
			env = append(env, "QUERN_WHEEL_REQUIRES="+strings.Join(required, " "))
		} else if project, err = p.project(stage); err != nil {
			return err
		}
		built, err := output(ctx, project, env, python, "-m", "hatchling", "build", "-t", "wheel", "-d", out)
		if err != nil {
			return err
		}
		fmt.Print(built)
	}
	return nil
}

//go:embed pyproject.toml.tmpl
var pyproject string

// project writes the Python project of a program's wheel and returns its folder.
func (p program) project(stage string) (string, error) {
	dir := filepath.Join(stage, "wheels", p.name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	for to, from := range map[string]string{"hatch_build.py": "sdk/python/hatch_build.py", "LICENSE": "LICENSE"} {
		if err := copyFile(filepath.Join(dir, to), filepath.FromSlash(from)); err != nil {
			return "", err
		}
	}
	var text strings.Builder
	err := template.Must(template.New("pyproject").Parse(pyproject)).Execute(&text, map[string]string{
		"Name": p.name, "About": p.about, "Version": version.Number, "Extra": strings.TrimPrefix(p.name, "quern-plugin-"),
	})
	if err != nil {
		return "", err
	}
	return dir, os.WriteFile(filepath.Join(dir, "pyproject.toml"), []byte(text.String()), 0o644)
}

// unpackFile unpacks an archive to a folder, without the archive's own folder.
func unpackFile(dir, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	for in := tar.NewReader(unzipped); ; {
		header, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
		_, name, _ := strings.Cut(header.Name, "/")
		if err := unpack(filepath.Join(dir, filepath.FromSlash(name)), header.FileInfo().Mode(), in); err != nil {
			return err
		}
	}
}

func unpack(path string, mode os.FileMode, content io.Reader) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	return errors.Join(err, f.Close())
}
