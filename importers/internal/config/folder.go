// Package config reads the configurations of other tools: YAML and JSON with
// positions, in a folder.
package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/quern-dev/quern/importers"
)

// Folder is the folder of a configuration, and what was found in its files.
type Folder struct {
	Dir string
	// Main is the file of findings without a place.
	Main     string
	Findings []importers.Finding
}

// Find adds a finding about a node.
func (f *Folder) Find(s importers.Severity, at Node, what, detail string, args ...any) {
	file := at.File
	if file == "" {
		file = f.Main
	}
	f.Findings = append(f.Findings, importers.Finding{Severity: s, File: file, Line: at.Line(), What: what, Detail: fmt.Sprintf(detail, args...)})
}

// Lost reports that the pipeline does not do what a node says.
func (f *Folder) Lost(at Node, what, detail string, args ...any) {
	f.Find(importers.Lost, at, what, detail, args...)
}

// Note reports that the pipeline does it in a way that users should know about.
func (f *Folder) Note(at Node, what, detail string, args ...any) {
	f.Find(importers.Note, at, what, detail, args...)
}

// Known reports the keys of a mapping that are not among those given, because
// they would otherwise be lost silently.
func (f *Folder) Known(n Node, what string, keys ...string) {
	for _, e := range n.Entries() {
		if !slices.Contains(keys, e.Key) && e.Value.IsSet() {
			f.Lost(e.At, what+" "+e.Key, "it has no equivalent.")
		}
	}
}

// maxFile is the maximum size in bytes of a file that is read into memory.
const maxFile = 256 << 20

// Bytes reads a file, whose name is relative to the configuration's folder.
func (f *Folder) Bytes(name string) ([]byte, error) {
	path := f.Path(name)
	info, err := os.Stat(path)
	if err == nil && info.IsDir() {
		err = fmt.Errorf("%s is a folder", name)
	}
	if err == nil && info.Size() > maxFile {
		err = fmt.Errorf("%s is larger than 256 MiB", name)
	}
	if err != nil {
		return nil, fileError(err)
	}
	src, err := os.ReadFile(path)
	return src, fileError(err)
}

// fileError removes a path that the finding already names.
func fileError(err error) error {
	var e *os.PathError
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}

// Path returns the path of a file, whose name is relative to the folder.
func (f *Folder) Path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(f.Dir, filepath.FromSlash(name))
}

// Read parses a YAML or JSON file.
func (f *Folder) Read(name string) (Node, error) {
	src, err := f.Bytes(name)
	if err != nil {
		return Node{}, fmt.Errorf("cannot read %s: %w", name, err)
	}
	if strings.HasSuffix(name, ".json") {
		return ParseJSON(filepath.ToSlash(name), src, 1)
	}
	return ParseYAML(filepath.ToSlash(name), src)
}

// Sentence formats an error for use within a sentence.
func Sentence(err error) string {
	return strings.TrimSuffix(strings.ReplaceAll(err.Error(), "\n", ": "), ".")
}

// IsFolder reports whether a name is that of a folder.
func (f *Folder) IsFolder(name string) bool {
	info, err := os.Stat(f.Path(name))
	return err == nil && info.IsDir()
}
