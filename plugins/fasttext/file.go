package fasttext

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/quern-dev/quern/internal/fasttext"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// fullPath returns the path of a model's file.
func fullPath(root, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(root, path)
}

// declareFile makes the content of a model's file part of the stage's definition
// and returns the labels, or reports an error at the argument "path".
func declareFile[A any](p *plugin.Prepare[A], root, path string) ([]string, bool) {
	var labels []string
	err := regular(fullPath(root, path))
	if err == nil {
		err = p.AddFile("model", fullPath(root, path))
	}
	if err == nil {
		labels, err = fasttext.Labels(fullPath(root, path)) // reads no more than the beginning
	}
	if err != nil {
		p.Errorf("path", "Cannot use the fastText model\n%s: %s.", path, cause(err))
		return nil, false
	}
	return labels, true
}

// regular returns an error for what is not a file, such as a FIFO, which would be
// read forever.
func regular(path string) error {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is not a regular file")
	}
	return err
}

// load reads a model.
func load(root, path string) (*fasttext.Model, error) {
	m, err := fasttext.Open(fullPath(root, path))
	if err != nil {
		return nil, plugin.ArgumentErrorf("path", "Cannot use the fastText model\n%s: %w.", path, cause(err))
	}
	return m, nil
}

// cause removes the path from an error, because messages contain it as the user
// wrote it.
func cause(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

// checkShare reports a number that is not between 0 and 1.
func checkShare[A any](p *plugin.Prepare[A], argument string, x float64) {
	if !(x >= 0 && x <= 1) {
		p.Errorf(argument, "The %s is out of range\n%s must be from 0 to 1, not %v.", argument, argument, x)
	}
}

// checkLabels reports names that are not labels of the model.
func checkLabels[A any](p *plugin.Prepare[A], argument string, named, labels []string) {
	for _, name := range named {
		if !slices.Contains(labels, name) {
			p.Errorf(argument, "The model has no label %q\nIts labels are %s.", name, list(labels))
		}
	}
}

// only returns which of a model's labels are named.
func only(labels, named []string) []bool {
	out := make([]bool, len(labels))
	for i, label := range labels {
		out[i] = slices.Contains(named, label)
	}
	return out
}

// list names labels, unless there are too many.
func list(labels []string) string {
	const most = 200
	sorted := slices.Sorted(slices.Values(labels))
	if len(sorted) > most {
		return fmt.Sprintf("%s, and %d others", strings.Join(sorted[:most], ", "), len(sorted)-most)
	}
	return strings.Join(sorted, ", ")
}
