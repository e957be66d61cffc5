// Package scaffold writes new plugins: a Go module or a Python package with one
// type of a kind, and a test that runs it and passes.
package scaffold

import (
	"bytes"
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/template"

	"golang.org/x/mod/modfile"

	"github.com/quern-dev/quern/lang/kind"
)

// Options say what is written.
type Options struct {
	// Language is Go or Python.
	Language string
	// Kind is the kind of its type, one of Kinds.
	Kind string
	// Name is the plugin's name: lower case letters, digits and underscores.
	Name string
	// Replace is a folder with quern's source to build against; empty: a
	// release. With it the module is complete; without, go mod tidy completes
	// it. It must be empty for Python.
	Replace string
}

//go:embed templates
var templates embed.FS

// The languages of plugins.
const (
	Go     = "go"
	Python = "python"
)

// Languages are the languages that a new plugin can be written in.
func Languages() []string { return []string{Go, Python} }

// FlatMap is a transform that produces any number of rows for each row.
const FlatMap = "flat_map"

// Kinds are the kinds that a new plugin's type can have in a language.
func Kinds(language string) []string {
	kinds := kind.Those(kind.Kind.IsTypedStage)
	if language == Python {
		kinds = append(kinds, FlatMap, kind.Model)
	}
	return kinds
}

// made says, by kind, which template its type is made of and what the type
// is called.
var made = map[string]struct{ template, suffix string }{
	kind.Source:    {"source", "lines"},
	kind.Transform: {"mapper", "words"},
	kind.Label:     {"mapper", "words"},
	kind.Train:     {"train", "majority"},
	kind.Evaluate:  {"evaluate", "agreement"},
	kind.Deploy:    {"deploy", "copy"},
	FlatMap:        {"flat_map", "words"},
	kind.Model:     {"model", "echo"},
}

// sdkModule is the module that plugins are written with, in the folder sdk/go of
// quern's source.
const sdkModule = "github.com/quern-dev/quern/sdk/go"

var namePattern = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// Write writes a plugin to a folder, which must be empty or missing, and
// returns the names of the files, sorted.
func Write(dir string, o Options) ([]string, error) {
	if !slices.Contains(Languages(), o.Language) {
		return nil, fmt.Errorf("unknown language %q: a plugin can be written in %s", o.Language, strings.Join(Languages(), ", "))
	}
	if kinds := Kinds(o.Language); !slices.Contains(kinds, o.Kind) {
		return nil, fmt.Errorf("unknown kind %q: a plugin's type must be one of %s", o.Kind, strings.Join(kinds, ", "))
	}
	if o.Language == Python && o.Replace != "" {
		return nil, fmt.Errorf("a plugin in Python cannot be built against quern's source: its pyproject.toml names the SDK")
	}
	if !namePattern.MatchString(o.Name) {
		return nil, fmt.Errorf("%q is not a valid plugin name: use lowercase letters, digits, and underscores", o.Name)
	}
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return nil, fmt.Errorf("the folder %s already exists and is not empty", dir)
	}
	files, err := render(o)
	if err != nil {
		return nil, err
	}
	if o.Language == Go {
		if err := addModule(files, dir, o); err != nil {
			return nil, err
		}
	}
	return writeAll(dir, files)
}

// render fills the templates in.
func render(o Options) (map[string][]byte, error) {
	from := made[o.Kind]
	of := map[string]string{
		"main.go": "main.go.tmpl", "README.md": "README.md.tmpl",
		from.template + ".go": from.template + ".go.tmpl", from.template + "_test.go": from.template + "_test.go.tmpl",
	}
	if o.Language == Python {
		of = map[string]string{
			"pyproject.toml": "python/pyproject.toml.tmpl", "README.md": "python/README.md.tmpl",
			"quern_plugin_" + o.Name + ".py": "python/" + from.template + ".py.tmpl", "test_" + o.Name + ".py": "python/" + from.template + "_test.py.tmpl",
		}
	}
	block := o.Kind
	if block == FlatMap {
		block = kind.Transform
	}
	fields := map[string]string{
		"Kind": block, "Name": o.Name, "Type": o.Name + "_" + from.suffix, "KindConst": strings.ToUpper(block[:1]) + block[1:],
	}
	files := map[string][]byte{}
	for name, from := range of {
		t, err := template.ParseFS(templates, "templates/"+from)
		if err != nil {
			return nil, fmt.Errorf("template of %s: %w", name, err)
		}
		var b bytes.Buffer
		if err := t.Execute(&b, fields); err != nil {
			return nil, fmt.Errorf("template of %s: %w", name, err)
		}
		files[name] = b.Bytes()
	}
	return files, nil
}

// addModule adds go.mod. Against a source folder it requires what the
// SDK requires, in the same versions, so that nothing needs to be looked up.
func addModule(files map[string][]byte, dir string, o Options) error {
	f := new(modfile.File)
	if err := f.AddModuleStmt("quern-plugin-" + o.Name); err != nil {
		return err
	}
	if o.Replace == "" {
		if err := f.AddGoStmt("1.26"); err != nil {
			return err
		}
		files["go.mod"] = modfile.Format(f.Syntax)
		return nil
	}
	source, err := filepath.Abs(filepath.Join(o.Replace, "sdk", "go"))
	if err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(source, "go.mod"))
	if err != nil {
		return fmt.Errorf("read quern's source: %w", err)
	}
	theirs, err := modfile.Parse(filepath.Join(source, "go.mod"), text, nil)
	if err != nil {
		return fmt.Errorf("read quern's source: %w", err)
	}
	if theirs.Module == nil || theirs.Module.Mod.Path != sdkModule {
		return fmt.Errorf("%s is not quern's source code", o.Replace)
	}
	if err := f.AddGoStmt(theirs.Go.Version); err != nil {
		return err
	}
	f.AddNewRequire(sdkModule, "v0.0.0", false)
	for _, r := range theirs.Require {
		f.AddNewRequire(r.Mod.Path, r.Mod.Version, true)
	}
	if err := f.AddReplace(sdkModule, "", relative(dir, source), ""); err != nil {
		return err
	}
	f.Cleanup()
	files["go.mod"] = modfile.Format(f.Syntax)
	if files["go.sum"], err = os.ReadFile(filepath.Join(source, "go.sum")); err != nil {
		return fmt.Errorf("read quern's source: %w", err)
	}
	return nil
}

// relative returns a path to source from dir, or an absolute one if no relative path
// exists.
func relative(dir, source string) string {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return source
	}
	rel, err := filepath.Rel(abs, source)
	if err != nil || strings.Count(rel, "..") > 3 {
		return source
	}
	return filepath.ToSlash(rel)
}

func writeAll(dir string, files map[string][]byte) ([]string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("create the plugin's folder: %w", err)
	}
	var names []string
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			return nil, fmt.Errorf("write the plugin: %w", err)
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return names, nil
}
