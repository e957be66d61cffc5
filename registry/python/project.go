package python

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/BurntSushi/toml"
)

// ProjectFile is the name of the file that makes a folder a Python project.
const ProjectFile = "pyproject.toml"

// Project is the folder of a plugin that is written in Python.
type Project struct {
	Dir string
	// Name is the name of its package, as the project spells it.
	Name string
	// Version is as in pyproject.toml, or "" if its build backend computes it.
	Version string
	// RequiresPython constrains the version of Python, as in ">=3.10", or is "".
	RequiresPython string
	// Dependencies are the requirements of the package. Dynamic says that the
	// build backend knows more.
	Dependencies []string
	Dynamic      bool
	// BuildRequires are the packages that build it.
	BuildRequires []string
}

// IsProject reports whether a folder contains a Python project.
func IsProject(dir string) bool {
	info, err := os.Stat(filepath.Join(dir, ProjectFile))
	return err == nil && info.Mode().IsRegular()
}

// ReadProject reads the pyproject.toml in a folder.
func ReadProject(dir string) (*Project, error) {
	var file struct {
		Build struct {
			Requires []string `toml:"requires"`
		} `toml:"build-system"`
		Project struct {
			Name           string   `toml:"name"`
			Version        string   `toml:"version"`
			RequiresPython string   `toml:"requires-python"`
			Dependencies   []string `toml:"dependencies"`
			Dynamic        []string `toml:"dynamic"`
		} `toml:"project"`
	}
	path := filepath.Join(dir, ProjectFile)
	if _, err := toml.DecodeFile(path, &file); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	p := &Project{
		Dir: dir, Name: file.Project.Name, Version: file.Project.Version, RequiresPython: file.Project.RequiresPython,
		Dependencies: file.Project.Dependencies, BuildRequires: file.Build.Requires,
	}
	for _, field := range file.Project.Dynamic {
		p.Dynamic = p.Dynamic || field == "dependencies"
	}
	if p.BuildRequires == nil {
		p.BuildRequires = []string{"setuptools>=64"} // PEP 518's default
	}
	if p.Name == "" {
		return nil, fmt.Errorf("read %s: it has no name in [project]", path)
	}
	if p.RequiresPython != "" {
		if _, err := parseSpecifiers(p.RequiresPython); err != nil {
			return nil, fmt.Errorf("read %s: requires-python: %w", path, err)
		}
	}
	return p, nil
}

var runs = regexp.MustCompile(`[-_.]+`)

// normalized is a package's name as folders of installed packages spell it.
func normalized(name string) string {
	return strings.ToLower(runs.ReplaceAllString(name, "_"))
}
